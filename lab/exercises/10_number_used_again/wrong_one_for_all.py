"""Wrong: there is one state, and all clients share it."""

import contextlib
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where "common" is
from common.framing import ACK, Framing

listener = socket.socket()  # for TCP over IPv4; it belongs to no address yet
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart gets the port
listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8080))  # who may come, and where
listener.listen(1024)  # the kernel now takes connections in, and queues so many
print("Serving on {}:{}".format(*listener.getsockname()), flush=True)

listener.setblocking(False)  # its calls never sleep
clients: set[socket.socket] = set()
everybody = Framing()
while True:
    time.sleep(0.0002)
    for ready in [listener, *clients]:
        with contextlib.suppress(BlockingIOError):  # EAGAIN: "not now"
            if ready is listener:
                sock, address = listener.accept()
                sock.setblocking(False)
                sock.send(ACK)
                clients.add(sock)
            elif data := ready.recv(65536):
                ready.send(everybody.feed(data))
            else:
                clients.remove(ready)
                ready.close()
                everybody = Framing()
