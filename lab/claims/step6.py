"""F1 to F6: the kernel keeps the list."""

import platform
import select
import sys
from collections import Counter

from lab.bench.contestants import EPOLL
from lab.broken import catalogue, steps
from lab.claims import costs
from lab.claims.claim import WITHIN, Finding, claim, found, pace, started
from lab.claims.step5 import passed_on, served_of
from lab.harness.clients import exactly, greeted, room_for, serves
from lab.harness.servers import STEPS
from lab.observe import run
from lab.observe.record import SERVER
from step6_epoll_kqueue.server import NATIVE

BYTES = 5000
"""More than several calls of `recv` take, in F5."""

SILENCE = 0.3
"""Seconds without an answer after which no more is expected."""


@claim("F1")
def no_fixed_limit(full: bool) -> Finding:
    """There is no fixed limit on descriptors, but that of the process."""
    count = 9000 if full else 1500
    served = served_of(6, count)
    return found(served == count, f"of {count:,} clients at once {served:,} are served")


@claim("F2")
def idle_ones_cost_no_time(full: bool) -> Finding:
    """The cost does not grow with idle connections: O(1) for each event."""
    many = 9000 if full else 900
    room_for(many)
    alone, beside = (min(costs.request(EPOLL, idle, 1) for _ in range(2)) for idle in (0, many))
    measured = f"a request takes {alone:.0f} us of CPU time alone, {beside:.0f} us beside {many:,}"
    return found(beside < 1.5 * alone, measured)


@claim("F3")
def registered_once(full: bool) -> Finding:
    """A descriptor is registered once."""
    recording = run.conversation(run.step_command(STEPS[5]), count=5, pace=pace(full) / 2)
    called = Counter(one.call.partition(".")[2] for one in recording.of(SERVER) if one.start > 0)
    told = {name: called[name] for name in ("register", "modify", "unregister", "change")}
    said = ", ".join(f"{count} times `{name}`" for name, count in told.items() if count)
    measured = f"5 clients, 15 packets: {said}; waited {called['poll'] + called['control']} times"
    return found(sum(told.values()) == 10, measured)


@claim("F4")
def only_the_ready_come_back(full: bool) -> Finding:
    """Only those that are ready come back."""
    idle = 9000 if full else 900
    room_for(idle)
    handed, returned = passed_on(6, idle)
    measured = f"beside {idle:,} idle clients {returned:.1f} comes back, {handed:.0f} go over"
    return found(0.9 < returned < 1.1, measured)


@claim("F5")
def edge_triggered(full: bool) -> Finding:
    """Edge-triggered mode reports changes only: a server that does not read until EAGAIN then
    loses its wake-up.
    """
    once, drained = map(bytes_back, ("once_per_edge", "until_eagain"))
    measured = (
        f"of {BYTES:,} bytes {once:,} come back with one `recv({steps.RECV_SIZE})` for each edge,"
        f" and {drained:,} with `recv` until EAGAIN"
    )
    return found(once < BYTES == drained, measured)


def bytes_back(name: str) -> int:
    """Send a frame of `BYTES` bytes at once to a broken server; return how many come back."""
    with catalogue.started(name) as server, greeted(server) as sock:
        with server.paused():  # so that what arrives meanwhile is one edge
            sock.sendall(b"^" + b"a" * BYTES)
        sock.settimeout(SILENCE)
        return len(exactly(sock, BYTES))


@claim("F6")
def kqueue(full: bool) -> Finding:
    """Kqueue is the counterpart on macOS; the notes put that down to arm64.

    It is the system that has the one or the other, whatever the processor.
    """
    has = [name for name in ("epoll", "kqueue") if hasattr(select, name)]
    expected = ["epoll"] if sys.platform == "linux" else ["kqueue"]
    with started(6) as server:
        serves(server)
    system = f"{platform.system()} on {platform.machine()}"
    measured = f"{system} has {' and '.join(has)}, and step 6 takes `{NATIVE.__name__}`"
    return found(has == expected, measured, WITHIN)
