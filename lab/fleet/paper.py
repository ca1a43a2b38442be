"""On paper: ten million silent connections, a million requests a second, and what breaks first.

Each formula is a function. What goes in is measured here, and read from the results that are kept
in docs/; but for what the kernel's documentation says, and the machine that is thought of.
"""

import json
import math

from lab.bench.contestants import EPOLL
from lab.fleet.herd import HERD, PAUSES, predicted
from lab.harness.servers import ROOT
from lab.show.tables import markdown

GiB = 1 << 30

OPEN = 1 << 20
"""Descriptors of a process, at most (proc_sys_fs(5), nr_open)."""

PORTS = 60999 - 32768 + 1
"""Ports that the kernel gives to connections (ip(7), ip_local_port_range)."""

MACHINE, CORES = 64 * GiB, 8
"""The memory and the cores of the machine that is thought of."""

PAUSE = 0.01
"""Seconds for which its loop is held up now and then."""

HEADERS = 14 + 20 + 32
"""Bytes of Ethernet, IPv4, and TCP with timestamps, around what a packet carries."""

SILENT, REQUESTS = 10_000_000, 1_000_000


def how_many(connections: float, each: float) -> int:
    """Return how many processes, or pairs of addresses, it takes with room for so many `each`."""
    return math.ceil(connections / each)


def memory(connections: float, *each: float) -> float:
    """Return the bytes that connections take, of so many `each`."""
    return connections * sum(each)


def backlog(rate: float, pause: float) -> int:
    """Return how many wait to be accepted, when so many a second come and the loop is held up."""
    return math.ceil(rate * pause)


def cores(rate: float, cpu: float) -> float:
    """Return how many cores are busy, when so many a second take so much CPU time (s) each."""
    return rate * cpu


def until_all_are_back(connections: float, cpu: float, cores: float) -> float:
    """Return the seconds in which all have connected again, for so much CPU time (s) each."""
    return connections * cpu / cores


def packets(rate: float, ways: int) -> float:
    """Return the packets a second: a request and its answer, on so many ways."""
    return 2 * rate * ways


def bits(rate: float, size: float) -> float:
    """Return the bits a second in one direction, for packets that carry so many bytes."""
    return 8 * rate * (size + HEADERS)


class Kept:
    """What was measured, as it is kept in docs/: bytes of a connection, seconds of CPU time."""

    def __init__(self) -> None:
        pairs = json.loads((ROOT / "docs/bench/results.json").read_text())["pairs"]
        tops = [one for one in pairs if one["top"][0] == EPOLL.name]
        step6 = {tuple(one["top"][1:]): one["figures"]["top"] for one in tops}
        self.found = json.loads((ROOT / "docs/fleet/results.json").read_text())
        fleet = {one["key"]: one.get("figures") for one in self.found["claims"]}
        self.own = step6["idle", 10_000]["memory"]
        self.accept, self.request = step6["churn", 1]["cpu"], step6["requests", 50]["cpu"]
        self.kernel, self.balancer = fleet["M10"]["kernel"], fleet["M10"]["balancer"]
        self.tls, self.handshake = fleet["M11"]["tls"], fleet["M11"]["handshake"]
        self.balanced = fleet["M8"]["cpu50"]
        self.herd = fleet["M7"]


def silent(kept: Kept) -> list[list[str]]:
    """Return the table for connections that say nothing."""
    own, kernel, balancer, tls = kept.own, kept.kernel, kept.balancer, kept.tls
    accept, shake = kept.accept, kept.handshake

    def gib(*each: float) -> str:
        return f"{memory(SILENT, *each) / GiB:,.0f} GiB"

    back = until_all_are_back(SILENT, accept + shake, CORES)
    return [
        ["", "formula", "comes to"],
        ["processes", f"connections / {OPEN:,} descriptors", f"{how_many(SILENT, OPEN)}"],
        ["memory, step 6", f"connections x {own:,.0f} bytes", gib(own)],
        ["memory, kernel", f"connections x {kernel:,.0f}", gib(kernel)],
        ["memory, TLS", f"connections x {tls:,.0f}", gib(tls)],
        [
            "memory, before them a balancer",
            f"connections x (2 x {kernel:,.0f} + {balancer:,.0f})",
            gib(kernel, kernel, balancer),
        ],
        [
            "pairs of a balancer's address and a machine's",
            f"connections / {PORTS:,} ports",
            f"{how_many(SILENT, PORTS)}",
        ],
        [
            f"until all are back, on {CORES} cores",
            f"connections x ({accept * 1e6:,.0f} + {shake * 1e6:,.0f} us of TLS) / cores",
            f"{back / 60:.0f} min",
        ],
        [
            f"backlog, when the loop is held up for {PAUSE * 1e3:.0f} ms",
            "connections / that time x the pause",
            f"{backlog(SILENT / back, PAUSE)}",
        ],
    ]


def million(kept: Kept) -> list[list[str]]:
    """Return the table for requests of 64 bytes."""

    def busy(what: str, cpu: float) -> list[str]:
        return [what, f"requests x {cpu * 1e6:.1f} us", f"{cores(REQUESTS, cpu):.0f}"]

    return [
        ["", "formula", "comes to"],
        busy("cores, step 6", kept.request),
        busy("cores, before them a balancer", kept.balanced),
        ["packets a second", "2 x requests", f"{packets(REQUESTS, 1):,.0f}"],
        ["packets a second at the balancer", "2 x 2 x requests", f"{packets(REQUESTS, 2):,.0f}"],
        [
            "one direction of a wire",
            f"8 x requests x (64 + {HEADERS}) bits",
            f"{bits(REQUESTS, 64) / 1e9:.1f} Gbit/s",
        ],
    ]


def first(kept: Kept) -> list[list[str]]:
    """Return the table of what ends at how many connections, the least first."""
    limits = {
        "ports, from one balancer to one machine": PORTS,
        "descriptors of a process": OPEN,
        "memory of a machine with step 6": MACHINE / (kept.own + kept.kernel),
        "memory of a machine with step 6 and TLS": MACHINE / (kept.own + kept.kernel + kept.tls),
        "memory of a balancer": MACHINE / (2 * kept.kernel + kept.balancer),
    }
    rows = sorted(limits.items(), key=lambda one: one[1])
    return [["what", "connections"], *([name, f"{most:,.0f}"] for name, most in rows)]


def herd(kept: Kept) -> list[list[str]]:
    """Return the table that holds the simulation against the run."""
    _, rate, patience, seconds = HERD
    rows = [["tries again", "back, simulated", "back", "tries, simulated", "tries"]]
    for name, pause in PAUSES.items():
        cut, back, tries = (kept.herd[f"{name}: {what}"] for what in ("cut", "back", "tries"))
        least, most = predicted(cut, rate, patience, pause, seconds)
        spans = [f"{a} to {b}" for a, b in zip(least, most, strict=True)]
        rows.append([name, spans[0], f"{back} of {cut}", spans[1], f"{tries}"])
    return rows


TABLES = {"silent": silent, "million": million, "first": first, "herd": herd}


def block(name: str) -> str:
    """Return a table of the page; KeyError if there is none of that name."""
    return markdown(TABLES[name](Kept()))
