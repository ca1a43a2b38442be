"""Bugs that show when the server ends."""

import asyncio
import os
import signal
import socket
import sys
import traceback

from lab.broken.right import Right


class IgnoresSigterm(Right):
    async def listening(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class IgnoresCtrlC(Right):
    async def listening(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class EndsWithATraceback(Right):
    def on_signal(self, *_: object) -> None:
        traceback.print_stack()
        sys.stderr.write("Traceback (most recent call last):\n")
        os._exit(0)


class EndsWithAnotherStatus(Right):
    def on_signal(self, *_: object) -> None:
        os._exit(1)


class KeepsThePort(Right):
    """It does not set SO_REUSEADDR."""

    def options(self, listener: socket.socket) -> None:
        pass


class DiesOfAnInterruption(Right):
    """It takes EINTR for the end, of which Python knows only in a handler."""

    async def listening(self) -> None:
        signal.signal(signal.SIGCONT, lambda *_: os._exit(1))


class Drains(Right):
    """After SIGTERM it serves whom it has, and nobody else, and ends: no bug."""

    accepts = False

    def on_signal(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.begin)

    def begin(self) -> None:
        self.leaving = asyncio.create_task(self.leave())

    async def leave(self) -> None:
        if not self.accepts:
            self.listener.close()
        while self.tasks:
            await asyncio.wait(self.tasks)
        os._exit(0)

    def options(self, listener: socket.socket) -> None:
        super().options(listener)
        self.listener = listener

    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        await asyncio.sleep(3600)


class DrainsAndAccepts(Drains):
    accepts = True


class DrainsTheRest(Drains):
    """It closes what has nothing more to read, whatever is unsent."""

    async def leave(self) -> None:
        self.listener.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        os._exit(0)
