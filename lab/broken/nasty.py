"""Servers on which a check could wait for ever: most of them right, and slow."""

import asyncio
import socket
import time

from lab.broken.right import Right


class SendsByteByByte(Right):
    async def send(self, sock: socket.socket, owed: bytes) -> None:
        for at in range(len(owed)):
            await super().send(sock, owed[at : at + 1])
            await asyncio.sleep(0.001)


class Trickles(Right):
    async def send(self, sock: socket.socket, owed: bytes) -> None:
        for at in range(len(owed)):
            await asyncio.sleep(0.9)
            await super().send(sock, owed[at : at + 1])


class AnswersSlowly(Right):
    async def send(self, sock: socket.socket, owed: bytes) -> None:
        await asyncio.sleep(0.5)
        await super().send(sock, owed)


class AnswersTooLate(Right):
    async def send(self, sock: socket.socket, owed: bytes) -> None:
        await asyncio.sleep(5.5)
        await super().send(sock, owed)


class AnswersOnce(Right):
    """It answers one packet, and then nothing more."""

    async def send(self, sock: socket.socket, owed: bytes) -> None:
        await super().send(sock, owed)
        await asyncio.sleep(3600)


class BacklogOfTwo(Right):
    """It is busy for a moment after each client, so that others come meanwhile for certain."""

    backlog = 2

    async def start(self, sock: socket.socket) -> None:
        await super().start(sock)
        time.sleep(0.05)
