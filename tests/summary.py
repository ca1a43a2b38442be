"""What `pytest` says last: which promise is broken, by whom, what was seen, what to read.

A plugin of pytest's, for both suites.
"""

import inspect
import re
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace

import pytest

from lab.check import suite
from lab.check.rungs import RUNGS
from lab.harness import clients, servers, talks
from lab.harness.servers import STEPS

__tracebackhide__ = True

LINES = 20
"""That a reader is shown at most, when many promises are broken at once."""

SEEN = 6
"""Lines of what was seen, at most."""

HIDDEN = clients, servers, talks, suite, *RUNGS
"""Modules whose frames say nothing to a reader."""

BREAKS = "breaks a promise", "break a promise"
FINDS = "finds a promise broken", "find a promise broken"
KEEPS = "is declared to break a promise and keeps it", "are declared to break a promise and keep it"
DIFFERS = (
    "differs from the steps beside it, which matters only if you want to send it to us",
    "differ from the steps beside them, which matters only if you want to send it to us",
)
STARTS_NOT = "does not start", "do not start"
RUNS_NOT = "cannot be run", "cannot be run"

FIRST, LATER, LAST = -1, 1000, 2000

untried = Counter[str]()
"""How many tests of a step were left out, since it is broken; see conftest.py."""

SPEAKING = AssertionError, pytest.fail.Exception, clients.Failed, servers.ServerError
"""Exceptions whose words need no name before them."""


@dataclass(frozen=True)
class Finding:
    """A promise that is not as it should be: who does what, which promise it is, what was seen.

    `does` is a verb for one and for several. `read` is a page, `alone` the command that runs
    no more than this. A promise with a lower `rank` is told before others.
    """

    who: str
    does: tuple[str, str]
    name: str
    promise: str
    seen: str
    read: str
    alone: str
    rank: int = LATER

    def lines(self, others: Iterable[str] = ()) -> list[str]:
        """Write it, with `others` of whom the same is to be said."""
        who = list(dict.fromkeys((self.who, *others)))
        first, *seen = [line for line in self.seen.splitlines() if line.strip()] or ["nothing"]
        return [
            f"{together(who)} {self.does[len(who) > 1]}{self.promise}",
            f"  seen: {first}",
            *(f"    {line.rstrip()}" for line in seen[1 - SEEN :]),
            f"  read: {self.read}; this alone: {self.alone}",
        ]


class Broken(AssertionError):  # noqa: N818, it is a verdict
    """A promise is not as it should be. Its words say all: there is no traceback to read."""

    def __init__(self, finding: Finding) -> None:
        super().__init__("\n".join(finding.lines()))
        self.finding = finding


def together(names: list[str]) -> str:
    """Name them all, or some and how many more."""
    if names == list(STEPS):
        return "All seven steps"
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def step_of(item: pytest.Item) -> str:
    """Return the step that a test concerns, "" if it is about none or about several."""
    found = set(re.findall(r"step\d", item.nodeid))
    return next((step for step in STEPS if found == {step[:5]}), "")


def promise_of(item: pytest.Item) -> str:
    """Return what a test is about: the first paragraph of its docstring, or its name as words."""
    test = item.function if isinstance(item, pytest.Function) else None
    words = (inspect.getdoc(test) or "").partition("\n\n")[0].split()
    return " ".join(words) or f"{name_of(item).replace('_', ' ')}."


def name_of(item: pytest.Item) -> str:
    """Return the name of a test without `test_` and its values."""
    return item.name.partition("[")[0].removeprefix("test_")


def finding_of(item: pytest.Item, error: BaseException) -> Finding:
    """Say what a failed test found."""
    if isinstance(error, Broken):
        return error.finding
    step = step_of(item)
    kind = "" if isinstance(error, SPEAKING) else f"{type(error).__name__}: "
    words, _, _ = str(error).strip().partition("\nassert ")  # which pytest adds to ours
    found = Finding(
        who=step or item.nodeid.partition("::")[0],
        does=BREAKS if step else FINDS,
        name=name_of(item),
        promise=f": {promise_of(item)}",
        seen=f"{kind}{words}",
        read=f"{step}/README.md" if step else "README.md",
        alone=f"pytest '{item.nodeid}'",
    )
    if "test_lineage" in item.nodeid:  # whoever changes a server makes it differ
        return replace(found, does=DIFFERS, name="lineage", promise=".", rank=LAST)
    return found


def pytest_configure(config: pytest.Config) -> None:
    """Leave out tracebacks, unless somebody asks for them, and of them the harness."""
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "no"
    for module in HIDDEN:
        vars(module)["__tracebackhide__"] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep with the report of a failure what it found."""
    report = yield
    if report.failed and call.excinfo:
        finding = finding_of(item, call.excinfo.value)
        report.finding = finding  # type: ignore[attr-defined]
        if isinstance(call.excinfo.value, Broken):
            report.longrepr = str(call.excinfo.value)
    return report


def not_run(report: pytest.CollectReport) -> Finding:
    """Say why a file of tests could not be imported."""
    lines = report.longreprtext.splitlines()
    said = [line[1:].strip() for line in lines if line.startswith("E")]
    return Finding(
        who=report.nodeid,
        does=RUNS_NOT,
        name=report.nodeid,
        promise="",
        seen="\n".join(said or lines),
        read="README.md",
        alone=f"pytest {report.nodeid}",
        rank=FIRST,
    )


def told(findings: Iterable[Finding]) -> list[str]:
    """Write the findings: each promise once, the basic ones first, no more than `LINES` lines."""
    groups: dict[tuple[tuple[str, str], str, str], list[Finding]] = {}
    for one in sorted(findings, key=lambda one: one.rank):
        groups.setdefault((one.does, one.name, one.promise), []).append(one)
    lines: list[str] = []
    for at, (first, *others) in enumerate(groups.values()):
        more = first.lines(one.who for one in others)
        if lines and len(lines) + len(more) > LINES:
            rest = [promise.strip(" :.") or does[0] for does, _, promise in groups][at:]
            shown = [f"  {words:.100}" for words in rest[:5]]
            return [*lines, f"and {len(rest)} more:", *shown, *["  ..."] * (len(rest) > 5)]
        lines += more
    return lines


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, None, None]:
    """Say it after everything else."""
    yield
    stats = terminalreporter.stats
    if reports := [*stats.get("error", ()), *stats.get("failed", ())]:
        found = [getattr(report, "finding", None) or not_run(report) for report in reports]
        terminalreporter.write_sep("=", "what is broken", red=True)
        for line in told(found):
            terminalreporter.write_line(line)
    for step, count in untried.items():
        terminalreporter.write_line(
            f"the rest of {step} was not tried ({count} tests); `pytest -k NAME` tries one"
        )
