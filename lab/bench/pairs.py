"""Two servers at once, on one core, in alternating slices: what else the machine does meets both.

The load is on another core. Before it counts, one generation of clients has come to each server,
talked and left: what a fresh process does at first is kept beside it, as `cold`.
"""

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
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


@dataclass
class Running:
    """A side of a pair: the server, its clients, who `talk`, and what it did in each turn."""

    server: Server
    talk: Talk
    slices: list[Slice] = field(default_factory=list)
    known: dict[str, float] = field(default_factory=dict)

    def turn(self) -> None:
        """Have the clients talk."""
        cpu, faults, start = self.server.cpu_seconds(), self.faults(), time.perf_counter()
        answers = self.talk(SLICE)
        seconds = time.perf_counter() - start
        used = self.server.cpu_seconds() - cpu, self.faults() - faults
        self.slices.append(Slice(*used, answers, seconds))

    def faults(self) -> int:
        """Return the page faults of the server and its children so far."""
        return sum(map(processes.page_faults, self.server.tree()))

    def figures(self) -> dict[str, float]:
        """Return what an answer took in these turns, and what was `known` before them."""
        return figures(self.slices) | self.known


@contextlib.contextmanager
def running(side: Side) -> Iterator[Running]:
    """Start a server on the first core, and bring two generations of clients to it."""
    work, point = side.workload, side.point
    with on_core(0):
        server = side.contestant.start(work.environment)
    with server:
        first = REQUESTS.bring(server, BUSY) if work is IDLE else work.bring(server, point)
        with first as talk:
            generation = Running(server, talk)
            generation.turn()
        cold, before = generation.figures(), server.memory()
        known = {"cold": cold["cpu"], "cold_faults": cold["faults"]}
        with work.bring(server, point) as talk:
            if work is IDLE and point:
                known["memory"] = (server.memory() - before) / (point + BUSY)
            yield Running(server, talk, known=known)
            server.stop()  # first: ten thousand that leave at once can keep it busy for a minute


def paired(top: Side, bottom: Side, pairs: int = PAIRS) -> dict[str, object]:
    """Compare two sides; return the ratio of what an answer takes, its spread, and the figures.

    The ratio is that of the sums; the spread, the middle half of the ratios of single pairs.
    `failed` says what was wrong instead, if an answer was.
    """
    found: dict[str, object] = {"top": top.key, "bottom": bottom.key}
    try:
        with running(top) as one, running(bottom) as other:
            sides = [one, other]
            for _ in range(pairs):
                for side in sides:
                    side.turn()
                sides.reverse()  # neither is always the first
    except (Failed, ServerError, OSError) as error:
        return found | {"failed": str(error)}
    slices = zip(one.slices, other.slices, strict=True)
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
