"""The sixth rung: many clients, high descriptors, and none left."""

import socket

from lab.check.prompt import answer_time
from lab.check.suite import check, fresh
from lab.harness import processes
from lab.harness.clients import (
    SPINS,
    ask,
    busy,
    clients,
    ended,
    greeted,
    idle_clients,
    must,
    room_for,
    serves,
    those_ready,
)
from lab.harness.processes import NotMeasured
from lab.harness.servers import Endpoint

MANY = 1000
"""Clients that say nothing."""

LOOK = 1.5
"""Seconds to look at it meanwhile: longer than the pauses that some make, a second in asyncio."""

FLOOD = 32
"""KiB of log in a second that are too many."""

TAKEN = 1100
"""Descriptors that are open when a server starts, where higher ones are wanted."""

LIMIT = 64
"""Descriptors that a server may have where it is to run out of them."""


@check("step6_epoll_kqueue", share=4)
def thousand_idle(server: Endpoint) -> str:
    """Beside a thousand idle clients, one that talks is answered.

    Either it serves them one at a time (see `silence`), or somewhere there is a smaller limit: on
    threads, on descriptors, or in a table.
    """
    room_for(MANY)
    with idle_clients(server, MANY, 6 * server.patience) as idle:
        return answered(server, len(idle), MANY)


@check("step6_epoll_kqueue", alone=True, asked_for=True)
def ten_thousand_idle(server: Endpoint) -> str:
    """Beside ten thousand idle clients, one that talks is answered.

    A process may have 1024 descriptors, or 256, until it asks for more (`setrlimit`, or
    `ulimit -n`); and asking or sweeping all clients each time takes too long for so many.
    """
    room_for(10_000)
    with fresh(server) as own, idle_clients(own, 10_000, 6 * own.patience) as idle:
        seen = answered(own, len(idle), 10_000)
        own.stop()  # first, since so many that leave at once keep threads busy for a minute
    return seen


def answered(server: Endpoint, idle: int, count: int) -> str:
    """Check that one client is answered beside `count` idle ones, if so many are there."""
    must(idle == count, f"only {idle:,} of {count:,} clients were greeted, and kept")
    with greeted(server) as sock:
        sock.sendall(b"^")
        taken = answer_time(sock)
    return f"answered in {taken * 1000:.2f} ms beside {count:,} idle clients"


HIGH = (
    "`select` takes none of FD_SETSIZE (1024) or above: it is the number that counts, and not how"
    " many there are. In C it writes beside the set, without a word, or is aborted. `poll`, `epoll`"
    " and `kqueue` have no such limit."
)


@check("step5_select", alone=True)
def high_listener(server: Endpoint) -> str:
    """It serves though its listening socket has a number above 1023.

    `select` takes none of FD_SETSIZE (1024) or above. If there has to be a `select`, then
    listen before you open anything else.
    """
    room_for(TAKEN)
    with fresh(server, taken=TAKEN, advice=HIGH) as own:
        serves(own)
    return f"served by a server that had {TAKEN:,} files open when it started"


@check("step5_select", alone=True)
def high_descriptor(server: Endpoint) -> str:
    """A client is served though its descriptor has a number above 1023.

    `select` takes none of FD_SETSIZE (1024) or above, and you send such a client away. `poll`,
    `epoll` and `kqueue` have no such limit.
    """
    room_for(TAKEN)
    with fresh(server) as own:
        serves(own)
        below = highest(own) + 1  # for all that it opens before a client comes
    with fresh(server, taken=TAKEN, free=below, advice=HIGH) as own, clients(own, 8) as socks:
        found = 0
        for sock in socks:
            ask(sock, b"^a$", b"*b")
            found = max(found, highest(own))
            sock.shutdown(socket.SHUT_WR)  # so that one which serves in turn comes to the next
    if found < TAKEN:
        raise NotMeasured(f"its clients have no descriptor above {found:,} even so")
    return f"served with a descriptor of {found:,} or so, the listening socket below {below}"


def highest(server: Endpoint) -> int:
    """Return the highest descriptor that it, or a process that it has started, has open."""
    return max(max(processes.descriptors(pid), default=0) for pid in server.tree())


@check("step4_nonblocking_polling", alone=True, survives="running out of descriptors")
def no_descriptors(server: Endpoint) -> str:
    """Out of descriptors it does not spin, serves those it has, and later all others.

    When `accept` fails with EMFILE the client is still in the backlog, and the listening
    socket still ready. Stop waiting for it for a moment, then try again; close nobody.
    """
    with fresh(server, limit=LIMIT) as own, clients(own, LIMIT + 16) as socks:
        waiting = set(socks)
        served: list[socket.socket] = []
        while ready := those_ready(waiting, 0.3 if served else own.patience):
            served += greetings(ready)
            waiting.difference_update(ready)
        must(bool(served), "nobody is served")
        first, before = len(served), len(own.log())
        share = busy(own, LOOK)
        must(not any(map(ended, served)), "a client was sent away")
        must(share < SPINS, f"it uses {share:.0%} of a core while it has no descriptors")
        logged = (len(own.log()) - before) / LOOK / 1024
        must(logged < FLOOD, f"it logs {logged:,.0f} KiB a second while it has no descriptors")
        ask(served[0], b"^a$", b"b")
        served.pop().close()  # that makes room for one; the others leave when it has come
        while waiting:
            ready = those_ready(waiting, own.patience)
            must(bool(ready), f"{len(waiting)} clients were not served when there was room")
            waiting.difference_update(ready)
            for sock in served + greetings(ready):
                sock.close()
            served = []
    return f"{first} of {len(socks)} clients at first, all in the end; {share:.1%} of a core"


def greetings(socks: list[socket.socket]) -> list[socket.socket]:
    """Receive a `*` from each."""
    for sock in socks:
        must(sock.recv(1) == b"*", "a client was sent away")
    return socks
