"""Checks that only exercises have, beside those of `lab check`."""

import contextlib
import math
import random
import re
import select
import socket
import time
from collections.abc import Iterator
from itertools import pairwise

from lab.check.suite import check, fresh
from lab.check.talk import block, read_late, reads_late
from lab.exercises.programs import CONFINED, SHAKEN, Program
from lab.harness.clients import (
    Failed,
    MiB,
    ask,
    clients,
    compare,
    expect,
    greeted,
    greeted_clients,
    letters,
    must,
    owed,
    reset,
    send_until_stuck,
    serves,
    settle,
    those_ready,
)
from lab.harness.deadline import left, soon
from lab.harness.servers import Endpoint, Server, leave

PARTS = 40
"""Frames, and what is between them, in what is drawn."""

PIECES = 60
"""Packets into which that is cut."""


@check("docs/check.md")
def drawn(server: Endpoint) -> str:
    """Frames that nobody has seen before, cut at random places, are answered piece by piece.

    What holds for one stream holds for every one: a byte inside a frame comes back plus one, be
    the frame long or short, in one packet or in many.
    """
    seed = random.randrange(1_000_000)
    stream, cuts = drawn_stream(random.Random(seed))
    try:
        with greeted(server) as sock:
            for sent, cut in pairwise([0, *cuts]):
                due = owed(stream[:cut]).removeprefix(owed(stream[:sent]))
                ask(sock, stream[sent:cut], due)
    except Failed as error:
        raise Failed(f"{error} (drawn with {seed})", error.advice) from None
    return f"{len(stream):,} bytes in {len(cuts)} pieces, drawn with {seed}"


def drawn_stream(draw: random.Random) -> tuple[bytes, list[int]]:
    """Return frames with noise between them, all closed, and where they are cut, to the end.

    Some are cut before a `^`, which says nothing inside a frame, wherever it comes.
    """
    stream = b""
    for _ in range(PARTS):
        inside = draw.randbytes(draw.choice((0, 1, 2, 9, 40, 300))).replace(b"$", b"^")
        noise = draw.randbytes(draw.randrange(5)).replace(b"^", b"")
        stream += noise + b"^" + inside + b"$"
    places = [i for i in range(1, len(stream)) if stream[i] == ord("^") and draw.randrange(2)]
    places += draw.sample(range(1, len(stream)), PIECES - 1)
    return stream, sorted({*places, len(stream)})


ALLOWED = 300_000
"""Bytes that a client may send in the exercise of the tail."""


@check("step1_sequential")
def tail(server: Endpoint) -> str:
    """One that has sent too much gets all that it is owed for the rest, then the end.

    A socket that is closed with something unread resets the connection, and the kernel drops what
    it had not yet sent. Shut down your sending side, read until the client has left, then close.
    """
    said = b"^" + letters(4 * ALLOWED)
    due = b"*" + owed(said[:ALLOWED])
    with reads_late(server) as sock:
        came = bytearray()
        try:
            send_until_stuck(sock, said)
            while data := sock.recv(8 * 1024):
                came += data
                if len(came) < len(due) and those_ready([sock], 0, select.POLLOUT):
                    sock.send(b"a")  # whatever it has read by then, this is still to come
                time.sleep(0.002)  # so that it has long closed when the last is read
        except OSError as error:
            end = "no end" if isinstance(error, TimeoutError) else f"then: {error.strerror}"
            raise Failed(f"{len(came):,} of {len(due):,} bytes came, and {end}") from None
        compare(bytes(came), due)
    serves(server)
    return f"{len(due):,} bytes to one that sent {len(said):,}, and then the end"


ROUNDS, TOGETHER = 10, 20
"""How often so many clients come at once."""


@check("step1_sequential")
def said_and_left(server: Endpoint) -> str:
    """Whoever has said all and left before it is served harms nobody, and nothing stays open.

    A call on its socket fails, and not only with ECONNRESET: `send` may also fail with EPIPE.
    Whatever fails is the end of this client alone, and then its socket is closed too.
    """
    with greeted(server) as first:
        there = server.descriptors()
        with server.paused():
            for _ in range(TOGETHER):
                with contextlib.closing(server.connect()) as sock:
                    sock.sendall(b"^abc$")
        first.shutdown(socket.SHUT_WR)
        serves(server)
    with greeted(server) as last:
        reset(last)
    soon(lambda: server.descriptors() < there, left(server.patience))
    more = server.descriptors() - there + 1
    return must(more <= 0, f"{more} descriptors more are open after {TOGETHER + 1} that have left")


@contextlib.contextmanager
def at_once(server: Endpoint) -> Iterator[list[socket.socket]]:
    """Hold so many clients that were all there when the server looked, and were greeted."""
    with contextlib.ExitStack() as stack:
        with server.paused():
            socks = stack.enter_context(clients(server, TOGETHER))
        for sock in socks:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            expect(sock, b"*")
        yield socks


@check("step2_thread_per_client")
def apart(server: Endpoint) -> str:
    """Clients that come at the same moment are not taken for each other.

    What belongs to one client was found by another. Between looking at something that threads
    share and changing it, each call that waits lets another thread look at it too.
    """
    draw = random.Random()
    for _ in range(ROUNDS):
        said = draw.randbytes(20).replace(b"$", b"").replace(b"^", b"")
        with at_once(server) as socks:
            opened = [(sock, (b"-", b"^")[i % 2]) for i, sock in enumerate(socks)]
            for sock, first in opened:
                sock.sendall(first)
            for gone in draw.sample(opened, 3):
                opened.remove(gone)
                gone[0].close()
            with greeted_clients(server, 3) as others:  # each may get what one of those had
                opened += [(sock, b"") for sock in others]
                for sock, first in opened:
                    sock.sendall(said + b"$^.$")
                    expect(sock, owed(first + said + b"$^.$"), first + said)
    return f"{ROUNDS} times {TOGETHER} clients at once, of whom some left"


@contextlib.contextmanager
def shaken(server: Endpoint) -> Iterator[Server]:
    """Start one more of the kind, in which threads come in between the steps of each other."""
    assert isinstance(server, Program)
    at = server.command.index(CONFINED) + 2
    words = [*server.command[:at], SHAKEN, *server.command[at:]]
    with Program(words, server.patience) as own:
        yield own


@check("step2_thread_per_client", alone=True)
def adds_up(server: Endpoint) -> str:
    """Who leaves is told of in the log, with how many bytes were answered so far.

    The last line of it is to have the sum of all, however many were there at once, and wherever
    another thread comes in: keep the counter, and the lock around it.
    """
    with shaken(server) as own:
        with greeted_clients(own, TOGETHER) as socks:
            for size, sock in enumerate(socks, 50):
                sock.sendall(b"^" + letters(size) + b"$")
            for size, sock in enumerate(socks, 50):
                expect(sock, owed(b"^" + letters(size)))
        due = sum(range(50, 50 + TOGETHER))
        soon(lambda: counted(own) == due, left(own.patience))
        found = counted(own)
    return must(found == due, f"the log says {found:,} bytes so far, {due:,} were answered")


def counted(server: Endpoint) -> int:
    """Return how many bytes were answered, says the log; 0 if it has said nothing."""
    return max(map(int, re.findall(r"(\d+) bytes so far", server.log())), default=0)


FEW, PASSING = 32, 200
"""Descriptors that a program may have where clients pass through, and how many of those."""


@check("step2_thread_per_client", alone=True)
def passing(server: Endpoint) -> str:
    """Of clients that come and go, in order or with a reset, no socket stays open.

    Whatever way a conversation ends, its socket has to be closed, and forgotten wherever you
    have noted it: what is in a `finally` is done for all of them.
    """
    with fresh(server, limit=FEW) as own:
        for i in range(PASSING):
            with contextlib.closing(own.connect()) as sock:
                if i % 2:
                    ask(sock, b"^ab", b"*bc")
                else:  # so much that it is still answered when this leaves
                    send_until_stuck(sock, b"^" + letters(MiB), 0.001)
                if i % 4 != 1:
                    reset(sock)
        for _ in range(4):
            with own.paused():  # they have said all and left when they are accepted
                for _ in range(FEW // 4):
                    with contextlib.closing(own.connect()) as sock:
                        sock.sendall(b"^ab$")
            serves(own)
        must("Traceback" not in own.log(), "a traceback is written when a client leaves early")
    return f"{PASSING} clients, to a program that may have {FEW} descriptors"


LITTLE = 40
"""Bytes for each client, by which memory grows if anything is kept of it."""


@check("step4_nonblocking_polling")
def forgets(server: Endpoint) -> str:
    """What is kept does not become more with each client that comes and goes.

    Forget whoever leaves, wherever you have noted it: in a table, a set or a list, under whatever
    name.
    """
    for _ in range(8):  # memory may well grow for some time; what is a leak grows every time
        before = server.memory()
        for _ in range(PASSING):
            with greeted(server) as sock:
                ask(sock, b"^a$", b"b")
        settle(server)
        if (grown := server.memory() - before) < LITTLE * PASSING:
            break
    seen = f"its memory grew by {max(0, grown) // PASSING} bytes for each"
    return must(grown < LITTLE * PASSING, seen)


@check("step2_thread_per_client", alone=True)
def numbers(server: Endpoint) -> str:
    """Of each client that has left a line says so, with a number that nobody else had.

    Two that came at the same moment had the same one. Look at the counter and change it in one
    go: hold a lock meanwhile, and nothing that waits. Between any two steps of a thread, also
    those of one line, another thread may come in; here it does.
    """
    with shaken(server) as own:
        for _ in range(ROUNDS):
            with at_once(own) as socks:
                for sock in socks:
                    sock.close()
        due, ends = ROUNDS * TOGETHER, time.monotonic() + left(own.patience)
        while (told := gone(own)) != [*range(1, max(due, len(told)) + 1)]:
            twice = next((one for one, other in pairwise(told) if one == other), 0)
            must(not twice, f"two clients were number {twice}")
            last = f", the last is number {told[-1]}" if told else ""
            seen = f"of {len(told)} clients a line says that they left{last}"
            must(time.monotonic() < ends, seen)
            time.sleep(0.01)
    return f"{len(told)} clients, and as many numbers"


def gone(server: Endpoint) -> list[int]:
    """Return the numbers of all that have left, says the log, in order."""
    return sorted(map(int, re.findall(r"client (\d+) has left", server.log())))


@check("step3_blocking")
def talks_on(server: Endpoint, seconds: float = 1.0) -> str:
    """One that says a byte now and then is not sent away, however long its conversation lasts.

    The time limit is for each pause, and begins anew with all that comes.
    """
    pauses = 6
    with greeted(server) as sock:
        sock.sendall(b"^")
        for byte in letters(pauses):
            time.sleep(left(seconds / 3))
            ask(sock, bytes([byte]), bytes([byte + 1]))
    return f"{pauses} pauses of {seconds / 3:.2f} s"


@check("step3_blocking")
def nobody_comes(server: Endpoint, seconds: float = 1.0) -> str:
    """While nobody is there it waits, and whoever comes then is served.

    The listening socket has no time limit of its own; nobody is late who has not come.
    """
    time.sleep(left(1.5 * seconds))
    serves(server)
    return f"served after {1.5 * seconds:.1f} s in which nobody was there"


@check("step3_blocking", alone=True)
def last_words(server: Endpoint) -> str:
    """Told to end, it says how many clients it has served, while one is there, or nobody.

    See that this is also said where the program sleeps in a call when the signal comes: in
    `recv`, or in `accept`.
    """
    for there in (1, 0):
        count = random.randrange(2, 7)
        with server.another() as own:
            for _ in range(count - there):
                serves(own)
            with greeted_clients(own, there) as socks:
                for sock in socks:
                    ask(sock, b"^a", b"b")
                settle(own)
                status = own.terminate(math.ceil(own.patience))
                must(status == 0, f"status {status}" if status is not None else "it does not end")
            said = own.log().splitlines()[-1:]
        seen = f"with {there} client there its last line is {''.join(said)!r}"
        must(said == [f"{count} clients were served"], seen)
    return seen


@check("step2_thread_per_client")
def beside_unread(server: Endpoint) -> str:
    """A client that does not read its answers holds nobody else up, and is not sent away for it.

    Somebody waits in `send` for room, and others wait for that: for a lock it holds, or for their
    turn. A time limit ends that, and the client. Send what there is room for, or hold nothing
    while you wait.
    """
    with greeted(server) as sock:
        taken = send_until_stuck(sock, b"^" + letters(32 * MiB), 0.3)  # on a busy machine too
        for _ in range(3):
            time.sleep(0.1)
            serves(server)
        away = those_ready([sock], 0, select.POLLHUP)
        must(not away, "the others were served, but the one that does not read was sent away")
        leave([sock], server.patience)
    return f"3 were served beside one that has sent {taken / MiB:.0f} MiB and reads nothing"


TAKEN = 12
"""MiB for one that reads late; what the kernel keeps for a server is 4 or 6 at most, as a rule."""


@check("step4_nonblocking_polling")
def late(server: Endpoint) -> str:
    """One that reads only when nothing has moved for some seconds gets every byte, in order.

    `send` may take less than you give it, and says how much: keep the rest, and send it when there
    is room, before anything else. However long that takes: a time limit would cut it off.
    """
    said = block()
    due = b"*" + owed(said) * TAKEN
    stuck = read_late(server, said * TAKEN, due, server.patience + 1)
    return f"{len(due):,} bytes, of which nothing was read until {stuck / MiB:.0f} MiB were taken"
