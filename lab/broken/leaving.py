"""Bugs that show when a client leaves."""

import os
from typing import ClassVar

from lab.broken.right import Right


class DiesOfAHealthCheck(Right):
    """It takes for granted that a client says something before it leaves."""

    spoke = False

    async def receive(self) -> bytes:
        data = await super().receive()
        if not data and not self.spoke:
            os._exit(1)
        self.spoke = True
        return data


class DiesOfAReset(Right):
    async def failed(self, error: OSError) -> None:
        if isinstance(error, ConnectionError):
            os._exit(1)


class SpinsAfterAReset(Right):
    """It takes an error for nothing new, and asks again."""

    async def failed(self, error: OSError) -> None:
        while isinstance(error, ConnectionError):
            await self.loop.run_in_executor(None, int)


class StateByDescriptor(Right):
    """It keeps whether a frame is open under the number of the descriptor."""

    frames: ClassVar[dict[int, bool]] = {}

    def answer(self, data: bytes) -> bytes:
        fd = self.sock.fileno()
        self.in_frame = self.frames.get(fd, False)
        reply = super().answer(data)
        self.frames[fd] = self.in_frame
        return reply
