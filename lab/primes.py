"""`python -m lab primes`: one long computation, and what everybody else notices of it.

`prime_server.py` is asked whether a large prime is one, which takes it some seconds. While
it works on that, another client asks about 7, again and again. The latency of those
answers is what is printed, for each place the work can be done in.
"""

import argparse
import math
import platform
import socket
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date

from common import serving
from lab.harness import servers
from step7_event_loop_threadpool.prime_server import is_prime

SERVER = servers.ROOT / "step7_event_loop_threadpool" / "prime_server.py"
PLACES = ("inline", "threads", "processes")
PAUSE = 0.005
"""Seconds that the other client thinks before each question."""


def prime_that_takes(seconds: float) -> int:
    """Return a prime whose test takes about so long on this machine."""
    sample = 1_000_000_000_039  # a prime: its test takes a million divisions
    start = time.perf_counter()
    assert is_prime(sample)
    each = (time.perf_counter() - start) / math.isqrt(sample)
    number = int(seconds / each) ** 2 | 1
    while not _is_prime(number):
        number += 2
    return number


def _is_prime(number: int) -> bool:
    """Return the same as `is_prime`, soon (Miller-Rabin; exact for these bases below 3e24)."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
    if any(number % base == 0 for base in bases):
        return number in bases
    twos = ((number - 1) & -(number - 1)).bit_length() - 1
    for base in bases:
        x = pow(base, (number - 1) >> twos, number)
        if x != 1 and all(pow(x, 1 << i, number) != number - 1 for i in range(twos)):
            return False
    return True


def latencies(place: str, number: int) -> tuple[float, list[float]]:
    """Have the server test `number`; return how long it took, and everybody else's latencies.

    All in seconds. The server does the work in `place`.
    """
    command = [sys.executable, str(SERVER), "0", "--quiet", "--work", place]
    with (
        servers.Server(command) as server,
        server.connect(60) as worker,
        server.connect(60) as other,
    ):
        for sock in (worker, other):
            ask(sock, 7)  # with processes the first question starts them
            assert answer(sock) == b"prime\n"
        start = time.perf_counter()
        ask(worker, number)
        worker.setblocking(False)
        found: list[float] = []
        while not (done := try_to(worker.recv, 100)):
            time.sleep(PAUSE)
            asked = time.perf_counter()
            ask(other, 7)
            assert answer(other) == b"prime\n"
            found.append(time.perf_counter() - asked)
        assert done == b"prime\n", done
        return time.perf_counter() - start, found


def ask(sock: socket.socket, number: int) -> None:
    """Ask about a number."""
    sock.sendall(b"%d\n" % number)


def answer(sock: socket.socket) -> bytes:
    """Receive an answer: a line."""
    line = b""
    while not line.endswith(b"\n") and (data := sock.recv(100)):
        line += data
    return line


def try_to(call: Callable[[int], bytes], size: int) -> bytes | None:
    """Return what the call returns, or None if it has nothing yet."""
    try:
        return call(size)
    except BlockingIOError:
        return None


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    number = prime_that_takes(args.seconds)
    print(f"{number} is tested for about {args.seconds} s; meanwhile another client asks about 7")
    print(f"{'':12}{'the job':>10}{'answers':>10}{'p50':>12}{'p99':>12}{'longest':>12}")
    for place in PLACES:
        took, found = latencies(place, number)
        low, high = statistics.median(found), sorted(found)[int(len(found) * 0.99)]
        cells = "".join(f"{each * 1e3:9.1f} ms" for each in (low, high, max(found)))
        print(f"{place:12}{took:8.1f} s{len(found):10}{cells}", flush=True)
    switch = sys.getswitchinterval() * 1e3
    print(
        f"{date.today()}, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}, switch interval {switch:.0f} ms"
    )
    return 0


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command's arguments."""
    parser = commands.add_parser(
        "primes", help="one long computation, and who notices", description=__doc__
    )
    parser.add_argument("--seconds", type=serving.seconds, default=3.0, help="of the job (3.0)")
    parser.set_defaults(run=run)
