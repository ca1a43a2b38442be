"""Who is compared with whom, at which work; and what the ratios are to be."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.bench import contestants as c
from lab.bench.contestants import Contestant
from lab.bench.pairs import Side
from lab.bench.workloads import CHURN, FRAMES, IDLE, KEPT, REQUESTS, KiB, MiB

REFERENCE = c.EPOLL
"""Whom everybody in a table is compared with: step 6. It stands there beside itself, too."""

Pair = tuple[Side, Side]


@dataclass(frozen=True)
class Target:
    """What the ratio of two sides is to be: at most `must`, at best `aim`. None: as it comes."""

    title: str
    pair: Pair
    must: float | None = None
    aim: float | None = None

    def verdict(self, ratio: float) -> str:
        """Say how far it is met."""
        if self.must is None or self.aim is None:
            return ""
        if self.pair[0] == self.pair[1]:
            return "met" if abs(ratio - 1) <= self.must - 1 else "NOT MET"
        if ratio <= self.aim:
            return "met, and the aim"
        return "met" if ratio <= self.must else "NOT MET"


def _against(
    title: str, one: Contestant, other: Contestant, *wanted: float, clients: int = 50
) -> Target:
    pair = Side(one, REQUESTS, clients), Side(other, REQUESTS, clients)
    return Target(f"{title}, {clients} clients", pair, *wanted)


def _grows(title: str, contestant: Contestant) -> Target:
    pair = Side(contestant, IDLE, 10_000), Side(contestant, IDLE, 0)
    return Target(f"{title} beside 10,000 idle clients against none", pair, 1.15, 1.0)


def targets(limit: Sequence[Contestant]) -> list[Target]:
    """Return what this bench was built to show; `limit` are the C servers that compile here."""
    libuv = [one for one in limit if one.name == c.C_LIBUV]
    return [
        _against("step 6 against itself", c.EPOLL, c.EPOLL, 1.03, 1.03),
        _against("step 6 against uvloop Protocol", c.EPOLL, c.UV_PROTOCOL, 1.25, 1.0),
        _against("step 7 against uvloop Protocol", c.LOOP, c.UV_PROTOCOL, 1.35, 1.1),
        *(_against("step 6 against C on libuv", c.EPOLL, one, 1.8, 1.15) for one in libuv),
        _grows("step 6", c.EPOLL),
        _grows("step 7", c.LOOP),
        _against("step 2 against ThreadingTCPServer", c.THREADS, c.SOCKETSERVER, 1.03, 0.95),
        _against("step 6 against asyncio Protocol", c.EPOLL, c.PROTOCOL),
        _against("step 5 against asyncio Protocol", c.SELECT, c.PROTOCOL, clients=500),
    ]


def tables(limit: Sequence[Contestant]) -> list[Pair]:
    """Return the pairs of all tables: each who does the work, and the reference."""
    many = (*c.STEPS_MANY, c.POLL, *c.PEERS, *limit)
    some = (c.THREADS, c.SELECT, c.LOOP, c.UV_PROTOCOL, c.PROTOCOL, c.STREAMS, c.TRIO, *limit)
    rows = (
        (REQUESTS, 50, many),
        (REQUESTS, 1, (c.SEQUENTIAL, c.BLOCKING, *some)),
        (REQUESTS, 1000, some),
        (FRAMES, 16 * KiB, some),
        (FRAMES, MiB, some),
        (KEPT, MiB, some),
        (CHURN, 1, (c.SEQUENTIAL, *some)),
    )
    return [
        (Side(one, work, point), Side(REFERENCE, work, point))
        for work, point, who in rows
        for one in dict.fromkeys((REFERENCE, *who))
    ]
