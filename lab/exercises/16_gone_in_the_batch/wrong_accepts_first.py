"""Wrong: accepts before it sends the oldest away, and then looks for who has gone."""

import select
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where "common" is
from common.framing import ACK, Framing

listener = socket.socket()  # for TCP over IPv4; it belongs to no address yet
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart gets the port
listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8080))  # who may come, and where
listener.listen(1024)  # the kernel now takes connections in, and queues so many
print("Serving on {}:{}".format(*listener.getsockname()), flush=True)

most = int(sys.argv[2]) if sys.argv[2:] else 20_000  # clients at once

socks = {listener.fileno(): listener}
framings: dict[int, Framing] = {}  # by descriptor, in the order in which they came
epoll = select.epoll()  # a list in the kernel
epoll.register(listener, select.EPOLLIN)


def leave(fd: int) -> None:
    del framings[fd]
    socks.pop(fd).close()  # which takes it off the list


while True:
    for fd, _ in epoll.poll():  # sleeps until one is ready
        ready = socks[fd]
        try:
            if ready is listener:
                sock, address = listener.accept()
                if len(framings) == most:
                    leave(next(iter(framings)))  # the oldest makes room
                socks[sock.fileno()], framings[sock.fileno()] = sock, Framing()
                epoll.register(sock, select.EPOLLIN)
                sock.sendall(ACK)
            elif data := ready.recv(65536):
                ready.sendall(framings[fd].feed(data))
            else:
                leave(fd)
        except ConnectionError:
            if ready is not listener:
                leave(fd)
