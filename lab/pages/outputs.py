"""What pages show of what is printed: each output by name, made by running it.

A page keeps the figures of the day on which it was written. Whether it is still true is seen
by running everything again, smaller, and comparing what does not vary.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import dropwhile

from lab.harness import processes
from lab.harness.clients import clients, greeted_clients
from lab.harness.servers import ROOT, STEPS, Server, start
from lab.show import about


@dataclass(frozen=True)
class Output:
    """A command as a reader types it, and what makes it smaller where only its form matters."""

    command: str
    smaller: tuple[str, ...] = ()
    of: Callable[[str], str] = str

    def __call__(self, quick: bool) -> str:
        """Run it to its end; return what it prints.

        If we are interrupted, it is told to end, and not killed: it has servers to end.
        """
        words = [sys.executable, *self.command.split()[1:], *(self.smaller if quick else ())]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=quiet) as process:
            try:
                said = process.communicate()[0].decode()
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, words)
        return fenced(self.of(said), self.command)


def fenced(text: str, command: str) -> str:
    """Return what was printed as a page shows it."""
    return f"```\n{text.rstrip()}\n```\n\n{about.line(command)}"


def logged(server: Server, command: str) -> str:
    """Return what a server has said from its start to its end, as a page shows it."""
    lines = [f"Serving on {server.host}:{server.port}", *server.log().splitlines()]
    return fenced("\n".join(line for line in lines if "limit raised" not in line), command)


def told(step: str, typed: Sequence[tuple[int, bytes, float]], quick: bool) -> str:
    """Return what a server logs, while people type into `nc`.

    Who of them types, what (nothing is the end), and the seconds until somebody types again.
    """
    count = 1 + max(who for who, *_ in typed)
    with start(step) as server, clients(server, count) as socks:
        time.sleep(1)
        for who, line, pause in typed:
            if line:
                socks[who].sendall(line)
            else:
                socks[who].shutdown(socket.SHUT_WR)
            time.sleep(pause)
        server.stop()
        return logged(server, f"python {step}/server.py")


TWO = (0, b"hello\n", 0), (1, b"^second$\n", 1), (0, b"^whatup$\n", 2), (0, b"", 0.3)
ONE = (0, b"hello\n", 1), (0, b"^whatup$\n", 1), (0, b"", 0.9)


def replaced(quick: bool) -> str:
    """Return what two workers log, one of which is killed."""
    options = ("--workers", "2", "--drain", "0")
    with start(STEPS[6], *options, script="workers.py") as server, greeted_clients(server, 4):
        time.sleep(1.1)  # one that has just begun is not replaced at once
        before = processes.children(server.pid)
        os.kill(before[0], signal.SIGKILL)
        while len({*before, *processes.children(server.pid)}) < 3:
            time.sleep(0.01)
        with greeted_clients(server, 1):
            server.stop()
        return logged(server, f"python {STEPS[6]}/workers.py {' '.join(options)}")


def the_end(text: str) -> str:
    """Return the table at the end of a race, without what comes before it."""
    return "\n".join(dropwhile(lambda line: " ratio " not in line, text.splitlines()))


OUTPUTS: dict[str, Callable[[bool], str]] = {
    "race": Output("python -m lab race", ("--pace", "0.1"), the_end),
    **{
        f"observe{number}": Output(f"python -m lab observe {step} -n 3", ("--pace", "0.1"))
        for number, step in enumerate(STEPS, 1)
    },
    "narrated3": partial(told, STEPS[2], TWO),
    "narrated4": partial(told, STEPS[3], ONE),
    "timer": Output(f"python {STEPS[6]}/timer_demo.py", ("--period", "0.05")),
    "workers": replaced,
    "timer_offload": Output(f"python {STEPS[6]}/timer_demo.py --offload", ("--period", "0.05")),
}
"""All of them, by name."""


def form(text: str) -> str:
    """Return what does not vary of an output: all but the figures, and how they are aligned."""
    text = re.sub(r"\(`.*?\.\)$", "", text.strip(), flags=re.DOTALL)  # when and where
    return re.sub(r"[ -]*[\d][\d.,]*", " #", re.sub(r" +", " ", text))


def current(name: str, before: str, anew: bool) -> str:
    """Return what a command prints, or what the page has of it, if that looks the same."""
    if sys.platform != "linux":
        return before  # elsewhere some calls have other names
    # What observe prints is in the order of times, which vary where they are small; and a worker
    # that sleeps for three periods races with the third tick; as workers do for clients.
    order = sorted if name.startswith(("observe", "timer_offload", "workers")) else list
    if not anew:
        now, kept = (order(form(text).splitlines()) for text in (OUTPUTS[name](True), before))
        if now == kept:
            return before
    return OUTPUTS[name](False)
