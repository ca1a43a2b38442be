"""Forgets who left in order, and not who left with a reset."""

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

socks = {listener.fileno(): listener}
framings: dict[int, Framing] = {}  # the state of each, by its descriptor
epoll = select.epoll()  # a list in the kernel
epoll.register(listener, select.EPOLLIN)
while True:
    for fd, _ in epoll.poll():  # sleeps until one is ready
        try:
            if socks[fd] is listener:
                sock, address = listener.accept()
                socks[sock.fileno()] = sock
                epoll.register(sock, select.EPOLLIN)
                sock.sendall(ACK)
            elif data := socks[fd].recv(65536):
                framing = framings.setdefault(fd, Framing())
                socks[fd].sendall(framing.feed(data))
            else:
                framings.pop(fd, None)
                socks.pop(fd).close()  # which takes it off the list
        except ConnectionError:
            if socks[fd] is not listener:
                socks.pop(fd).close()
