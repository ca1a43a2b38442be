"""What is measured, how often and in which order."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lab.bench import contestants as c
from lab.bench import workloads as w
from lab.bench.contestants import Contestant
from lab.bench.workloads import Figures, KiB, MiB, Point, Workload
from lab.harness.clients import Failed
from lab.harness.servers import ServerError


@dataclass
class Case:
    """A contestant at one point of a workload, and what was measured in each round."""

    workload: Workload
    point: Point
    contestant: Contestant
    rounds: int
    samples: list[Figures] = field(default_factory=list)
    failed: str = ""
    took: float = 1.0

    def measure(self, seconds: float) -> None:
        """Measure once more. A contestant that fails has no figures here, then or before."""
        start = time.monotonic()
        try:
            self.samples.append(self.workload.measure(self.contestant, self.point, seconds))
        except (Failed, ServerError, OSError) as error:
            self.failed = str(error)
            self.samples.clear()
        self.took = time.monotonic() - start


def cases(
    workload: Workload, contestants: Iterable[Contestant], points: Iterable[Point], rounds: int
) -> list[Case]:
    """Return a case for each point and contestant that can have so many clients."""
    return [
        Case(workload, point, contestant, rounds)
        for point in points
        for contestant in contestants
        if workload.clients(point) <= contestant.clients
    ]


def quick(limit: tuple[Contestant, ...]) -> list[Case]:
    """Return what the ratios need, and no more."""
    compared = (c.THREADS, c.EPOLL, c.LOOP, c.SOCKETSERVER, c.PROTOCOL, c.UV_PROTOCOL, *limit)
    return [
        *cases(w.REQUESTS, compared, (50,), 5),
        *cases(w.REQUESTS, (c.SELECT, c.PROTOCOL), (500,), 3),
        *cases(w.IDLE, (c.EPOLL, c.LOOP), (0, 10_000), 3),
        *cases(w.STARTUP, (c.EPOLL,), ("",), 9),
        *cases(w.NOTHING, (w.PASS,), ("",), 9),
        *cases(w.PROTOCOL_ALONE, (w.FRAMING, w.LOOP_OVER_BYTES), w.INPUTS, 1),
    ]


def full(limit: tuple[Contestant, ...]) -> list[Case]:
    """Return everything."""
    many = (*c.STEPS_MANY, *c.PEERS, *limit)
    everybody = (c.SEQUENTIAL, c.BLOCKING, *many)
    intervals = tuple(map(c.polling, (0.01, 0.2)))
    up_to = {
        c.POLLING: (0, 500, 1000, 2000),
        c.SELECT: (0, 500, 900),
        c.POLL: (0, 1000, 5000, 10_000),
        c.EPOLL: (0, 1000, 5000, 10_000),
        c.LOOP: (0, 1000, 5000, 10_000),
    }
    return [
        *cases(w.REQUESTS, everybody, (1,), 3),
        *cases(w.REQUESTS, (*many, *intervals), (50,), 7),
        *cases(w.REQUESTS, (c.SELECT, c.EPOLL, c.LOOP, c.PROTOCOL, c.UV_PROTOCOL), (500,), 5),
        *cases(w.REQUESTS, many, (1000,), 3),
        *cases(w.FRAMES, many, (16 * KiB, MiB), 3),
        *cases(w.TINY_FRAMES, many, (16 * KiB,), 3),
        *(one for who, points in up_to.items() for one in cases(w.IDLE, (who,), points, 5)),
        *cases(w.IDLE, (c.POLLING,), (5000,), 1),  # they take half a minute to come in
        *cases(w.CHURN, everybody, (1,), 3),
        *cases(w.MEMORY, (c.THREADS, c.EPOLL, c.LOOP, *c.PEERS, *limit), (1000, 10_000), 1),
        *cases(w.MEMORY, (c.THREADS, c.EPOLL, c.LOOP), (100, 3000), 1),
        *(
            one
            for point in (0, 0.001, 0.01, 0.05, 0.2)
            for one in cases(w.INTERVAL, (c.polling(point),), (point,), 2)
        ),
        *cases(w.INTERVAL, (c.SELECT,), (0,), 2),
        *(
            one
            for size in (4 * KiB, 16 * KiB, 64 * KiB, 128 * KiB, 256 * KiB, MiB)
            for one in cases(w.BUFFERS, (c.buffered(size),), (size,), 5)
        ),
        *cases(w.STARTUP, everybody, ("",), 9),
        *cases(w.NOTHING, (w.PASS,), ("",), 9),
        *cases(w.PROTOCOL_ALONE, (w.FRAMING, w.LOOP_OVER_BYTES), w.INPUTS, 3),
    ]


def carry_out(plan: list[Case], seconds: float) -> Iterator[tuple[int, Case, float]]:
    """Measure all, round by round; before each yield the round, the case, and the seconds left.

    In a round every contestant has its turn at a point, one after the other, so that what else
    the machine does meets them all alike.
    """
    for turn in range(max(case.rounds for case in plan)):
        for case in plan:
            if turn < case.rounds and not case.failed:
                yield turn, case, time_left(plan)
                case.measure(seconds)


def time_left(plan: list[Case]) -> float:
    """Return how many seconds the rest will take, if it goes on like this."""
    return sum(case.took * (case.rounds - len(case.samples)) for case in plan if not case.failed)
