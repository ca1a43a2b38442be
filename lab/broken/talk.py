"""Bugs in what is said."""

import asyncio
import contextlib
import socket
from weakref import WeakKeyDictionary

from lab.broken.right import Right


class NoGreeting(Right):
    async def greet(self, sock: socket.socket) -> None:
        pass


class TwoGreetings(Right):
    async def greet(self, sock: socket.socket) -> None:
        await self.loop.sock_sendall(sock, b"**")


class GreetsWhenSpokenTo(Right):
    async def greet(self, sock: socket.socket) -> None:
        self.first = await self.receive(sock)
        await super().greet(sock)


class EchoesUnchanged(Right):
    table = bytes(range(256))


class ForgetsTheFrame(Right):
    """It takes every packet for a fresh start."""

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        return super().answer(data, False)


class WholeFramesOnly(Right):
    """It answers a frame only when it has seen the end of it."""

    def __init__(self) -> None:
        self.kept: WeakKeyDictionary[object, bytes] = WeakKeyDictionary()

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        client = asyncio.current_task()
        data = self.kept.pop(client, b"") + data
        if len(data) > 1 << 20:
            raise ConnectionError
        end = data.rfind(b"$") + 1
        self.kept[client] = data[end:]
        return super().answer(data[:end], False)


class SaturatesAt255(Right):
    table = bytes(min(byte + 1, 255) for byte in range(256))


class StopsAtZero(Right):
    """It takes what it has received for a string of C."""

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        return super().answer(data.partition(b"\0")[0], in_frame)


class OneFrameAPacket(Right):
    """It looks for one frame in what it has received, and drops the rest."""

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        if not in_frame and b"$" in data:
            data = data[: data.index(b"$", data.find(b"^") + 1) + 1]
        return super().answer(data, in_frame)


class EchoesGarbage(Right):
    """It takes a frame to be open before the first `^`."""

    begins_in_frame = True


class GivesUpOnGarbage(Right):
    """It sends away who has said nothing of interest for 256 KiB."""

    def __init__(self) -> None:
        self.dropped: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        client = asyncio.current_task()
        reply, state = super().answer(data, in_frame)
        self.dropped[client] = 0 if reply else self.dropped.get(client, 0) + len(data)
        if self.dropped[client] > 256 * 1024:
            raise ConnectionError
        return reply, state


class CaretOpensAgain(Right):
    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        reply, state = super().answer(data, in_frame)
        return reply.replace(b"_", b""), state


class FixedBuffer(Right):
    """It drops what is beyond 64 KiB of a frame."""

    def __init__(self) -> None:
        self.room: WeakKeyDictionary[object, int] = WeakKeyDictionary()

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        client = asyncio.current_task()
        reply, state = super().answer(data, in_frame)
        if not in_frame or b"$" in data:
            self.room[client] = 65536
        elif state:
            reply = reply[: self.room[client]]
            self.room[client] -= len(reply)
        return reply, state


class CarelessSend(Right):
    """It takes for granted that `send` sends everything."""

    async def send(self, sock: socket.socket, owed: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            sock.send(owed)


class SendsAgain(Right):
    """It sends all of it once more, if not all was taken."""

    async def send(self, sock: socket.socket, owed: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            if not owed or sock.send(owed) == len(owed):
                return
        await super().send(sock, owed)


class DropsTheReplyAtHalfClose(Right):
    """It looks whether the client is still there before it answers."""

    async def send(self, sock: socket.socket, owed: bytes) -> None:
        await asyncio.sleep(0.002)
        with contextlib.suppress(BlockingIOError):
            if not sock.recv(1, socket.MSG_PEEK):
                return
        await super().send(sock, owed)


class NeverCloses(Right):
    async def at_end(self, sock: socket.socket) -> None:
        await asyncio.sleep(3600)


class DropsTheRestAtHalfClose(Right):
    """It reads on while an answer is under way, and leaves when it has read the end."""

    async def converse(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            await self.greet(sock)
            state, last = False, asyncio.create_task(asyncio.sleep(0))
            while data := await self.receive(sock):
                owed, state = self.answer(data, state)
                last = asyncio.create_task(self.send_after(last, sock, owed))
                await asyncio.sleep(0.001)
            last.cancel()

    async def send_after(
        self, before: "asyncio.Task[None]", sock: socket.socket, owed: bytes
    ) -> None:
        await before
        await self.send(sock, owed)


class WaitsForMore(Right):
    """It takes a full buffer for a sign that there is more."""

    async def receive(self, sock: socket.socket) -> bytes:
        data = await self.loop.sock_recv(sock, 4096)
        while data and len(data) % 4096 == 0 and (more := await self.loop.sock_recv(sock, 4096)):
            data += more
        return data


class TiresOfSilence(Right):
    async def receive(self, sock: socket.socket) -> bytes:
        try:
            return await asyncio.wait_for(super().receive(sock), 0.7)
        except TimeoutError:
            return b""
