"""HAProxy before three machines: its configuration, its socket for orders, and all of it running.

The configuration is as its documentation has it: https://docs.haproxy.org/2.6/configuration.html
"""

import contextlib
import csv
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator

from lab.fleet.machines import DIES_WITH_US, Machine, network
from lab.harness.servers import ROOT, START_UP, STEPS, Server, ServerError

PORT, ORDERS = 8080, 9999
"""Where the balancer and each machine serve, and where the balancer takes orders."""

NAMES = "m1", "m2", "m3"

PYTHON = (sys.executable,)
"""What runs a server's script."""

TEXT = """\
global
    stats socket ipv4@127.0.0.1:9999 level admin

defaults
    mode tcp
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout queue 60s
    retries 3
    option redispatch 1

listen fleet
    bind 10.77.0.1:8080
    balance leastconn
    option tcp-check
    {check}
    default-server check inter 250ms fall 2 rise 2 maxconn {maxconn} {down}
    server m1 10.77.0.3:8080
    server m2 10.77.0.4:8080
    server m3 10.77.0.5:8080
"""
"""The balancer is the first machine, and the second has the clients."""

GREETED, CONNECTED = "tcp-check expect string *", "tcp-check connect"
"""A machine is well if it greets whoever looks; or if its kernel accepts the connection."""

SHUT = "on-marked-down shutdown-sessions"


def configuration(maxconn: int = 1000, check: str = GREETED, down: str = SHUT) -> str:
    """Return what HAProxy is told.

    `maxconn` is for each machine; who comes beyond that waits in HAProxy's queue.
    """
    return TEXT.format(maxconn=maxconn, check=check, down=down)


class Balancer(Server):
    """HAProxy on a machine of its own, running."""

    def __init__(self, machine: Machine, text: str) -> None:
        self.machine = machine
        with tempfile.TemporaryFile() as file, machine.inside():
            file.write(text.encode())
            file.seek(0)
            command = [*DIES_WITH_US, "haproxy", "-db", "-f", "/dev/stdin"]
            super().__init__(command, port=PORT, stdin=file)
        self.host = machine.address

    def order(self, words: str) -> str:
        """Send an order to its socket, as `show stat`; return what it answers. Raises OSError."""
        with self.machine.inside():
            sock = socket.create_connection(("127.0.0.1", ORDERS), self.patience)
        with sock, sock.makefile("rw") as file:
            file.write(words + "\n")
            file.flush()
            return file.read()

    def seen(self) -> dict[str, dict[str, str]]:
        """Return what it says of each machine, and of all of them (`BACKEND`): its `show stat`."""
        rows = csv.DictReader(self.order("show stat").removeprefix("# ").splitlines())
        return {row["svname"]: row for row in rows}

    def until(self, column: str, pattern: str, *names: str) -> float:
        """Wait until it says this of some machines; return the seconds. ServerError if never."""
        start = time.monotonic()
        while (took := time.monotonic() - start) < START_UP:
            if ended := self.ended():
                raise ServerError(f"HAProxy: {ended}")
            with contextlib.suppress(OSError):
                seen = self.seen()
                if all(re.fullmatch(pattern, seen[name][column]) for name in names):
                    return took
            time.sleep(0.01)
        raise ServerError(f"HAProxy does not say that {column} of {names} is {pattern}")

    def wait_until_ready(self) -> None:
        """Wait until it has looked at every machine, and found it well."""
        self.until("check_status", "L.OK", *NAMES)


class Fleet:
    """Three machines with a server of a step each, HAProxy before them, and one for the clients.

    Clients connect to `balancer`, from `clients`.
    """

    def __init__(
        self, step: int, text: str, machines: list[Machine], stack: contextlib.ExitStack
    ) -> None:
        self.script = str(ROOT / STEPS[step - 1] / "server.py")
        self.text = text
        self.front, self.clients, *self.machines = machines
        self.stack = stack
        self.servers = [self._server(machine) for machine in self.machines]
        for server in self.servers:
            server.wait_until_ready()
        self.descriptors = sum(one.descriptors() for one in self.servers)
        self.balance()

    def balance(self) -> None:
        """Start HAProxy, and wait until it has seen all machines."""
        self.balancer = self.stack.enter_context(Balancer(self.front, self.text))

    def _server(self, machine: Machine) -> Server:
        words = [*DIES_WITH_US, *PYTHON, self.script, str(PORT), "--host", machine.address]
        with machine.inside():
            server = Server([*words, "--quiet"], port=PORT)
        self.stack.push(server)
        return server

    def restart(self, number: int) -> None:
        """End the server of a machine, and start it anew."""
        self.servers[number].stop()
        self.servers[number] = self._server(self.machines[number])
        self.servers[number].wait_until_ready()

    def held(self, number: int) -> int:
        """Return how many connections the balancer has to a machine."""
        return int(self.balancer.seen()[NAMES[number]]["scur"])

    def left(self) -> int:
        """Return how many clients the servers have, the least in half a second: some only look."""
        counts = []
        for _ in range(10):
            counts.append(sum(one.descriptors() for one in self.servers) - self.descriptors)
            time.sleep(0.05)
        return min(counts)


@contextlib.contextmanager
def three_machines(step: int, text: str = "") -> Iterator[Fleet]:
    """Have a fleet of a step during the block; HAProxy is told a `text` if not the usual one."""
    with network(5) as machines, contextlib.ExitStack() as stack:
        yield Fleet(step, text or configuration(), machines, stack)
