"""What single clients cost, and when they are answered: for the claims about that."""

import random
import socket
import statistics
import time
from collections.abc import Callable

from lab.bench.contestants import Contestant
from lab.bench.workloads import BUSY, frame, requests
from lab.harness.clients import ask, busy, greeted, greeted_clients
from lab.harness.servers import Server


def memory(
    contestant: Contestant, count: int, of: Callable[[Server], int] = Server.memory
) -> float:
    """Return how many bytes (`of` the server's own memory) each of so many silent clients takes."""
    with contestant.start() as server, greeted(server):
        empty = of(server)
        with greeted_clients(server, count):
            found = (of(server) - empty) / count
            server.stop()  # first: ten thousand that leave at once can keep it busy for a minute
    return found


def request(
    contestant: Contestant,
    idle: int,
    talking: int = BUSY,
    seconds: float = 0.5,
    of: Callable[[Server], float] = lambda server: server.cpu_seconds() * 1e6,
) -> float:
    """Return how much (`of`: microseconds of CPU time) a request takes beside `idle` clients."""
    with contestant.start() as server, requests(server, talking, idle) as talk:
        talk(0.1)
        before = of(server)
        answers = talk(seconds)
        used = of(server) - before
        server.stop()
    return used / answers


def idle_share(server: Server, seconds: float) -> float:
    """Run a server, and return the share of a core that it uses while its one client is silent."""
    with server, greeted(server):
        time.sleep(0.05)  # it has come to its next call
        return busy(server, seconds)


def asked(sock: socket.socket, question: bytes, answer: bytes) -> float:
    """Send a question, and return the seconds until it is answered so."""
    start = time.perf_counter()
    ask(sock, question, answer)
    return time.perf_counter() - start


def waits(sock: socket.socket, question: bytes, answer: bytes, most: float) -> list[float]:
    """Ask now and then, and return the seconds until each answer.

    The client thinks for a random time before each question, `most` seconds at most, so as not to
    fall into step with the server.
    """
    dice, found = random.Random(1), []
    for _ in range(20):
        time.sleep(dice.uniform(0.001, max(0.002, most)))
        found.append(asked(sock, question, answer))
    return found


def interval(contestant: Contestant, most: float, seconds: float) -> tuple[float, float]:
    """Return the median latency (ms) of a server, and the share of a core (%) it uses in silence.

    A hundred clients are silent, and one asks now and then.
    """
    with contestant.start() as server, greeted_clients(server, 101) as (sock, *_):
        share = busy(server, seconds)
        median = statistics.median(waits(sock, *frame(64), most))
    return median * 1e3, share * 100
