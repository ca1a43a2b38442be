"""The fourth rung: nobody waits without need."""

import errno
import select
import socket
import statistics
import sys
import threading
import time

from lab.check.suite import check
from lab.harness.clients import Failed, exactly, greeted, must, those_ready
from lab.harness.servers import Endpoint, leave

# How many may connect at once. Beyond Linux a backlog holds but 128, however long
# it was asked to be, and a server that serves one client at a time fills it.
BURST = 300 if sys.platform == "linux" else 100

ONCE = (
    "It accepts one client for each notice. Edge-triggered notification tells once, however many"
    " have come: go on accepting until EAGAIN."
)

SLOWER = 40
"""How many times as long as a bare echo an answer may take: a server in Python takes some 5
times as long, one that waits for a delayed ACK or looks only now and then 250 and more."""


@check("step4_nonblocking_polling")
def latency(server: Endpoint) -> str:
    """An answer comes at once, compared with a bare echo.

    About 40 ms is Nagle's algorithm: it keeps the second small `send` back until the
    first is acknowledged, so set TCP_NODELAY and send an answer in one piece. Otherwise you
    sleep somewhere for a fixed time: have the kernel wake you instead (`select`).
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        echo = threading.Thread(target=echo_once, args=(listener,))
        echo.start()
        with socket.create_connection(listener.getsockname()) as sock:
            bare = min(answer_times(sock))
        echo.join()
    with greeted(server) as sock:
        sock.sendall(b"^")
        taken = answer_time(sock)
    seen = f"{taken * 1000:.2f} ms, a bare echo {bare * 1000:.2f} ms: {taken / bare:.1f} times"
    return must(taken < SLOWER * bare, seen)


def echo_once(listener: socket.socket) -> None:
    """Echo what one client says until it leaves."""
    sock, _ = listener.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        while data := sock.recv(4096):
            sock.sendall(data)


def answer_time(sock: socket.socket) -> float:
    """Return the median of those times."""
    return statistics.median(answer_times(sock))


def answer_times(sock: socket.socket) -> list[float]:
    """Return the times in seconds from a few bytes to their answer, each time.

    The client thinks a little before each question, so that the server has gone to sleep.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken = []
    for _ in range(15):
        time.sleep(0.002)
        start = time.perf_counter()
        sock.sendall(b"ab")
        must(len(exactly(sock, 2)) == 2, "a question is not answered")
        taken.append(time.perf_counter() - start)
    return taken


@check("step1_sequential")
def burst(server: Endpoint) -> str:
    """Of a burst of clients all get into the backlog at once, and each is greeted.

    A client that finds the backlog full tries again after a second. Give `listen` a
    larger number: 1024, say (Linux cuts it to net.core.somaxconn).
    """
    socks = [server.unconnected() for _ in range(BURST)]
    try:
        start = time.monotonic()
        for sock in socks:
            sock.setblocking(False)
            code = sock.connect_ex((server.host, server.port))
            if code not in (0, errno.EINPROGRESS):
                raise Failed(errno.errorcode[code])
        waiting = set(socks)
        while waiting and time.monotonic() - start < 0.9:
            waiting.difference_update(those_ready(waiting, 0.1, select.POLLOUT))
        taken = time.monotonic() - start
        must(not waiting, f"{len(waiting)} of {BURST} clients were left out for a second or more")
        waiting = set(socks)
        while waiting:
            ready = those_ready(waiting, server.patience)
            if not ready:
                raise not_greeted(server, waiting)
            waiting.difference_update(ready)
            for sock in ready:
                must(sock.recv(1) == b"*", "one of them is not greeted")
                sock.shutdown(socket.SHUT_WR)  # so that one which serves in turn comes to the next
    finally:
        leave(socks)
    return f"{BURST} clients in {taken:.2f} s, and all of them were greeted"


def not_greeted(server: Endpoint, waiting: set[socket.socket]) -> Failed:
    """Say why these are not: where one more client brings the `*` to another, it is the edge."""
    seen = f"{len(waiting)} of {BURST} clients were not greeted"
    with server.connect():
        if those_ready(waiting, server.patience / 4):
            return Failed(f"{seen}, one more of them when another came", ONCE)
    return Failed(seen, "Whoever is in the backlog is to be accepted, though nobody else comes.")
