"""The fifth rung: what clients cost that ask for nothing."""

import contextlib

from lab.check.suite import check, fresh
from lab.harness.clients import (
    MiB,
    at_rest,
    clients,
    expect,
    greeted,
    idle_clients,
    must,
    reset,
    room_for,
    send_until_stuck,
    settle,
)
from lab.harness.processes import NotMeasured
from lab.harness.servers import Endpoint, leave

IDLE = 1000
"""Clients that say nothing."""

IDLE_SHARE = 0.008
"""Of a core, that a server may use while nobody says anything."""

IDLE_BYTES = 12 * 1024
"""That an idle client may cost; in Python a thread takes some 20 KiB, a socket below 1."""

OFFERED, KEPT = 64, 16
"""MiB, to one that does not read the answers. The kernel's own buffers take some 20."""

CHURN = 300
"""Clients a round."""

LEAK = 1024
"""Bytes that each client may leave behind: a runtime with a garbage collector grows for long."""

PAGE = 4096
"""Bytes, the least by which memory can grow."""


@check("step4_nonblocking_polling")
def idle_cpu(server: Endpoint) -> str:
    """While nobody says anything, the server does nothing.

    It asks again and again instead of sleeping until there is something to do. With
    `select` and the like: wait for room to write only while something is unsent, and do not
    wait for data that you will not read now.
    """
    room_for(IDLE)
    with contextlib.ExitStack() as stack:
        idle = stack.enter_context(idle_clients(server, IDLE))
        if len(idle) == IDLE:  # one whose questions are not read, since it reads no answers
            stuck = stack.enter_context(greeted(server))
            send_until_stuck(stuck, b"^" + b"a" * (32 * MiB))
        settle(server)
        share = at_rest(server, IDLE_SHARE)
    return must(share < IDLE_SHARE, f"{share:.1%} of a core, idle clients: {len(idle):,}")


@check("step2_thread_per_client", alone=True)
def idle_memory(server: Endpoint) -> str:
    """A client that says nothing costs little memory.

    Each has a process, a stack or a large buffer of its own for as long as it is connected. One
    loop that waits for all of them needs only a small record for each.
    """
    room_for(IDLE)
    with fresh(server) as own, idle_clients(own, 100) as first:
        if len(first) < 100:
            raise NotMeasured(f"it serves only {len(first)} at a time")
        before = own.memory()
        with idle_clients(own, IDLE - 100) as idle:
            each = (own.memory() - before) / len(idle)
    return must(each < IDLE_BYTES, f"{each / 1024:.1f} KiB for each of {len(idle)} idle clients")


@check("step4_nonblocking_polling")
def never_reads(server: Endpoint) -> str:
    """What a client may have the server keep for it is bounded, though it never reads.

    Read no more from a client while you have something unsent for it. Then its own
    `send` stops when the kernel's buffers are full (backpressure), and not your memory.
    """
    offered = memoryview(b"^" + b"a" * (OFFERED * MiB))
    with greeted(server) as sock:
        before = server.memory() if server.ours else 0
        taken, grown = 0, 0.0
        for _ in range(4):  # one that copies much, each time, is slow, and keeps it all the same
            more = send_until_stuck(sock, offered[taken:], 0.3)
            taken += more
            grown = (server.memory() - before) / MiB if server.ours else 0
            if not more or grown >= KEPT:
                break
        hoards = grown >= KEPT or (more and grown > taken / MiB / 2)
        leave([sock], server.patience)
    seen = f"{taken / MiB:.0f} of {OFFERED} MiB were taken from one that reads nothing"
    if not server.ours:
        return must(taken < 0.75 * OFFERED * MiB, f"{seen}; its memory is not measured here")
    return must(not hoards, f"{seen}, and its memory grew by {grown:.1f} MiB")


@check("step5_select")
def churn(server: Endpoint) -> str:
    """Clients that come and go leave nothing behind: no descriptor, no process, no memory.

    Whatever you made for a client when it came, undo when it leaves, whichever way it
    leaves: the socket, its place in lists, tables and sets, its thread. Wait for (`waitpid`)
    or detach what you started for it. (If it is memory alone, and something collects garbage
    there, it may still be growing its heap: give it a small one, and look again.)
    """
    come_and_go(server)
    files, children = server.descriptors(), len(server.tree(zombies=True))
    memory = server.memory()
    growth: list[int] = []
    # Memory may well grow for some time; what is a leak grows every time.
    while len(growth) < 20 and min(growth, default=PAGE) >= PAGE:
        come_and_go(server)
        growth.append(server.memory() - memory)
        memory += growth[-1]
    count = len(growth) * CHURN
    files = max(0, server.descriptors() - files)
    children = max(0, len(server.tree(zombies=True)) - children)
    each = max(0, min(growth)) // CHURN
    seen = f"{count} clients left {files} descriptors, {children} processes, {each} bytes each"
    return must(files + children < count // 10 and each < LEAK, seen)


def come_and_go(server: Endpoint) -> None:
    """Have clients come, talk and leave, fifty at a time, some with a reset."""
    for _ in range(CHURN // 50):
        with clients(server, 50) as socks:
            for sock in socks:
                sock.sendall(b"^hello$")
            for i, sock in enumerate(socks):
                expect(sock, b"*ifmmp")
                if i % 3:
                    sock.close()  # so that one which serves them in turn comes to the next
                else:
                    reset(sock)
    settle(server)
