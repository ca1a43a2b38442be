"""Step 2, one thread per client: the conversation of step 1, many times at once.

The code that talks to a client is the same to the letter. It may sleep in `recv`
as long as its client likes, since only its own thread sleeps. Five clients take
as long as one, and cost five threads.
"""

import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from common.framing import ACK, Framing


def serve(listener: socket.socket) -> None:
    """Start a thread for each client, for ever."""
    while True:
        sock, address = listener.accept()
        peer = serving.peer_name(address)
        thread = threading.Thread(target=converse, args=(sock, peer), name=peer, daemon=True)
        try:
            thread.start()
        except Exception as error:  # no more threads, or no memory for one
            serving.log_refused(peer, error)
            sock.close()


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
