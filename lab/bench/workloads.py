"""The work that is measured. Each workload brings clients to a server, and yields how they talk."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from lab.bench.load import Talk, talkers
from lab.harness.clients import ask, greeted, greeted_clients, letters, owed
from lab.harness.servers import Server

BUSY = 50
"""Clients that talk beside the idle ones."""

KiB, MiB = 1 << 10, 1 << 20


def frame(size: int) -> tuple[bytes, bytes]:
    """Return a request of `size` bytes that is one frame, and its answer."""
    request = b"^" + letters(size - 2) + b"$"
    return request, owed(request)


@contextlib.contextmanager
def crowd(server: Server, count: int, size: int, idle: int = 0) -> Iterator[Talk]:
    """So many clients, all with requests of `size` bytes, beside `idle` ones that say nothing."""
    silent = greeted_clients(server, idle)
    with silent, greeted_clients(server, count) as socks, talkers(socks, *frame(size)) as talk:
        yield talk


def requests(server: Server, count: int, idle: int = 0) -> AbstractContextManager[Talk]:
    """So many clients, with requests of 64 bytes, beside `idle` ones that say nothing."""
    return crowd(server, count, 64, idle)


def visits(server: Server, seconds: float) -> int:
    """Have clients come, be answered once and leave, one after the other; return how many."""
    end, answers = time.perf_counter() + seconds, 0
    request, answer = frame(64)
    while time.perf_counter() < end or not answers:
        with greeted(server) as sock:
            ask(sock, request, answer)
        answers += 1
    return answers


@dataclass(frozen=True)
class Workload:
    """What is measured, at a `point`: how many clients, or how large a frame.

    `bring` has the clients come, of whom there are `clients`; `environment` is the server's.
    """

    name: str
    title: str
    bring: Callable[[Server, int], AbstractContextManager[Talk]]
    clients: Callable[[int], int] = int
    environment: tuple[str, ...] = ()


REQUESTS = Workload("requests", "Requests of 64 bytes, by so many clients at once", requests)
FRAMES = Workload(
    "frames",
    "Frames of so many bytes, by eight clients at once",
    lambda server, point: crowd(server, 8, point),
    lambda _: 8,
)
KEPT = replace(
    FRAMES,
    name="kept",
    title=f"{FRAMES.title}; free memory is kept (glibc)",
    environment=("MALLOC_TRIM_THRESHOLD_=10000000", "MALLOC_MMAP_THRESHOLD_=10000000"),
)
IDLE = Workload(
    "idle",
    "Requests of 64 bytes, by fifty clients beside so many that say nothing",
    lambda server, point: requests(server, BUSY, point),
    lambda point: point + BUSY,
)
CHURN = Workload(
    "churn",
    "Clients that come, are answered once and leave, one after the other",
    lambda server, _: contextlib.nullcontext(partial(visits, server)),
    lambda _: 1,
)
WORKLOADS = {one.name: one for one in (REQUESTS, FRAMES, KEPT, IDLE, CHURN)}
