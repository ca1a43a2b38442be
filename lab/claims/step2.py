"""B1 to B5: a thread for each client."""

import socket
import statistics
import time
from pathlib import Path

from lab.bench import contestants
from lab.bench.load import Crowd
from lab.bench.workloads import frame
from lab.broken import variants
from lab.claims import costs
from lab.claims.claim import Curves, Finding, Sizes, claim, found, started
from lab.claims.step1 import served_at_once
from lab.harness import processes, servers
from lab.harness.clients import expect, greeted_clients
from lab.harness.servers import NotMeasured, Server
from lab.harness.talks import at_once, elapsed
from lab.observe import run


@claim("B1", step=2)
def as_long_as_one(sizes: Sizes) -> Finding:
    """Three clients at once take as long as one."""
    with started(2) as server:
        one, three = (elapsed(server, count, sizes.pace) for count in (1, 3))
    return found(three < 1.3 * one, f"{three / one:.2f} times as long as one", ratio=three / one)


@claim("B2", step=2)
def threads_cost(sizes: Sizes) -> Finding:
    """Many clients mean many threads: memory and context switches grow with them.

    Memory is what belongs to the process alone. Switches are counted while all talk at once.
    """
    points = sizes.pick((100, 500), (100, 1000, 3000, 9000))
    memory = {
        step.name: [(float(count), costs.memory(step, count) * count / 2**20) for count in points]
        for step in (contestants.THREADS, contestants.EPOLL)
    }
    threads, loop = (of_all[-1][1] for of_all in memory.values())
    many = points[-1]
    switches = [context_switches(step, 50) for step in (2, 6)]
    measured = (
        f"{many:,} silent clients take {threads:.0f} MiB here and {loop:.1f} MiB in step 6; with 50"
        f" that talk there are {switches[0]:.2f} context switches a request, and {switches[1]:.2f}"
    )
    curves = (Curves("silent clients", "memory for them (MiB)", memory),)
    more = threads > 10 * loop and switches[0] > 3 * switches[1]
    return found(more, measured, curves=curves, threads=threads, loop=loop, switches=switches[0])


def context_switches(step: int, count: int) -> float:
    """Return the server's context switches for each request, with so many clients that talk."""
    with started(step) as server, greeted_clients(server, count) as socks:
        crowd = Crowd(socks, *frame(64))
        before = switches_of(server)
        traffic = crowd.talk(0.5)
        crowd.close()
        return (switches_of(server) - before) / traffic.answers


def switches_of(server: Server) -> int:
    """Return how often the system has switched away from the server's threads, all told."""
    total = 0
    for status in Path(f"/proc/{server.pid}/task").glob("*/status"):
        lines = status.read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    if not total:
        raise NotMeasured("only Linux says how often it switches")
    return total


@claim("B3", step=2)
def silence_holds_a_thread(sizes: Sizes) -> Finding:
    """Who connects and says nothing still holds a thread, as long as it likes."""
    with started(2) as server, greeted_clients(server, 100) as socks:
        time.sleep(sizes.pick(0.3, 3))
        held = processes.threads(server.pid)
        for sock in socks:
            sock.close()
        deadline = time.monotonic() + 10
        while processes.threads(server.pid) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        left = processes.threads(server.pid)
    measured = f"100 silent clients: {held} threads; when they have left: {left}"
    return found(held == 101 and left == 1, measured, held=held, left=left)


@claim("B4", step=2)
def computing_does_not_run_side_by_side(sizes: Sizes) -> Finding:
    """Where answers take much computing it gets worse: in CPython one thread computes at a time.

    Each frame takes 0.2 s of CPU time. Another client is answered without computing.
    """

    def ask(server: Server) -> float:
        with server.connect() as sock:
            expect(sock, b"*")
            start = time.perf_counter()
            sock.sendall(b"^work$")
            expect(sock, b"xpsl")
            return time.perf_counter() - start

    def light(sock: socket.socket) -> float:
        """Return the median latency of a client that only wants an echo."""
        latencies = []
        for _ in range(11):
            time.sleep(0.02)
            start = time.perf_counter()
            sock.sendall(b"a")
            expect(sock, b"b")
            latencies.append(time.perf_counter() - start)
        return statistics.median(latencies)

    with variants.started("computes") as server, server.connect() as sock:
        sock.sendall(b"^")
        expect(sock, b"*")
        alone, quiet = ask(server), light(sock)
        *four, beside = at_once([lambda: ask(server)] * 4 + [lambda: light(sock)])
    ratio = max(four) / alone
    measured = (
        f"four at once take {ratio:.1f} times as long as one; an echo beside them"
        f" {beside * 1e3:.1f} ms, where it was {quiet * 1e3:.2f} ms"
    )
    return found(ratio > 3 and beside > 5 * quiet, measured, ratio=ratio, beside=beside)


@claim("B5", step=2)
def concurrent_flow(sizes: Sizes) -> Finding:
    """All clients are served at the same time, each by a thread of its own."""
    recordings = {
        step: run.conversation(run.step_command(step), count=3, pace=sizes.pace)
        for step in servers.STEPS[:2]
    }
    sequential, concurrent = map(served_at_once, recordings.values())
    measured = f"{concurrent} at once, in step 1 {sequential}"
    return found(concurrent == 3, measured, most=concurrent, recordings=recordings)
