"""Step 6, the idea: the kernel keeps the list of whom to watch, and names those who are ready."""

import select
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common.framing import ACK, Framing

listener = socket.socket()  # for TCP over IPv4; it belongs to no address yet
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart gets the port
listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8080))  # who may come, and where
listener.listen(1024)  # the kernel now takes connections in, and queues so many
print("Serving on {}:{}".format(*listener.getsockname()), flush=True)

clients: dict[socket.socket, Framing] = {}
epoll = select.epoll()  # a list in the kernel
epoll.register(listener, select.EPOLLIN)
socks = {listener.fileno(): listener}  # it knows them by their descriptors
while True:
    for fd, _ in epoll.poll():  # sleeps until one is ready
        ready = socks[fd]
        if ready is listener:
            sock, address = listener.accept()
            sock.sendall(ACK)
            clients[sock] = Framing()
            socks[sock.fileno()] = sock
            epoll.register(sock, select.EPOLLIN)  # once, for as long as it is open
        elif data := ready.recv(65536):
            ready.sendall(clients[ready].feed(data))
        else:
            del clients[ready], socks[fd]
            ready.close()  # which takes it off the list
