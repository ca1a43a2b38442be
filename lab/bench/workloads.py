"""The work that is measured. Each workload brings clients to a server, and yields how they talk."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from lab.bench.load import Talk, talkers
from lab.harness.clients import expect, greeted_clients, letters, owed
from lab.harness.servers import Server

BUSY = 50
"""Clients that talk beside the idle ones."""

KiB, MiB = 1 << 10, 1 << 20


def frame(size: int) -> tuple[bytes, bytes]:
    """Return a request of `size` bytes that is one frame, and its answer."""
    request = b"^" + letters(size - 2) + b"$"
    return request, owed(request)


@contextlib.contextmanager
def crowd(server: Server, count: int, size: int) -> Iterator[Talk]:
    """So many clients, all with requests of `size` bytes."""
    with greeted_clients(server, count) as socks, talkers(socks, *frame(size)) as talk:
        yield talk


def requests(server: Server, point: int) -> AbstractContextManager[Talk]:
    """Requests of 64 bytes, by so many clients at once."""
    return crowd(server, point, 64)


def frames(server: Server, point: int) -> AbstractContextManager[Talk]:
    """Frames of so many bytes, by eight clients at once."""
    return crowd(server, 8, point)


def kept(server: Server, point: int) -> AbstractContextManager[Talk]:
    """Frames of so many bytes, by eight clients at once; free memory is kept (glibc)."""
    return frames(server, point)


@contextlib.contextmanager
def idle(server: Server, point: int) -> Iterator[Talk]:
    """Requests of 64 bytes, by fifty clients beside so many that say nothing."""
    with greeted_clients(server, point), crowd(server, BUSY, 64) as talk:
        yield talk
        server.stop()  # first: ten thousand that leave at once can keep it busy for a minute


@contextlib.contextmanager
def churn(server: Server, point: int) -> Iterator[Talk]:
    """Clients that come, are answered once and leave, one after the other."""
    request, answer = frame(64)

    def talk(seconds: float) -> int:
        end, answers = time.perf_counter() + seconds, 0
        while time.perf_counter() < end or not answers:
            with server.connect() as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                expect(sock, b"*")
                sock.sendall(request)
                expect(sock, answer)
            answers += 1
        return answers

    yield talk


@dataclass(frozen=True)
class Workload:
    """What is measured, how many clients it takes at a point, what the server's environment has."""

    bring: Callable[[Server, int], AbstractContextManager[Talk]]
    clients: Callable[[int], int]
    environment: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its function."""
        return self.bring.__name__

    @property
    def title(self) -> str:
        """What that says of itself, without the full stop."""
        return str(self.bring.__doc__).partition("\n")[0].rstrip(".")


REQUESTS = Workload(requests, int)
FRAMES = Workload(frames, lambda _: 8)
KEPT = Workload(
    kept, lambda _: 8, ("MALLOC_TRIM_THRESHOLD_=10000000", "MALLOC_MMAP_THRESHOLD_=10000000")
)
IDLE = Workload(idle, lambda point: point + BUSY)
CHURN = Workload(churn, lambda _: 1)
WORKLOADS = {one.name: one for one in (REQUESTS, FRAMES, KEPT, IDLE, CHURN)}
