"""Bugs that show when a client leaves."""

import asyncio
import contextlib
import os
import socket
from weakref import WeakSet

from lab.broken.right import Right


class DiesOfAHealthCheck(Right):
    """It takes for granted that a client says something before it leaves."""

    def __init__(self) -> None:
        self.spoke: WeakSet[object] = WeakSet()

    async def receive(self, sock: socket.socket) -> bytes:
        data = await super().receive(sock)
        client = asyncio.current_task()
        if not data and client not in self.spoke:
            os._exit(1)
        self.spoke.add(client)
        return data


class DiesOfAReset(Right):
    async def receive(self, sock: socket.socket) -> bytes:
        try:
            return await super().receive(sock)
        except ConnectionError:
            os._exit(1)


class SpinsAfterAReset(Right):
    """It takes an error for nothing new, and asks again."""

    async def receive(self, sock: socket.socket) -> bytes:
        try:
            return await super().receive(sock)
        except ConnectionError:
            while True:
                await self.loop.run_in_executor(None, int)


class StateByDescriptor(Right):
    """It keeps whether a frame is open under the number of the descriptor."""

    def __init__(self) -> None:
        self.states: dict[int, bool] = {}

    async def converse(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            await self.greet(sock)
            fd = sock.fileno()
            while data := await self.receive(sock):
                owed, self.states[fd] = self.answer(data, self.states.get(fd, False))
                await self.send(sock, owed)
