"""G1 to G6: callbacks, a loop, and a pool."""

import ast
import contextlib
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import primes
from lab.claims.claim import Curves, Finding, Sizes, claim, found
from lab.harness.servers import ROOT, STEPS, Server
from lab.harness.talks import at_once
from lab.observe import run
from lab.observe.record import SERVER
from step7_event_loop_threadpool.eventloop import Loop

FOLDER = ROOT / STEPS[6]
PLACES = ("inline", "threads", "processes")


@claim("G1", step=7)
def callbacks(sizes: Sizes) -> Finding:
    """The loop picks the best mechanism of the platform; the program registers callbacks and
    runs the loop.
    """
    tree = ast.parse((FOLDER / "server.py").read_text())
    loops = sum(isinstance(node, ast.While) for node in ast.walk(tree))
    recording = run.conversation(run.step_command(STEPS[6]), count=3, pace=sizes.pick(0.05, 0.2))
    waits = {event.call for event in recording.of(SERVER) if event.slept > 0.005}
    best = selectors.DefaultSelector.__name__
    measured = (
        f"`{best}`: it slept in {', '.join(sorted(waits))} only; server.py has {loops} `while`"
    )
    right = best in ("EpollSelector", "KqueueSelector") and len(waits) == 1
    return found(right and loops == 0, measured, loops=loops)


def lateness(period: float, *options: str) -> list[tuple[float, float]]:
    """Run the timer that sometimes blocks; return for each tick how many periods it was late."""
    words = [str(FOLDER / "timer_demo.py"), "--period", str(period), *options]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    ticks = re.findall(r"tick +(\d+) at .* s, +([\d.-]+) s late", done.stdout)
    return [(float(number), float(late) / period) for number, late in ticks]


@claim("G2", step=7)
def blocking_stops_everything(sizes: Sizes) -> Finding:
    """A callback that blocks stops everything: a timer of 1 s whose callback sometimes sleeps for
    3 s stops ticking.
    """
    period = sizes.pick(0.05, 1.0)
    both = {"in the callback": lateness(period), "in the pool": lateness(period, "--offload")}
    curves = Curves("tick", "late (periods)", both)
    late = max(late for _, late in both["in the callback"])
    measured = f"with ticks of {period:g} s, the last come {late * period:.1f} s late"
    return found(late > 1.5, measured, curves=(curves,), late=late)


@claim("G3", step=7)
def queue_work(sizes: Sizes) -> Finding:
    """With `queue_work` the work runs in the pool, its callback on the loop's thread, and the
    timer keeps ticking.
    """
    period = sizes.pick(0.05, 1.0)
    late = max(late for _, late in lateness(period, "--offload"))
    where: list[int] = []
    loop = Loop()

    def after(done: "object") -> None:
        where.extend((done.result(), threading.get_ident()))  # type: ignore[attr-defined]
        loop.stop()

    loop.queue_work(threading.get_ident, after)
    loop.run()
    loop.close()
    worker, called = (ident == threading.get_ident() for ident in where)
    names = {True: "the loop's own", False: "another"}
    measured = (
        f"no tick more than {late * period * 1e3:.0f} ms late; the work ran on {names[worker]}"
        f" thread, its callback on {names[called]}"
    )
    return found(late < 0.5 and called and not worker, measured, late=late)


@claim("G4", step=7)
def primes_inline(sizes: Sizes) -> Finding:
    """A server tests large numbers for primality: done inline everyone waits, done in the pool
    others are answered meanwhile.
    """
    number = primes.prime_that_takes(sizes.pick(0.5, 2.0))
    lines: dict[str, list[tuple[float, float]]] = {}
    medians: dict[str, Any] = {}
    for place in PLACES:
        _, latencies = primes.latencies(place, number)
        at, points = 0.0, []
        for latency in latencies:
            at += primes.PAUSE + latency
            points.append((at, latency * 1e3))
        lines[place], medians[place] = points, statistics.median(latencies)
    curves = Curves("seconds into the job", "answers of another client (ms)", lines, log=True)
    measured = "answers of another client meanwhile: " + ", ".join(
        f"{place} {median * 1e3:.1f} ms" for place, median in medians.items()
    )
    holds = medians["inline"] > 5 * medians["threads"]
    return found(holds, measured, curves=(curves,), **medians)


@claim("G5", step=7)
def files_in_the_pool(sizes: Sizes) -> Finding:
    """File reads are offered the same way: the calls block in the pool, and a callback runs on the
    loop. A named pipe that nobody writes into serves as a slow disk.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.mkfifo(f"{folder}/slow")
        Path(folder, "fast").write_text("here")
        script = str(FOLDER / "file_server.py")
        command = [sys.executable, script, "0", "--quiet", "--folder", folder]
        with Server(command) as server, server.connect() as slow, server.connect() as fast:
            slow.sendall(b"slow\n")
            start = time.perf_counter()
            fast.sendall(b"fast\n")
            answer = everything(fast)
            took = time.perf_counter() - start
            slow.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                slow.recv(1)
                return found(False, "the slow file was answered though nobody wrote it")
            with open(f"{folder}/slow", "wb", buffering=0) as pipe:  # noqa: PTH123
                pipe.write(b"late")
            slow.settimeout(5)
            later = everything(slow)
    measured = f"while one client waits for a pipe, another has its file after {took * 1e3:.1f} ms"
    return found(answer.endswith(b"here") and later.endswith(b"late"), measured, took=took)


def everything(sock: socket.socket) -> bytes:
    """Receive until the server closes."""
    received = b""
    while data := sock.recv(4096):
        received += data
    return received


@claim("G6", step=7)
def threads_and_processes(sizes: Sizes) -> Finding:
    """A pool of threads keeps the loop answering, but arithmetic in Python does not run in
    parallel; in a pool of processes it does.

    Two jobs at once against one; it takes two cores to see it.
    """
    number = primes.prime_that_takes(sizes.pick(0.4, 1.5))
    ratios: dict[str, Any] = {
        place: two_against_one(place, number) for place in ("threads", "processes")
    }
    measured = "two jobs at once take as long as one, times " + ", ".join(
        f"{ratio:.2f} ({place})" for place, ratio in ratios.items()
    )
    apart = ratios["threads"] > 1.5 and ratios["processes"] < 0.8 * ratios["threads"]
    return found(apart, measured, **ratios)


def two_against_one(place: str, number: int) -> float:
    """Return how many times as long as one job two at once take."""
    command = [sys.executable, str(primes.SERVER), "0", "--quiet", "--work", place]
    with Server(command) as server, server.connect(60) as one, server.connect(60) as two:

        def job(sock: socket.socket) -> Callable[[], float]:
            def ask() -> float:
                start = time.perf_counter()
                primes.ask(sock, number)
                assert primes.answer(sock) == b"prime\n"
                return time.perf_counter() - start

            return ask

        for sock in (one, two):  # the first questions start the workers
            primes.ask(sock, 7)
        for sock in (one, two):
            assert primes.answer(sock) == b"prime\n"
        alone = job(one)()
        return max(at_once([job(one), job(two)])) / alone
