"""Running servers and clients under observation."""

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lab.harness.servers import ROOT, Foreign, Server
from lab.observe import record
from lab.observe.record import CLIENT, SERVER, Recording
from lab.show.arguments import Wrong

INSIDE = str(ROOT / "lab/observe/inside.py")

CLIENT_SCRIPT = str(ROOT / "simple_client.py")


def observed(command: Sequence[str], file: Path) -> list[str]:
    """Return the command that does the same, and is recorded in `file`.

    Raises Wrong unless it is `python SCRIPT ...` or `python -m MODULE ...`.
    """
    python, *words = command or [""]
    known = bool(words) and (words[0] == "-m" or not words[0].startswith("-"))
    if "python" not in Path(python).name or not known:
        raise Wrong(f"only `python SCRIPT` or `python -m MODULE`, not `{' '.join(command)}`")
    return [python, INSIDE, str(file), *words]


class Session:
    """A server under observation, which is running, and the clients that talk to it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.files = {SERVER: folder / SERVER}
        self.folder = folder

    def talk(self, count: int, pace: float) -> tuple[str, ...]:
        """Have the real client hold so many conversations, observed too; return its problems."""
        self.files[CLIENT] = self.folder / CLIENT
        where = [self.server.host, str(self.server.port)]
        options = ["-n", str(count), "--pace", str(pace)]
        command = [sys.executable, CLIENT_SCRIPT, *where, *options]
        done = subprocess.run(
            observed(command, self.files[CLIENT]), capture_output=True, text=True, check=False
        )
        return tuple(re.findall(r"^ERROR:[-\d]+ [:,\d]+:(.*)", done.stderr, re.MULTILINE))

    def recording(self) -> Recording:
        """Return what was recorded so far; all of it, when the server has ended."""
        return record.read(self.files)


@contextlib.contextmanager
def watched(command: Sequence[str], foreign: bool = False) -> Iterator[Session]:
    """Run a server under observation; it has ended after the block, the record is still there.

    `foreign` is for a server that does not say when it serves, with `{port}` in its command.
    """
    with tempfile.TemporaryDirectory() as folder:
        kind = Foreign if foreign else Server
        server = kind(observed(command, Path(folder) / SERVER))
        server.command = command  # the name by which to speak of it
        with server:
            yield Session(server, Path(folder))


def step_command(step: str, *arguments: str) -> list[str]:
    """Return the command of a step's server, on a free port."""
    return [sys.executable, str(ROOT / step / "server.py"), "0", *arguments]


def conversation(
    command: Sequence[str], foreign: bool = False, count: int = 3, pace: float = 1.0
) -> Recording:
    """Observe a server from its start to its end, with so many of the real client's talks."""
    with watched(command, foreign) as session:
        problems = session.talk(count, pace)
        if how := session.server.ended():
            problems += (f"the server: {how}",)
        session.server.stop()
        return replace(session.recording(), problems=problems)
