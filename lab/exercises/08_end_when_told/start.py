"""Step 3, which counts whom it has served, and says so at the end."""

import contextlib
import signal
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

stopping = False
served = 0


def stop(number: int, frame: object) -> None:
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
while not stopping:
    sock, address = listener.accept()
    served += 1
    framing = Framing()
    with contextlib.suppress(OSError), sock:
        sock.sendall(ACK)
        while data := sock.recv(65536):
            sock.sendall(framing.feed(data))
print(f"{served} clients were served", flush=True)
