"""Bugs that show when there are several clients."""

import asyncio
import contextlib
import select
import socket

from lab.broken.right import Right


class OneAtATime(Right):
    async def start(self, sock: socket.socket) -> None:
        await self.converse(sock)


class WaitsForTheFirstWord(Right):
    """It accepts the next client when this one has said something."""

    async def start(self, sock: socket.socket) -> None:
        spoke = asyncio.Event()
        self.spoke = spoke
        await super().start(sock)
        await spoke.wait()

    async def receive(self, sock: socket.socket) -> bytes:
        try:
            return await super().receive(sock)
        finally:
            self.spoke.set()


class OneConversationAtATime(Right):
    """There is a lock around each conversation, from its first word to its end."""

    async def listening(self) -> None:
        self.lock = asyncio.Lock()

    async def converse(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            await self.greet(sock)
            data, state = await self.receive(sock), False
            async with self.lock:
                while data:
                    owed, state = self.answer(data, state)
                    await self.send(sock, owed)
                    data = await self.receive(sock)


class BlocksInSend(Right):
    async def send(self, sock: socket.socket, owed: bytes) -> None:
        sock.setblocking(True)
        sock.sendall(owed)
        sock.setblocking(False)


class AnswersTheLastSpeaker(Right):
    """Who is to be answered is in a variable that all clients share."""

    async def send(self, sock: socket.socket, owed: bytes) -> None:
        self.current = sock
        await asyncio.sleep(0)
        await super().send(self.current, owed)


class ListensToOne(Right):
    """It reads from one client as long as there is something, and then for a moment more."""

    async def converse(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            await self.greet(sock)
            state = False
            while data := await self.receive(sock):
                owed, state = self.answer(data, state)
                await self.send(sock, owed)
                while len(data) > 4096 and select.select([sock], [], [], 0.05)[0]:
                    data = sock.recv(65536)
                    owed, state = self.answer(data, state)
                    sock.setblocking(True)
                    sock.sendall(owed)
                    sock.setblocking(False)
