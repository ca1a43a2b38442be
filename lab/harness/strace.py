"""The system calls of a server, as strace(1) sees them and makes them fail. Linux only."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.harness.processes import NotMeasured

LETS_GO = 5
"""Seconds that strace has to detach; of a process that is a zombie it does not."""


@dataclass(frozen=True)
class Call:
    """A system call: its thread, its name, the how manyth of that name there, the rest of the line.

    `hit` says that strace has changed it.
    """

    thread: int
    name: str
    number: int
    text: str
    hit: bool


def want() -> None:
    """Raise NotMeasured where there is no strace, or it may not attach to what others started."""
    if not shutil.which("strace"):
        raise NotMeasured("wants strace (Linux; see your package manager)")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        try:
            with Attached([other.pid], ["read"]):
                pass
        finally:
            other.kill()


def options(names: Iterable[str], inject: str, path: Path) -> list[str]:
    """Return how strace is to be called: which calls to note in `path`, and which to change.

    What a server starts as another program (execve) is left alone.
    """
    traced = ",".join(f"?{name}" for name in names)  # not every machine has every call
    words = ["strace", "-f", "-y", "-o", str(path), "-e", f"trace={traced}", "-e", "signal=SIGTERM"]
    return words + (["-e", f"inject={inject}"] if inject else [])


def parse(text: str) -> list[Call]:
    """Return the calls that strace has noted, in the order in which they ended."""
    numbers: Counter[tuple[str, str]] = Counter()
    begun: dict[str, str] = {}
    found = []
    for line in text.splitlines():
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        if resumed := re.match(r"<\.\.\. \w+ resumed>", rest):
            rest = begun.pop(thread, "") + rest[resumed.end() :]
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>")
        elif match := re.match(r"(\w+)\((.*)", rest):
            name, text = match.groups()
            numbers[thread, name] += 1
            hit = bool(re.search(r"\((INJECTED|DELAYED)\)", text[-40:]))
            found.append(Call(int(thread), name, numbers[thread, name], text, hit))
    return found


class Attached:
    """Processes that are traced from now on; a context manager that lets go of them.

    With `only`, a file, no other calls are meant than those that concern it.
    """

    def __init__(
        self,
        pids: Sequence[int],
        names: Iterable[str],
        inject: str = "",
        only: Path | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name) / "calls"
        whom = [word for pid in pids for word in ("-p", str(pid))]
        if only:
            whom += ["-P", str(only).removesuffix(" (deleted)")]
        self.process = subprocess.Popen(
            [*options(names, inject, self.path), "-b", "execve", *whom], stderr=subprocess.PIPE
        )
        assert self.process.stderr
        for _ in pids:
            line = self.process.stderr.readline().decode()
            if " attached" not in line:
                self.__exit__()
                raise NotMeasured(line.strip() or "strace ended instead of attaching")

    def detach(self) -> None:
        """Let go of them; the kernel does if strace waits for one that has ended."""
        self.process.terminate()
        try:
            self.process.wait(LETS_GO)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def calls(self) -> list[Call]:
        """Return the calls that were made so far."""
        return parse(self.path.read_text(errors="replace"))

    def signalled(self) -> bool:
        """Return whether a SIGTERM has come so far."""
        return "--- SIGTERM" in self.path.read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()
        if self.process.stderr:
            self.process.stderr.close()
        self._folder.cleanup()
