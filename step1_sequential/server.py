"""Step 1, sequential: one client from its first byte to its last, then the next.

Whoever connects meanwhile waits in the kernel's backlog: connected, as far as
TCP is concerned, but without the `*` that says it is being served. Five clients
take five times as long as one.
"""

import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from common.framing import ACK, Framing


def serve(listener: socket.socket) -> None:
    """Serve one client after another, for ever."""
    while True:
        sock, address = listener.accept()
        converse(sock, serving.peer_name(address))


def converse(sock: socket.socket, peer: str) -> None:
    """Talk to one client until it has sent everything, or is gone; then close its socket."""
    framing = Framing()
    with serving.visit(peer) as visit, sock:
        sock.sendall(ACK)
        visit.sent += len(ACK)
        while data := sock.recv(serving.RECV_SIZE):
            visit.received += len(data)
            owed = framing.feed(data)
            sock.sendall(owed)
            visit.sent += len(owed)


def main() -> None:
    """Serve until told to stop."""
    args = serving.arguments(__doc__).parse_args()
    serving.run(args, serve)


if __name__ == "__main__":
    main()
