"""Starting servers as a reader would: each in a process of its own, on a free port."""

import contextlib
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[1]

STEPS = tuple(sorted(path.parent.name for path in ROOT.glob("step*/server.py")))
"""The names of the seven folders, in order."""

START_UP = 20.0
"""Seconds in which a server has to say that it listens."""

END = 5
"""Seconds in which a server has to end once it was told to."""


class ServerError(Exception):
    """A server did not start, or ended when it should not have."""


class Server:
    """A server in a process of its own, of which `pid` is the number.

    A context manager: entering waits until it serves, and after the block it has
    ended. `host` and `port` are where it serves. What it logs goes to a file, so
    that no full pipe can hold it up; `log()` returns it.
    """

    host = ""
    port = 0

    def __init__(self, command: list[str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, closed by __exit__
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log
        )
        self.pid = self.process.pid

    def wait_until_ready(self) -> None:
        """Wait for the line `Serving on HOST:PORT`; ServerError if it does not come."""
        assert self.process.stdout
        line = b""
        deadline = time.monotonic() + START_UP
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(deadline - time.monotonic()):
                    raise ServerError(f"{self.name} does not say that it serves; {self._last()}")
                piece = os.read(self.process.stdout.fileno(), 4096)
                if not piece:
                    raise ServerError(f"{self.name} ended instead of serving; {self._last()}")
                line += piece
        match = re.fullmatch(rb"Serving on \[?([^\]\s]+)\]?:(\d+)\n", line)
        if not match:
            raise ServerError(f"{self.name} said {line!r} instead of where it serves")
        self.host, self.port = match[1].decode(), int(match[2])

    def connect(self, patience: float = 10.0) -> socket.socket:
        """Connect to it; no call on the socket waits for more than `patience` seconds."""
        return socket.create_connection((self.host, self.port), patience)

    @property
    def name(self) -> str:
        """Return the command, as one would type it."""
        return " ".join(str(word) for word in self.process.args)  # type: ignore[union-attr]

    def log(self) -> str:
        """Return what the server has logged so far."""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode()

    def _last(self) -> str:
        lines = self.log().splitlines()
        return f"its last line was {lines[-1]!r}" if lines else "it logged nothing"

    def stop(self) -> int:
        """Send SIGTERM, wait, and return the status; kill it if it does not end in time.

        The signal is repeated every second: CPython does not see one that arrives
        between its own last look and a system call until that call returns.
        """
        for _ in range(END):
            if self.process.poll() is None:
                self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.wait(1)
        self.process.kill()
        return self.process.wait()

    def __enter__(self) -> Self:
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if self.process.stdout:
            self.process.stdout.close()
        self._log.close()


def start(step: str, *arguments: str) -> Server:
    """Start the server of a step on a free port."""
    return Server([sys.executable, str(ROOT / step / "server.py"), "0", *arguments])


def named(word: str) -> str:
    """Return the step that `word` names: its folder, or how that begins (`step5`, `5`).

    Raises ValueError, with a line that says so, if it names none or several.
    """
    word = word.rstrip("/")
    found = [step for step in STEPS if step.startswith((word, f"step{word}"))]
    if len(found) != 1:
        raise ValueError(f"{word!r} is not one of {', '.join(STEPS)}")
    return found[0]
