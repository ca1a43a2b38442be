"""Clients who talk without end, and what became of each of their conversations.

A client whose conversation was not whole begins it again, after a pause, until it is.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from lab.fleet.machines import Namespace
from lab.harness.clients import Failed, owed
from lab.harness.servers import Endpoint

ENDS = "whole", "cut", "silent", "turned away", "refused", "wrong"
"""How a conversation ends: well; closed in the middle; without an answer in time; closed, or left
alone, before the `*`; no connection at all; with a wrong answer."""

WHOLE, CUT, SILENT, AWAY, REFUSED, WRONG = ENDS

FRAME = b"^abc$"

THINKS = 0.02
"""Seconds that a client thinks after an answer, on average: no two of them keep step."""

TRIES = 1000
"""After so many in vain a client gives up."""


@dataclass
class Talk:
    """A conversation: of whom, when it began, when each answer came, when and how it ended."""

    client: int
    began: float
    asked: int = 0
    answers: list[float] = field(default_factory=list)
    ended: float = 0.0
    how: str = AWAY


Pause = Callable[[int], float]
"""Returns for how many seconds a client waits after so many failures in a row."""


class Load:
    """So many clients, in a thread, until the end of the block; then each ends its conversation.

    A conversation has `length` requests. A client waits for `patience` seconds for anything.
    `talks` has all that are over, in the order in which they ended.
    """

    PATIENCE = 2.0

    def __init__(
        self,
        where: Namespace,
        door: Endpoint,
        count: int,
        length: int = 25,
        patience: float = PATIENCE,
        pause: Pause = lambda _: 0.05,
    ) -> None:
        self.where, self.door, self.count = where, door, count
        self.length, self.patience, self.pause = length, patience, pause
        self.talks: list[Talk] = []
        self.under_way: dict[int, Talk] = {}
        self._over = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join()

    def until_talking(self) -> None:
        """Wait until every client has had a conversation; Failed if that is never so."""
        deadline = time.monotonic() + 20
        while len({one.client for one in [*self.talks]}) < self.count:
            if time.monotonic() > deadline:
                raise Failed(f"of {self.count} clients {len(self.under_way)} talk")
            time.sleep(0.005)

    def _run(self) -> None:
        with self.where:
            asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*map(self._client, range(self.count)))

    async def _client(self, number: int) -> None:
        dice, failures = random.Random(number), 0
        await asyncio.sleep(dice.uniform(0, self.length * THINKS))
        while (not self._over or failures) and failures < TRIES:
            talk = self.under_way[number] = Talk(number, time.monotonic())
            await self._talk(talk, dice)
            talk.ended = time.monotonic()
            self.talks.append(talk)
            failures = 0 if talk.how == WHOLE else failures + 1
            if failures:
                await asyncio.sleep(self.pause(failures))

    async def _talk(self, talk: Talk, dice: random.Random) -> None:
        """Hold a conversation, and note how it ends."""
        connecting = asyncio.open_connection(self.door.host, self.door.port)
        try:
            reader, writer = await asyncio.wait_for(connecting, self.patience)
            with contextlib.closing(writer):
                await asyncio.wait_for(reader.readexactly(1), self.patience)
                while len(talk.answers) < self.length:
                    writer.write(FRAME)
                    talk.asked += 1
                    answer = await asyncio.wait_for(reader.readexactly(3), self.patience)
                    if answer != owed(FRAME):
                        talk.how = WRONG
                        return
                    talk.answers.append(time.monotonic())
                    await asyncio.sleep(dice.uniform(0, 2 * THINKS))
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
            elif one.client in since:
                self.waits.append(one.answers[0] - since.pop(one.client))
        self.never = len(since)

    def __str__(self) -> str:
        ends = [f"{self.counts[how]} {how}" for how in ENDS if self.counts[how]]
        waited = f"; they were answered again after {span(self.waits)}" if self.waits else ""
        return f"{', '.join(ends)}, {self.unanswered} requests unanswered{waited}"


def span(seconds: Iterable[float]) -> str:
    """Write the least and the most of some times."""
    least, *_, most = sorted([*seconds] * 2)
    return f"{least:.2f} to {most:.2f} s"
