"""Conversations of the real client, and when each of them was where."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import simple_client
from lab.harness import deadline
from lab.harness.clients import Failed
from lab.harness.deadline import OutOfTime
from lab.harness.servers import Endpoint
from simple_client import DONE, TALKING, WAITING, Conversation

T = TypeVar("T")


class Talk(NamedTuple):
    """A conversation, and when it was greeted and over, in seconds from the start of all."""

    name: str
    greeted: float
    done: float


def talks(server: Endpoint, count: int, pace: float) -> list[Talk]:
    """Hold so many conversations at once; return them in the order in which they were greeted.

    Raises Failed if an answer was not as it should be.
    """
    times: dict[tuple[str, str], float] = {}
    start = time.perf_counter()

    def note(conversation: Conversation) -> None:
        times[conversation.name, conversation.state] = now = time.perf_counter() - start
        if conversation.state == WAITING:
            deadline.connected(now)

    async def all_of_them() -> list[Conversation]:
        async with asyncio.timeout(deadline.left()):
            return await simple_client.run(server.host, server.port, count, pace, note)

    try:
        done = asyncio.run(all_of_them())
    except TimeoutError:
        over = sum(state == DONE for _, state in times)
        raise OutOfTime(f"{over} of {count} conversations were over") from None
    if problems := simple_client.problems(done):
        raise Failed(problems[0])
    names = (f"conn{i}" for i in range(count))
    found = [Talk(name, times[name, TALKING], times[name, DONE]) for name in names]
    return sorted(found, key=lambda talk: talk.greeted)


def elapsed(server: Endpoint, count: int, pace: float) -> float:
    """Return the seconds that so many conversations at once take."""
    return max(talk.done for talk in talks(server, count, pace))


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all these calls at the same time, each in a thread of its own; return the results."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))
