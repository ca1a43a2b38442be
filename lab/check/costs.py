"""The fifth rung: what clients cost that ask for nothing."""

import contextlib

from lab.check.sockets import (
    MiB,
    busy,
    clients,
    expect,
    fresh,
    greeted,
    idle_clients,
    room_for,
    send_until_stuck,
    settle,
)
from lab.check.suite import check, must
from lab.servers import Endpoint, NotMeasured

IDLE_SHARE = 0.015
"""Of a core, that a server may use while nobody says anything."""

IDLE_BYTES = 12 * 1024
"""That an idle client may cost; in Python a thread takes some 20 KiB, a socket below 1."""

OFFERED = 64
"""MiB, to one that does not read the answers. The kernel's own buffers take some 20."""

CHURN = 300
"""Clients a round."""


@check("step4_nonblocking_polling")
def idle_cpu(server: Endpoint) -> str:
    """While nobody says anything, the server does nothing.

    It asks again and again instead of sleeping until there is something to do. With
    `select` and the like: wait for room to write only while something is unsent, and do not
    wait for data that you will not read now.
    """
    room_for(1000)
    with contextlib.ExitStack() as stack:
        idle = stack.enter_context(idle_clients(server, 1000))
        if len(idle) == 1000:  # one whose questions are not read, since it reads no answers
            stuck = stack.enter_context(greeted(server))
            send_until_stuck(stuck, b"^" + b"a" * (32 * MiB))
        settle(server)
        for _ in range(4):  # it may have had something left to do, but not every time
            share = busy(server, 0.5)
            if share < IDLE_SHARE:
                break
    seen = f"{share:.1%} of a core, idle clients: {len(idle):,}"
    must(share < IDLE_SHARE, seen)
    return seen


@check("step2_thread_per_client", alone=True)
def idle_memory(server: Endpoint) -> str:
    """A client that says nothing costs little memory.

    Each has a stack, or a large buffer, of its own for as long as it is connected. One loop
    that waits for all of them needs but a small record for each.
    """
    room_for(1000)
    with fresh(server) as own, idle_clients(own, 100) as first:
        if len(first) < 100:
            return f"it takes but {len(first)} at a time"
        before = own.resident_bytes()
        with idle_clients(own, 900) as idle:
            each = (own.resident_bytes() - before) / len(idle)
    seen = f"{each / 1024:.1f} KiB for each of {len(idle)} idle clients"
    must(each < IDLE_BYTES, seen)
    return seen


@check("step4_nonblocking_polling")
def never_reads(server: Endpoint) -> str:
    """What a client may have the server keep for it is bounded, though it never reads.

    Read no more from a client while you have something unsent for it. Then its own
    `send` stops when the kernel's buffers are full (backpressure), and not your memory.
    """
    offered = b"^" + b"a" * (OFFERED * MiB)
    with greeted(server) as sock:
        before = memory(server)
        taken = send_until_stuck(sock, offered) / MiB
        after = memory(server)
    seen = f"{taken:.0f} of {OFFERED} MiB were taken from one that reads nothing"
    if before is None or after is None:
        must(taken < 0.75 * OFFERED, seen)
        return f"{seen}; its memory is not measured here"
    grown = (after - before) / MiB
    seen += f", and its memory grew by {grown:.1f} MiB"
    must(grown < 24, seen)
    return seen


def memory(server: Endpoint) -> int | None:
    """Return the bytes it has resident, if that can be known."""
    try:
        return server.resident_bytes()
    except NotMeasured:
        return None


@check("step5_select")
def churn(server: Endpoint) -> str:
    """Clients that come and go leave nothing behind: no descriptor, no memory.

    Whatever you made for a client when it came, undo when it leaves, whichever way it
    leaves: the socket, its place in lists, tables and sets, its thread.
    """
    come_and_go(server)
    files, memory, growth = server.descriptors(), server.resident_bytes(), []
    for _ in range(4):
        come_and_go(server)
        growth.append(server.resident_bytes() - memory)
        memory += growth[-1]
    more = server.descriptors() - files
    # Memory may well grow now and then: what is a leak grows every time.
    seen = f"{4 * CHURN} clients left {max(0, more)} descriptors"
    seen += f" and {max(0, min(growth)) // CHURN} bytes each"
    must(more < CHURN // 10 and min(growth) < 1024 * CHURN, seen)
    return seen


def come_and_go(server: Endpoint) -> None:
    """Have clients come, talk and leave, fifty at a time."""
    for _ in range(CHURN // 50):
        with clients(server, 50) as socks:
            for sock in socks:
                sock.sendall(b"^hello$")
            for sock in socks:
                expect(sock, b"*ifmmp")
                sock.close()  # so that one which serves them in turn comes to the next
    settle(server)
