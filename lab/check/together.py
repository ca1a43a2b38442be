"""The third rung: clients are served side by side."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from lab.check.prompt import answer_times
from lab.check.suite import check
from lab.harness.clients import (
    Failed,
    MiB,
    ask,
    clients,
    exactly,
    expect,
    greeted,
    must,
    owed,
    send_until_stuck,
    those_ready,
)
from lab.harness.servers import Endpoint, leave
from lab.harness.talks import elapsed

PACE = 0.06
"""The client's pauses, as a part of those in the notes: 0.13 s a conversation."""

NOT_GREETED = (
    "It did not come to that. Either it waits for one of the others, see `silence`, or it was not"
    " even accepted, see `burst`."
)

UNFAIR = 100
"""How many times as long as without a flood the quickest answer may take beside one: a loop takes
5 to 20 times as long, one that does not look at the others for a while 600 and more. (Most answers
may be slow on a busy machine: whoever floods a server has it use up its slice of a core.)"""


@check("step2_thread_per_client")
def silence(server: Endpoint) -> str:
    """Clients that connect and say nothing hold nobody up.

    While you wait for one client nobody else is served. Wait in a thread for each, or for
    all of them at once.
    """
    with clients(server, 5), server.connect() as sock:
        ask(sock, b"^a$", b"*b")
    return "served beside 5 that say nothing"


@check("step2_thread_per_client")
def side_by_side(server: Endpoint) -> str:
    """Five clients that talk at once take about as long as one.

    They wait for each other: somewhere between `recv` and `send` there is a place where
    only one may be, for as long as its conversation lasts.
    """
    one, five = (elapsed(server, count, PACE) for count in (1, 5))
    return must(five < 2.5 * one, f"five took {five / one:.1f} times as long as one ({one:.2f} s)")


@check("step2_thread_per_client")
def stuck_reader(server: Endpoint) -> str:
    """A client that never reads its answers holds nobody else up.

    Your `send` to it blocks when its buffers are full. Wait for room as you wait for
    data, and serve the others meanwhile.
    """
    with greeted(server) as sock:
        taken = send_until_stuck(sock, b"^" + b"a" * (32 * MiB))
        with server.connect() as other:
            ask(other, b"^a$", b"*b")
        leave([sock], server.patience)  # what it is owed is not to be in anybody's way
    return f"served beside one that has sent {taken / MiB:.0f} MiB and reads nothing"


@check("step4_nonblocking_polling")
def drip(server: Endpoint) -> str:
    """A hundred clients that send a byte each in turn all get what they are owed.

    What was read from one client is mixed up with another's. Each needs a state, and a
    buffer, of its own.
    """
    with clients(server, 100) as socks:
        lines = [b"^%03d$--^%03d$" % (i, 99 - i) for i in range(len(socks))]
        for sock in socks:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for column in zip(*lines, strict=True):
            for sock, byte in zip(socks, column, strict=True):
                sock.sendall(bytes([byte]))
        with contextlib.ExitStack() as stack:
            for i, sock in enumerate(socks):
                stack.enter_context(sock)
                if not those_ready([sock], server.patience):
                    raise Failed(f"client {i} is not greeted", NOT_GREETED)
                try:
                    expect(sock, b"*" + owed(lines[i]), lines[i])
                except Failed as error:
                    raise Failed(f"{error}{misled(socks[i + 1 :], i + 1)}", error.advice) from None
                sock.close()  # so that one which serves them in turn comes to the next
    return f"100 clients, {len(lines[0])} bytes each"


def misled(socks: list[socket.socket], first: int) -> str:
    """Say which of these got more than the seven bytes that each is owed; "" if none did."""
    for number, sock in enumerate(socks, first):
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            if (got := len(sock.recv(MiB))) > 7:
                return f"; but client {number} got {got} bytes, owed 7"
    return ""


@check("docs/check.md")
def fair(server: Endpoint) -> str:
    """Beside one client that floods it, others do not wait much longer than without.

    As long as one client has something to say you read from that one. Give each that is ready
    one `recv` of limited size, then go on to the next.
    """
    with greeted(server) as sock:
        sock.sendall(b"^")
        alone = min(answer_times(sock))
    with flood(server), server.connect() as sock:
        expect(sock, b"*")
        sock.sendall(b"^")
        beside = min(answer_times(sock))
    seen = f"{beside * 1000:.2f} ms beside a flood, {alone * 1000:.2f} ms without"
    return must(beside < UNFAIR * alone, f"{seen}: {beside / alone:.1f} times")


@contextlib.contextmanager
def flood(server: Endpoint) -> Iterator[None]:
    """Have a client say as much as the server takes, and read all the answers, in two threads."""
    over = threading.Event()

    def say(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                socket.socket.sendall(sock, b"a" * MiB)

    def read(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while socket.socket.recv(sock, MiB):
                pass

    with greeted(server) as sock:
        sock.sendall(b"^" + b"a" * MiB)
        must(bool(exactly(sock, MiB)), "one that says much is not answered")
        threads = [threading.Thread(target=what, args=(sock,)) for what in (say, read)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            threads[0].join()
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            threads[1].join(server.patience)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            threads[1].join()
