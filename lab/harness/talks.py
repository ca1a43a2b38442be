"""Conversations of the real client, and when each of them was where."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import simple_client
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

    Raises AssertionError if an answer was not as it should be.
    """
    found = [Talk(f"conn{number}") for number in range(count)]
    start = time.monotonic()

    def note(conversation: Conversation) -> None:
        talk = found[int(conversation.name.removeprefix("conn"))]
        if conversation.state == TALKING:
            talk.greeted = time.monotonic() - start
        elif conversation.state == DONE:
            talk.done = time.monotonic() - start

    done = asyncio.run(simple_client.run(server.host, server.port, count, pace, note))
    assert not simple_client.problems(done), simple_client.problems(done)
    return sorted(found, key=lambda talk: talk.greeted)


def elapsed(server: Endpoint, count: int, pace: float) -> float:
    """Return the seconds that so many conversations at once take."""
    return max(talk.done for talk in talks(server, count, pace))


def at_once(calls: list[Callable[[], T]]) -> list[T]:
    """Make all these calls at the same time, each in a thread of its own; return the results."""
    results: dict[int, T] = {}

    def make(number: int) -> None:
        results[number] = calls[number]()

    threads = [threading.Thread(target=make, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[number] for number in range(len(calls))]


def script(pace: float) -> float:
    """Return the seconds of a conversation that are the client's own pauses."""
    return sum(pause for _, pause in simple_client.SCRIPT) * pace
