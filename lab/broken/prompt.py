"""Bugs that make clients wait."""

import asyncio
import socket
import time

from lab.broken.right import Right


class LooksNowAndThen(Right):
    async def send(self, sock: socket.socket, owed: bytes) -> None:
        if owed:
            await asyncio.sleep(0.03)
            await super().send(sock, owed)


class InPieces(Right):
    """It sends an answer in two pieces: no bug, while Nagle's algorithm is off."""

    async def send(self, sock: socket.socket, owed: bytes) -> None:
        await super().send(sock, owed[:1])
        await super().send(sock, owed[1:])


class Nagle(InPieces):
    """It leaves Nagle's algorithm on."""

    async def send(self, sock: socket.socket, owed: bytes) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        await super().send(sock, owed)


class ShortBacklog(Right):
    """Its backlog is 5, and it takes its time."""

    backlog = 5

    async def serve(self, listener: socket.socket) -> None:
        time.sleep(0.01)
        await super().serve(listener)
