"""Steps of ours, with one thing done differently."""

import socket
import sys
import threading
import time
from typing import Any

from common import serving
from common.framing import Framing
from step2_thread_per_client import server as step2
from step6_epoll_kqueue import edge_triggered
from step7_event_loop_threadpool import server as step7
from step7_event_loop_threadpool import workers
from step7_event_loop_threadpool.eventloop import Loop

COMPUTING = 0.2
"""Seconds of CPU time that an answer takes `computes`; not for a packet of two bytes."""

BRIEFLY = 0.005
"""The same for `computes_briefly`, and those that do so in more than one loop."""

RECV_SIZE = 1024
"""Bytes that the edge-triggered ones ask of one `recv`."""


def slow(seconds: float) -> None:
    """Have each answer take so much computing."""
    feed = Framing.feed

    def slowly(self: Framing, data: bytes) -> bytes:
        end = time.thread_time() + seconds * (len(data) > 2)
        while time.thread_time() < end:
            pass
        return feed(self, data)

    Framing.feed = slowly  # type: ignore[method-assign]


def computes(port: int, seconds: float = COMPUTING) -> None:
    """Be step 2, where an answer takes much computing. That is no mistake, but it shows one."""
    slow(seconds)
    sys.argv[1:] = [str(port), "--quiet"]
    step2.main()


def computes_briefly(port: int) -> None:
    """Be the same, where it takes less."""
    computes(port, BRIEFLY)


def in_processes(port: int, count: int) -> None:
    """Be so many workers of step 7, where an answer takes some computing."""
    slow(BRIEFLY)
    share = "reuseport" if sys.platform == "linux" else "inherit"  # where that is the more even
    sys.argv[1:] = [str(port), "--quiet", "--workers", str(count), "--share", share]
    workers.main()


def in_threads(port: int, count: int) -> None:
    """Be so many loops of step 7 in one process, each in a thread of its own."""

    def serve(listener: socket.socket) -> None:
        for _ in range(count - 1):
            threading.Thread(target=step7.serve, args=(listener, Loop()), daemon=True).start()
        step7.serve(listener, Loop())

    slow(BRIEFLY)
    serving.run(serving.arguments("").parse_args([str(port), "--quiet"]), serve)


class OwnQueues(workers.Crew):
    """Workers each of which alone has its queue: with it that dies."""

    where: tuple[int, int, Any]

    def start(self, place: int) -> None:
        """Start a worker, and keep nothing of what it listens on."""
        listener = self.listeners[place]
        if listener.fileno() < 0:
            listener = serving.listen_on(*self.where, reuseport=True)
        self.where = (listener.family, listener.type, listener.getsockname())
        self.listeners[place] = listener
        super().start(place)
        listener.close()


def own_queues(port: int) -> None:
    """Be two of those."""
    workers.Crew = OwnQueues  # type: ignore[misc]
    sys.argv[1:] = [str(port), "--quiet", "--workers", "2", "--share", "reuseport"]
    workers.main()


def until_eagain(port: int) -> None:
    """Be step 6, edge-triggered, as it is but for the short `recv`."""
    serving.RECV_SIZE = RECV_SIZE
    sys.argv[1:] = [str(port), "--quiet"]
    edge_triggered.main()


def once_per_edge(port: int) -> None:
    """Be the same, but forget who has not said EAGAIN yet."""
    wait = edge_triggered.Poller.wait

    def forgetful(self: edge_triggered.Poller, timeout: float | None) -> list[edge_triggered.Key]:
        self.ready.clear()
        return wait(self, timeout)

    edge_triggered.Poller.wait = forgetful  # type: ignore[method-assign]
    until_eagain(port)
