"""Checks of the exercises in loops (steps 5 to 7), beside those of `lab check`."""

import contextlib
import re
import resource
import select
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from common.serving import peer_name
from lab.check.ending import at_a_halt
from lab.check.many import LIMIT, greetings
from lab.check.prompt import answer_times
from lab.check.suite import check, fresh
from lab.check.together import UNFAIR
from lab.harness.clients import (
    SPINS,
    Failed,
    MiB,
    ask,
    at_rest,
    busy,
    clients,
    ended,
    expect,
    greeted,
    greeted_clients,
    must,
    owed,
    queued,
    reset,
    send_until_stuck,
    serves,
    settle,
    those_ready,
    to_the_end,
)
from lab.harness.deadline import left, soon
from lab.harness.processes import NotMeasured
from lab.harness.servers import Endpoint, leave

SLOW = b"^SLOW$"
"""What some exercises take long to answer: it stands for a call that blocks."""

TIMES = 3
"""How often something is tried that the machine, and not the server, may have held up."""

LEAVE = 8
"""Clients that ask for something slow, and are gone."""

PIECE = 16 * 1024
"""Bytes of which some are sent that arrive all at once: buffers are as long, or a part of it."""

MOST = 4
"""Clients that an exercise may have at once."""

WAKES = 3
"""That a server may wake in a second without reason: our loop does so once."""


@check("step5_select")
def gone_before(server: Endpoint) -> str:
    """Clients that have left before the server came to accept them harm nobody.

    `accept` gives you the socket of a client that is gone, and the first `send` or `recv` on it
    fails. Whose failure is that? Not that of the socket that was ready. And a lock that was taken
    before it has to be free after it.
    """
    with greeted(server) as bystander:
        with at_a_halt(server):
            for _ in range(TIMES):
                reset(server.connect())
        ask(bystander, b"^a$", b"b")
        serves(server)
    return f"{TIMES} had left; one who was there is answered, and one who comes later"


@check("step5_select")
def closed(server: Endpoint) -> str:
    """Of clients that had left before they were accepted no socket stays open.

    If the `*` cannot be sent, what `accept` gave you is to be closed too. A collector may do that,
    or the next client, which takes its name: but when?
    """
    with greeted(server) as bystander:
        turns(bystander)
        before = server.descriptors()
        with at_a_halt(server):
            for _ in range(TIMES):
                reset(server.connect())
        turns(bystander)
        more = server.descriptors() - before
    return must(more <= 0, f"{more} descriptors more are open after {TIMES} that had left")


def turns(sock: socket.socket) -> None:
    """Have this one answered so often that the loop has seen all else: it may accept one a turn."""
    for _ in range(2 * TIMES):
        ask(sock, b"^a$", b"b")


@check("step5_select")
def rests(server: Endpoint) -> str:
    """While nothing moves it does nothing, also beside one that has said much and reads nothing.

    Wait for room to write only while something is unsent, and do not wait for data that you will
    not read now: what is ready and left alone is ready again at once.
    """
    with greeted_clients(server, TIMES), greeted(server) as stuck:
        send_until_stuck(stuck, b"^" + b"a" * (32 * MiB))
        settle(server)
        share = at_rest(server, SPINS)
        leave([stuck], server.patience)
    return must(share < SPINS, f"{share:.1%} of a core, with {TIMES + 1} clients")


@check("step5_select", alone=True)
def prompt_when_full(server: Endpoint) -> str:
    """Out of descriptors, those it has are answered as promptly as before.

    While you wait until there is room for another, do nothing else than you always do: wait for
    the others. A sleep there is everybody's.
    """
    with fresh(server, limit=LIMIT) as own:
        with greeted(own) as sock:
            sock.sendall(b"^")
            before = sorted(answer_times(sock))[1]
        with clients(own, LIMIT + 16) as socks:
            waiting, served = set(socks), list[socket.socket]()
            while ready := those_ready(waiting, 0.3 if served else own.patience):
                served += greetings(ready)
                waiting.difference_update(ready)
            must(bool(served and waiting), f"{len(served)} of {len(socks)} were greeted at once")
            served[0].sendall(b"^")
            start = sum(own.cpu_times())
            times = answer_times(served[0])
            awake = sum(own.cpu_times()) - start > sum(times) / 2  # whoever spins waits for the CPU
            full = sorted(times)[1]  # a busy machine makes most of them longer
    seen = f"{full * 1000:.2f} ms out of descriptors, {before * 1000:.2f} ms before"
    return must(awake or full < UNFAIR * before, f"{seen}: {full / before:.1f} times")


@check("step5_select", alone=True)
def room_again(server: Endpoint) -> str:
    """When there is room again, those that wait are served, though nobody has left.

    Descriptors are used up by others too, in the whole system (ENFILE), and are given back without
    a word. So try again now and then.
    """
    if not hasattr(resource, "prlimit"):
        raise NotMeasured("this system does not change the limits of others")
    with fresh(server, limit=2 * LIMIT) as own:
        limits = [(soft, 2 * LIMIT) for soft in (LIMIT, 2 * LIMIT)]
        resource.prlimit(own.pid, resource.RLIMIT_NOFILE, limits[0])
        with clients(own, LIMIT + 16) as socks:
            waiting, seconds = set(socks), own.patience
            while ready := those_ready(waiting, seconds):
                waiting.difference_update(greetings(ready))
                seconds = 0.3
            must(0 < len(waiting) < len(socks), f"{len(waiting)} of {len(socks)} have to wait")
            resource.prlimit(own.pid, resource.RLIMIT_NOFILE, limits[1])
            late = len(waiting)
            while waiting and (ready := those_ready(waiting, own.patience)):
                waiting.difference_update(greetings(ready))
    return must(not waiting, f"{len(waiting)} of {late} still waited, when there was room again")


@check("step6_epoll_kqueue")
def edge(server: Endpoint) -> str:
    """It is told of changes only: every client is watched with EPOLLET.

    Without that it is told again and again, as in `minimal.py`, and nothing is to be solved.
    """
    with greeted(server), greeted(server), greeted(server):
        settle(server)  # it may greet first, and watch then
        watched = [int(events, 16) for events in in_epoll(server)]
    must(len(watched) > 3, f"it watches {len(watched)} sockets, with 3 clients")
    told = [events for events in watched if not events & select.EPOLLET]
    return must(not told, f"{len(told)} of {len(watched)} sockets are watched without EPOLLET")


def in_epoll(server: Endpoint) -> Iterator[str]:
    """Yield the events that it watches each descriptor for, in hexadecimal (proc(5), fdinfo)."""
    if not hasattr(select, "epoll"):
        raise NotMeasured("this system has no epoll")
    for pid in server.tree():
        for path in Path(f"/proc/{pid}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                yield from re.findall(r"^tfd:.* events: *(\w+)", path.read_text(), re.MULTILINE)


@check("step6_epoll_kqueue")
def all_that_came(server: Endpoint) -> str:
    """Whatever came at once is all read, and whoever came at once is all accepted.

    You are told once. If you leave something behind, nobody tells you again: go on until the call
    says EAGAIN (BlockingIOError).
    """
    with greeted(server) as sock:
        sock.sendall(b"^")
        piece, said = b"abcdefgh" * (PIECE // 8), 0
        with at_a_halt(server):
            while said < 16 and not queued(sock):  # all of it has arrived there
                sock.sendall(piece)
                said += 1
        expect(sock, owed(b"^" + piece * said), piece * said)
        serves(server)  # it does not wait for more, since its buffer was just full
        sock.sendall(b"$")
        with contextlib.ExitStack() as stack:
            with at_a_halt(server):
                come = stack.enter_context(clients(server, 2 * TIMES))
            for i, each in enumerate(come):
                here = bool(those_ready([each], server.patience))
                must(here, f"number {i + 1} of {len(come)} that came at once is not greeted")
                expect(each, b"*")
            with at_a_halt(server):
                brief = stack.enter_context(server.connect())
                brief.sendall(b"^a$")
                brief.shutdown(socket.SHUT_WR)
            # The end came with what was said, and nobody tells of it again.
            must(to_the_end(brief) == b"*b", "one that said all at once is owed `*b`")
    return f"{said * PIECE:,} bytes that came at once, and {len(come)} clients"


@check("step6_epoll_kqueue")
def stale_event(server: Endpoint) -> str:
    """With 4 clients there another comes, and the oldest, who has to go, speaks in the same moment.

    Both events are in one batch. When the second of them is served, its descriptor is closed, or
    somebody else's already: for the one who has it now, nothing has come.
    """
    with contextlib.ExitStack() as stack:
        there = [stack.enter_context(greeted(server)) for _ in range(MOST)]
        turns(there[-1])
        before = server.descriptors()
        for _ in range(TIMES):
            with at_a_halt(server):
                there.append(stack.enter_context(server.connect()))
                oldest = there.pop(0)
                oldest.sendall(b"^a$")
            expect(there[-1], b"*")
            for sock in there:
                ask(sock, b"^a$", b"b")
            with contextlib.suppress(ConnectionError):
                to_the_end(oldest)  # it may be answered first, or not
            oldest.close()
        more = server.descriptors() - before
    must(more <= 0, f"{more} descriptors more are open, with as many clients as before")
    return f"{TIMES} times; those who stay are served, and the new one"


@check("step7_event_loop_threadpool")
def others_meanwhile(server: Endpoint) -> str:
    """While something slow is done for two clients, a third is answered at once.

    A callback that waits has everybody wait. Hand what takes long to the pool, and go on when it
    is done: the loop calls you then.
    """
    for _ in range(TIMES):
        with greeted_clients(server, 3) as (*slow, other):
            for sock in slow:
                sock.sendall(SLOW)
            for _ in range(3):
                ask(other, b"^a$", b"b")
            early = those_ready(slow, 0)
            for sock in slow:
                expect(sock, owed(SLOW), SLOW)
        if not early:
            return "3 questions were answered before what two others had asked before"
    seen = f"{len(early)} of 2 clients had their `SLOW` before 3 questions of another were answered"
    raise Failed(seen)


@check("step7_event_loop_threadpool")
def in_order(server: Endpoint) -> str:
    """What one client asked for is answered in its order, though the first takes longer.

    The answers of one client have an order, and work in a pool has none. Either begin with the
    next only when the one before is answered, or keep what is done too early.
    """
    with greeted_clients(server, 2) as (sock, other):
        for said in (SLOW, b"^a", b"b$", SLOW, b"^c$"):
            sock.sendall(said)
            ask(other, b"^a$", b"b")  # so that the loop has seen that piece before the next
        said = SLOW + b"^ab$" + SLOW + b"^c$"
        expect(sock, owed(said), said)
    return "5 pieces of one client, two of them slow"


@check("step7_event_loop_threadpool")
def wakes(server: Endpoint) -> str:
    """What is done is answered at once, though nobody says anything.

    The loop may be asleep when another thread has something for it. Whatever is handed to it has to
    wake it.
    """
    with greeted_clients(server, 2) as (sock, other):
        beside = min(answered(sock, beside=other) for _ in range(TIMES))
        alone = min(answered(sock) for _ in range(TIMES))
    seen = f"{alone:.2f} s alone, {beside:.2f} s beside one who talks all the time"
    return must(alone < 2 * beside, seen)


def answered(*socks: socket.socket, beside: socket.socket | None = None) -> float:
    """Return in how many seconds all these have their `SLOW`, who ask at the same moment.

    Meanwhile one `beside` them, if any, keeps the loop awake.
    """
    start, patience = time.monotonic(), socks[0].gettimeout() or 0
    for sock in socks:
        sock.sendall(SLOW)
    while beside and not those_ready(socks, 0.01) and time.monotonic() - start < patience:
        beside.sendall(b"-")
    for sock in socks:
        expect(sock, owed(SLOW), SLOW)
    return time.monotonic() - start


@check("step7_event_loop_threadpool")
def asleep(server: Endpoint) -> str:
    """While nobody says anything, it sleeps, and nothing wakes it.

    Look now and then, and you look too late and too often. Wait for what is to come.
    """
    with greeted(server):
        share = at_rest(server, SPINS)
        must(share < SPINS, f"{share:.1%} of a core, while nobody says anything")
        times = woken_by(server, partial(time.sleep, 1))
    return must(times <= WAKES, f"woken {times} times in a second")


@check("step7_event_loop_threadpool")
def asleep_meanwhile(server: Endpoint) -> str:
    """While an answer is waited for, nothing wakes it either, until that is there.

    A timer that looks now and then is no wake-up, though it is there only meanwhile. See how
    another thread can have the loop call something, and wakes it.
    """
    with greeted(server) as sock:
        quick = min(woken_by(server, partial(ask, sock, b"^a$", b"b")) for _ in range(4 * TIMES))
        slow = min(woken_by(server, partial(ask, sock, SLOW, owed(SLOW))) for _ in range(TIMES))
    seen = f"woken {slow} times for an answer that takes long, {quick} times for a quick one"
    return must(slow <= quick + WAKES, seen)


def woken_by(server: Endpoint, what: Callable[[], None]) -> int:
    """Return how often its threads sleep while this happens, and until all is done."""
    settle(server)
    before = woken(server)
    what()
    settle(server)
    return woken(server) - before


def woken(server: Endpoint) -> int:
    """Return how often its threads have slept so far (proc(5), voluntary_ctxt_switches)."""
    found = 0
    for pid in server.tree():
        for path in Path(f"/proc/{pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):  # a thread that has ended meanwhile
                found += int(path.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    if not found:
        raise NotMeasured("this system does not say how often a thread has slept")
    return found


@check("step7_event_loop_threadpool")
def who_left(server: Endpoint) -> str:
    """What clients asked who have left keeps nobody waiting.

    Work that has not begun can be cancelled, if somebody notices that nobody waits for it: a
    client that resets while it waits makes its socket ready.
    """
    with greeted_clients(server, 2) as (sock, other):
        alone = min(answered(sock) for _ in range(TIMES))
        two = min(answered(sock, other) for _ in range(TIMES)) / alone
        must(two > 1.5, f"two questions take {two:.1f} times as long as one: they have one worker")
        with greeted_clients(server, LEAVE) as socks:
            for each in socks:
                each.sendall(SLOW)
            turned(server)
            for each in socks:
                reset(each)
            turned(server)
            sock.settimeout(3 * server.patience)
            taken = answered(sock) / alone
    seen = f"{taken:.1f} times as long as alone, after {LEAVE} had asked and left"
    return must(taken < LEAVE / 2, seen)


@check("step7_event_loop_threadpool")
def who_waits(server: Endpoint) -> str:
    """Whoever says more while it waits, or that it will say no more, still gets its answer.

    That something has come does not mean that the client has left. A half-closed one reads on. And
    what is ready and left alone is ready again at once: watch it no more until you read.
    """
    with greeted_clients(server, 3) as (first, *waiting):
        for each in (first, *waiting):
            each.sendall(SLOW)
        turned(server)
        waiting[0].sendall(b"^a$")
        waiting[1].shutdown(socket.SHUT_WR)
        turned(server)
        share = busy(server, 0.3)
        must(share < 0.5, f"{share:.0%} of a core, while they wait for their answers")
        for each, said in zip(waiting, (SLOW + b"^a$", SLOW), strict=True):
            each.settimeout(2 * server.patience)
            expect(each, owed(said), said)
        those_ready([waiting[1]], server.patience)
        must(ended(waiting[1]), "one that said all is not closed")
    return "one said more, and one that it was all"


def turned(server: Endpoint) -> None:
    """See the loop greet two more clients: so it has seen all that was sent before them."""
    for _ in range(2):
        with greeted(server):
            pass


@check("step7_event_loop_threadpool")
def falls_silent(server: Endpoint, seconds: float = 1.0) -> str:
    """One that has said something, and then nothing more, is sent away too: after its last word.

    Each wait has a time limit, and a time of its own.
    """
    with greeted(server) as sock:
        those_ready([sock], seconds / 2)
        start = time.monotonic()
        ask(sock, b"^a$", b"b")
        those_ready([sock], 1.5 * seconds + 1)
        taken = time.monotonic() - start
        must(ended(sock), f"still there {taken:.1f} s after its last word")
    return must(taken > 0.7 * seconds, f"sent away {taken:.1f} s after its last word")


@check("step7_event_loop_threadpool")
def farewell(server: Endpoint, seconds: float = 1.0) -> str:
    """Of one that was sent away a line says that it has left, as of any other.

    If its socket is closed while a coroutine waits for it, nobody resumes that, and what comes
    after the wait is never done. Have it go on, and leave by itself. And once a client has left,
    no timer of it is to run.
    """
    with greeted(server):
        pass  # a timer that it left behind has run when the next is sent away
    with greeted(server) as sock:
        line = f"{peer_name(sock.getsockname())} has left\n"
        those_ready([sock], 1.5 * seconds + 1)
    told = soon(lambda: line in server.log(), left(server.patience))
    must(told, f"no line says `{line.rstrip()}`")
    must("Traceback" not in server.log(), "a callback has failed, for one who had left")
    return line.rstrip()
