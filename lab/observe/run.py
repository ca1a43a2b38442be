"""Running servers and clients under observation."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.harness.servers import ROOT, Foreign, Server
from lab.observe import record
from lab.observe.record import CLIENT, SERVER, Recording
from lab.show.arguments import Wrong

INSIDE = str(ROOT / "lab/observe/inside")

UNOBSERVED = (
    "cannot be observed: it starts no Python, or one that minds no PYTHONPATH (python -I, -E, -S)"
)

CLIENT_SCRIPT = str(ROOT / "simple_client.py")


def observed(command: Sequence[str], file: Path) -> list[str]:
    """Return the command that does the same; the first Python in it is recorded in `file`."""
    path = os.pathsep.join(filter(None, [INSIDE, os.environ.get("PYTHONPATH")]))
    return ["env", f"PYTHONPATH={path}", f"LAB_RECORD={file}", *command]


@dataclass
class Session:
    """A server under observation, which is running, and the file of each record."""

    server: Server
    files: dict[str, Path]

    def recording(self) -> Recording:
        """Return what was recorded; the server has ended."""
        return record.read(self.files)


@contextlib.contextmanager
def watched(command: Sequence[str]) -> Iterator[Session]:
    """Run a server under observation; it has ended after the block, the record is still there.

    One with `{port}` in its command need not say when it serves.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, SERVER)
        kind = Foreign if any("{port}" in word for word in command) else Server
        server = kind(observed(command, file))
        server.command = command  # the name by which to speak of it
        with server:
            if not file.exists():
                raise Wrong(f"`{server.name}` {UNOBSERVED}")
            yield Session(server, {SERVER: file})


def step_command(step: str, *arguments: str) -> list[str]:
    """Return the command of a step's server, on a free port."""
    return [sys.executable, str(ROOT / step / "server.py"), "0", *arguments]


def conversation(command: Sequence[str], count: int = 3, pace: float = 1.0) -> Recording:
    """Observe a server from its start to its end, with so many of the real client's talks.

    The client is observed too; what it says of answers becomes the recording's `problems`.
    """
    with watched(command) as session:
        server, file = session.server, session.files[SERVER].with_name(CLIENT)
        client = [sys.executable, CLIENT_SCRIPT, server.host, str(server.port)]
        client += ["-n", str(count), "--pace", str(pace)]
        done = subprocess.run(observed(client, file), capture_output=True, text=True, check=False)
        problems = re.findall(r"^ERROR:[-\d]+ [:,\d]+:(.*)", done.stderr, re.MULTILINE)
        if how := server.ended():
            problems.append(f"the server: {how}")
        if server.stop() == -signal.SIGKILL:
            problems.append("the server: it did not end when told to, and its record is lost")
        session.files[CLIENT] = file
        return replace(session.recording(), problems=tuple(problems))


def conversations(steps: Iterable[str], count: int = 3, pace: float = 1.0) -> dict[str, Recording]:
    """Observe one step after the other so; return the recordings by their names."""
    return {step: conversation(step_command(step), count, pace) for step in steps}
