"""The load: clients that ask, wait for the answer, compare it, and ask again at once.

All are in this process and on one thread, and each has one request under way at a time.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial

from lab.harness.clients import Failed, shown

PIECE = 256 * 1024
"""Bytes to ask of one `recv`."""

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Talk = Callable[[float], int]
"""Has clients talk for so many seconds, and returns how many answers came; Failed if one is wrong.
"""


class Talker:
    """A client that has had its `*`, and sends `request` again and again."""

    def __init__(self, sock: socket.socket, request: bytes, answer: bytes) -> None:
        self.sock = sock
        self.request = request
        self.answer = answer
        self.sent = self.received = 0

    def send(self) -> bool:
        """Send what the kernel takes of a request; return whether some is still to be sent."""
        unsent = memoryview(self.request)[self.sent :] if self.sent else self.request
        with contextlib.suppress(BlockingIOError):
            self.sent += self.sock.send(unsent)
        return self.sent < len(self.request)

    def hear(self) -> bool:
        """Receive and compare; return whether the answer is complete. Failed if it is wrong."""
        data = self.sock.recv(PIECE)
        begin, self.received = self.received, self.received + len(data)
        if not data or data != self.answer[begin : self.received]:
            raise Failed(f"answered {shown(data)} after {begin} bytes of an answer")
        if self.received < len(self.answer):
            return False
        self.sent = self.received = 0  # for the next request
        return True


@contextlib.contextmanager
def talkers(socks: list[socket.socket], request: bytes, answer: bytes) -> Iterator[Talk]:
    """Have such clients on these sockets, and yield how they talk."""
    with selectors.DefaultSelector() as selector:
        patience = socks[0].gettimeout()
        for sock in socks:
            sock.setblocking(False)
            selector.register(sock, READ, Talker(sock, request, answer))
        yield partial(talk, selector, patience)


def talk(selector: selectors.BaseSelector, patience: float | None, seconds: float) -> int:
    """Have all ask for so long, and hear their last answers; return how many came in all."""
    end, answers = time.perf_counter() + seconds, 0
    keys = list(selector.get_map().values())
    for key in keys:
        watch(selector, key, key.data.send())
    asking = len(keys)
    while asking:
        ready = selector.select(patience)
        if not ready:
            raise Failed(f"said nothing for {patience:g} s")
        for key, events in ready:
            talker: Talker = key.data
            unsent = key.events != READ
            if events & WRITE:
                unsent = talker.send()
            if events & READ and talker.hear():
                answers += 1
                over = time.perf_counter() >= end
                unsent = not over and talker.send()
                asking -= over
            watch(selector, key, unsent)
    return answers


def watch(selector: selectors.BaseSelector, key: selectors.SelectorKey, unsent: bool) -> None:
    """Wait for room as well, or no more, if that changes."""
    if unsent != (key.events != READ):
        selector.modify(key.fileobj, READ | WRITE if unsent else READ, key.data)
