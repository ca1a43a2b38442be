"""One client after the other, and each may send so much; then it is sent away."""

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

ALLOWED = 300_000  # bytes that a client may send

while True:
    sock, address = listener.accept()
    framing = Framing()
    with contextlib.suppress(OSError), sock:
        sock.sendall(ACK)
        left = ALLOWED
        while left and (data := sock.recv(min(left, 65536))):
            sock.sendall(framing.feed(data))
            left -= len(data)
        sock.shutdown(socket.SHUT_WR)  # the end, after all that is still to be sent
        while sock.recv(65536):  # closed with something unread, it would be a reset
            pass
