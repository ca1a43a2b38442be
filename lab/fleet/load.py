"""Clients who talk without end, and what became of each of their conversations.

A client whose conversation was not whole begins it again, after a pause, until it is.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from lab.fleet.balancer import Fleet
from lab.fleet.herd import Pause
from lab.harness.clients import must, owed
from lab.harness.deadline import soon

ENDS = "whole", "cut", "silent", "turned away", "refused", "wrong"
"""How a conversation ends: well; closed in the middle; without an answer in time; closed, or left
alone, before the `*`; no connection at all; with a wrong answer."""

PATIENCE, TRIES = 2.0, 1000
"""For how many seconds a client waits, and how often it tries before it gives up."""

WHOLE, CUT, SILENT, AWAY, REFUSED, WRONG = ENDS

FRAME = b"^abc$"


@dataclass
class Talk:
    """A conversation: of whom, when it began, when each answer came, when and how it ended."""

    client: int
    began: float
    asked: int = 0
    answers: list[float] = field(default_factory=list)
    ended: float = 0.0
    how: str = AWAY


@dataclass
class Load:
    """So many clients, in a thread, until the end of the block; who is not served then insists.

    A conversation has `length` requests, `thinks` seconds apart on average: no two keep step. A
    client waits for `patience` seconds for anything, and after a failure it pauses. `talks` has
    all, in the order in which they began.
    """

    fleet: Fleet
    count: int
    length: int = 25
    patience: float = PATIENCE
    thinks: float = 0.02
    pause: Pause = lambda *_: 0.05
    insist: bool = True

    def __post_init__(self) -> None:
        self.talks: list[Talk] = []
        self._over = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.insist &= kind is None  # or there may be nobody to be served by
        self._over = True
        self._thread.join()

    def until_talking(self) -> None:
        """Wait until every client has had some answers; Failed if that is never so."""

        def heard() -> int:
            return len({one.client for one in self.talks if one.answers})

        soon(lambda: heard() == self.count, 20)
        must(heard() == self.count, f"of {self.count} clients {heard()} are answered")

    def _run(self) -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*map(self._client, range(self.count)))

        with self.fleet.clients.inside():
            asyncio.run(all_of_them())

    async def _client(self, number: int) -> None:
        dice, failures = random.Random(number), 0
        await asyncio.sleep(dice.uniform(0, 25 * self.thinks))
        while not self._over or (self.insist and 0 < failures < TRIES):
            talk = Talk(number, time.monotonic())
            self.talks.append(talk)
            await self._talk(talk, dice)
            talk.ended = time.monotonic()
            failures = 0 if talk.how == WHOLE else failures + 1
            if failures:
                await asyncio.sleep(self.pause(failures, dice))

    async def _talk(self, talk: Talk, dice: random.Random) -> None:
        """Hold a conversation, and note how it ends."""
        door = self.fleet.balancer
        connecting = asyncio.open_connection(door.host, door.port)
        try:
            reader, writer = await asyncio.wait_for(connecting, self.patience)
            with contextlib.closing(writer):
                await asyncio.wait_for(reader.readexactly(1), self.patience)
                while len(talk.answers) < self.length:
                    if self._over and (talk.answers or not self.insist):
                        break  # who insists wants one answer
                    writer.write(FRAME)
                    talk.asked += 1
                    answer = await asyncio.wait_for(reader.readexactly(3), self.patience)
                    if answer != owed(FRAME):
                        talk.how = WRONG
                        return
                    talk.answers.append(time.monotonic())
                    await asyncio.sleep(dice.uniform(0, 2 * self.thinks))
                talk.how = WHOLE
        except TimeoutError:
            talk.how = SILENT if talk.asked else AWAY
        except ConnectionRefusedError:
            talk.how = REFUSED
        except (OSError, asyncio.IncompleteReadError):
            talk.how = CUT if talk.asked else AWAY


class Toll:
    """What became of conversations: `counts` of each end, the requests `unanswered`, the `waits`.

    A wait is that of a client who was not served whole: from its last answer, or from when it
    began, to the first answer of a whole conversation, in seconds.
    """

    def __init__(self, talks: Iterable[Talk]) -> None:
        since: dict[int, float] = {}
        self.counts: Counter[str] = Counter()
        self.unanswered = 0
        self.waits: list[float] = []
        for one in talks:  # of one client they are in order
            self.counts[one.how] += 1
            if one.how != WHOLE:
                self.unanswered += one.asked - len(one.answers)
                since.setdefault(one.client, one.answers[-1] if one.answers else one.began)
            elif one.answers and one.client in since:
                self.waits.append(one.answers[0] - since.pop(one.client))
        self.never = len(since)

    def __str__(self) -> str:
        ends = [f"{self.counts[how]} {how}" for how in ENDS if self.counts[how]]
        waited = ""
        if self.waits:
            span = f"{min(self.waits):.2f} to {max(self.waits):.2f} s"
            waited = f"; those clients are answered {span} later"
        return f"{', '.join(ends)}, {self.unanswered} requests unanswered{waited}"
