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

    def on_signal(self, *_: object) -> None:
        self.leaving = asyncio.run_coroutine_threadsafe(self.leave(), self.loop)

    async def leave(self) -> None:
        self.begin_to_leave()
        while self.tasks:
            await asyncio.wait(self.tasks)
        os._exit(0)

    def begin_to_leave(self) -> None:
        self.listener.close()

    def options(self, listener: socket.socket) -> None:
        super().options(listener)
        self.listener = listener

    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        await asyncio.sleep(3600)


class DrainsAndAccepts(Drains):
    def begin_to_leave(self) -> None:
        pass


class DrainsTheRest(Drains):
    """It closes what has nothing more to read, whatever is unsent."""

    def begin_to_leave(self) -> None:
        super().begin_to_leave()
        for task in self.tasks:
            task.cancel()
