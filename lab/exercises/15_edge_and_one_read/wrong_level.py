"""Wrong: is told again and again: no edge, and nothing solved."""

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

listener.setblocking(False)
clients: dict[socket.socket, Framing] = {}
epoll = select.epoll()  # a list in the kernel
epoll.register(listener, select.EPOLLIN)  # to be told when something changes
socks = {listener.fileno(): listener}
while True:
    for fd, _ in epoll.poll():  # sleeps until something has come
        ready = socks[fd]
        if ready is listener:
            sock, address = listener.accept()
            sock.sendall(ACK)
            clients[sock] = Framing()
            socks[sock.fileno()] = sock
            epoll.register(sock, select.EPOLLIN)
        elif data := ready.recv(4096, socket.MSG_DONTWAIT):  # this call does not sleep
            ready.sendall(clients[ready].feed(data))
        else:
            del clients[ready], socks[fd]
            ready.close()  # which takes it off the list
