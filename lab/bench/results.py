"""What was measured, as it is kept in JSON, and what is computed from it."""

import importlib.metadata
from dataclasses import dataclass
from statistics import median
from typing import Any

from lab.bench import contestants as c
from lab.bench import workloads as w
from lab.bench.contestants import Contestant
from lab.bench.plan import Case
from lab.bench.workloads import Figures, Point, Workload
from lab.show import about

METHOD = (
    "Each measurement starts one server, alone on one core, with the load on another. Each round"
    " gives every contestant its turn. A figure is the median of the rounds; a ratio is the median"
    " of the ratios within each round. CPU time is the server's own, from the operating system."
)

PACKAGES = ("uvloop", "gevent", "trio", "Twisted", "tornado")


def machine() -> dict[str, str]:
    """Return what the figures depend on, as far as the system says it."""
    found = about.machine()
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def to_json(plan: list[Case], command: str, seconds: float, left_out: list[str]) -> dict[str, Any]:
    """Return all that was measured, with how, when, on what and by which command."""
    return {
        "command": command,
        **about.facts(),
        "machine": machine(),
        "method": METHOD,
        "seconds": seconds,
        "left_out": left_out,
        "results": [
            {
                "workload": case.workload.name,
                "title": case.workload.title,
                "point": case.point,
                "server": case.contestant.name,
                "kind": case.contestant.kind,
                "failed": case.failed,
                "samples": case.samples,
            }
            for case in plan
        ],
    }


class Results:
    """What one run has measured."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.about = found
        self.samples: dict[tuple[str, Point, str], list[Figures]] = {}
        self.kinds: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self.failed: list[str] = []
        for one in found["results"]:
            self.titles.setdefault(one["workload"], one["title"])
            self.kinds[one["server"]] = one["kind"]
            if one["samples"]:
                key = (one["workload"], one["point"], one["server"])
                self.samples[key] = one["samples"]
            if one["failed"]:
                self.failed.append(f"{one['server']}, {one['title'].lower()}: {one['failed']}")

    def measured(self) -> str:
        """Say by which command, on what machine and when all this was measured."""
        return about.line(self.about["command"], self.about)

    def points(self, workload: Workload, name: str = "") -> list[Point]:
        """Return the points of a workload, of one server or of all, in order."""
        return list(
            dict.fromkeys(
                point
                for other, point, server in self.samples
                if other == workload.name and name in ("", server)
            )
        )

    def servers(self, workload: Workload, point: Point) -> list[str]:
        """Return who has figures there."""
        return [
            server for other, at, server in self.samples if (other, at) == (workload.name, point)
        ]

    def rounds(self, workload: Workload, point: Point, name: str, figure: str) -> list[float]:
        """Return a figure of every round; nothing if it was not measured."""
        samples = self.samples.get((workload.name, point, name), [])
        return [sample[figure] for sample in samples]

    def figure(self, workload: Workload, point: Point, name: str, figure: str) -> float | None:
        """Return the median of a figure."""
        found = self.rounds(workload, point, name, figure)
        return median(found) if found else None


@dataclass(frozen=True)
class Side:
    """One side of a ratio: whose figure, where."""

    contestant: Contestant | str
    workload: Workload
    point: Point
    figure: str = "cpu"

    def of(self, results: Results) -> list[float]:
        """Return the figure of every round."""
        name = self.contestant if isinstance(self.contestant, str) else self.contestant.name
        return results.rounds(self.workload, self.point, name, self.figure)


@dataclass(frozen=True)
class Target:
    """What a ratio (or, without a second side, a figure) has to be.

    At most `must`, and `aim` at best; at least, if `aim` is the greater.
    """

    title: str
    must: float
    aim: float
    top: Side
    bottom: Side | None = None
    unit: str = ""

    def rounds(self, results: Results) -> list[float]:
        """Return the ratio of every round; nothing if a side was not measured."""
        top = self.top.of(results)
        if self.bottom is None:
            return top
        return [a / b for a, b in zip(top, self.bottom.of(results), strict=False)]

    def verdict(self, value: float) -> str:
        """Say how far it is met."""
        sign = -1 if self.aim > self.must else 1
        if sign * value <= sign * self.aim:
            return "met, and the aim"
        return "met" if sign * value <= sign * self.must else "NOT MET"


def _against(
    step: str,
    ours: Contestant,
    other: str,
    theirs: Contestant | str,
    must: float,
    aim: float,
    clients: int = 50,
) -> Target:
    title = f"{step}, CPU per request against {other}, {clients} clients"
    top, bottom = (Side(who, w.REQUESTS, clients) for who in (ours, theirs))
    return Target(title, must, aim, top, bottom)


def _beside(contestant: Contestant, idle: int, figure: str = "cpu") -> Side:
    return Side(contestant, w.IDLE, idle, figure)


def _framing(title: str, must: float, aim: float, point: str) -> Target:
    return Target(
        f"framing, {title}, bytes a second against a loop over the bytes",
        must,
        aim,
        Side(w.FRAMING, w.PROTOCOL_ALONE, point, "rate"),
        Side(w.LOOP_OVER_BYTES, w.PROTOCOL_ALONE, point, "rate"),
    )


def _grows(step: str, contestant: Contestant) -> Target:
    title = f"{step}, CPU per request beside 10,000 idle clients against none"
    return Target(title, 1.15, 1.0, _beside(contestant, 10_000), _beside(contestant, 0))


def _keeps(step: str, contestant: Contestant) -> Target:
    title = f"{step}, memory per idle client, of 10,000"
    return Target(title, 1000, 500, _beside(contestant, 10_000, "memory"), unit=" bytes")


TARGETS = (
    _against("step 6", c.EPOLL, "uvloop Protocol", c.UV_PROTOCOL, 1.25, 1.0),
    _against("step 7", c.LOOP, "uvloop Protocol", c.UV_PROTOCOL, 1.35, 1.1),
    _against("step 6", c.EPOLL, "asyncio Protocol", c.PROTOCOL, 0.33, 0.25),
    _against("step 6", c.EPOLL, "C on libuv", c.C_LIBUV, 1.8, 1.4),
    _grows("step 6", c.EPOLL),
    _grows("step 7", c.LOOP),
    _keeps("step 6", c.EPOLL),
    _keeps("step 7", c.LOOP),
    _against("step 2", c.THREADS, "ThreadingTCPServer", c.SOCKETSERVER, 1.0, 0.9),
    _framing("one long frame", 25, 50, w.LONG),
    _framing("64 KiB of 4-byte frames", 1.5, 3, w.TINY),
    *(_framing(f"hostile `{text}`", 0.8, 1.0, text) for text in w.HOSTILE),
    _against("step 5", c.SELECT, "asyncio Protocol", c.PROTOCOL, 0.6, 0.4, clients=500),
    Target(
        "step 6, start to first answer against `python -c pass`",
        2.5,
        1.6,
        Side(c.EPOLL, w.STARTUP, "", "seconds"),
        Side(w.PASS, w.STARTUP, "", "seconds"),
    ),
)
"""What this bench was built to show."""
