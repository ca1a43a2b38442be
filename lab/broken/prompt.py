"""Bugs that make clients wait."""

import asyncio
import socket
import time

from lab.broken.right import Right


class LooksNowAndThen(Right):
    async def send(self, owed: bytes) -> None:
        if owed:
            await asyncio.sleep(0.03)
            await super().send(owed)


class InPieces(Right):
    """It sends an answer in two pieces: no bug, while Nagle's algorithm is off."""

    async def send(self, owed: bytes) -> None:
        await super().send(owed[:1])
        await super().send(owed[1:])


class Nagle(InPieces):
    """It leaves Nagle's algorithm on."""

    async def send(self, owed: bytes) -> None:
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        await super().send(owed)


class ShortBacklog(Right):
    """Its backlog is 5, and it takes its time."""

    backlog = 5

    async def serve(self, listener: socket.socket) -> None:
        time.sleep(0.01)
        await super().serve(listener)
