"""What a check is, and how they are run: one after another, each with a verdict."""

import contextlib
import inspect
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from common import descriptors
from lab.harness.clients import Failed
from lab.harness.processes import NotMeasured
from lab.harness.servers import Endpoint, Server, ServerError

HELD, FAILED, NOT_MEASURED = "held", "failed", "not measured"

Run = Callable[[Endpoint], str]


@dataclass(frozen=True)
class Check:
    """A check: `run` returns what it saw, as a figure, or raises Failed or NotMeasured.

    `title` says what holds, `advice` what is wrong where it does not, and `read` is the
    page that explains it. `rung` is the module it is in. One that is `alone` starts servers of
    its own; one that is `asked_for` is left out unless somebody asks for it.
    """

    run: Run
    name: str
    rung: str
    title: str
    advice: str
    read: str
    alone: bool
    asked_for: bool


def check(read: str, *, alone: bool = False, asked_for: bool = False) -> Callable[[Run], Check]:
    """Make a check of a function; `read` is the folder of the page that explains it."""

    def make(run: Run) -> Check:
        rung = run.__module__.rpartition(".")[2]
        title, _, advice = (inspect.getdoc(run) or "").partition("\n")
        advice = " ".join(advice.split())
        return Check(run, run.__name__, rung, title, advice, f"{read}/README.md", alone, asked_for)

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


DIED = (
    "But first of all it has to survive: whatever a client does, the server goes on. See its last"
    " words. SIGPIPE means that it sent to a client that had left, and did not ignore that signal."
)


@contextlib.contextmanager
def fresh(server: Endpoint, limit: int = 0, taken: int = 0) -> Iterator[Server]:
    """Start one more server of the kind; Failed if it ends by itself."""
    with server.another(limit=limit, taken=taken) as own:
        try:
            yield own
        except (Failed, OSError) as error:
            if end := own.ended(0.5):  # it may be about to
                seen = f"{error}; then {end}" if isinstance(error, Failed) else end
                raise Failed(seen, DIED) from None
            raise
        if not own.stopped and (end := own.ended(0.01)):
            raise Failed(end, DIED)


def judge(one: Check, server: Endpoint) -> Verdict:
    """Run a check against a server, and see whether that is still there afterwards."""
    start, before = time.monotonic(), len(server.log())
    outcome, advice, then = FAILED, one.advice, ""
    try:
        outcome, seen = HELD, one.run(server)
    except NotMeasured as error:
        outcome, seen = NOT_MEASURED, str(error)
    except Failed as error:
        seen, advice = str(error), error.advice or advice
        then = f"{seen}; then "
    except TimeoutError:
        seen = f"no answer for {server.patience:g} s"
    except (ServerError, OSError) as error:
        seen = str(getattr(error, "strerror", None) or error)
    # It may be about to end, most of all where it has failed.
    if not one.alone and (end := server.ended(0.5 if outcome == FAILED else 0.01)):
        outcome, seen, advice = FAILED, then + end, f"{advice} {DIED}" if then else DIED
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
) -> Iterator[Verdict]:
    """Run the checks in their order, and yield a verdict on each.

    `announce` is told of each before it runs. `start` makes the server: one serves for all
    checks that hold, and after one that does not, the next gets a fresh server. After an `ack`
    that does not hold there are no more. ServerError if none starts.
    """
    descriptors.raise_limit()
    with contextlib.ExitStack() as stack:
        server: Endpoint | None = None
        for one in checks:
            if server is None:
                server = stack.enter_context(start())
            if one.alone:
                server.stop()
            announce(one)
            verdict = judge(one, server)
            yield verdict
            if one.alone or verdict.outcome == FAILED:
                stack.close()
                server = None
            if one.name == "ack" and verdict.outcome != HELD:
                return  # all other checks begin with this
