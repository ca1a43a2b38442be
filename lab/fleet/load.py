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

from lab.fleet.herd import Pause
from lab.fleet.machines import Namespace
from lab.harness.clients import Failed, owed
from lab.harness.servers import Endpoint

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


class Load:
    """So many clients, in a thread, until the end of the block; who is not served then insists.

    A conversation has `length` requests, `thinks` seconds apart on average: no two keep step. A
    client waits for `patience` seconds for anything, and after a failure it pauses. `talks` has all
    that are over, in the order in which they ended.
    """

    def __init__(
        self,
        where: Namespace,
        door: Endpoint,
        count: int,
        length: int = 25,
        patience: float = PATIENCE,
        thinks: float = 0.02,
        pause: Pause = lambda *_: 0.05,
        insist: bool = True,
    ) -> None:
        self.where, self.door, self.count = where, door, count
        self.length, self.patience, self.thinks = length, patience, thinks
        self.pause, self.insist = pause, insist
        self.talks: list[Talk] = []
        self.under_way: dict[int, Talk] = {}
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
        deadline = time.monotonic() + 20
        while self._heard() < self.count:
            if time.monotonic() > deadline:
                raise Failed(f"of {self.count} clients {self._heard()} are answered")
            time.sleep(0.005)

    def _heard(self) -> int:
        talks = (*self.talks, *self.under_way.copy().values())
        return len({one.client for one in talks if one.answers})

    def _run(self) -> None:
        with self.where:
            asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*map(self._client, range(self.count)))

    async def _client(self, number: int) -> None:
        dice, failures = random.Random(number), 0
        await asyncio.sleep(dice.uniform(0, 25 * self.thinks))
        while not self._over or (self.insist and 0 < failures < TRIES):
            talk = self.under_way[number] = Talk(number, time.monotonic())
            await self._talk(talk, dice)
            talk.ended = time.monotonic()
            self.talks.append(talk)
            failures = 0 if talk.how == WHOLE else failures + 1
            if failures:
                await asyncio.sleep(self.pause(failures, dice))

    def _enough(self, talk: Talk) -> bool:
        """Return whether a conversation may end early: who insists has had an answer."""
        return self._over and (bool(talk.answers) or not self.insist)

    async def _talk(self, talk: Talk, dice: random.Random) -> None:
        """Hold a conversation, and note how it ends."""
        connecting = asyncio.open_connection(self.door.host, self.door.port)
        try:
            reader, writer = await asyncio.wait_for(connecting, self.patience)
            with contextlib.closing(writer):
                await asyncio.wait_for(reader.readexactly(1), self.patience)
                while len(talk.answers) < self.length and not self._enough(talk):
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
        waited = f"; those clients are answered {span(self.waits)} later" if self.waits else ""
        return f"{', '.join(ends)}, {self.unanswered} requests unanswered{waited}"


def span(seconds: Iterable[float]) -> str:
    """Write the least and the most of some times."""
    least, *_, most = sorted([*seconds] * 2)
    return f"{least:.2f} to {most:.2f} s"
