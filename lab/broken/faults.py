"""Bugs that show when a system call fails."""

import asyncio
import contextlib
import errno
import os
import socket
import sys

from lab.broken.right import Right


class DiesWithoutMemoryForAClient(Right):
    """It stands that it has no descriptor left, and nothing else."""

    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        if error.errno != errno.EMFILE:
            raise error
        await super().cannot_accept(listener, error)


class AcceptsNoMore(Right):
    """A client that left while it waited is the last one."""

    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        if error.errno == errno.ECONNABORTED:
            await self.loop.create_future()
        await super().cannot_accept(listener, error)


class DiesOfAnOption(Right):
    """It sets one more, outside of what guards a client."""

    async def start(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await super().start(sock)


class LeavesWhomItCannotWatch(Right):
    async def receive(self, sock: socket.socket) -> bytes:
        try:
            return await super().receive(sock)
        except OSError as error:
            if error.errno == errno.ENOSPC:  # epoll_ctl(2)
                await self.loop.create_future()
            raise


class EndsAllWithOne(Right):
    async def receive(self, sock: socket.socket) -> bytes:
        try:
            return await super().receive(sock)
        except OSError as error:
            if error.errno == errno.ENOMEM:
                for task in self.tasks:
                    task.cancel()
            raise


class SpinsAfterATimeout(Right):
    async def receive(self, sock: socket.socket) -> bytes:
        while True:
            with contextlib.suppress(TimeoutError):
                return await super().receive(sock)
            while True:
                await asyncio.sleep(0)


class LeaksWithoutBuffers(Right):
    async def send(self, sock: socket.socket, owed: bytes) -> None:
        try:
            await super().send(sock, owed)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                os.open(__file__, os.O_RDONLY)
            raise


class DiesOfAClose(Right):
    async def at_end(self, sock: socket.socket) -> None:
        try:
            sock.close()
        except OSError:
            os._exit(1)


class DiesWithoutItsLog(Right):
    async def start(self, sock: socket.socket) -> None:
        sys.stderr.write("a client\n")
        await super().start(sock)


class EndsAsItsLogDoes(Right):
    """What its log has not taken is tried again on the way out, and spoils the status."""

    async def start(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write("a client\n")
        await super().start(sock)

    def on_signal(self, *_: object) -> None:
        sys.exit()


class EndsBadlyWhileItGreets(Right):
    greeting = False

    async def greet(self, sock: socket.socket) -> None:
        self.greeting = True
        await super().greet(sock)
        self.greeting = False

    def on_signal(self, *_: object) -> None:
        os._exit(3 if self.greeting else 0)


class StartsWithATraceback(Right):
    @classmethod
    def run(cls, port: int) -> None:
        asyncio.run(cls().main(port))
