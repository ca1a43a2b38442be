"""Running a learner's program, whatever it does: an end, and nothing left."""

import atexit
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from lab.harness import processes
from lab.harness.deadline import OutOfTime, left, within
from lab.harness.servers import Foreign, ServerError
from lab.observe.run import observed

CONFINED, SHAKEN = (str(Path(__file__).with_name(name)) for name in ("confined.py", "shaken.py"))

START = 8.0
"""Seconds in which a program has to listen."""

END, RECORDED = 1, 3
"""Seconds in which it has to end when told to, and where its record is wanted."""

MOST = 500
"""Processes that a program may have at once."""

LOOK = 0.1 if sys.platform == "linux" else 0.5
"""Seconds between two looks at how many there are."""

PR_SET_CHILD_SUBREAPER = 36
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

MARK = "PROGRAM_OF_AN_EXERCISE"
"""What confined.py puts into the environment: the number of the first process."""

CROWD = "it started process upon process, more than {:,}, and was stopped"


class Program(Foreign):
    """A learner's program: in a process group of its own, and not many processes in that."""

    crowded, end = False, END

    @classmethod
    def of(
        cls, program: Path, arguments: Sequence[str], patience: float, record: Path | None = None
    ) -> Self:
        """Start one; with `record`, it is observed, and its calls are written there."""
        words = [sys.executable, "-I", CONFINED, sys.executable, str(program), "{port}", *arguments]
        own = cls(observed(words, record) if record else words, patience)
        own.end = RECORDED if record else END
        return own

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            if members(self.pid) > MOST:
                self.crowded = True
                self.send_signal(signal.SIGKILL)

    @property
    def name(self) -> str:
        """Return what a learner calls it."""
        return next(Path(word).name for word in reversed(self.command) if word.endswith(".py"))

    def wait_until_ready(self) -> None:
        """Wait until it listens, or say plainly what it does instead."""
        try:
            with within(START):
                super().wait_until_ready()
        except OutOfTime:
            left()  # of what is left for all, which may be less
            raise ServerError(
                f"{self.name} does not serve: nobody listens on its port after {START:.0f} s, and"
                f" it still runs; {self.last()}"
            ) from None

    def ended(self, wait: float = 0) -> str:
        """Say how it ended."""
        how = super().ended(wait)
        return CROWD.format(MOST) if self.crowded else how

    def stop(self) -> int:
        """Have it end, and all that it has started, also what has left its group."""
        status = super().stop()
        while others := marked(self.pid):
            for pid in others:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return status

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._over.set()
        self._watcher.join()


def members(group: int) -> int:
    """Return how many processes a group has."""
    if sys.platform != "linux":
        listed = ["ps", "-A", "-o", "pgid="]
        done = subprocess.run(listed, capture_output=True, text=True, check=False)
        return done.stdout.split().count(str(group))
    count = 0
    for name in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208, one may be gone by now
        with contextlib.suppress(ProcessLookupError):
            count += os.getpgid(int(name)) == group
    return count


def marked(leader: int) -> list[int]:
    """Return all that are left of what a program has started, wherever they went (Linux).

    They have what `confined` has put into their environment. Those that have ended have none.
    """
    found, mark = [], f"{MARK}={leader}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def keep_orphans() -> None:
    """Become the parent of whatever our programs leave behind (Linux, prctl(2)).

    At the end of ours, that is killed.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        atexit.register(end_orphans)


def end_orphans() -> None:
    """Kill all that are left, and those that become ours because of that."""
    while pids := processes.children(os.getpid()):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def raise_loopback() -> None:
    """Bring `lo` up, as it is not in a network that is new (Linux, netdevice(7))."""
    if sys.platform != "linux":
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        found = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", found)[1]
        if not flags & IFF_UP:
            fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
