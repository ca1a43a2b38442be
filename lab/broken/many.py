"""Bugs that show when there are many clients."""

import asyncio
import contextlib
import os
import select
import socket

from lab.broken.right import Right


class AtMostTwoHundred(Right):
    """It sends away whoever does not fit into its table."""

    async def start(self) -> None:
        if len(self.tasks) < 200:
            await super().start()
        else:
            self.sock.close()


class AtMostAThousand(Right):
    """It sends away whoever has a descriptor that select could not watch."""

    async def start(self) -> None:
        if self.sock.fileno() < 1024:
            await super().start()
        else:
            self.sock.close()


class SpinsWithoutDescriptors(Right):
    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        await asyncio.sleep(0)


class FloodsWithoutDescriptors(Right):
    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        os.write(2, b"no descriptors\n" * 1000)
        await asyncio.sleep(0.1)


class SendsAwayWithoutDescriptors(Right):
    """It keeps a descriptor in reserve, to accept whom it cannot serve, and close."""

    async def listening(self) -> None:
        self.spare = os.open(os.devnull, os.O_RDONLY)

    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        os.close(self.spare)
        with contextlib.suppress(BlockingIOError):
            listener.accept()[0].close()
        self.spare = os.open(os.devnull, os.O_RDONLY)


class DiesWithoutDescriptors(Right):
    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        raise error


class WatchesWithSelect(Right):
    """It has `select` look at its listening socket."""

    def options(self, listener: socket.socket) -> None:
        super().options(listener)
        select.select([listener], [], [], 0)
