"""Wrong: sends from a thread behind the loop."""

import select
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where "common" is
from common.framing import ACK, Framing

listener = socket.socket()  # for TCP over IPv4; it belongs to no address yet
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart gets the port
listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8080))  # who may come, and where
listener.listen(1024)  # the kernel now takes connections in, and queues so many
print("Serving on {}:{}".format(*listener.getsockname()), flush=True)

clients: dict[socket.socket, Framing] = {}

while True:
    for ready in select.select([listener, *clients], [], [])[0]:  # sleeps until one is
        try:
            if ready is listener:
                sock, address = listener.accept()
                clients[sock] = Framing()
                sock.sendall(ACK)
            elif data := ready.recv(65536):
                answer = clients[ready].feed(data)
                threading.Thread(target=ready.sendall, args=[answer], daemon=True).start()
            else:
                raise EOFError
        except (EOFError, ConnectionError):
            if clients.pop(ready, None):
                ready.close()
