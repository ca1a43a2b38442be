"""The last rung: the server itself is stopped, and ends."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator

from lab.check.suite import check, fresh
from lab.check.talk import reads_late, send_and_shut_down
from lab.harness.clients import (
    Failed,
    ask,
    clients,
    compare,
    ended,
    exactly,
    expect,
    greeted,
    must,
    serves,
    settle,
    to_the_end,
)
from lab.harness.servers import END, Endpoint


@check("docs/check.md", survives="being stopped for a while")
def stopped(server: Endpoint) -> str:
    """Stopped and continued (Ctrl-Z, then `fg`), it serves as before.

    A system call that waits may fail with EINTR then (`epoll_wait` does, on Linux). That says
    nothing about any client: call it again.
    """
    with at_a_halt(server):
        pass
    with greeted(server) as sock:
        ask(sock, b"^a", b"b")
        with at_a_halt(server):
            sock.sendall(b"b$")
        expect(sock, b"c", b"b$")
    serves(server)
    return "twice; who was there is answered, and who came after that"


@contextlib.contextmanager
def at_a_halt(server: Endpoint) -> Iterator[None]:
    """Stop it for the block, when it waits in a system call."""
    server.tree()  # which says so if it was not started here
    settle(server)
    with server.paused():
        yield


@check("step3_blocking", alone=True)
def ends(server: Endpoint) -> str:
    """SIGTERM ends it at once, whatever its clients are doing.

    It may clean up, but must not wait for clients that have no reason to leave, or for a
    thread that sleeps in `recv`.
    """
    with server.another() as own, clients(own, 3) as socks:
        expect(socks[0], b"*")
        socks[0].sendall(b"^in the middle of")
        settle(own)
        start = time.monotonic()
        prompt = math.ceil(min(END, own.patience))
        status = own.terminate(prompt)
        taken = time.monotonic() - start
        if status is None:
            own.process.kill()
            raise Failed(f"still there after {prompt} s")
        socks[0].settimeout(1)
        try:
            with contextlib.suppress(OSError):
                to_the_end(socks[0])
        except Failed:
            left = "it ended, but something that it started still holds its clients"
            raise Failed(left) from None
    return f"after {taken * 1000:.0f} ms, status {status}"


@check("step1_sequential", alone=True)
def restarts(server: Endpoint) -> str:
    """Started again at once, it gets its port again.

    The connections of the one before are in TIME_WAIT for a minute, and hold the port
    unless SO_REUSEADDR is set on the listening socket before `bind`.
    """
    with server.another() as own, greeted(own) as sock:
        own.stop()
        with contextlib.suppress(OSError):
            sock.recv(1)
    start = time.monotonic()
    with server.another(port=own.port) as again:
        serves(again)
    return f"serves on the same port after {(time.monotonic() - start) * 1000:.0f} ms"


@check("docs/check.md", asked_for=True)
def deadline(server: Endpoint, seconds: float = 5.0) -> str:
    """One that says nothing is sent away in the time given.

    Note when each client last said something, and close those for which that is too long ago:
    a timeout of the call that waits, or a timer in the loop.
    """
    start = time.monotonic()
    with server.connect() as sock:
        sock.settimeout(1.5 * seconds + 1)
        exactly(sock, 2)
        taken = time.monotonic() - start
        must(ended(sock), f"still there after {taken:.1f} s, {seconds:g} s were given")
    return f"after {taken:.1f} s"


@check("docs/check.md", alone=True, asked_for=True)
def drains(server: Endpoint) -> str:
    """After SIGTERM those who are served get all they are owed, nobody new is, and it ends.

    Close the listening socket first, serve those who are there to the end, and then leave.
    """
    with fresh(server) as own, reads_late(own) as sock:
        due = send_and_shut_down(sock)
        settle(own)
        own.stopped = True  # by itself, that is
        own.send_signal(signal.SIGTERM)
        turned_away(own)
        try:
            compare(to_the_end(sock), due)
        except OSError as error:
            raise Failed(f"who was served got a reset ({error.strerror})") from None
        if own.wait(END) is None:
            raise Failed(f"still there {END} s after everybody had left")
    return f"{len(due):,} bytes after SIGTERM, and nobody new"


def turned_away(server: Endpoint) -> None:
    """Wait until no new client is served; Failed if they are until `patience` is over."""
    deadline = time.monotonic() + server.patience
    while time.monotonic() < deadline:
        try:
            with server.connect() as sock:
                sock.settimeout(0.3)
                if exactly(sock, 1) != b"*":
                    return
        except OSError:
            return
    raise Failed("new clients are still served")
