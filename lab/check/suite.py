"""What a check is, and how they are run: one after another, each with a verdict."""

import contextlib
import inspect
import math
import re
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from common import descriptors
from lab.harness.clients import FULL, SLOW, Failed
from lab.harness.deadline import OutOfTime, within
from lab.harness.processes import NotMeasured
from lab.harness.servers import Endpoint, Server, ServerError

HELD, FAILED, NOT_MEASURED = "held", "failed", "not measured"

BOUND = 30.0
"""Seconds after which a check that was not asked for gives up."""

ALL = 84.0
"""Seconds for all those together, whatever a server does, where an answer has `PATIENCE`."""

PATIENCE = 5.0
"""Seconds that an answer has, unless somebody says otherwise."""

PART, LEAST = 1 / 7, 1.0
"""Of what is left of that, what a check may take; and below how many seconds none runs."""

Run = Callable[[Endpoint], str]


@dataclass(frozen=True)
class Check:
    """A check: `run` returns what it saw, as a figure, or raises Failed or NotMeasured.

    `title` says what holds, `advice` what is wrong where it does not, and `read` is the
    page that explains it. `rung` is the module it is in. One that is `alone` starts servers of
    its own; one that is `asked_for` is left out unless somebody asks for it. `survives` says what
    a server has survived that holds it, if that is the first thing to know of one. It may take
    `share` times as long as others.
    """

    run: Run
    name: str
    rung: str
    title: str
    advice: str
    read: str
    alone: bool = False
    asked_for: bool = False
    survives: str = ""
    share: int = 1

    def given(self, **arguments: Any) -> Self:
        """Return the same check, where `run` gets these arguments too: a time limit, a seed."""
        run: Any = self.run
        return replace(self, run=partial(run, **arguments))


def check(read: str, **how: Any) -> Callable[[Run], Check]:
    """Make a check of a function; `read` is the page that explains it, or the folder of it.

    `how` are those fields of `Check` that have a default.
    """
    page = read if read.endswith(".md") else f"{read}/README.md"

    def make(run: Run) -> Check:
        rung = run.__module__.rpartition(".")[2]
        title, _, advice = (inspect.getdoc(run) or "").partition("\n")
        advice = " ".join(advice.split())
        return Check(run, run.__name__, rung, title, advice, page, **how)

    return make


@dataclass(frozen=True)
class Verdict:
    """What came of a check: HELD, FAILED or NOT_MEASURED, what was seen, and the seconds.

    `advice` is what to do about a failure, and `words` what the server logged meanwhile, the end.
    """

    check: Check
    outcome: str
    seen: str
    seconds: float = 0.0
    advice: str = ""
    words: str = ""


DEATHS = {
    r"(ConnectionReset|BrokenPipe|ConnectionAborted)Error": "After a reset, `send` and `recv` raise"
    " that. Catch it, and close this client.",
    r"BlockingIOError": "That is no failure: it says `not now`. Wait until the socket is ready, and"
    " go on.",
    r"[\w.]+(Error|Exception|Group)\b": "`{}` was raised and caught nowhere: let it end one client,"
    " not the server.",
    r"by SIGPIPE": "It sent to a client that had left, and did not ignore that signal: with"
    " `signal(SIGPIPE, SIG_IGN)`, `send` fails with EPIPE instead, which ends one client.",
    r"by SIG(SEGV|BUS)": "It used memory that is not its own: often the record of a client that has"
    " left, or an array that is too short for so high a descriptor. `-fsanitize=address` says"
    " where.",
    r"by SIGABRT": "It, or its library, found something wrong and gave up (`assert`, a double"
    " `free`, a buffer that is too short, `FD_SET` of a descriptor above 1023). See its last"
    " words.",
    r"by SIGKILL": "Somebody killed it: the kernel, most likely, for want of memory.",
    r"": "See its last words.",
}
"""What to do about a death: by the exception that it logged last, or else by the signal."""


def death(server: Server) -> str:
    """Say what to do about how a server has died."""
    status, last = server.process.returncode or 0, last_words(server.log()).rpartition("\n")[2]
    how = (last, f"by {signal.Signals(-status).name}" if status < 0 else "")
    advice = next(said for one, said in DEATHS.items() if any(re.match(one, word) for word in how))
    advice = advice.format(last[:70])
    return f"But first of all it has to survive: whatever a client does, it goes on. {advice}"


@contextlib.contextmanager
def fresh(
    server: Endpoint, limit: int = 0, taken: int = 0, free: int = 0, advice: str = ""
) -> Iterator[Server]:
    """Start one more server of the kind; Failed, with the advice, if it ends by itself."""
    with server.another(limit=limit, taken=taken, free=free) as own:
        try:
            yield own
        except (Failed, OutOfTime, OSError) as error:
            if not own.stopped and (end := own.ended(0.5)):  # it may be about to
                seen = end if isinstance(error, OSError) else f"{error}; then {end}"
                raise Failed(seen, advice or death(own)) from None
            raise
        if not own.stopped and (end := own.ended(0.01)):
            raise Failed(end, advice or death(own))


def judge(one: Check, server: Endpoint, seconds: float = BOUND) -> Verdict:
    """Run a check against a server, and see whether that is still there afterwards.

    After so many seconds it gives up, and says how far it came.
    """
    start, before = time.monotonic(), len(server.log())
    outcome, advice, then = FAILED, one.advice, ""
    with within(math.inf if one.asked_for else seconds) as attempt:
        try:
            outcome, seen = HELD, one.run(server)
        except NotMeasured as error:
            outcome, seen = NOT_MEASURED, str(error)
        except OutOfTime as error:
            seen, advice = f"gave up after {seconds:.0f} s", SLOW
            seen = then = f"{seen}: {error}" if str(error) else seen
        except Failed as error:
            seen = then = str(error)
            advice = error.advice or advice
        except TimeoutError:
            seen = f"no answer for {server.patience:g} s"
        except (ServerError, OSError) as error:
            seen = str(getattr(error, "strerror", None) or error)
    if outcome == FAILED and attempt.late:
        seen, advice = f"{seen}; {attempt.late} times the backlog was full", FULL
    # It may be about to end, most of all where it has failed.
    if not one.alone and (end := server.ended(0.5 if outcome == FAILED else 0.01)):
        assert isinstance(server, Server)
        outcome, seen = FAILED, f"{then}; then {end}" if then else end
        advice = f"{advice} {death(server)}" if then else death(server)
    words = last_words(server.log()[before:]) if outcome == FAILED else ""
    return Verdict(one, outcome, seen, time.monotonic() - start, advice, words)


def last_words(log: str) -> str:
    """Return the end of the last traceback in a log, or else its last lines that are not blank."""
    _, found, rest = log.rpartition("Traceback (most recent call last):\n")
    if found and (match := re.match(r"((?: .*\n)+)(\S.*)", rest)):
        return "\n".join([*match[1].splitlines()[-4:], match[2]])
    return "\n".join([line for line in log.splitlines() if line.strip()][-3:])


def verdicts(
    checks: Iterable[Check],
    start: Callable[[], Endpoint],
    announce: Callable[[Check], object] = bool,
) -> Generator[Verdict, None, None]:
    """Run the checks in their order, and yield a verdict on each.

    `announce` is told of each before it runs. `start` makes the server: one serves for all
    checks that hold, and after one that does not, the next gets a fresh server. After an `ack`
    that does not hold there are no more. ServerError if none starts.
    """
    descriptors.raise_limit()
    with contextlib.ExitStack() as stack:
        server: Endpoint | None = stack.enter_context(start())
        assert server
        ends = time.monotonic() + ALL * max(1, server.patience / PATIENCE)
        for one in checks:
            share = PART * (ends - time.monotonic())
            seconds = min(BOUND, one.share * share)
            announce(one)
            if share < LEAST and not one.asked_for:
                yield Verdict(one, NOT_MEASURED, "no time is left, the others took all; see --only")
                continue
            if server is None:
                server = stack.enter_context(start())
            if one.alone:
                server.stop()
            verdict = judge(one, server, seconds)
            yield verdict
            if one.asked_for:
                ends += verdict.seconds
            if one.alone or verdict.outcome == FAILED:
                stack.close()
                server = None
            if one.name == "ack" and verdict.outcome != HELD:
                return  # all other checks begin with this
