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
from typing import Self

from lab.fleet.machines import DIES_WITH_US, Machine, Network
from lab.harness.servers import ROOT, START_UP, STEPS, Endpoint, Server, ServerError

PORT, ORDERS = 8080, 9999
"""Where the balancer and each machine serve, and where the balancer takes orders."""

NAMES = "m1", "m2", "m3"

TEXT = """\
global
    stats socket ipv4@127.0.0.1:{orders} level admin

defaults
    mode tcp
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout queue {queue}
    retries 3
    option redispatch 1

listen fleet
    bind {door}:{port}
    balance leastconn
    option tcp-check
    {check}
    default-server check inter 250ms fall 2 rise 2 maxconn {maxconn}{down}
"""

GREETED, CONNECTED = "tcp-check expect string *", "tcp-check connect"
"""A machine is well if it greets whoever looks; or if its kernel accepts the connection."""

SHUT = "on-marked-down shutdown-sessions"


def configuration(
    addresses: list[str],
    maxconn: int = 1000,
    check: str = GREETED,
    down: str = SHUT,
    queue: str = "60s",
) -> str:
    """Return what HAProxy is told: the first address is its own, the others are the machines'.

    `maxconn` is for each machine; who comes beyond that waits in HAProxy's queue.
    """
    door, *others = addresses
    given = {"maxconn": maxconn, "check": check, "down": f" {down}" * bool(down), "queue": queue}
    text = TEXT.format(**given, door=door, port=PORT, orders=ORDERS)
    both = zip(NAMES, others, strict=True)
    return text + "".join(f"    server {name} {address}:{PORT}\n" for name, address in both)


def example() -> str:
    """Return the configuration for three machines, as the page shows it."""
    return configuration([f"10.77.0.{number}" for number in (1, 3, 4, 5)])


class Balancer(Server):
    """HAProxy on a machine of its own, running."""

    def __init__(self, machine: Machine, text: str) -> None:
        self.machine = machine
        with tempfile.TemporaryFile() as file, machine:
            file.write(text.encode())
            file.seek(0)
            command = [*DIES_WITH_US, "haproxy", "-db", "-f", "/dev/stdin"]
            super().__init__(command, port=PORT, stdin=file)
        self.host = machine.address

    def order(self, words: str) -> str:
        """Send an order to its socket, as `show stat`; return what it answers. Raises OSError."""
        with self.machine:
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

    A context manager. `door` is where clients connect to, from `clients`; `options` are those of
    the configuration.
    """

    def __init__(self, step: int, **options: str | int) -> None:
        self.script = str(ROOT / STEPS[step - 1] / "server.py")
        self.options = options

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            network = stack.enter_context(Network(5))
            self.front, self.clients, *self.machines = network.machines
            self.servers: list[Server] = []
            stack.callback(self._stop)
            for machine in self.machines:
                self.servers.append(self._server(machine))
            for server in self.servers:
                server.wait_until_ready()
            self.descriptors = sum(one.descriptors() for one in self.servers)
            self.door = Endpoint(self.front.address, PORT)
            self.balance()
            stack.callback(lambda: self.balancer.__exit__())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def balance(self) -> None:
        """Start HAProxy, and wait until it has seen all machines."""
        addresses = [one.address for one in (self.front, *self.machines)]
        self.balancer = Balancer(self.front, configuration(addresses, **self.options))  # type: ignore[arg-type]
        self.balancer.__enter__()

    def restart(self, number: int) -> None:
        """End the server of a machine, and start it anew."""
        self.servers[number].__exit__()
        self.servers[number] = self._server(self.machines[number])
        self.servers[number].wait_until_ready()

    def held(self, number: int) -> int:
        """Return how many connections the balancer has to a machine."""
        return int(self.balancer.seen()[NAMES[number]]["scur"])

    def left(self) -> int:
        """Return how many clients the servers have, the least in half a second: some only look."""
        counts: list[int] = []
        while len(counts) < 10:
            counts.append(sum(one.descriptors() for one in self.servers) - self.descriptors)
            time.sleep(0.05)
        return min(counts)

    def _stop(self) -> None:
        for server in self.servers:
            server.__exit__()

    def _server(self, machine: Machine) -> Server:
        words = [*DIES_WITH_US, sys.executable, self.script, str(PORT), "--host", machine.address]
        with machine:
            return Server([*words, "--quiet"], port=PORT)
