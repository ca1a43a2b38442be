"""Bugs that cost."""

import asyncio
import contextlib
import os
import socket

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

    async def converse(self, sock: socket.socket) -> None:
        fd = sock.fileno()
        await super().converse(sock)
        self.loop.remove_writer(fd)

    async def receive(self, sock: socket.socket) -> bytes:
        self.loop.add_writer(sock, int)
        return await super().receive(sock)


class LargeBuffers(Right):
    """Each client has a buffer of 64 KiB for as long as it is there."""

    async def converse(self, sock: socket.socket) -> None:
        buffer = bytearray(os.urandom(65536))
        await super().converse(sock)
        del buffer


class NoBackpressure(Right):
    """It reads whatever comes, and keeps what it cannot send."""

    async def converse(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            await self.greet(sock)
            state, kept = False, bytearray()
            while data := await self.receive(sock):
                owed, state = self.answer(data, state)
                kept += owed
                with contextlib.suppress(BlockingIOError):
                    while kept:
                        del kept[: sock.send(kept)]
            await super().send(sock, bytes(kept))


class LeaksDescriptors(Right):
    """It opens something for each client, and never closes it."""

    async def at_end(self, sock: socket.socket) -> None:
        os.open(os.devnull, os.O_RDONLY)


class LeaksMemory(Right):
    """It keeps a record of each client."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    async def at_end(self, sock: socket.socket) -> None:
        self.records.append(os.urandom(8192))


class LeaksAfterAReset(Right):
    """It cleans up after those who leave in order."""

    async def receive(self, sock: socket.socket) -> bytes:
        try:
            return await super().receive(sock)
        except ConnectionError:
            os.open(os.devnull, os.O_RDONLY)
            raise


class LeavesZombies(Right):
    """It starts a process for each client, and does not wait for it."""

    async def at_end(self, sock: socket.socket) -> None:
        os.posix_spawnp("true", ["true"], {})
