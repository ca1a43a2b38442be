"""H1 to H6: several processes, or threads, with a loop each."""

import contextlib
import itertools
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import fmean

from lab.bench.contestants import OURS, Contestant
from lab.bench.load import Talk
from lab.bench.workloads import requests
from lab.broken import catalogue
from lab.claims import costs
from lab.claims.claim import HOLDS, WITHIN, Finding, claim, found
from lab.harness import processes
from lab.harness.clients import (
    clients,
    exactly,
    greeted,
    greeted_clients,
    serves,
    settle,
    those_ready,
)
from lab.harness.processes import NotMeasured
from lab.harness.servers import ROOT, STEPS, Server
from lab.show import about

SCRIPT = str(ROOT / STEPS[6] / "workers.py")

INHERIT, REUSEPORT = SHARES = "inherit", "reuseport"

COUNTS = (1, 2, 4)
"""Workers, in H1 and H2."""

ALONE = ("1_in_processes", "2_in_processes", "1_in_threads")
"""Those that have a core for each loop, on a machine that does nothing else."""

TURN = 0.15
"""Seconds."""

BUSY = 24
"""Clients who ask again and again, in H2 and H6: so many that no worker goes without."""

FEW, MANY = 8, 400
"""Clients, in H3."""

WAITING = 40
"""Clients in the queues, in H4 and H5."""

SOON = 0.5
"""Seconds in which a worker that lives greets all who wait; one that is new takes longer."""


def workers(count: int, share: str, *options: str) -> Contestant:
    """Return the server that is so many workers."""
    words = (SCRIPT, "0", "--workers", str(count), "--share", share, *options)
    return Contestant(f"{count} worker{'s' * (count > 1)}", OURS, (sys.executable, *words))


# What they do


@claim("H1")
def a_request_costs_the_same(full: bool) -> Finding:
    """A request takes about as much CPU time with several workers as with one.

    Of 64 bytes, by 50 clients; the least of several runs.
    """
    servers = [workers(count, INHERIT, "--quiet") for count in COUNTS]
    runs = [[costs.request(one, 0) for one in servers] for _ in range(5 if full else 2)]
    least = [min(took) for took in zip(*runs, strict=True)]
    measured = "; ".join(
        f"{one.name}: {took:.1f} us" for one, took in zip(servers, least, strict=True)
    )
    most = max(least) / least[0]
    verdict = HOLDS if most < 1.15 else WITHIN  # with more loops fewer are ready in each wait
    return found(most < 1.7, measured, verdict)


@claim("H2")
def as_many_as_there_are_cores(full: bool) -> Finding:
    """Several workers answer more in a second than one, up to the number of cores.

    Each answer takes 5 ms of computing, so that the clients take no core for themselves.
    """
    if (cores := about.cores()) < 2:
        raise NotMeasured("it takes two cores to see that")
    rates = best((f"{count}_in_processes" for count in COUNTS), 40 if full else 5)
    one, *_ = rates.values()
    ratios = {count: rate / one for count, rate in zip(COUNTS, rates.values(), strict=True)}
    said = ", ".join(f"{count}: {ratio:.2f}" for count, ratio in ratios.items())
    measured = f"answers in a second, by workers, times those of one: {said}; on {cores} cores"
    return found(grow(ratios, cores), measured)


def grow(ratios: Mapping[int, float], cores: int) -> bool:
    """Return whether what so many do grows with them, up to the number of cores."""
    within = all(ratio < 1.5 * min(count, cores) for count, ratio in ratios.items())
    return within and all(ratios[count] > 0.65 * count for count in ratios if count <= cores)


def best(names: Iterable[str], turns: int) -> dict[str, float]:
    """Return how many answers servers that compute give in a second, the best of so many turns.

    They take short turns, so that a moment in which the machine does nothing else does for all.
    NotMeasured if there is none.
    """
    with contextlib.ExitStack() as stack:
        talks = {}
        for name in names:
            server = stack.enter_context(catalogue.started(name))
            talks[name] = server, stack.enter_context(requests(server, BUSY))
        rates = dict.fromkeys(talks, (0.0, 0.0))
        for _ in range(turns):
            for name, (server, talk) in talks.items():
                rates[name] = max(rates[name], turn(server, talk))
    for name, (_, had) in rates.items():
        if name in ALONE and had < 0.8:
            raise NotMeasured(f"the machine is busy: {name} had {had:.0%} of the time it wanted")
    return {name: rate for name, (rate, _) in rates.items()}


def turn(server: Server, talk: Talk) -> tuple[float, float]:
    """Have clients talk; return the answers in a second, and how much of the CPU time it wanted
    for them the server had.
    """
    start, before = time.perf_counter(), server.cpu_times()
    rate = talk(TURN) / (time.perf_counter() - start)
    ran, waited = (now - then for now, then in zip(server.cpu_times(), before, strict=True))
    return rate, ran / (ran + waited)


@claim("H3")
def who_gets_whom(full: bool) -> Finding:
    """Of one queue whoever is quickest takes a client; with `SO_REUSEPORT` the kernel draws lots,
    which comes out even for many clients, and not for few.

    Four workers; clients that stay, and others that come, are answered and leave, in turn.
    """
    only_where_lots_are_drawn()
    runs = 10 if full else 3
    told, most = [], {}
    for share, count, stay in itertools.product(SHARES, (FEW, MANY), (True, False)):
        seen = [counts(share, count, stay) for _ in range(runs)]
        each = [fmean(place) for place in zip(*seen, strict=True)]
        who = f"{count} that {'stay' if stay else 'leave'}"
        told.append(f"{share}, {who}: {', '.join(f'{one:.0f}' for one in each)}")
        most[share, count, stay] = each[0] / fmean(each)  # of its fair part, the luckiest
    drawn, few = most[REUSEPORT, MANY, True], most[REUSEPORT, FEW, True]
    holds = drawn < 1.25 and min(few, most[INHERIT, MANY, True]) > 1.1 * drawn
    return found(holds, f"clients of each of four workers, {runs} runs: {'; '.join(told)}")


def only_where_lots_are_drawn() -> None:
    """Raise NotMeasured where the kernel does not spread clients over sockets of one port."""
    if sys.platform != "linux":
        raise NotMeasured("it is Linux that draws lots")


def counts(share: str, count: int, stay: bool) -> list[int]:
    """Have so many clients come; return how many each worker got, the most first."""
    with workers(4, share).start() as server:
        if stay:
            with greeted_clients(server, count):
                pass
        else:
            for _ in range(count):
                serves(server)
        settle(server)
        log = server.log()
    got = Counter(re.findall(r"^(\d+): peer \S+ connected$", log, re.MULTILINE))
    return sorted((*got.values(), 0, 0, 0, 0), reverse=True)[:4]


# What becomes of those who wait


@claim("H4")
def a_worker_dies(full: bool) -> Finding:
    """When a worker dies those who wait lose nothing if they wait in a queue that others have too:
    all workers, or the parent. With a queue that was its own alone they are reset.

    Of two workers that stand still one is killed, and the other goes on.
    """
    only_where_lots_are_drawn()
    servers = {
        "one queue": workers(2, INHERIT, "--quiet").start(),
        "a queue each, which the parent has too": workers(2, REUSEPORT, "--quiet").start(),
        "a queue each, its own": catalogue.started("own_queues"),
    }
    seen = {name: fate(server) for name, server in servers.items()}
    measured = f"of {WAITING} that wait: " + "; ".join(
        f"{name}: {soon} greeted at once, {late} by the next worker, {lost} reset"
        for name, (soon, late, lost) in seen.items()
    )
    one, parents, own = seen.values()
    holds = one == (WAITING, 0, 0) and parents[1] > 0 == parents[2] and own[2] > 0 == own[1]
    return found(holds, measured)


def fate(server: Server) -> tuple[int, int, int]:
    """Kill a worker while clients wait; return how many are greeted soon, later, and reset."""
    with server:
        dies, lives = processes.children(server.pid)
        for pid in (dies, lives):
            os.kill(pid, signal.SIGSTOP)
        with clients(server, WAITING) as socks:
            os.kill(dies, signal.SIGKILL)
            os.kill(lives, signal.SIGCONT)
            time.sleep(SOON)
            ready = those_ready(socks, 0)
            soon = sum(map(is_greeted, ready))
            late = sum(is_greeted(sock) for sock in socks if sock not in ready)
    return soon, late, WAITING - soon - late


def is_greeted(sock: socket.socket) -> bool:
    """Return whether a client is greeted; False if it is reset."""
    with contextlib.suppress(ConnectionError):
        return exactly(sock, 1) == b"*"
    return False


@claim("H5")
def told_to_end(full: bool) -> Finding:
    """Told to end, workers give those they serve what they are owed; who still waits in a queue is
    reset.

    They stand still while the others come, and are told.
    """
    told, right = [], True
    for share in SHARES:
        served, lost = at_the_end(share, "5")
        told.append(f"{share}: who was served {served}, {lost} of {WAITING} in the queue reset")
        right = right and served == "had all" and lost > WAITING / 2  # some are taken first
    return found(right, "; ".join(told))


def at_the_end(share: str, drain: str) -> tuple[str, int]:
    """Tell workers to end; return what one had who was served, and how many were reset."""
    with workers(2, share, "--quiet", "--drain", drain).start() as server:
        pids = processes.children(server.pid)
        with greeted(server) as sock:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            with clients(server, WAITING) as socks:
                sock.sendall(b"^abc")
                server.process.send_signal(signal.SIGTERM)
                time.sleep(SOON / 5)  # the parent has closed what it has
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
                lost = WAITING - sum(map(is_greeted, socks))
            had = b""
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"d$")
                had = exactly(sock, 4)
    return "had all" if had == b"bcde" else f"had {len(had)} of 4 bytes", lost


# Threads in their place


@claim("H6")
def threads_in_their_place(full: bool) -> Finding:
    """Threads use several cores as processes do only where the interpreter has no lock.

    A thread for each client, or for each of two loops. Each answer takes 5 ms of computing.
    """
    kinds = {
        "a thread for each client": "computes_briefly",
        "two loops in threads": "2_in_threads",
        "two in processes": "2_in_processes",
    }
    rates = best(("1_in_threads", *kinds.values()), 40 if full else 5)
    ratios = [rates[name] / rates["1_in_threads"] for name in kinds.values()]
    said = ", ".join(f"{kind} {ratio:.2f}" for kind, ratio in zip(kinds, ratios, strict=True))
    build = "with" if about.has_gil() else "without"
    measured = f"answers in a second, times those of one loop: {said} (a build {build} the GIL)"
    return found(as_built(about.has_gil(), *ratios), measured)


def as_built(gil: bool, threads: float, loops: float, in_processes: float) -> bool:
    """Return whether such figures, times those of one loop, are as H6 says of this build."""
    alone = [ratio < 1.3 for ratio in (threads, loops)]
    return in_processes > 1.3 and (all(alone) if gil else not any(alone))
