"""F1 to F6: the kernel keeps the list."""

import platform
import select
import sys

from lab import edges, scale
from lab.claims.claim import WITHIN, Finding, Sizes, claim, found, started
from lab.claims.step5 import EPOLL, served_of
from lab.harness.clients import room_for
from lab.observe import run
from lab.observe.record import SERVER
from step6_epoll_kqueue.server import NATIVE


@claim("F1", step=6)
def no_fixed_limit(sizes: Sizes) -> Finding:
    """There is no fixed limit on descriptors, but that of the process."""
    count = sizes.pick(1500, 9000)
    room_for(count)
    with started(6) as server:
        served = served_of(server, count)
    return found(
        served == count, f"of {count:,} clients at once {served:,} are served", served=served
    )


@claim("F2", step=6)
def idle_ones_cost_no_time(sizes: Sizes) -> Finding:
    """The cost does not grow with idle connections: O(1) for each event."""
    many = sizes.pick(900, 9000)
    room_for(many)
    alone, beside = (min(scale.cost(EPOLL, idle)["cpu"] for _ in range(2)) for idle in (0, many))
    measured = (
        f"{alone * 1e6:.0f} us of CPU time a request alone, {beside * 1e6:.0f} us beside {many:,}"
        " idle clients"
    )
    return found(beside < 1.5 * alone, measured, ratio=beside / alone)


@claim("F3", step=6)
def registered_once(sizes: Sizes) -> Finding:
    """A descriptor is registered once."""
    recording = run.conversation(run.step_command(EPOLL), count=5, pace=sizes.pick(0.05, 0.5))
    calls = {
        name: len([e for e in recording.of(SERVER) if e.call.endswith(name) and e.start > 0])
        for name in (".register", ".modify", ".unregister", ".poll", ".change")
    }
    changes = sum(calls.values()) - calls[".poll"]
    measured = (
        f"5 clients, 15 packets: {calls['.register']} times registered,"
        f" {calls['.modify']} modified, {calls['.unregister']} unregistered; waited"
        f" {calls['.poll']} times"
        if sys.platform == "linux"
        else f"5 clients, 15 packets: {changes} changes"
    )
    return found(changes == 10, measured, changes=changes)


@claim("F4", step=6)
def only_the_ready_come_back(sizes: Sizes) -> Finding:
    """Only those that are ready come back."""
    idle = sizes.pick(900, 9000)
    room_for(idle)
    cost = scale.cost(EPOLL, idle)
    measured = (
        f"beside {idle:,} idle clients {cost['returned']:.1f} descriptors come back for each"
        f" request, and {cost['handed']:.0f} are handed over"
    )
    return found(0.9 < cost["returned"] < 1.1, measured, returned=cost["returned"])


@claim("F5", step=6)
def edge_triggered(sizes: Sizes) -> Finding:
    """Edge-triggered mode reports changes only: a server that does not read until EAGAIN then
    loses its wake-up.
    """
    drained, once = (edges.bytes_back(poller) for poller in edges.POLLERS)
    measured = (
        f"of {edges.BYTES:,} bytes at once, {once:,} come back with one `recv({edges.RECV_SIZE})`"
        f" for each edge, and {drained:,} with `recv` until EAGAIN"
    )
    return found(once < edges.BYTES == drained, measured, once=once, drained=drained)


@claim("F6", step=6)
def kqueue(sizes: Sizes) -> Finding:
    """Kqueue is the counterpart on macOS; the notes put that down to arm64.

    It is the system that has the one or the other, whatever the processor.
    """
    has = [name for name in ("epoll", "kqueue") if hasattr(select, name)]
    expected = ["epoll"] if sys.platform == "linux" else ["kqueue"]
    with started(6) as server:
        served = served_of(server, 1)
    measured = (
        f"{platform.system()} on {platform.machine()} has {' and '.join(has)}, and step 6 takes"
        f" `{NATIVE.__name__}`: it asks for the system call, never for the processor"
    )
    return found(has == expected and served == 1, measured, verdict=WITHIN)
