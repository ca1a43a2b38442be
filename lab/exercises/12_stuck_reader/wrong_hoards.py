"""Wrong: goes on reading from one who reads nothing, and keeps all the answers."""

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
unsent: dict[socket.socket, bytearray] = {}

while True:
    readable, writable, _ = select.select([listener, *clients], unsent, [])  # sleeps until one is
    for ready in {*readable, *writable}:
        try:
            if ready is listener:
                sock, address = listener.accept()
                sock.setblocking(False)
                clients[sock], unsent[sock] = Framing(), bytearray(ACK)
            elif ready in writable:
                del unsent[ready][: ready.send(unsent[ready])]
                if not unsent[ready]:
                    del unsent[ready]
            elif data := ready.recv(65536):
                if answer := clients[ready].feed(data):
                    unsent.setdefault(ready, bytearray()).extend(answer)
            else:
                raise EOFError
        except (EOFError, ConnectionError):
            if clients.pop(ready, None):
                unsent.pop(ready, None)
                ready.close()
