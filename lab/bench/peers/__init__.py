"""The protocol on what people would use instead, each as its own documentation would have it."""

import contextlib
import socket

from common import serving
from common.framing import ACK, Framing

HOST = "127.0.0.1"


def announce(port: int) -> None:
    """Say that it listens, as all servers here do."""
    print(f"Serving on {HOST}:{port}", flush=True)


def converse(sock: socket.socket) -> None:
    """Talk until the client has sent everything, or is gone, where each has what may block."""
    framing = Framing()
    with contextlib.suppress(OSError):
        sock.sendall(ACK)
        while data := sock.recv(serving.RECV_SIZE):
            sock.sendall(framing.feed(data))
