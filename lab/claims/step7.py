"""G1 to G6: callbacks, a loop, and a pool."""

import ast
import contextlib
import math
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from lab.claims.claim import Curves, Finding, claim, found, recorded
from lab.claims.costs import asked
from lab.harness.clients import clients, expect, those_ready, to_the_end
from lab.harness.servers import ROOT, STEPS, Server
from lab.harness.talks import at_once
from lab.observe.record import SERVER
from lab.show.about import has_gil
from step7_event_loop_threadpool.eventloop import Loop
from step7_event_loop_threadpool.prime_server import is_prime

FOLDER = ROOT / STEPS[6]

PAUSE = 0.005
"""Seconds that the other client thinks before each question, in G4."""


@claim("G1")
def callbacks(full: bool) -> Finding:
    """The loop picks the best mechanism of the platform; the program registers callbacks and
    runs the loop.
    """
    tree = ast.parse((FOLDER / "server.py").read_text())
    loops = sum(isinstance(node, ast.While) for node in ast.walk(tree))
    (recording,) = recorded(full, 7).values()
    waits = {event.call for event in recording.of(SERVER) if event.slept > 0.005}
    best = selectors.DefaultSelector.__name__
    measured = f"`{best}`: it slept in {', '.join(waits)} only; server.py has {loops} `while`"
    right = best in ("EpollSelector", "KqueueSelector") and len(waits) == 1
    return found(right and loops == 0, measured)


def lateness(period: float, *options: str) -> list[tuple[float, float]]:
    """Run the timer that sometimes blocks; return for each tick how many periods it was late."""
    words = [str(FOLDER / "timer_demo.py"), "--period", str(period), *options]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    ticks = re.findall(r"tick +(\d+) at .* s, +([\d.-]+) s late", done.stdout)
    return [(float(number), float(late) / period) for number, late in ticks]


@claim("G2")
def blocking_stops_everything(full: bool) -> Finding:
    """A callback that blocks stops everything: a timer of 1 s whose callback sometimes sleeps for
    3 s stops ticking.
    """
    period = 1.0 if full else 0.05
    both = {"in the callback": lateness(period), "in the pool": lateness(period, "--offload")}
    curves = [Curves("tick", "late (periods)", both)]
    late = max(late for _, late in both["in the callback"])
    measured = f"with ticks of {period:g} s, the last come {late * period:.1f} s late"
    return found(late > 1.5, measured, curves=curves)


@claim("G3")
def queue_work(full: bool) -> Finding:
    """With `queue_work` the work runs in the pool, its callback on the loop's thread, and the
    timer keeps ticking.
    """
    period = 1.0 if full else 0.05
    late = max(late for _, late in lateness(period, "--offload"))
    ours = threading.get_ident()
    where: list[int] = []
    loop = Loop()

    def after(done: "Future[int]") -> None:
        where.extend((done.result(), threading.get_ident()))
        loop.stop()

    loop.queue_work(threading.get_ident, after)
    loop.run()
    loop.close()
    worker, called = ("the loop's" if one == ours else "another" for one in where)
    ticks = f"no tick more than {late * period * 1e3:.0f} ms late"
    measured = f"{ticks}; the work ran on {worker} thread, its callback on {called}"
    return found(late < 0.5 and called != worker == "another", measured)


# A server that computes


def number_that_takes(seconds: float) -> int:
    """Return a number whose test takes about so long on this machine: the square of a prime."""
    sample = 1_000_000_000_039  # a prime: its test takes a million divisions
    start = time.perf_counter()
    assert is_prime(sample)
    each = (time.perf_counter() - start) / math.isqrt(sample)
    root = int(seconds / each)
    while not is_prime(root):
        root += 1
    return root * root


@contextlib.contextmanager
def computing(place: str, count: int) -> Iterator[tuple[Server, list[socket.socket]]]:
    """Run the server of primes, with so many clients that have had an answer each.

    The work is done in `place`; whatever does it is there from the first question on.
    """
    command = [sys.executable, str(FOLDER / "prime_server.py"), "0", "--work", place]
    with Server(command, patience=60) as server, clients(server, count) as socks:
        for sock in socks:
            sock.sendall(b"7\n")
        for sock in socks:
            expect(sock, b"prime\n")
        yield server, socks
        server.stop()  # though it may be at work


@claim("G4")
def primes_inline(full: bool) -> Finding:
    """A server tests large numbers for primality: done inline everyone waits, done in the pool
    others are answered meanwhile.
    """
    number = number_that_takes(2.0 if full else 0.5)
    lines = {place: latencies(place, number) for place in ("inline", "threads", "processes")}
    curves = [Curves("seconds into the job", "answers of another client (ms)", lines, log=True)]
    told, medians = [], {}
    for place, points in lines.items():
        took = [latency for _, latency in points]
        medians[place] = statistics.median(took)
        told.append(f"{place} {medians[place]:.1f} ms ({len(took)}, {max(took):.1f} ms at most)")
    measured = f"another client is answered meanwhile in: {'; '.join(told)}"
    return found(medians["inline"] > 5 * medians["threads"], measured, curves=curves)


def latencies(place: str, number: int) -> list[tuple[float, float]]:
    """Have `number` tested; return when another client was answered (s), and how soon (ms)."""
    with computing(place, 2) as (_, (worker, other)):
        start = time.perf_counter()
        worker.sendall(b"%d\n" % number)
        found = []
        while not those_ready([worker], PAUSE):
            took = asked(other, b"7\n", b"prime\n")
            found.append((time.perf_counter() - start, took * 1e3))
        expect(worker, b"composite\n")
    return found


@claim("G5")
def files_in_the_pool(full: bool) -> Finding:
    """File reads are offered the same way: the calls block in the pool, and a callback runs on the
    loop. `--slow` has a file take three seconds, as on a slow disk.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("slow", "fast"):
            Path(folder, name).write_text(name)
        script = str(FOLDER / "file_server.py")
        command = [sys.executable, script, "0", "--quiet", "--folder", folder, "--slow", "slow"]
        with Server(command) as server, server.connect() as slow, server.connect() as fast:
            slow.sendall(b"slow\n")
            start = time.perf_counter()
            fast.sendall(b"fast\n")
            answer = to_the_end(fast)
            took = time.perf_counter() - start
            early = those_ready([slow], 0.2)
            later = to_the_end(slow)
    measured = f"while one waits for a slow file, another has its own after {took * 1e3:.1f} ms"
    return found((answer, early, later) == (b"ok\nfast", [], b"ok\nslow"), measured)


@claim("G6")
def threads_and_processes(full: bool) -> Finding:
    """A pool of threads keeps the loop answering, but arithmetic in Python does not run in
    parallel; in a pool of processes it does.

    Two jobs at once against one; it takes two cores to see it. Without the GIL threads do as well.
    """
    number = number_that_takes(1.5 if full else 0.4)
    threads, processes = (two_against_one(place, number) for place in ("threads", "processes"))
    times = f"{threads:.2f} in threads, {processes:.2f} in processes"
    measured = f"two jobs at once take as long as one, times {times}"
    return found(as_built(has_gil(), threads, processes), measured)


def as_built(gil: bool, threads: float, processes: float) -> bool:
    """Return whether two jobs against one, in either place, are as G6 says of a build."""
    return (threads > 1.5 and processes < 0.8 * threads) if gil else threads < 1.5 > processes


def two_against_one(place: str, number: int) -> float:
    """Return how many times as long as one job two at once take."""
    with computing(place, 2) as (_, socks):
        jobs = [partial(asked, sock, b"%d\n" % number, b"composite\n") for sock in socks]
        alone = jobs[0]()
        return max(at_once(jobs)) / alone
