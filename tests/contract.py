"""The contract of a step: every check, with the verdict that is declared for it.

A plugin of pytest's, for both suites: without `--full` what is large is smaller.
"""

import contextlib
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from lab.check import costs, limits, many, talk
from lab.check.rungs import CHECKS
from lab.check.suite import FAILED, HELD, NOT_MEASURED, Check, Verdict, judge
from lab.harness.servers import STEPS, Server, ServerError
from tests import programs
from tests.summary import BREAKS, FIRST, KEEPS, STARTS_NOT, Broken, Finding

__tracebackhide__ = True

COMPARE_TIMES = {"latency", "side_by_side", "burst", "fair"}
"""Checks that have to have the machine to themselves."""

PATIENCE = 10.0
"""Seconds that a server has for each answer that it owes."""

SIZED = {"late_reader", "thinks", "idle_memory", "idle_cpu", "thousand_idle"}
"""Checks whose sizes these are."""

SMALLER = ((talk, "LATE", 8), (talk, "THINKS", 1.0), (costs, "IDLE", 700), (many, "MANY", 250))
"""Sizes that do as well for a reader who waits; `--full` leaves them as they are."""


def pytest_configure(config: pytest.Config) -> None:
    """Lower what is large, unless it is to be run in full."""
    if not config.getoption("full"):
        for module, name, size in SMALLER:
            setattr(module, name, size)


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
                + [pytest.mark.sized] * (check.name in SIZED)
                + [pytest.mark.full] * (check.rung in full),
            )
            for check in checks
        ],
    )


each_half = pytest.mark.parametrize(
    "times", [False, pytest.param(True, marks=pytest.mark.in_turn)], ids=["others", "times"]
)


def half(checks: Iterable[Check], times: bool) -> list[Check]:
    """Return those of these checks that compare times, or those that do not."""
    return [one for one in checks if (one.name in COMPARE_TIMES) is times]


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


@pytest.fixture(scope="session", autouse=True)
def none_kept(nothing_left: None) -> Iterator[None]:
    """End them, before it is looked at what is left."""
    yield
    LENDER.close()


ORDER = sorted(CHECKS, key=lambda name: (CHECKS[name].rung != "talk", name != "drip"))
"""In which they are told: who mixes up its clients breaks whatever several of them do."""

GREET: set[tuple[str, ...]] = set()
"""The commands whose servers have sent their `*`: without that nothing else can be seen of one."""

BROKEN = Counter[tuple[str, ...]]()
"""How many promises the servers of a command have broken."""

MANY = 3
"""Broken promises, after which a server is given less time for others."""


def declared(check: Check, step: str) -> str:
    """Return the verdict that is declared for a step."""
    if step in limits.NOT_MEASURED.get(check.name, ()):
        return NOT_MEASURED
    return FAILED if check.name in limits.declared(step) else HELD


def tried(check: Check, step: str, command: list[str]) -> tuple[Verdict, str]:
    """Run a check on a server of this step; return the verdict, and what was logged meanwhile.

    Where none has sent its `*` yet, `ack` comes first, and is the verdict if it fails.
    """
    server, key = LENDER.lend(command), tuple(command)
    before = len(server.log())
    with contextlib.ExitStack() as stack:
        stack.push(server)  # which ends it
        for one in (check,) if key in GREET else (CHECKS["ack"], check):
            # What is not to come is not waited for.
            other = 1 if BROKEN[key] >= MANY else PATIENCE
            server.patience = 0.25 if declared(one, step) == FAILED else other
            verdict = judge(one, server)
            if verdict.outcome != HELD:
                break
            GREET.add(key)
        log = server.log()[before:]
        if verdict.outcome != FAILED:
            stack.pop_all()
            LENDER.take_back(server)
    return verdict, log


def as_declared(check: Check, step: str, command: list[str] | None = None, form: str = "") -> None:
    """Run a check on a server of this step; Broken unless the verdict is the declared one.

    Another form of its server has a name and a command of its own.
    """
    script, who = f"{step}/server.py", f"{step} ({form})" if form else step
    command = command or programs.command(script, "0", *limits.ARGUMENTS.get(step, ()))
    try:
        verdict, log = tried(check, step, command)
    except ServerError as error:
        words = str(error).partition("its last words:\n")[2] or str(error)
        page, alone = f"{step}/README.md", f"pytest -k '{form}'" if form else f"python {script}"
        raise Broken(Finding(who, STARTS_NOT, "start", "", words, page, alone, FIRST)) from None
    check, expected = verdict.check, declared(verdict.check, step)
    if verdict.outcome == expected and "Traceback" not in log:
        return
    if verdict.outcome == NOT_MEASURED and sys.platform != "linux":
        pytest.skip(verdict.seen)  # other systems do not tell as much of a process
    BROKEN[tuple(command)] += 1
    does, seen = BREAKS, verdict.seen
    if expected == FAILED and verdict.outcome == HELD:
        does = KEEPS
        seen += f"; lab/check/limits.py says: {limits.declared(step)[check.name]}"
    if re.search(r"(Error|Exception)\b", verdict.words) and verdict.words not in seen:
        seen += f"; and it logged\n{verdict.words}"
    alone = f"python -m lab check {step} --only {check.name}"
    raise Broken(
        Finding(
            who=who,
            does=does,
            name=check.name,
            promise=f" ({check.name}): {check.title}",
            seen=seen,
            read=check.read,
            alone=f"pytest -k '{form} and {check.name}'" if form else alone,
            rank=ORDER.index(check.name),
        )
    )
