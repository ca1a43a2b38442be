"""Bugs that show when a client leaves."""

import contextlib
import os
import socket

from tests.planted.right import Right


class DiesOfAHealthCheck(Right):
    """It has to receive something before it believes that there is a client."""

    async def greet(self, sock: socket.socket) -> None:
        await super().greet(sock)
        with contextlib.suppress(BlockingIOError):
            if not sock.recv(1, socket.MSG_PEEK):
                os._exit(1)


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
