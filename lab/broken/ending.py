"""Bugs that show when the server ends."""

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
