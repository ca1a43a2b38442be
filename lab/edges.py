"""`python -m lab edges`: what a server loses that makes one call for each edge.

Step 6 runs with `recv` limited to 1024 bytes, first as it is, edge-triggered, then with the
same notifications but the poller of the level-triggered case, which does not keep in mind
who is still ready.
"""

import argparse
import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from functools import partial

from common import descriptors, serving
from lab.harness import servers
from step6_epoll_kqueue import edge_triggered as step6

RECV_SIZE = 1024
BYTES = 5000
CLIENTS = 300 if sys.platform == "linux" else 100  # no backlog of macOS holds more than 128
SILENCE = 0.3
"""Seconds without an answer after which no more is expected."""


class Forgetful(step6.Poller):
    """It does not remember who is ready."""

    def wait(self, timeout: float | None) -> list[step6.Key]:
        """Return those that the kernel names now."""
        self.ready.clear()
        return super().wait(timeout)


POLLERS: dict[str, type[step6.Poller]] = {"until EAGAIN": step6.Poller, "once per edge": Forgetful}


def start(poller: str) -> servers.Server:
    """Start step 6, edge-triggered, with one of the `POLLERS`."""
    return servers.Server([sys.executable, "-m", "lab.edges", poller])


@contextlib.contextmanager
def held(server: servers.Server) -> Iterator[None]:
    """Stop the server for a while, so that what arrives meanwhile is one edge."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def bytes_back(poller: str) -> int:
    """Send a frame of `BYTES` bytes at once; return how many come back."""
    with start(poller) as server, server.connect() as sock:
        sock.recv(1)  # the `*`
        with held(server):
            sock.sendall(b"^" + b"a" * BYTES)
        back = 0
        while select.select([sock], [], [], SILENCE)[0] and back < BYTES:
            back += len(sock.recv(4096))
        return back


def clients_greeted(poller: str) -> int:
    """Have `CLIENTS` clients connect at once; return how many are greeted."""
    with start(poller) as server, contextlib.ExitStack() as stack:
        with held(server):
            waiting = {stack.enter_context(server.connect()) for _ in range(CLIENTS)}
        while greeted := select.select(waiting, [], [], SILENCE)[0]:
            waiting.difference_update(greeted)
        return CLIENTS - len(waiting)


def run(args: argparse.Namespace) -> int:
    """Print the comparison."""
    descriptors.raise_limit()
    rows = {
        f"of {BYTES} bytes at once, by recv({RECV_SIZE}), came back": bytes_back,
        f"of {CLIENTS} clients at once were greeted": clients_greeted,
    }
    print(" " * 46 + "".join(f"{poller:>16}" for poller in POLLERS))
    for row, measure in rows.items():
        print(f"{row:46}" + "".join(f"{measure(poller):16}" for poller in POLLERS), flush=True)
    return 0


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command's arguments: it has none."""
    parser = commands.add_parser(
        "edges", help="what one call for each edge loses", description=__doc__
    )
    parser.set_defaults(run=run)


def main() -> None:
    """Be the server, with the poller named on the command line."""
    serving.RECV_SIZE = RECV_SIZE
    poller = POLLERS[sys.argv[1]](step6.NATIVE())
    args = serving.arguments(__doc__).parse_args(["0", "--quiet"])
    serving.run(args, partial(step6.serve, poller=poller))


if __name__ == "__main__":
    main()
