"""Bugs that cost."""

import asyncio
import contextlib
import os
from typing import ClassVar

from lab.broken.right import Right


class Spins(Right):
    """It waits by asking again and again."""

    async def listening(self) -> None:
        self.spinner = asyncio.create_task(self.spin())

    async def spin(self) -> None:
        while True:
            await asyncio.sleep(0)


class AlwaysWatchesForWriting(Right):
    """It asks whether there is room for an answer even while it has none."""

    async def converse(self) -> None:
        fd = self.sock.fileno()
        await super().converse()
        self.loop.remove_writer(fd)

    async def receive(self) -> bytes:
        self.loop.add_writer(self.sock, int)
        return await super().receive()


class LargeBuffers(Right):
    """Each client has a buffer of 64 KiB for as long as it is there."""

    async def converse(self) -> None:
        self.buffer = os.urandom(65536)
        await super().converse()


class NoBackpressure(Right):
    """It reads whatever comes, and keeps what it cannot send."""

    async def talk(self) -> None:
        kept = bytearray()
        while data := await self.receive():
            kept += self.answer(data)
            with contextlib.suppress(BlockingIOError):
                while kept:
                    del kept[: self.sock.send(kept)]
        await self.send(bytes(kept))


class LeaksDescriptors(Right):
    """It opens something for each client, and never closes it."""

    async def at_end(self) -> None:
        os.open(os.devnull, os.O_RDONLY)


class LeaksMemory(Right):
    """It keeps a record of each client."""

    records: ClassVar[list[bytes]] = []

    async def at_end(self) -> None:
        self.records.append(os.urandom(8192))


class LeaksAfterAReset(Right):
    """It cleans up after those who leave in order."""

    async def failed(self, error: OSError) -> None:
        os.open(os.devnull, os.O_RDONLY)


class LeavesZombies(Right):
    """It starts a process for each client, and does not wait for it."""

    async def at_end(self) -> None:
        os.posix_spawnp("true", ["true"], {})
