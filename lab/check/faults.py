"""The rung that is asked for (`--faults`): a system call fails, and only whom it concerns suffers.

As SQLite's tests do it: first a small talk with three clients is watched, and then, for each system
call that the server made meanwhile, and for each errno that its man page allows, the talk is held
once more with a fresh server, of which strace(1) makes that call fail. Linux only.
"""

import contextlib
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from lab.check.calls import LATE, NAMES, SIGNAL, Case, cases, drawn, fault_of, of_the_start
from lab.check.suite import check
from lab.check.talk import reads_late
from lab.harness import processes, strace
from lab.harness.clients import (
    SPINS,
    Failed,
    MiB,
    busy,
    exchange,
    letters,
    owed,
    send_until_stuck,
    settle,
    shown,
)
from lab.harness.processes import NotMeasured
from lab.harness.servers import END, NOT_OURS, ROOT, Endpoint, Foreign, Server, ServerError
from lab.harness.strace import Call
from lab.harness.talks import at_once
from lab.show.progress import progress

HOLD = 0.4
"""Seconds for which what lasts does."""

SILENT = 3.0
"""Seconds without a byte, after which a client hangs; and until nothing may be left of it."""

PAUSE = 0.03
"""Seconds between what a client says, so that three are there at once, and in the same order."""

ASKS = 300
"""Times that a server may try again while something fails; more is spinning too."""

JOBS = 3
"""Servers at a time."""

POOL = 3
"""Threads that a pool may have started later than when it was looked at."""


Pieces = tuple[tuple[bytes, bytes], ...]
"""What a client says, and what it is owed for it before it says more."""


class Talk(NamedTuple):
    """What each of three clients says; where there is a `refusal`, an answer may begin with it."""

    clients: tuple[Pieces, ...]
    refusal: bytes = b""


def talk_for(server: Server) -> Talk:
    """Return how to talk to a server: in frames, unless its command says primes, or files."""
    names = {word.rpartition("/")[2] for word in server.command}
    if "prime_server.py" in names:
        primes = ((b"7\n", b"prime\n"), (b"9\n1", b"composite\n"), (b"1\n", b"prime\n"))
        return Talk((primes,) * 3, refusal=b"error")
    if "file_server.py" in names:
        content = (ROOT / "step7_event_loop_threadpool" / "README.md").read_bytes()
        return Talk((((b"README.md\n", b"ok\n" + content),),) * 3, refusal=b"error")
    flood = b"^" + letters(8 * MiB) + b"$"  # more than the kernel's buffers take
    one = ((b"", b"*"), (b"^ab$--^c", b"bcd"), (b"d$", b"e"))
    return Talk((one, one, ((flood, b"*" + owed(flood)),)))


SERVED, CLOSED, NOT_CLOSED = "served", "closed early", "a client is not closed"
WRONG = "a client got something else than it is owed"


def converse(server: Endpoint, talk: Talk, which: int = 0) -> str:
    """Be one of the clients; return SERVED, CLOSED (or refused), or what is wrong."""
    got, due = b"", b"".join(answer for _, answer in talk.clients[which])
    time.sleep(which * PAUSE / 3)
    try:
        with reads_late(server, room=4096) as sock:
            for said, answer in talk.clients[which]:
                taken = send_until_stuck(sock, said, 0.05)
                piece = exchange(sock, [said[taken:]], answer)
                if talk.refusal and piece.startswith(talk.refusal):
                    return CLOSED
                got += piece
                if len(piece) < len(answer):
                    break
                time.sleep(PAUSE)
            else:
                sock.shutdown(socket.SHUT_WR)
            if (end := sock.recv(1)) and due.startswith(got):
                return f"a client got {shown(end)} too many"
    except TimeoutError:
        if got == due:
            return NOT_CLOSED
        return f"a client hangs after {shown(got)}" if due.startswith(got) else WRONG
    except OSError:
        pass  # a reset
    if got == due:
        return SERVED
    return CLOSED if due.startswith(got) else WRONG


THREADS = "threads"


def what_it_has(server: Server) -> Counter[str]:
    """Count the descriptors, by kind, and threads of a server and its children.

    But for what a pool of processes has anyway.
    """
    found: Counter[str] = Counter()
    for pid in server.tree():
        for fd in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                kind = str(fd.readlink()).partition(":[")[0]
                if kind not in ("pipe", os.devnull) and fd.name not in "012":
                    found[kind] += 1
        found[THREADS] += processes.threads(pid)
    return found


def never_rests(server: Server) -> bool:
    """Return whether a server is busy all the time; one that starts something is for a while."""
    deadline = time.monotonic() + SILENT
    while busy(server, 0.05) > SPINS or busy(server, 0.05) > SPINS:
        if time.monotonic() > deadline:
            return True
    return False


def left(server: Server, rest: Counter[str], spare: int) -> str:
    """Wait until a server has no more than `rest`, and `spare` files; say what it has more."""
    deadline = time.monotonic() + SILENT
    while True:
        more = what_it_has(server) - rest
        if more.total() <= spare and not more[THREADS]:
            return ""
        if time.monotonic() > deadline:
            return f"left: {', '.join(f'{count} {kind}' for kind, count in more.items())}"
        time.sleep(0.02)


class Unharmed(NamedTuple):
    """What a server is like if nothing fails: its status, and what it has when nobody is there."""

    status: int
    rest: Counter[str]
    talk: Talk


@contextlib.contextmanager
def ready(server: Endpoint) -> Iterator[Server]:
    """Have a server that has come to rest after its start."""
    with server.another() as own:
        own.patience = SILENT
        own.connect().close()  # so that it is in its loop, whatever it does first
        settle(own)
        yield own


def talk_with(server: Server, talk: Talk) -> list[str]:
    """Have three clients talk to a server at once; return what came of each."""
    return at_once([partial(converse, server, talk, i) for i in range(len(talk.clients))])


def watch(server: Endpoint) -> tuple[Unharmed, list[Call]]:
    """Hold the talk with nothing failing; return what the server is like and what it called."""
    with ready(server) as own:
        talk = talk_for(own)
        before = what_it_has(own)
        with strace.Attached(own.tree(), NAMES) as traced:
            outcomes = talk_with(own, talk)
            traced.detach()
            calls = traced.calls()
        if set(outcomes) != {SERVED}:
            raise Failed(f"it does not serve the talk even if nothing fails: {outcomes}")
        time.sleep(0.1)
        rest = before | what_it_has(own)
        rest[THREADS] += POOL * (rest[THREADS] > 1)
        status = own.terminate(END)
    if status is None:
        raise Failed("SIGTERM does not end it even if nothing fails")
    return Unharmed(status, rest, talk), calls


def attempt(server: Endpoint, unharmed: Unharmed, case: Case) -> str | None:
    """Hold the talk while a call fails; say what is wrong then, None if it came to no such call."""
    with ready(server) as own, ThreadPoolExecutor(1) as pool:
        log = Path(f"/proc/{own.pid}/fd/2").readlink() if case.to_the_end else None
        with strace.Attached(own.tree(), NAMES, case.inject, log) as traced:
            talk = pool.submit(talk_with, own, unharmed.talk)
            wait([talk], HOLD if case.lasting else None)
            if not case.to_the_end:
                traced.detach()
            outcomes = talk.result()
            hits = [call for call in traced.calls() if call.hit]
            signalled = traced.signalled()
            wrong = "; ".join(complaints(own, unharmed, case, outcomes, len(hits)))
    if case.what == SIGNAL and signalled:
        return wrong
    return wrong if meant(case, hits) else None


def meant(case: Case, hits: list[Call]) -> bool:
    """Return whether it happened to such a call, and to none to which it cannot.

    A call of that number may be something else in another thread: a write to a pipe, of which no
    disk can be full.
    """
    found = [fault_of(call) for call in hits]
    return case.fault in found and (case.lasting or None not in found)


def complaints(
    server: Server, unharmed: Unharmed, case: Case, outcomes: list[str], hits: int
) -> Iterator[str]:
    """Say what is wrong with how the clients fared while `hits` calls failed, and afterwards."""
    if case.what == SIGNAL:
        yield from sorted(set(outcomes) - {SERVED, CLOSED})
        yield from at_end(server, unharmed, signalled=True)
        return
    # What strace has fail is not done at all: a socket stays open if its `close` fails.
    unclosed = hits if case.fault.label == "close" and case.what != LATE else 0
    spared = case.fault.harmless or case.what == LATE
    harmed = sum(outcome not in (SERVED, NOT_CLOSED) for outcome in outcomes)
    if harmed > (0 if spared else hits):
        yield f"{harmed} of {len(outcomes)} clients are not served in full"
    yield from sorted(set(outcomes) - {SERVED, CLOSED, *[NOT_CLOSED] * bool(unclosed)})
    if hits > ASKS and not case.to_the_end:
        yield f"it tries {hits:,} times in {HOLD} s"
    if not server.ended(0.01):
        yield from afterwards(server, unharmed, unclosed)
    yield from at_end(server, unharmed)


def afterwards(server: Server, unharmed: Unharmed, unclosed: int) -> Iterator[str]:
    """Say what is wrong with a server when nothing fails any more."""
    if (later := converse(server, unharmed.talk)) != SERVED:
        yield f"one who comes later: {later}"
    if never_rests(server):
        yield "it spins"
    if more := left(server, unharmed.rest, unclosed):
        yield more


def at_end(server: Server, unharmed: Unharmed, signalled: bool = False) -> Iterator[str]:
    """Say what is wrong with how a server ends."""
    end = server.ended(END if signalled else 0.01)
    if end and not signalled:
        yield brief(end)
    else:
        status = server.process.returncode if signalled else server.terminate(END)
        if status is None:
            yield "SIGTERM does not end it"
        elif status != unharmed.status:
            yield f"SIGTERM ends it with status {status}"
    if told := traceback_in(server.log()):
        yield told


def traceback_in(log: str) -> str:
    """Say which exception ends the last traceback in a log; "" if there is none."""
    ends = re.findall(r"Traceback.*\n(?: .*\n)*(.*)", log)
    return f"a traceback: {ends[-1]}" if ends else ""


def brief(end: str) -> str:
    """Return how a server ended, in a line."""
    first, *more = end.splitlines()
    return f"{first} {more[-1].strip()}" if more else first


@contextlib.contextmanager
def under_strace(
    server: Server, inject: str = ""
) -> Iterator[tuple[Foreign, Callable[[], list[Call]]]]:
    """Hold one more server, traced from the first, and what tells its calls; it need not serve."""
    with TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "calls"
        words = [*strace.options(NAMES, inject, path), "-D", *server.command]
        own = Foreign(words, SILENT)
        stack.push(own)
        yield own, lambda: strace.parse(path.read_text(errors="replace"))


def watch_start(server: Server) -> list[Call]:
    """Start a server with nothing failing; return what it called by itself before it served."""
    with under_strace(server) as (own, calls):
        own.wait_until_ready()
        if (outcome := converse(own, talk_for(own))) != SERVED:
            raise Failed(f"it does not serve even if nothing fails: {outcome}")
        own.stop()
        return of_the_start(calls())


def attempt_start(server: Server, case: Case) -> str | None:
    """Start a server while a call fails; say what is wrong, None if it came to no such call."""
    with under_strace(server, case.inject) as (own, calls):
        wrong = started(own)
        own.stop()
        wrong = traceback_in(own.log()) or wrong
        hits = [call for call in calls() if call.hit]
    return wrong if meant(case, hits) else None


def started(own: Foreign) -> str:
    """Say what is wrong: it is to serve, to end with a line and status 1, or to log a line."""
    try:
        own.wait_until_ready()
        outcome = converse(own, talk_for(own))
    except ServerError:
        outcome = "it neither serves nor ends"
    if own.ended(0 if outcome == SERVED else 0.5):
        if own.process.returncode != 1:
            return brief(own.ended())
        return "" if own.log().strip() else "it ended with status 1, and without a line"
    if outcome != SERVED and not own.log().strip():
        return outcome  # it says why it cannot, and may be able to later
    status = own.terminate(END)
    if status is None:
        return "SIGTERM does not end it"
    return f"SIGTERM ends it with status {status}" if status > 0 else ""


def judged(attempt: Callable[[Case], str | None], case: Case) -> str | None:
    """Try a case; say what is wrong, "" if nothing, None if it came to no such call.

    What goes wrong once has to do so in two tries of three: anything may be late on a busy machine.
    """
    wrong: list[str] = []
    fine = 0
    for _ in range(3):
        said = attempt(case)
        fine += said == ""
        wrong += [said] if said else []
        if fine > len(wrong) or len(wrong) == 2:
            break
    if wrong and fine <= len(wrong):
        return wrong[-1]
    return "" if fine else None


def search(
    found: list[Case], attempt: Callable[[Case], str | None], full: bool, seed: int | None
) -> str:
    """Try cases, all or some; return how many held, or raise Failed with a line for each other."""
    seed = random.randrange(1000) if seed is None else seed
    chosen = found if full else drawn(found, seed)
    wrong: list[str] = []
    missed = 0

    pool = ThreadPoolExecutor(JOBS)
    try:
        for tried, (case, said) in enumerate(
            zip(chosen, pool.map(partial(judged, attempt), chosen), strict=True), 1
        ):
            progress(f"{tried} of {len(chosen)}, {len(wrong)} wrong: {case}")
            missed += said is None
            if said:
                wrong.append(f"{case}: {said}")
    finally:
        pool.shutdown(cancel_futures=True)
        progress()
    of = "all" if full else f"of {len(found)}, drawn with --seed {seed}"
    seen = f"{len(chosen)} cases ({of})" + f", {missed} not reached" * bool(missed)
    if wrong:
        raise Failed("\n".join([f"{len(wrong)} of {seen}", *sorted(wrong)]))
    return seen


@check("step6_epoll_kqueue", alone=True, asked_for=True)
def calls_fail(server: Endpoint, full: bool = False, seed: int | None = None) -> str:
    """Whichever system call fails while it serves, only the client concerned may suffer.

    Something raises outside of what guards a client, or is not caught there. So an error of one
    client ends the server, leaves a client hanging, or leaves a descriptor open.
    """
    strace.want()
    unharmed, calls = watch(server)
    return search(cases(calls), partial(attempt, server, unharmed), full, seed)


@check("step6_epoll_kqueue", alone=True, asked_for=True)
def start_fails(server: Endpoint, full: bool = False, seed: int | None = None) -> str:
    """Whichever system call fails while it starts, it serves, or ends with a line and status 1.

    Something is called outside of what turns an error into a line. Who has too few descriptors, or
    a port that is in use, can do nothing with a traceback.
    """
    strace.want()
    if not isinstance(server, Server):
        raise NotMeasured(NOT_OURS)
    found = [
        case
        for case in cases(watch_start(server))
        if case.what != SIGNAL and not case.to_the_end  # those are for one that serves
    ]
    return search(found, partial(attempt_start, server), full, seed)
