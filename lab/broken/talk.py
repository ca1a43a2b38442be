"""Bugs in what is said."""

import asyncio
import contextlib
import socket

from lab.broken.right import Right


class NoGreeting(Right):
    async def greet(self) -> None:
        pass


class TwoGreetings(Right):
    async def greet(self) -> None:
        await self.send(b"**")


class GreetsWhenSpokenTo(Right):
    async def greet(self) -> None:
        await self.receive()
        await super().greet()


class EchoesUnchanged(Right):
    table = bytes(range(256))


class ForgetsTheFrame(Right):
    """It takes every packet for a fresh start."""

    def answer(self, data: bytes) -> bytes:
        self.in_frame = False
        return super().answer(data)


class WholeFramesOnly(Right):
    """It answers a frame only when it has seen the end of it."""

    kept = b""

    def answer(self, data: bytes) -> bytes:
        data = self.kept + data
        if len(data) > 1 << 20:
            raise ConnectionError
        whole, end, self.kept = data.rpartition(b"$")
        return super().answer(whole + end)


class SaturatesAt255(Right):
    table = bytes(min(byte + 1, 255) for byte in range(256))


class StopsAtZero(Right):
    """It takes what it has received for a string of C."""

    def answer(self, data: bytes) -> bytes:
        return super().answer(data.partition(b"\0")[0])


class OneFrameAPacket(Right):
    """It looks for one frame in what it has received, and drops the rest."""

    def answer(self, data: bytes) -> bytes:
        if not self.in_frame and b"$" in data:
            data = data[: data.index(b"$", data.find(b"^") + 1) + 1]
        return super().answer(data)


class EchoesGarbage(Right):
    """It takes a frame to be open before the first `^`."""

    in_frame = True


class GivesUpOnGarbage(Right):
    """It sends away who has said nothing of interest for 256 KiB."""

    dropped = 0

    def answer(self, data: bytes) -> bytes:
        reply = super().answer(data)
        self.dropped = 0 if reply else self.dropped + len(data)
        if self.dropped > 256 * 1024:
            raise ConnectionError
        return reply


class CaretOpensAgain(Right):
    def answer(self, data: bytes) -> bytes:
        return super().answer(data).replace(b"_", b"")


class FixedBuffer(Right):
    """It drops what is beyond 64 KiB of a frame."""

    room = 0

    def answer(self, data: bytes) -> bytes:
        goes_on = self.in_frame and b"$" not in data
        reply = super().answer(data)
        if not goes_on:
            self.room = 65536
            return reply
        reply = reply[: self.room]
        self.room -= len(reply)
        return reply


class CarelessSend(Right):
    """It takes for granted that `send` sends everything."""

    async def send(self, owed: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            self.sock.send(owed)


class SendsAgain(Right):
    """It sends all of it once more, if not all was taken."""

    async def send(self, owed: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            if not owed or self.sock.send(owed) == len(owed):
                return
        await super().send(owed)


class DropsTheReplyAtHalfClose(Right):
    """It looks whether the client is still there before it answers."""

    async def send(self, owed: bytes) -> None:
        await asyncio.sleep(0.002)
        with contextlib.suppress(BlockingIOError):
            if not self.sock.recv(1, socket.MSG_PEEK):
                return
        await super().send(owed)


class NeverCloses(Right):
    async def at_end(self) -> None:
        await asyncio.sleep(3600)


class DropsTheRestAtHalfClose(Right):
    """It reads on while an answer is under way, and leaves when it has read the end."""

    async def talk(self) -> None:
        last = asyncio.create_task(asyncio.sleep(0))
        while data := await self.receive():
            last = asyncio.create_task(self.send_after(last, self.answer(data)))
            await asyncio.sleep(0.001)
        last.cancel()

    async def send_after(self, before: "asyncio.Task[None]", owed: bytes) -> None:
        await before
        await self.send(owed)


class WaitsForMore(Right):
    """It takes a full buffer for a sign that there is more."""

    async def receive(self) -> bytes:
        pieces = [await self.loop.sock_recv(self.sock, 4096)]
        while len(pieces[-1]) == 4096:
            pieces.append(await self.loop.sock_recv(self.sock, 4096))
        return b"".join(pieces)


class TiresOfSilence(Right):
    async def receive(self) -> bytes:
        try:
            return await asyncio.wait_for(super().receive(), 0.7)
        except TimeoutError:
            return b""
