"""The second rung: clients leave as they like, and nobody else is harmed."""

from lab.check.suite import check
from lab.harness.clients import (
    SPINS,
    MiB,
    ask,
    at_rest,
    expect,
    greeted,
    must,
    reset,
    send_until_stuck,
    serves,
    settle,
    those_ready,
)
from lab.harness.servers import Endpoint

TIMES = 20


@check("step1_sequential", survives="health checks")
def connect_and_close(server: Endpoint) -> str:
    """Health checks, which connect and close and say nothing, harm nobody.

    The first `recv` may return nothing at all, or fail, where the `*` was left unread. That
    is the end of this client, not of the server.
    """
    for unread in (False, True):
        for _ in range(TIMES // 2):
            with server.connect() as sock:
                must(bool(those_ready([sock], server.patience)), "one is not greeted")
                if not unread:
                    expect(sock, b"*")
                sock.close()  # with the `*` unread it is a reset
            with greeted(server) as other:
                other.close()
    settle(server)  # it has noticed
    serves(server)
    return f"{TIMES} times, half of them with the `*` unread; then a client was served"


@check("step1_sequential", survives="resets")
def resets(server: Endpoint) -> str:
    """Clients that reset, with much unread or nothing said, harm nobody.

    After a reset `recv` and `send` fail (ECONNRESET, EPIPE; where you have no handler,
    writing even ends you by SIGPIPE). Take it as the end of this client and close.
    """
    with greeted(server) as bystander:
        for said in (b"", b"^abc", b"^abc$" * 1000, b"^" + b"a" * (8 * MiB)):
            with server.connect() as sock:
                send_until_stuck(sock, said)
                reset(sock)
        with server.paused():  # they have gone by the time that it accepts them
            for sock in [server.connect() for _ in range(3)]:
                reset(sock)
        ask(bystander, b"^still there$", b"tujmm!uifsf")
    for said in (b"", b"^abc", b"^" + b"a" * (32 * MiB)):
        with greeted(server) as sock:
            send_until_stuck(sock, said)
            reset(sock)
    settle(server)  # it has noticed
    serves(server)
    used = at_rest(server, SPINS) if server.ours else 0
    must(used < SPINS, f"it uses {used:.0%} of a core after the resets, with nobody there")
    return "10 resets, up to 32 MiB unread; a client beside them was served, and one after"


@check("step4_nonblocking_polling")
def vanished(server: Endpoint) -> str:
    """A client that leaves in the middle of a frame leaves nothing behind for the next.

    The state of a client belongs to the client. Kept in a global variable, or under the
    number of its descriptor, it is found by the next one that gets that number.
    """
    for _ in range(TIMES):
        with greeted(server) as sock:
            ask(sock, b"^ab", b"bc")
            sock.close()
        with greeted(server) as sock:
            ask(sock, b"xy^a$", b"b")
            sock.close()  # all is read: there is nothing to wait for
    return f"{TIMES} times"
