"""For how long anybody waits: each wait of the harness asks here, and a check has a deadline."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class OutOfTime(Exception):  # noqa: N818, nothing is wrong with us
    """There is no time left; the message says how far it came until then."""


@dataclass
class Attempt:
    """What is under way: when it `ends`, and how many connections came `late`, or not at all.

    One that takes a second on loopback found the backlog full, and was tried again.
    """

    ends: float = math.inf
    late: int = 0


_attempt: ContextVar[Attempt] = ContextVar("attempt", default=Attempt())  # noqa: B039, for ever

RETRIED = 0.9
"""Seconds, just below those until TCP sends a SYN again."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[Attempt]:
    """Let the waits in this block (of this thread) end after so many seconds in all."""
    token = _attempt.set(Attempt(min(_attempt.get().ends, time.monotonic() + seconds)))
    try:
        yield _attempt.get()
    finally:
        _attempt.reset(token)


def left(most: float = math.inf) -> float:
    """Return for how many seconds one may wait, `most` at most; OutOfTime if there are none."""
    seconds = _attempt.get().ends - time.monotonic()
    if seconds <= 0:
        raise OutOfTime
    return min(most, seconds)


def over() -> bool:
    """Return whether there is no time left."""
    return time.monotonic() >= _attempt.get().ends


def soon(found: Callable[[], T], seconds: float = 10.0) -> T:
    """Return what this returns, as soon as that is true, or else after so many seconds."""
    ends = time.monotonic() + seconds
    while not (what := found()) and time.monotonic() < ends:
        time.sleep(left(0.01))
    return what


def connected(seconds: float) -> None:
    """Note that a connection was made, or not made, in so many seconds."""
    _attempt.get().late += seconds > RETRIED
