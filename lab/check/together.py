"""The third rung: clients are served side by side."""

import contextlib
import socket

from lab.check.suite import check
from lab.harness.clients import MiB, clients, expect, greeted, must, send_until_stuck
from lab.harness.servers import Endpoint
from lab.harness.talks import elapsed

PACE = 0.06
"""The client's pauses, as a part of those in the notes: 0.13 s a conversation."""


@check("step2_thread_per_client")
def silence(server: Endpoint) -> str:
    """Clients that connect and say nothing hold nobody up.

    While you wait for one client nobody else is served. Wait in a thread for each, or for
    all of them at once.
    """
    with clients(server, 5), server.connect() as sock:
        sock.sendall(b"^a$")
        expect(sock, b"*b", b"^a$")
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
            other.sendall(b"^a$")
            expect(other, b"*b", b"^a$")
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
            for sock, i in zip(socks, range(len(socks)), strict=True):
                stack.enter_context(sock)
                answer = b"".join(b"%03d" % n for n in (i, 99 - i))
                expect(sock, b"*" + bytes(byte + 1 for byte in answer), lines[i])
                sock.close()  # so that one which serves them in turn comes to the next
    return f"100 clients, {len(lines[0])} bytes each"
