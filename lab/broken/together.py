"""Bugs that show when there are several clients."""

import asyncio
import select
import socket
from typing import ClassVar

from lab.broken.right import Right


class OneAtATime(Right):
    async def start(self) -> None:
        await self.converse()


class WaitsForTheFirstWord(Right):
    """It accepts the next client when this one has said something."""

    async def start(self) -> None:
        self.spoke = asyncio.Event()
        await super().start()
        await self.spoke.wait()

    async def receive(self) -> bytes:
        try:
            return await super().receive()
        finally:
            self.spoke.set()


class OneConversationAtATime(Right):
    """There is a lock around each conversation, from its first word to its end."""

    async def listening(self) -> None:
        self.lock = asyncio.Lock()

    async def talk(self) -> None:
        data = await self.receive()
        async with self.lock:
            await self.send(self.answer(data))
            await super().talk()


class BlocksInSend(Right):
    async def send(self, owed: bytes) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(owed)
        self.sock.setblocking(False)


class AnswersTheLastSpeaker(Right):
    """Who is to be answered is in a variable that all clients share."""

    last: ClassVar[socket.socket]

    async def send(self, owed: bytes) -> None:
        AnswersTheLastSpeaker.last = self.sock
        await asyncio.sleep(0)
        await self.loop.sock_sendall(AnswersTheLastSpeaker.last, owed)


class ListensToOne(BlocksInSend):
    """It reads from one client as long as there is something, and then for a moment more."""

    async def talk(self) -> None:
        while data := await self.receive():
            await self.send(self.answer(data))
            while len(data) > 4096 and select.select([self.sock], [], [], 0.05)[0]:
                data = self.sock.recv(65536)
                await self.send(self.answer(data))
