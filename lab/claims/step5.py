"""E1 to E5: asking the kernel about everybody at once."""

import contextlib
import ctypes
import select
import socket
import time
from collections.abc import Callable

from lab import scale
from lab.bench import contestants
from lab.bench.contestants import Contestant
from lab.claims import costs
from lab.claims.claim import HOLDS, WITHIN, Curves, Finding, Sizes, claim, found, started
from lab.claims.step1 import served_at_once
from lab.harness import servers
from lab.harness.clients import clients, exactly
from lab.harness.servers import NotMeasured, Server
from lab.observe import run, summary

SELECT, EPOLL = servers.STEPS[4], servers.STEPS[5]


@claim("E1", step=5)
def multiplexed_flow(sizes: Sizes) -> Finding:
    """The system says which sockets have data, and one thread serves all clients."""
    steps = (servers.STEPS[0], servers.STEPS[1], SELECT)
    recordings = {
        step: run.conversation(run.step_command(step), count=3, pace=sizes.pace) for step in steps
    }
    seen = summary.summary(recordings[SELECT])
    most = served_at_once(recordings[SELECT])
    measured = f"{most} clients at once by {seen.threads} thread, with {seen.wasted} calls in vain"
    holds = most == 3 and seen.threads == 1 and seen.wasted == 0
    return found(holds, measured, most=most, wasted=seen.wasted, recordings=recordings)


@claim("E2", step=5)
def fd_setsize(sizes: Sizes) -> Finding:
    """`select` takes no descriptor numbered FD_SETSIZE, usually 1024, or above."""
    offered = 1100
    counts = {}
    for step in (5, 6):
        with started(step) as server:
            counts[step] = served_of(server, offered)
    measured = f"of {offered} clients {counts[5]} are served, in step 6 {counts[6]}"
    return found(counts[5] < 1024 < counts[6] == offered, measured, served=counts[5])


def served_of(server: Server, count: int) -> int:
    """Return how many of so many clients at once are greeted."""
    with clients(server, count) as socks:
        return sum(exactly(sock, 1) == b"*" for sock in socks)


@claim("E3", step=5)
def grows_with_the_watched(sizes: Sizes) -> Finding:
    """The cost of a request grows with the number of descriptors watched: O(N).

    Fifty clients talk, beside so many that say nothing.
    """
    points: dict[Contestant, tuple[int, ...]] = {
        contestants.POLLING: sizes.pick((0, 400), (0, 300, 600, 900, 1800)),
        contestants.SELECT: sizes.pick((0, 900), (0, 300, 600, 900)),
        contestants.EPOLL: sizes.pick((0, 900), (0, 300, 600, 900, 3000, 9000)),
    }
    seconds = sizes.pick(0.1, 0.5)
    lines = {
        who.name: [(float(at), costs.request(who, at, seconds=seconds) * 1e6) for at in some]
        for who, some in points.items()
    }
    curves = Curves("silent clients beside the 50 that talk", "CPU per request (us)", lines)
    (_, alone), *_, (many, beside) = lines[SELECT]
    measured = f"{alone:.1f} us of CPU time alone, {beside:.1f} us beside {many:.0f} silent clients"
    return found(beside > 1.2 * alone, measured, curves=(curves,), alone=alone, beside=beside)


@claim("E4", step=5)
def handed_over_anew(sizes: Sizes) -> Finding:
    """The set of descriptors is handed over anew at every call."""
    idle = 900
    handed, kept = (scale.cost(step, idle)["handed"] for step in (SELECT, EPOLL))
    measured = (
        f"{handed:.0f} descriptors for each request beside {idle} idle; in step 6, {kept:.0f}"
    )
    return found(handed > idle > kept == 0, measured, handed=handed)


@claim("E5", step=5)
def searched_for_the_ready(sizes: Sizes) -> Finding:
    """The whole answer has to be searched for the ones that are ready.

    In C the program does that. In Python `select.select` fills the set and searches it: compared
    with the bare system call.
    """
    few, many = 10, 900
    whole, bare = ((each(many) - each(few)) / (many - few) for each in (python_, system_))
    share = (whole - bare) / whole
    measured = (
        f"for each descriptor that is watched `select.select` takes {whole * 1e3:.0f} ns, and the"
        f" bare system call {bare * 1e3:.0f} ns: the search is "
        + (f"{share:.0%} of the cost" if share > 0.05 else "lost in what the kernel does")
    )
    verdict = HOLDS if share > 0.3 else WITHIN
    return found(whole > 0, measured, verdict, whole=whole, bare=bare)


def python_(count: int) -> float:
    """Return the microseconds of `select.select` over so many sockets, of which one is ready."""
    return timed(count, lambda fds: lambda: select.select(fds, [], [], 0))


def system_(count: int) -> float:
    """Return the same of the bare system call, with the set already filled."""
    libc = ctypes.CDLL(None)

    def prepared(fds: list[int]) -> Callable[[], object]:
        bits = sum(1 << fd for fd in fds).to_bytes(128, "little")
        highest, fd_set, timeout = (
            max(fds) + 1,
            ctypes.create_string_buffer(bits),
            ctypes.c_long * 2,
        )

        def call() -> None:
            fd_set.raw = bits + b"\0"
            libc.select(highest, fd_set, None, None, timeout(0, 0))

        return call

    return timed(count, prepared)


def timed(count: int, prepared: Callable[[list[int]], Callable[[], object]]) -> float:
    """Return the microseconds of a call, the least of several runs."""
    with contextlib.ExitStack() as stack:
        socks = [
            stack.enter_context(each) for _ in range(count // 2) for each in socket.socketpair()
        ]
        fds = [sock.fileno() for sock in socks]
        if max(fds) >= 1024:
            raise NotMeasured("this process has too many files open already")
        socks[0].send(b"a")
        call = prepared(fds)
        runs = []
        for _ in range(10):
            start = time.perf_counter()
            for _ in range(100):
                call()
            runs.append(time.perf_counter() - start)
        return min(runs) / 100 * 1e6
