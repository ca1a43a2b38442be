"""E1 to E5: asking the kernel about everybody at once."""

import contextlib
import ctypes
import math
import select
import socket
import statistics
import time
import timeit
from collections.abc import Callable
from functools import partial

from lab.bench.contestants import EPOLL, POLLING, SELECT, Contestant
from lab.check.prompt import answer_time
from lab.claims import costs
from lab.claims.claim import HOLDS, WITHIN, Curves, Finding, claim, found, recorded, started
from lab.claims.step1 import served_at_once
from lab.harness.clients import greeted, greeted_clients, idle_clients, room_for
from lab.harness.processes import NotMeasured
from lab.harness.servers import STEPS
from lab.observe import run, summary
from lab.observe.record import SERVER, WAITS


@claim("E1")
def multiplexed_flow(full: bool) -> Finding:
    """The system says which sockets have data, and one thread serves all clients."""
    recordings = recorded(full, 1, 2, 5)
    *_, recording = recordings.values()
    seen, most = summary.summary(recording), served_at_once(recording)
    measured = f"{most} clients at once by {seen.threads} thread, with {seen.wasted} calls in vain"
    holds = (most, seen.threads, seen.wasted) == (3, 1, 0)
    return found(holds, measured, recordings=recordings)


@claim("E2")
def fd_setsize(full: bool) -> Finding:
    """`select` takes no descriptor numbered FD_SETSIZE, usually 1024, or above."""
    offered = 1100
    here, beyond = (served_of(step, offered) for step in (5, 6))
    measured = f"of {offered} clients {here} are served, in step 6 {beyond}"
    return found(here < 1024 < beyond == offered, measured)


def served_of(step: int, count: int) -> int:
    """Return how many of so many clients at once a step takes and keeps."""
    room_for(count)
    with started(step) as server, idle_clients(server, count) as served:
        server.stop()  # first, since so many that leave at once keep it busy
        return len(served)


@claim("E3")
def grows_with_the_watched(full: bool) -> Finding:
    """The cost of a request grows with the number of descriptors watched: O(N).

    Fifty clients talk, beside so many that say nothing.
    """
    points: dict[Contestant, tuple[int, ...]] = {
        POLLING: (0, 300, 600, 900, 1800) if full else (0, 400),
        SELECT: (0, 300, 600, 900) if full else (0, 900),
        EPOLL: (0, 300, 600, 900, 3000, 9000) if full else (0, 900),
    }
    seconds, rounds = (0.5, 3) if full else (0.1, 1)
    least = {(who, at): math.inf for who, some in points.items() for at in some}
    for _ in range(rounds):  # the machine is shared, and is slower at times
        for who, at in least:
            least[who, at] = min(least[who, at], costs.request(who, at, seconds=seconds))
    lines = {who.name: [(float(at), least[who, at]) for at in some] for who, some in points.items()}
    curves = [Curves("silent clients beside the 50 that talk", "CPU per request (us)", lines)]
    (_, alone), *_, (many, beside) = lines[SELECT.name]
    measured = f"{alone:.1f} us of CPU time alone, {beside:.1f} us beside {many:.0f} silent clients"
    return found(beside > 1.2 * alone, measured, curves=curves)


@claim("E4")
def handed_over_anew(full: bool) -> Finding:
    """The set of descriptors is handed over anew at every call.

    One client talks, beside many that say nothing: what goes to the kernel is counted, and the
    server's CPU time measured.
    """
    idle = 900
    (handed, _), (kept, _) = (passed_on(step, idle) for step in (5, 6))
    alone, beside, there = (
        costs.request(who, count, talking=1)
        for who, count in ((SELECT, 0), (SELECT, idle), (EPOLL, idle))
    )
    measured = (
        f"beside {idle} idle clients {handed:.0f} descriptors for each request, and {beside:.0f} us"
        f" ({alone:.0f} us alone); in step 6, {kept:.0f} descriptors and {there:.0f} us"
    )
    return found(handed > idle > kept == 0 and beside > 1.5 * alone, measured)


def passed_on(step: int, idle: int) -> tuple[float, float]:
    """Return how many descriptors go to the kernel for each request, and how many come back."""
    with run.watched(run.step_command(STEPS[step - 1], "--quiet")) as session:
        with greeted_clients(session.server, idle), greeted(session.server) as sock:
            start = time.monotonic()
            sock.sendall(b"^")
            answer_time(sock)
            session.server.stop()
        recording = session.recording()
    waits = [one for one in recording.of(SERVER, *WAITS) if one.start + recording.zero > start]
    handed, ready = zip(*((one.handed, len(one.ready)) for one in waits if one.ready), strict=True)
    return statistics.median(handed), statistics.median(ready)


@claim("E5")
def searched_for_the_ready(full: bool) -> Finding:
    """The whole answer has to be searched for the ones that are ready.

    In C the program does that. In Python `select.select` fills the set and searches it: compared
    with the bare system call.
    """
    few, many = 10, 900
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(many // 2)]
        fds = [stack.enter_context(sock).fileno() for pair in pairs for sock in pair]
        if max(fds) >= 1024:
            raise NotMeasured("this process has too many files open already")
        pairs[0][0].send(b"a")
        whole, bare = (
            (timed(call(fds)) - timed(call(fds[:few]))) / (many - few)
            for call in (lambda fds: partial(select.select, fds, [], [], 0), bare_select)
        )
    share = (whole - bare) / whole
    measured = (
        f"each descriptor that is watched takes `select.select` {whole * 1e9:.0f} ns, the bare"
        f" system call {bare * 1e9:.0f} ns: the search is {max(0.0, share):.0%} of the cost"
    )
    return found(whole > 0, measured, HOLDS if share > 0.3 else WITHIN)


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes, the least of several runs."""
    return min(timeit.repeat(call, number=100, repeat=10)) / 100


def bare_select(fds: list[int]) -> Callable[[], object]:
    """Return the bare system call, with the set already filled."""
    libc, timeout = ctypes.CDLL(None), ctypes.c_long * 2
    bits = sum(1 << fd for fd in fds).to_bytes(128, "little")
    fd_set, highest = ctypes.create_string_buffer(bits), max(fds) + 1

    def call() -> None:
        fd_set.raw = bits + b"\0"
        libc.select(highest, fd_set, None, None, timeout(0, 0))

    return call
