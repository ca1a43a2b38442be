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

    async def start(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await super().start()


class LeavesWhomItCannotWatch(Right):
    async def failed(self, error: OSError) -> None:
        if error.errno == errno.ENOSPC:  # epoll_ctl(2)
            await self.loop.create_future()


class EndsAllWithOne(Right):
    async def failed(self, error: OSError) -> None:
        if error.errno == errno.ENOMEM:
            for task in self.tasks:
                task.cancel()


class SpinsAfterATimeout(Right):
    async def failed(self, error: OSError) -> None:
        while isinstance(error, TimeoutError):
            await asyncio.sleep(0)


class LeaksWithoutBuffers(Right):
    async def failed(self, error: OSError) -> None:
        if error.errno == errno.ENOBUFS:
            os.open(__file__, os.O_RDONLY)


class DiesOfAClose(Right):
    async def at_end(self) -> None:
        try:
            self.sock.close()
        except OSError:
            os._exit(1)


class DiesWithoutItsLog(Right):
    async def start(self) -> None:
        sys.stderr.write("a client\n")
        await super().start()


class EndsAsItsLogDoes(Right):
    """What its log has not taken is tried again on the way out, and spoils the status."""

    async def start(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write("a client\n")
        await super().start()

    def on_signal(self, *_: object) -> None:
        sys.exit()


class EndsBadlyWhileItGreets(Right):
    status = 0

    async def greet(self) -> None:
        EndsBadlyWhileItGreets.status = 3
        await super().greet()
        EndsBadlyWhileItGreets.status = 0

    def on_signal(self, *_: object) -> None:
        os._exit(self.status)


class StartsWithATraceback(Right):
    @classmethod
    def run(cls, port: int) -> None:
        asyncio.run(cls().main(port))
