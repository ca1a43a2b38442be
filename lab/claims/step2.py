"""B1 to B5: a thread for each client."""

import re
import time
from functools import partial
from pathlib import Path

from lab.bench import contestants
from lab.broken import catalogue
from lab.check.prompt import answer_time
from lab.claims import costs
from lab.claims.claim import Curves, Finding, claim, found, pace, recorded, started
from lab.claims.step1 import served_at_once
from lab.harness import processes
from lab.harness.clients import greeted_clients
from lab.harness.deadline import soon
from lab.harness.processes import NotMeasured
from lab.harness.servers import Server
from lab.harness.talks import at_once, elapsed
from lab.show.about import cores, has_gil


@claim("B1")
def as_long_as_one(full: bool) -> Finding:
    """Three clients at once take as long as one."""
    with started(2) as server:
        one, three = (elapsed(server, count, pace(full)) for count in (1, 3))
    return found(three < 1.3 * one, f"{three / one:.2f} times as long as one")


@claim("B2")
def threads_cost(full: bool) -> Finding:
    """Many clients mean many threads: memory and context switches grow with them.

    Memory is what belongs to the process alone. Switches are counted while all talk at once.
    """
    points = (100, 1000, 3000, 9000) if full else (100, 500)
    both = contestants.THREADS, contestants.EPOLL
    memory = {
        step.name: [(float(count), costs.memory(step, count) * count / 2**20) for count in points]
        for step in both
    }
    (many, threads), (_, loop) = (of_all[-1] for of_all in memory.values())
    switches = [costs.request(step, 0, of=context_switches) for step in both]
    measured = (
        f"{many:,.0f} silent clients take {threads:.0f} MiB here and {loop:.1f} MiB in step 6; with"
        f" 50 that talk there are {switches[0]:.2f} context switches a request, and"
        f" {switches[1]:.2f}"
    )
    curves = (Curves("silent clients", "memory for them (MiB)", memory),)
    more = threads > 10 * loop and switches[0] > 3 * switches[1]
    return found(more, measured, curves=curves)


def context_switches(server: Server) -> int:
    """Return how often the system has switched away from the server's threads, all told."""
    statuses = Path(f"/proc/{server.pid}/task").glob("*/status")
    text = "".join(status.read_text() for status in statuses)
    if not text:
        raise NotMeasured("only Linux says how often it switches")
    return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))


@claim("B3")
def silence_holds_a_thread(full: bool) -> Finding:
    """Who connects and says nothing still holds a thread, as long as it likes."""
    with started(2) as server:
        with greeted_clients(server, 100):
            time.sleep(3 if full else 0.3)
            held = processes.threads(server.pid)
        soon(lambda: processes.threads(server.pid) == 1)
        left = processes.threads(server.pid)
    measured = f"100 silent clients: {held} threads; when they have left: {left}"
    return found((held, left) == (101, 1), measured)


@claim("B4")
def computing_does_not_run_side_by_side(full: bool) -> Finding:
    """Where answers take much computing it gets worse: in CPython one thread computes at a time.

    Each frame takes 0.2 s of CPU time. Another client is answered without computing. Without the
    GIL as many compute as there are cores.
    """
    with catalogue.started("computes") as server, greeted_clients(server, 5) as (light, *heavy):
        light.sendall(b"^")
        jobs = [partial(costs.asked, sock, b"^work$", b"xpsl") for sock in heavy]
        alone, quiet = jobs[0](), answer_time(light)
        *four, beside = at_once([*jobs, partial(answer_time, light)])
    ratio = max(four) / alone
    measured = (
        f"four at once take {ratio:.1f} times as long as one; an echo beside them"
        f" {beside * 1e3:.1f} ms, where it was {quiet * 1e3:.2f} ms"
    )
    return found(as_built(has_gil(), ratio, beside / quiet, cores()), measured)


def as_built(gil: bool, four: float, echo: float, cores: int) -> bool:
    """Return whether such figures are as B4 says of a build: four jobs, and an echo beside them.

    Each is how many times as long it takes as alone.
    """
    return (four > 3 and echo > 5) if gil else four < 1.4 * max(1, 4 / cores)


@claim("B5")
def concurrent_flow(full: bool) -> Finding:
    """All clients are served at the same time, each by a thread of its own."""
    recordings = recorded(full, 1, 2)
    sequential, concurrent = map(served_at_once, recordings.values())
    measured = f"{concurrent} at once, in step 1 {sequential}"
    return found(concurrent == 3, measured, recordings=recordings)
