"""Who takes part: our servers, what people would use instead, and the limit."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.harness.servers import ROOT, STEPS, Server

OURS, PEER, LIMIT = "ours", "peer", "limit"

PATIENCE = 5.0
"""Seconds that a server has for an answer."""


@dataclass(frozen=True)
class Contestant:
    """A server: the command that starts it, and `needs`, the package without which it cannot."""

    name: str
    kind: str
    command: tuple[str, ...]
    needs: str = ""

    def start(self, environment: Iterable[str] = ()) -> Server:
        """Start it on a free port, quietly, and with these in its environment."""
        return Server(("env", *environment, *self.command), PATIENCE)

    @property
    def missing(self) -> str:
        """What it needs and is not there; "" if it can run."""
        return "" if not self.needs or importlib.util.find_spec(self.needs) else self.needs


def ours(number: int, *arguments: str) -> Contestant:
    """Return the server of a step."""
    step = STEPS[number - 1]
    command = (sys.executable, str(ROOT / step / "server.py"), "0", "--quiet", *arguments)
    return Contestant(" ".join((step, *arguments)), OURS, command)


def polling(interval: float) -> Contestant:
    """Return step 4 with an interval, in seconds."""
    return ours(4, "--interval", f"{interval:g}")


def asyncio(loop: str, style: str, *options: str) -> Contestant:
    """Return the server of step 7 that is written on asyncio, with this loop."""
    script = str(ROOT / STEPS[6] / "asyncio_server.py")
    command = (sys.executable, script, "0", "--quiet", "--style", style, *options)
    return Contestant(f"{loop} {style}", PEER, command, loop)


def peer(name: str, module: str, needs: str = "") -> Contestant:
    """Return the server of a module in `lab/bench/peers/`."""
    command = (sys.executable, "-m", "lab.bench.peers", module, "0")
    return Contestant(name, PEER, command, needs)


SEQUENTIAL, THREADS, BLOCKING = ours(1), ours(2), ours(3)
POLLING = polling(0)
SELECT, EPOLL, LOOP = ours(5), ours(6), ours(7)
POLL = peer("poll(2) in step 5", "poll")
SOCKETSERVER = peer("socketserver threads", "threads")
STREAMS, UV_STREAMS = asyncio("asyncio", "streams"), asyncio("uvloop", "streams", "--uvloop")
PROTOCOL, UV_PROTOCOL = asyncio("asyncio", "protocol"), asyncio("uvloop", "protocol", "--uvloop")
GEVENT = peer("gevent", "gevent_server", "gevent")
TRIO = peer("trio", "trio_server", "trio")
TWISTED = peer("Twisted", "twisted_server", "twisted")
TORNADO = peer("tornado", "tornado_server", "tornado")

STEPS_MANY = (THREADS, polling(0.01), SELECT, EPOLL, LOOP)
"""Ours that serve many at once; step 4 sleeps, or it would be busy when it is another's turn."""

PEERS = (SOCKETSERVER, STREAMS, PROTOCOL, UV_STREAMS, UV_PROTOCOL, GEVENT, TRIO, TWISTED, TORNADO)

C_EPOLL, C_LIBUV = "C on epoll", "C on libuv"
_PROGRAMS = {C_EPOLL: ("epoll", ()), C_LIBUV: ("libuv", ("-luv",))}


def compiled(folder: Path, say: Callable[[str], object]) -> Iterator[Contestant]:
    """Compile the C servers into `folder` and yield them; `say` why one is left out."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        say("left out: C on epoll, C on libuv (no C compiler here)")
        return
    for name, (source, libraries) in _PROGRAMS.items():
        program, code = str(folder / source), str(ROOT / f"lab/bench/limit/{source}.c")
        words = [compiler, "-O2", "-o", program, code, *libraries]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            why = re.search(r"error: (.*)", done.stderr)
            say(f"left out: {name} ({why[1] if why else 'it does not compile here'})")
        else:
            yield Contestant(name, LIMIT, (program, "0"))
