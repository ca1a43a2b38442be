"""Conversations of the real client, and when each of them was where."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import simple_client
from lab.harness.clients import Failed
from lab.harness.servers import Endpoint
from simple_client import DONE, TALKING, Conversation

T = TypeVar("T")


@dataclass
class Talk:
    """A conversation, and when it was greeted and over, in seconds from the start of all."""

    name: str
    greeted: float = 0.0
    done: float = 0.0


def talks(server: Endpoint, count: int, pace: float) -> list[Talk]:
    """Hold so many conversations at once; return them in the order in which they were greeted.

    Raises Failed if an answer was not as it should be.
    """
    found = {f"conn{i}": Talk(f"conn{i}") for i in range(count)}
    start = time.perf_counter()

    def note(conversation: Conversation) -> None:
        talk, now = found[conversation.name], time.perf_counter() - start
        if conversation.state == TALKING:
            talk.greeted = now
        elif conversation.state == DONE:
            talk.done = now

    done = asyncio.run(simple_client.run(server.host, server.port, count, pace, note))
    if problems := simple_client.problems(done):
        raise Failed(problems[0])
    return sorted(found.values(), key=lambda talk: talk.greeted)


def elapsed(server: Endpoint, count: int, pace: float) -> float:
    """Return the seconds that so many conversations at once take."""
    return max(talk.done for talk in talks(server, count, pace))


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all these calls at the same time, each in a thread of its own; return the results."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [called.result() for called in [pool.submit(call) for call in calls]]
