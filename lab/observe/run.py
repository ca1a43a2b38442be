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
from typing import IO

from lab.harness.servers import ROOT, Foreign, Server, ServerError
from lab.observe import record
from lab.observe.record import CLIENT, SERVER, Recording
from lab.show.arguments import Wrong

INSIDE = str(ROOT / "lab/observe/inside")

CLIENT_SCRIPT = str(ROOT / "simple_client.py")

UNOBSERVED = (
    "cannot be observed: it starts no Python, or one that minds no PYTHONPATH (-E, -I, -S) or is"
    " given another; that which is set for this command is kept"
)

HINT = """
If it takes a port, {port} stands for that in its --cmd; if it has one of its own: --port PORT"""


def observed(command: Sequence[str], file: Path) -> list[str]:
    """Return the command that does the same; the first Python that it starts records in `file`."""
    path = os.pathsep.join(filter(None, [INSIDE, os.environ.get("PYTHONPATH")]))
    return ["env", f"PYTHONPATH={path}", f"LAB_RECORD={file}", *command]


@dataclass
class Session:
    """A server under observation, which is running, and the file of each record."""

    server: Server
    files: dict[str, Path]

    def recording(self) -> Recording:
        """End the server, if it still runs; return what was recorded."""
        self.server.stop()
        return record.read(self.files)


def starting(
    command: Sequence[str], file: Path, port: int = 0, stdin: int | IO[bytes] | None = None
) -> Server:
    """Return an observed server that starts up; with a port in its command, or its own, a Foreign.

    It reads `stdin`, as `Popen` takes it.
    """
    silent = port or any("{port}" in word for word in command)
    server = (Foreign if silent else Server)(observed(command, file), port=port, stdin=stdin)
    server.command = command  # the name by which to speak of it
    return server


@contextlib.contextmanager
def watched(command: Sequence[str], port: int = 0, stdin: Path | None = None) -> Iterator[Session]:
    """Run a server under observation; it has ended after the block, the record is still there.

    One with `{port}` in its command, or a `port` of its own, need not say when it serves. What
    it reads is `stdin`, or else what we would. Raises Wrong if it cannot be observed.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        files = {process: Path(folder, process) for process in (SERVER, CLIENT)}
        given = stack.enter_context(stdin.open("rb")) if stdin else None
        server = starting(command, files[SERVER], port, given)
        try:
            stack.enter_context(server)
        except ServerError as error:
            known = server.own_group or "ended" in str(error)
            raise error if known else ServerError(f"{error}{HINT}") from None
        if not files[SERVER].exists():
            raise Wrong(f"`{server.name}` {UNOBSERVED}")
        yield Session(server, files)


def step_command(step: str, *arguments: str) -> list[str]:
    """Return the command of a step's server, on a free port."""
    return [sys.executable, str(ROOT / step / "server.py"), "0", *arguments]


def conversation(
    command: Sequence[str],
    count: int = 3,
    pace: float = 1.0,
    client: Sequence[str] = (),
    seconds: float = 0,
    port: int = 0,
    stdin: Path | None = None,
) -> Recording:
    """Observe a server from its start to its end, with so many of the real client's talks.

    Or with another `client`, in whose command {host} and {port} stand for the server's; it has so
    many `seconds`, if any are given. Without one, it is then anybody who comes in that time. A
    client in Python is observed too. What it says of answers becomes the recording's `problems`.
    """
    talks = [sys.executable, CLIENT_SCRIPT, "{host}", "{port}", f"-n{count}", f"--pace={pace}"]
    with watched(command, port, stdin) as session:
        if seconds and not client:
            problems = wait(session.server, seconds)
        else:
            problems = drive(session, client or talks, seconds)
        others = len(session.server.tree()[1:])
        if session.server.stop() == -signal.SIGKILL:
            problems.append("the server: it did not end when told to, and its record is lost")
        recording = session.recording()
        others = max(others, recording.others)
        return replace(recording, problems=tuple(problems), others=others)


def drive(session: Session, client: Sequence[str], seconds: float) -> list[str]:
    """Run a client to its end, or for so long; return what was wrong, with it or the server."""
    server, ours = session.server, CLIENT_SCRIPT in client
    host, port = server.host, str(server.port)
    words = [word.replace("{host}", host).replace("{port}", port) for word in client]
    problems = []
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            observed(words, session.files[CLIENT]),
            stderr=subprocess.PIPE if ours else None,
            stdout=subprocess.DEVNULL if ours else sys.stderr,
            text=True,
            timeout=seconds or None,
            check=False,
        )
        problems = re.findall(r"^ERROR:[-\d]+ [:,\d]+:(.*)", done.stderr or "", re.MULTILINE)
        if done.returncode and not ours:
            problems.append(f"the client: it ended with status {done.returncode}")
    if how := server.ended():
        problems.append(f"the server: {how}")
    return problems


def wait(server: Server, seconds: float) -> list[str]:
    """Let the reader drive it; return how it ended, if it has, unless the reader ended it."""
    where = f"{server.host}:{server.port}"
    with contextlib.suppress(KeyboardInterrupt):
        print(f"serving on {where} for {seconds:g} s; Ctrl-C ends it", file=sys.stderr, flush=True)
        how = server.ended(seconds)
        return [f"the server: {how}"] if how else []
    return []


def conversations(steps: Iterable[str], pace: float = 1.0) -> dict[str, Recording]:
    """Observe one step after the other so; return the recordings by their names."""
    return {step: conversation(step_command(step), pace=pace) for step in steps}
