"""Steps of ours, with one thing done differently."""

import sys
import time

from common import serving
from common.framing import Framing
from step2_thread_per_client import server as step2
from step6_epoll_kqueue import edge_triggered

COMPUTING = 0.2
"""Seconds of CPU time that an answer takes `computes`; not for a packet of two bytes."""

RECV_SIZE = 1024
"""Bytes that the edge-triggered ones ask of one `recv`."""


def computes(port: int) -> None:
    """Be step 2, where an answer takes much computing. That is no mistake, but it shows one."""
    feed = Framing.feed

    def slowly(self: Framing, data: bytes) -> bytes:
        end = time.thread_time() + COMPUTING * (len(data) > 2)
        while time.thread_time() < end:
            pass
        return feed(self, data)

    Framing.feed = slowly  # type: ignore[method-assign]
    sys.argv[1:] = [str(port), "--quiet"]
    step2.main()


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
