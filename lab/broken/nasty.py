"""Servers on which a check could wait for ever: most of them right, and slow."""

import asyncio
import time

from lab.broken.right import Right


class SendsByteByByte(Right):
    pause = 0.001

    async def send(self, owed: bytes) -> None:
        for at in range(len(owed)):
            await asyncio.sleep(self.pause)
            await super().send(owed[at : at + 1])


class Trickles(SendsByteByByte):
    pause = 0.9


class AnswersSlowly(Right):
    pause = 0.5

    async def send(self, owed: bytes) -> None:
        await asyncio.sleep(self.pause)
        await super().send(owed)


class AnswersTooLate(AnswersSlowly):
    pause = 5.5


class AnswersOnce(Right):
    """It answers one packet, and then nothing more."""

    async def send(self, owed: bytes) -> None:
        await super().send(owed)
        await asyncio.sleep(3600)


class BacklogOfTwo(Right):
    """It is busy for a moment after each client, so that others come meanwhile for certain."""

    backlog = 2

    async def start(self) -> None:
        await super().start()
        time.sleep(0.05)
