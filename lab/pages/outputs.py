"""What pages show of what is printed: each output by name, made by running it.

A page keeps the figures of the day on which it was written. Whether it is still true is seen
by running everything again, smaller, and comparing what does not vary.
"""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from lab.harness.clients import expect
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


@dataclass(frozen=True)
class Told:
    """What a server logs, while somebody types into `nc` what `typed` does."""

    step: str
    typed: Callable[[Server, float], None]

    def __call__(self, quick: bool) -> str:
        """Run the server; return its log."""
        with start(self.step) as server:
            self.typed(server, 0.25 if quick else 1.0)
            server.stop()
            where = f"Serving on {server.host}:{server.port}"
            log = server.log().splitlines()
        lines = [where, *(line for line in log if "limit raised" not in line)]
        return fenced("\n".join(lines), f"python {self.step}/server.py")


def two_terminals(server: Server, second: float) -> None:
    """Type into two `nc`, first into the first, then into the second; leave the first."""
    with server.connect() as one, server.connect() as two:
        expect(one, b"*")
        time.sleep(second)
        one.sendall(b"hello\n")
        two.sendall(b"^second$\n")
        time.sleep(second)
        one.sendall(b"^whatup$\n")
        time.sleep(2 * second)
        one.shutdown(socket.SHUT_WR)
        expect(two, b"*tfdpoe")
        time.sleep(0.1)
        server.stop()


def one_terminal(server: Server, second: float) -> None:
    """Type two lines into one `nc`, a while apart, and leave."""
    with server.connect() as sock:
        expect(sock, b"*")
        for line in (b"hello\n", b"^whatup$\n"):
            time.sleep(0.5 + second / 2)
            sock.sendall(line)
        expect(sock, b"xibuvq")
        time.sleep(0.5 + second / 2)
    time.sleep(0.9)


def the_end(text: str) -> str:
    """Return the table at the end of a race, without what comes before it."""
    lines = text.splitlines()
    return "\n".join(lines[next(at for at, line in enumerate(lines) if " ratio " in line) :])


OUTPUTS: dict[str, Callable[[bool], str]] = {
    "race": Output("python -m lab race", ("--pace", "0.1"), the_end),
    **{
        f"observe{number}": Output(f"python -m lab observe {step} -n 3", ("--pace", "0.1"))
        for number, step in enumerate(STEPS, 1)
    },
    "narrated3": Told(STEPS[2], two_terminals),
    "narrated4": Told(STEPS[3], one_terminal),
    "timer": Output(f"python {STEPS[6]}/timer_demo.py", ("--period", "0.05")),
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
    # What observe prints is in the order of times, which vary where they are small.
    order = sorted if name.startswith("observe") else list
    if not anew and order(form(OUTPUTS[name](True)).splitlines()) == order(
        form(before).splitlines()
    ):
        return before
    return OUTPUTS[name](False)
