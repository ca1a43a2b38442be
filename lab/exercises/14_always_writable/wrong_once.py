"""Wrong: sends what there is room for, and has nobody say when there is more."""

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


def leave(fd: int) -> None:
    socks.pop(fd).close()  # which takes it off the list
    del framings[fd], unsent[fd]


socks = {listener.fileno(): listener}
framings: dict[int, Framing] = {}
unsent: dict[int, bytes] = {}
epoll = select.epoll()  # a list in the kernel
epoll.register(listener, select.EPOLLIN)
while True:
    for fd, events in epoll.poll():  # sleeps until one is ready
        try:
            if socks[fd] is listener:
                sock, address = listener.accept()
                sock.setblocking(False)
                socks[sock.fileno()] = sock
                framings[sock.fileno()], unsent[sock.fileno()] = Framing(), ACK
                epoll.register(sock, select.EPOLLOUT)  # for the `*`
            elif unsent[fd] and events & select.EPOLLOUT:
                unsent[fd] = unsent[fd][socks[fd].send(unsent[fd]) :]
                if not unsent[fd]:
                    epoll.modify(fd, select.EPOLLIN)
            elif data := socks[fd].recv(65536):
                unsent[fd] = framings[fd].feed(data)
                unsent[fd] = unsent[fd][socks[fd].send(unsent[fd]) :]
            else:
                leave(fd)
        except BlockingIOError:
            pass
        except ConnectionError:
            leave(fd)
