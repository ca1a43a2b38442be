"""Step 3, blocking I/O: step 1 again, saying where it waits.

`accept`, `recv` and `sendall` do not return until there is something to return: the
operating system puts the thread to sleep, and wakes it when there is. Sleeping costs
nothing; but a thread that sleeps for one client is there for nobody else.
"""

import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from common.framing import ACK, Framing


def narrated(call: Callable[..., Any], *args: object) -> Any:
    """Make a blocking call; log that, and for how long the thread slept in it and ran."""
    serving.log.info("Calling %s...", call.__name__)
    start, cpu = time.perf_counter(), time.thread_time()
    result = call(*args)
    ran = time.thread_time() - cpu
    slept = max(0.0, time.perf_counter() - start - ran)
    size = f" {len(result)} bytes" if isinstance(result, bytes) else ""
    serving.log.info("%s returned%s (slept %.6f s, ran %.6f s)", call.__name__, size, slept, ran)
    return result


def serve(listener: socket.socket, once: bool) -> None:
    """Serve one client after another, for ever or only `once`."""
    while True:
        sock, address = narrated(listener.accept)
        converse(sock, serving.peer_name(address))
        if once:
            return


def converse(sock: socket.socket, peer: str) -> None:
    """Talk to one client until it has sent everything, or is gone; then close its socket."""
    framing = Framing()
    with serving.visit(peer) as visit, sock:
        narrated(sock.sendall, ACK)
        visit.sent += len(ACK)
        while data := narrated(sock.recv, serving.RECV_SIZE):
            visit.received += len(data)
            owed = framing.feed(data)
            narrated(sock.sendall, owed)
            visit.sent += len(owed)


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    parser.add_argument("--once", action="store_true", help="end when the first client has left")
    args = parser.parse_args()
    serving.run(args, partial(serve, once=args.once))


if __name__ == "__main__":
    main()
