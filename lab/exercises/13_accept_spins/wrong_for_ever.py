"""Wrong: accepts nobody any more, once there was no room."""

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

clients: dict[socket.socket, Framing] = {}
accepting = [listener]

while True:
    for ready in select.select([*accepting, *clients], [], [])[0]:  # sleeps until one is
        try:
            if ready is listener:
                sock, address = listener.accept()
                clients[sock] = Framing()
                sock.sendall(ACK)
            elif data := ready.recv(65536):
                ready.sendall(clients[ready].feed(data))
            else:
                raise EOFError
        except (EOFError, OSError):  # OSError: a reset, or `accept` found no descriptor free
            accepting = [] if ready is listener else accepting
            if clients.pop(ready, None):
                ready.close()
