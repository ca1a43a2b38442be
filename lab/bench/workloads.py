"""The work that is measured: each workload is a function of a contestant and a point.

A measurement starts a server of its own on one core, while the load stays on another, and
ends it. It returns figures by name, in seconds and bytes:

- `cpu`: the server's CPU time for each request, or for each client that comes and goes
- `rate`: requests, clients or bytes per second
- `p50`, `p99`: seconds within which half of the answers came, and 99 of 100
- `busy`: the share of its core that the server used
- `memory`: bytes of the server's own memory for each idle client
- `seconds`: from the start of the process
"""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.framing import Framing
from lab.bench.contestants import Contestant
from lab.bench.load import Crowd, Traffic, greeted
from lab.harness.clients import busy, clients, expect, letters, owed
from lab.harness.servers import Server
from lab.show.about import CORES

BUSY = 50
"""Clients that talk beside the idle ones."""

WARM_UP = 0.1
"""Seconds of traffic before it counts."""

KiB, MiB = 1 << 10, 1 << 20

Figures = dict[str, float]
Point = float | str
"""How many clients, how many bytes, how many seconds, or which input: a workload's x-axis."""


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


@contextlib.contextmanager
def running(contestant: Contestant) -> Iterator[Server]:
    """Run a server on the first core."""
    with on_core(0):
        server = contestant.start()
    with server:
        yield server


@contextlib.contextmanager
def served(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Hold `count` clients that were greeted; end the server before they leave.

    Ten thousand clients that leave at once can keep it busy for a minute.
    """
    with greeted(server, count) as socks:
        yield socks
        server.stop()


def frame(size: int) -> tuple[bytes, bytes]:
    """Return a request of `size` bytes that is one frame, and its answer."""
    request = b"^" + letters(size - 2) + b"$"
    return request, owed(request)


def talk(
    server: Server, socks: list[socket.socket], request: bytes, answer: bytes, seconds: float
) -> Figures:
    """Have all these clients talk at once; return what that took."""
    crowd = Crowd(socks, request, answer)
    try:
        crowd.talk(WARM_UP)
        before = server.cpu_seconds()
        traffic = crowd.talk(seconds)
        return figures(traffic, server.cpu_seconds() - before)
    finally:
        crowd.close()


def figures(traffic: Traffic, cpu: float) -> Figures:
    """Return what the answers took, and the server's CPU time for them."""
    return {
        "cpu": cpu / traffic.answers,
        "rate": traffic.answers / traffic.seconds,
        "p50": traffic.percentile(0.5),
        "p99": traffic.percentile(0.99),
        "busy": cpu / traffic.seconds,
    }


def requests(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """Requests of 64 bytes, by so many clients at once."""
    with running(contestant) as server, served(server, int(point)) as socks:
        return talk(server, socks, *frame(64), seconds)


def buffers(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """Requests of 64 bytes, by fifty clients, with so many bytes asked of each `recv`."""
    return requests(contestant, BUSY, seconds)


def frames(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """Frames of so many bytes, by eight clients at once."""
    with running(contestant) as server, served(server, 8) as socks:
        return talk(server, socks, *frame(int(point)), seconds)


def tiny(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """Packets of so many bytes, full of frames of 4, by eight clients at once."""
    request = b"^ab$" * (int(point) // 4)
    with running(contestant) as server, served(server, 8) as socks:
        return talk(server, socks, request, owed(request), seconds)


def idle(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """Requests of 64 bytes, by fifty clients beside so many that say nothing."""
    with running(contestant) as server, served(server, 1):
        empty = server.memory()
        with served(server, int(point)), greeted(server, BUSY) as socks:
            memory = (server.memory() - empty) / (int(point) + BUSY)
            return talk(server, socks, *frame(64), seconds) | {"memory": memory}


def memory(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """So many clients that were greeted and say nothing."""
    with running(contestant) as server, served(server, 1):
        empty = server.memory()
        with served(server, int(point)):
            return {"memory": (server.memory() - empty) / int(point)}


def churn(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """Clients that come, are answered once and leave, one after the other."""
    request, answer = frame(64)
    latencies: list[float] = []
    with running(contestant) as server:
        before, start = server.cpu_seconds(), time.perf_counter()
        while (now := time.perf_counter()) < start + seconds:
            with server.connect() as sock:
                expect(sock, b"*")
                sock.sendall(request)
                expect(sock, answer)
            latencies.append(time.perf_counter() - now)
        return figures(Traffic(now - start, latencies), server.cpu_seconds() - before)


def interval(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """One client that now and then asks, beside 100 that say nothing: every `point` seconds.

    It pauses for a random time before each request, so as not to be in step with the server.
    `busy` is what the server uses while nobody says anything.
    """
    dice = random.Random(1)
    request, answer = frame(64)
    latencies: list[float] = []
    with running(contestant) as server, served(server, 100), served(server, 1) as (sock,):
        share = busy(server, seconds)
        for _ in range(20):
            time.sleep(dice.uniform(0.001, max(0.002, float(point))))
            start = time.perf_counter()
            sock.sendall(request)
            expect(sock, answer)
            latencies.append(time.perf_counter() - start)
        traffic = Traffic(sum(latencies), latencies)
        return {"p50": traffic.percentile(0.5), "p99": traffic.percentile(0.99), "busy": share}


def startup(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """From the start of the process to the first answer."""
    request, answer = frame(64)
    start = time.perf_counter()
    with running(contestant) as server, clients(server, 1) as (sock,):
        sock.sendall(request)
        expect(sock, b"*" + answer)
        return {"seconds": time.perf_counter() - start}


PASS = Contestant("python -c pass", "limit", (sys.executable, "-c", "pass"))


def nothing(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """From the start of a process that has nothing to do to its end."""
    start = time.perf_counter()
    with on_core(0):
        subprocess.run(contestant.command, check=True)
    return {"seconds": time.perf_counter() - start}


LONG, TINY, GARBAGE, SINGLE = "one long frame", "4-byte frames", "garbage", "single bytes"
HOSTILE = ("^$^$a^", "$$^a")
"""The slowest beside the loop, of all patterns of up to six of the bytes `^`, `$` and `a`."""

INPUTS = {
    LONG: [b"^" + b"a" * (64 * KiB - 2) + b"$"],
    TINY: [b"^ab$" * (16 * KiB)],
    GARBAGE: [b"x" * (64 * KiB)],
    **{text: [text.encode() * (64 * KiB // len(text))] for text in HOSTILE},
    SINGLE: [b"^", b"a", b"b", b"$"],
}
"""The packets of each input."""

FRAMING = Contestant("common/framing.py", "ours", ())
LOOP_OVER_BYTES = Contestant("a loop over the bytes", "peer", ())


def protocol(contestant: Contestant, point: Point, seconds: float) -> Figures:
    """The protocol alone, without a socket, on 64 KiB of an input."""
    packets = INPUTS[str(point)]
    feed: Callable[[bytes], bytes] = Framing().feed if contestant is FRAMING else owed
    times = 0
    start = now = time.process_time()
    while now < start + seconds / 2:
        for packet in packets:
            feed(packet)
        times += 1
        now = time.process_time()
    return {"rate": times * sum(map(len, packets)) / (now - start)}


@dataclass(frozen=True)
class Workload:
    """What is measured, what its points are called, and how many clients it takes."""

    name: str
    measure: Callable[[Contestant, Point, float], Figures]
    axis: str
    clients: Callable[[Point], int]

    @property
    def title(self) -> str:
        """What the measurement says of itself, without the full stop."""
        return str(self.measure.__doc__).partition("\n")[0].rstrip(".")


REQUESTS = Workload("requests", requests, "clients", int)
BUFFERS = Workload("buffers", buffers, "bytes", lambda _: BUSY)
FRAMES = Workload("frames", frames, "bytes", lambda _: 8)
TINY_FRAMES = Workload("tiny", tiny, "bytes", lambda _: 8)
IDLE = Workload("idle", idle, "idle clients", lambda point: int(point) + BUSY + 1)
MEMORY = Workload("memory", memory, "idle clients", lambda point: int(point) + 1)
CHURN = Workload("churn", churn, "at a time", int)
INTERVAL = Workload("interval", interval, "seconds", lambda _: 101)
STARTUP = Workload("startup", startup, "", lambda _: 1)
NOTHING = Workload("startup", nothing, "", lambda _: 1)
PROTOCOL_ALONE = Workload("protocol", protocol, "input", lambda _: 0)
