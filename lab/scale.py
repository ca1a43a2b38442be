"""`python -m lab scale`: what one request costs beside many clients that say nothing.

Steps 5 and 6 serve one client that talks, first alone and then beside idle ones. Counted
for each request are the descriptors that are handed to the kernel to wait for, the changes
it is told of, and the descriptors it returns; measured are the server's CPU time, and the
memory that an idle client takes.
"""

import argparse
import importlib
import json
import signal
import socket
import sys
from functools import partial
from typing import Any

from common import descriptors, serving
from lab.harness import processes, servers
from lab.show import arguments

REQUESTS = 1000
STEPS = ("step5_select", "step6_epoll_kqueue")


class Counted:
    """A mechanism, counting what goes to the kernel and what comes back."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.sets: dict[str, set[int]] = getattr(kernel, "sets", {})  # select's, in our memory
        self.reset()

    def reset(self, *_: object) -> None:
        """Start anew."""
        self.counts = {"handed": 0, "told": 0, "returned": 0}

    def change(self, fd: int, old: str | None, new: str | None) -> None:
        """Count a change of a set that is in the kernel."""
        self.counts["told"] += not self.sets
        self.kernel.change(fd, old, new)

    def ready(self, timeout: float | None) -> list[int]:
        """Count who is waited for, if they have to be handed over, and who is ready."""
        fds: list[int] = self.kernel.ready(timeout)
        self.counts["handed"] += sum(map(len, self.sets.values()))
        self.counts["returned"] += len(fds)
        return fds


def cost(step: str, idle: int) -> dict[str, float]:
    """Return what a request costs beside `idle` clients: the counts, and CPU seconds.

    And `memory`: the bytes of the server's resident memory for each of the idle ones.
    """
    command = [sys.executable, "-m", "lab.scale", step]
    with servers.Server(command) as server:
        empty = processes.resident_bytes(server.pid)
        silent = [_connect(server) for _ in range(idle)]
        memory = (processes.resident_bytes(server.pid) - empty) / max(idle, 1)
        talker = _connect(server)
        talker.sendall(b"^a")
        talker.recv(1)
        server.process.send_signal(signal.SIGUSR1)
        before = processes.cpu_seconds(server.pid)
        for _ in range(REQUESTS):
            talker.sendall(b"a")
            talker.recv(1)
        used = processes.cpu_seconds(server.pid) - before
        server.stop()
        for sock in (talker, *silent):
            sock.close()
        counts = json.loads(server.log().splitlines()[-1])
    each = {name: count / REQUESTS for name, count in counts.items()}
    return each | {"cpu": used / REQUESTS, "memory": memory}


def _connect(server: servers.Server) -> socket.socket:
    """Connect, and wait for the `*`."""
    sock = server.connect()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.recv(1)
    return sock


def run(args: argparse.Namespace) -> int:
    """Print a row for each step and number of idle clients."""
    _, limit = descriptors.raise_limit()
    many = min(args.n, limit - 100)
    counted = f"{'handed over':>12}{'changes':>9}{'returned':>10}"
    print(f"{'for each request':28}{counted}{'CPU':>10}{'an idle client':>17}")
    rows = [(step, idle) for step in STEPS for idle in (0, 900)] + [(STEPS[1], many)]
    for step, idle in rows:
        found = cost(step, idle)
        print(
            f"{step:19}{idle:5} idle{found['handed']:11.1f}{found['told']:9.1f}"
            f"{found['returned']:10.1f}{found['cpu'] * 1e6:7.1f} us"
            + (f"{found['memory']:11.0f} bytes" if idle else ""),
            flush=True,
        )
    return 0


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command's arguments."""
    parser = commands.add_parser(
        "scale", help="one request beside many idle clients", description=__doc__
    )
    parser.add_argument(
        "-n", type=arguments.positive, default=9000, help="idle clients, at most (9000)"
    )
    parser.set_defaults(run=run)


def main() -> None:
    """Be the server of the step named on the command line; end with a line of its counts."""
    module = importlib.import_module(f"{sys.argv[1]}.server")
    counted = Counted(module.Select() if sys.argv[1] == STEPS[0] else module.NATIVE())
    signal.signal(signal.SIGUSR1, counted.reset)
    args = serving.arguments(__doc__).parse_args(["0", "--quiet"])
    serving.run(args, partial(module.serve, poller=module.Poller(counted)))
    print(json.dumps(counted.counts), file=sys.stderr)


if __name__ == "__main__":
    main()
