"""Step 6, the idea, on macOS and the BSDs: the same list, with other names."""

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
kqueue = select.kqueue()  # a list in the kernel
kqueue.control([select.kevent(listener, select.KQ_FILTER_READ)], 0)
socks = {listener.fileno(): listener}  # it knows them by their descriptors
while True:
    for event in kqueue.control(None, 64):  # sleeps until one is ready
        ready = socks[event.ident]
        if ready is listener:
            sock, address = listener.accept()
            sock.sendall(ACK)
            clients[sock] = Framing()
            socks[sock.fileno()] = sock
            kqueue.control([select.kevent(sock, select.KQ_FILTER_READ)], 0)  # once
        elif data := ready.recv(65536):
            ready.sendall(clients[ready].feed(data))
        else:
            del clients[ready], socks[event.ident]
            ready.close()  # which takes it off the list
