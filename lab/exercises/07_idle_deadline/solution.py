"""Step 3, which survives a reset; whoever says nothing for a second is sent away."""

import contextlib
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

while True:
    sock, address = listener.accept()
    sock.settimeout(1)  # for each call; what it raises then is an OSError
    framing = Framing()
    with contextlib.suppress(OSError), sock:
        sock.sendall(ACK)
        while data := sock.recv(65536):
            sock.sendall(framing.feed(data))
