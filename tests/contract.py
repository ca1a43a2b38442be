"""The contract of a step: every check, with the verdict that is declared for it."""

import re
import sys
import threading
from collections.abc import Iterable

import pytest

from lab.check import limits, many, talk
from lab.check.rungs import MATRIX
from lab.check.suite import FAILED, HELD, NOT_GREETED, NOT_MEASURED, Check, judge
from lab.harness.clients import exactly
from lab.harness.servers import ROOT, STEPS, Server
from tests.summary import BREAKS, KEEPS, Broken, Finding

__tracebackhide__ = True

COMPARE_TIMES = {"latency", "side_by_side", "burst"}
"""Checks that have to have the machine to themselves."""

PATIENCE = 10.0
"""Seconds that a server has for each answer that it owes."""

SMALLER = ((talk, "LATE", 8), (many, "MANY", 250))
"""Sizes that do as well for a reader who waits; `--full` leaves them as they are."""


each_step = pytest.mark.parametrize("step", STEPS)


def each(checks: Iterable[Check], full: Iterable[str] = ()) -> pytest.MarkDecorator:
    """Return the decorator that runs a test for each of these; those of rungs in `full` in CI."""
    return pytest.mark.parametrize(
        "check",
        [
            pytest.param(
                check,
                id=check.name,
                marks=[pytest.mark.in_turn] * (check.name in COMPARE_TIMES)
                + [pytest.mark.full] * (check.rung in full),
            )
            for check in checks
        ],
    )


class Lender:
    """Servers that have held a check, for the next: to start one takes longer than most checks.

    Each is lent to one check at a time, and those of several threads are not mixed up.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: list[Server] = []
        self.closed = False

    def lend(self, command: list[str]) -> Server:
        """Return a server that was started with this command, now or before."""
        with self.lock:
            for server in self.idle:
                if server.command == command and not server.ended():
                    self.idle.remove(server)
                    return server
        return Server(command).__enter__()

    def take_back(self, server: Server) -> None:
        """Keep a server until it is lent again."""
        with self.lock:
            if not self.closed:
                self.idle.append(server)
                return
        server.__exit__(None, None, None)

    def close(self) -> None:
        """End them all, and from now on each that is given back."""
        with self.lock:
            self.closed = True
        for server in self.idle:
            server.process.terminate()  # so that they end all at once
        for server in self.idle:
            server.__exit__(None, None, None)


LENDER = Lender()


GREETS: dict[tuple[str, ...], bool] = {}
GREETING = threading.Lock()


def greets(command: list[str]) -> bool:
    """Return whether a server sends its `*`: without that nothing else can be seen of it."""
    with GREETING:
        if tuple(command) not in GREETS:
            with Server(command) as server, server.connect(5) as sock:
                GREETS[tuple(command)] = exactly(sock, 1) == b"*"
    return GREETS[tuple(command)]


def as_declared(check: Check, step: str, command: list[str] | None = None, form: str = "") -> None:
    """Run a check on a server of this step; Broken unless the verdict is the declared one.

    Another form of its server has a name and a command of its own.
    """
    script = str(ROOT / step / "server.py")
    command = command or [sys.executable, script, "0", *limits.ARGUMENTS.get(step, ())]
    if check.name != "ack" and not greets(command):
        pytest.skip(NOT_GREETED)
    server = LENDER.lend(command)
    expected = FAILED if check.name in limits.declared(step) else HELD
    if step in limits.NOT_MEASURED.get(check.name, ()):
        expected = NOT_MEASURED
    server.patience = 0.5 if expected == FAILED else PATIENCE  # for what is not to come
    before = len(server.log())
    try:
        verdict = judge(check, server)
        log = server.log()[before:]
    except BaseException:
        server.__exit__(None, None, None)
        raise
    if verdict.outcome == FAILED:
        server.__exit__(None, None, None)
    else:
        LENDER.take_back(server)
    does, seen = BREAKS, verdict.seen
    if verdict.outcome == expected and "Traceback" not in log:
        return
    if verdict.outcome == NOT_MEASURED and sys.platform != "linux":
        pytest.skip(seen)  # other systems do not tell as much of a process
    if expected == FAILED and verdict.outcome == HELD:
        does = KEEPS
        seen = f"{seen}; lab/check/limits.py says: {limits.declared(step)[check.name]}"
    if (words := last_error(log)) and words not in seen:
        seen += f"; and it logged\n{words}"
    raise Broken(
        Finding(
            who=f"{step} ({form})" if form else step,
            does=does,
            promise=f"({check.name}): {check.title}",
            seen=seen,
            read=check.read,
            alone=f"pytest -k '{form} and {check.name}'"
            if form
            else f"python -m lab check {step} --only {check.name}",
            rank=MATRIX.index(check) if check in MATRIX else len(MATRIX),
        )
    )


def last_error(log: str) -> str:
    """Return the end of the last traceback in a log, or the last line that names an exception."""
    _, found, rest = log.rpartition("Traceback (most recent call last):\n")
    if found and (match := re.match(r"((?: .*\n)+)(\S.*)", rest)):
        return "\n".join([*match[1].splitlines()[-4:], match[2]])
    return "".join(re.findall(r"^.*\w(?:Error|Exception)\b.*: .*$", log, re.MULTILINE)[-1:])
