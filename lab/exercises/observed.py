"""What a program may not use, found by watching it talk with clients, and not in its text."""

import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lab.check.suite import Check, check
from lab.exercises.programs import Program
from lab.harness.clients import Failed, clients, expect, letters, must, owed, to_the_end
from lab.harness.servers import Endpoint
from lab.observe import record
from lab.observe.inside.gate import WAITS
from lab.observe.record import SERVER, Event, Recording


def threads(seen: Recording) -> Iterator[str]:
    """Yield where threads were started, however that was done."""
    yield from (f"a thread is started {place(one)}" for one in seen.of(SERVER, "Thread.start"))
    if len(seen.threads()) > 1:
        yield "it has several threads"


def sleep(seen: Recording) -> Iterator[str]:
    """Yield where it slept; to wait for nobody at all is that too."""
    yield from (f"it sleeps {place(one)}" for one in seen.of(SERVER, "sleep"))
    waits = (one for one in seen.of(SERVER, "select") if not one.handed)
    yield from (f"it waits for nobody {place(one)}" for one in waits)


def several(seen: Recording) -> Iterator[str]:
    """Yield where it waited for several at once."""
    yield from (f"it calls `{one.call}` {place(one)}" for one in seen.of(SERVER, *WAITS))


def processes(seen: Recording) -> Iterator[str]:
    """Yield whether it had others."""
    if seen.others:
        yield f"there are {1 + seen.others} processes of it"


def talking(seen: Recording) -> Iterator[str]:
    """Yield where another thread talked with a client than the one that accepts them."""
    talk = [one for one in seen.of(SERVER, "accept", "recv", "send", "sendall") if one.client]
    own = {one.thread for one in talk if one.call == "accept"}
    others = (one for one in talk if one.thread not in own)
    yield from (f"another thread calls `{one.call}` {place(one)}" for one in others)


KINDS = {
    "threads": threads,
    "threads that talk": talking,
    "sleep": sleep,
    "select": several,
    "processes": processes,
}
"""What an exercise may forbid, and how it is found in a recording."""


def place(one: Event) -> str:
    """Say where in the program a call was made."""
    return f"in line {one.line}" if one.line else "somewhere"


def never(program: Path, kinds: Sequence[str], step: str) -> Check:
    """Return the check that a program does without these kinds."""

    @check(step, alone=True)
    def never(server: Endpoint) -> str:
        return uses_none(server, program, kinds)

    title = f"It does without {' and '.join(kinds)}."
    advice = "The exercise is to do it without. Its README says with what."
    return replace(never, rung="checks", title=title, advice=advice)


def uses_none(server: Endpoint, program: Path, kinds: Sequence[str]) -> str:
    """Watch it with some clients, who may be slow; Failed if it used what it may not."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, SERVER)
        with Program.of(program, (), server.patience, file) as own:
            others = talk(own)
        known = file.exists() and file.stat().st_size > 0
        must(known, "it did not end when told to, so that nothing is known of it")
        seen = replace(record.read({SERVER: file}), others=others)
    for kind in kinds:
        for what in KINDS[kind](seen):
            raise Failed(f"{what}, which is not for this exercise")
    return f"{len(seen.events)} calls, none of them for {' or '.join(kinds)}"


def talk(server: Program) -> int:
    """Have three clients there, and serve one after the other; return how many processes it has.

    Beside itself, and at most. The system is asked, for what is recorded is one of them.
    """
    others = 0
    with clients(server, 3) as socks:
        for size, sock in enumerate(socks, 100):
            sock.sendall(b"^" + letters(size))
            expect(sock, b"*" + owed(b"^" + letters(size)))
            others = max(others, len(server.tree()[1:]))
            sock.sendall(letters(size) + b"$")
            expect(sock, owed(b"^" + letters(size)))
            sock.shutdown(socket.SHUT_WR)  # so that one which serves in turn comes to the next
            to_the_end(sock)
    return others
