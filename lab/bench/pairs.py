"""Two servers at once, on one core, in alternating slices: what else the machine does meets both.

The load is on another core. Before it counts, one generation of clients has come to each server,
talked and left: what a fresh process does at first is kept beside it, as `cold`.
"""

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

from lab.bench.contestants import Contestant
from lab.bench.load import Talk
from lab.bench.workloads import BUSY, IDLE, REQUESTS, Workload
from lab.harness import processes
from lab.harness.clients import Failed
from lab.harness.servers import Server, ServerError
from lab.show.about import CORES

SLICE = 0.25
"""Seconds of traffic."""

PAIRS = 20
"""Slices of each side."""


class Slice(NamedTuple):
    """What a server did in its turn: seconds of CPU time, page faults, answers, in how long."""

    cpu: float
    faults: int
    answers: int
    seconds: float


def figures(slices: list[Slice]) -> dict[str, float]:
    """Return what an answer took: seconds of CPU time, page faults; and the answers a second."""
    cpu, faults, answers, seconds = map(sum, zip(*slices, strict=True))
    return {"cpu": cpu / answers, "faults": faults / answers, "rate": answers / seconds}


@dataclass(frozen=True)
class Side:
    """A contestant, and the work it gets."""

    contestant: Contestant
    workload: Workload
    point: int

    @property
    def key(self) -> list[str | int]:
        """What it is called in the results."""
        return [self.contestant.name, self.workload.name, self.point]

    def bring(self, server: Server) -> AbstractContextManager[Talk]:
        """Bring its clients to a server."""
        return self.workload.bring(server, self.point)


class Running:
    """A side of a pair: the server is there, and its second generation of clients."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cold: list[Slice] = []
        self.warm: list[Slice] = []
        self.memory = 0.0

    def slice(self, talk: Talk) -> Slice:
        """Have its clients talk; return what it did."""
        cpu, faults, start = self.server.cpu_seconds(), self.faults(), time.perf_counter()
        answers = talk(SLICE)
        seconds = time.perf_counter() - start
        return Slice(self.server.cpu_seconds() - cpu, self.faults() - faults, answers, seconds)

    def faults(self) -> int:
        """Return the page faults of the server and its children so far."""
        return sum(map(processes.page_faults, self.server.tree()))

    def figures(self) -> dict[str, float]:
        """Return the figures, with those of the first generation as `cold` and `cold_faults`."""
        cold = figures(self.cold)
        more = {"cold": cold["cpu"], "cold_faults": cold["faults"]}
        return figures(self.warm) | more | ({"memory": self.memory} if self.memory else {})


@contextlib.contextmanager
def running(side: Side) -> Iterator[tuple[Running, Talk]]:
    """Start a server on the first core, and bring two generations of clients to it."""
    with on_core(0):
        server = side.contestant.start(side.workload.environment)
    with server:
        found = Running(server)
        first = REQUESTS.bring(server, BUSY) if side.workload is IDLE else side.bring(server)
        with first as talk:
            found.cold.append(found.slice(talk))
        before = server.memory()
        with side.bring(server) as talk:
            if side.workload is IDLE and side.point:
                found.memory = (server.memory() - before) / (side.point + BUSY)
            yield found, talk
            server.stop()


def paired(top: Side, bottom: Side, pairs: int = PAIRS) -> dict[str, object]:
    """Compare two sides; return the ratio of what an answer takes, its spread, and the figures.

    The ratio is that of the sums; the spread, the middle half of the ratios of single pairs.
    `failed` says what was wrong instead, if an answer was.
    """
    found: dict[str, object] = {"top": top.key, "bottom": bottom.key}
    try:
        with running(top) as (one, talk_one), running(bottom) as (other, talk_other):
            sides = [(one, talk_one), (other, talk_other)]
            for _ in range(pairs):
                for side, talk in sides:
                    side.warm.append(side.slice(talk))
                sides.reverse()  # neither is always the first
    except (Failed, ServerError, OSError) as error:
        return found | {"failed": str(error)}
    slices = zip(one.warm, other.warm, strict=True)
    ratios = [(a.cpu / a.answers) / (b.cpu / b.answers) for a, b in slices]
    low, _, high = statistics.quantiles(ratios, n=4) if pairs > 1 else (*ratios, 0, *ratios)
    both = {"top": one.figures(), "bottom": other.figures()}
    ratio = both["top"]["cpu"] / both["bottom"]["cpu"]
    return found | {"ratio": ratio, "low": low, "high": high, "figures": both}


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run this thread on one of `CORES`, and what it starts meanwhile; anywhere without them."""
    if not CORES:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORES[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
