"""For both suites: `--full`, tests that run beside others, when to stop, a look round.

A test with the mark `aside` starts what it needs itself, and most of its time it waits. All such
tests are begun in threads when the session begins, in their order; where the turn of one comes,
its outcome is waited for. So it is a plain function with a name, for `-k` and all else. But it
takes only what it is parametrized with, and `tmp_path`; one with another fixture is run as if it
had no mark. Who fails beside others may have been in want of the machine: the first few such are
run once more at the end, by themselves, and are named.

Where many tests of one step fail, or its `ack`, or one for the second time, it is broken: no more
of that step is tried, since most of what is left would only wait for what does not come.

A test with the mark `in_turn` compares times, or wants many descriptors: it runs at the end, when
nothing else does; so does one with `monkeypatch`, for what it changes is there for all threads.
One with the mark `full` runs with `--full` only, as CI does.
"""

import inspect
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from common import descriptors
from lab.harness import processes
from tests import summary

WORKERS = 10
"""Tests at a time, at most."""

AGAIN = 5
"""Tests that may be run once more, at most: where more fail, it is not the machine."""

CONNECTIONS = 1200
"""Descriptors that a test may take."""

pytest_plugins = ["tests.contract"]

ASIDE = pytest.StashKey[Future[object]]()

once_more: dict[pytest.Item, str] = {}
"""Why each of them failed beside others."""

failed: defaultdict[str, set[pytest.Item]] = defaultdict(set)
"""The tests of each step that have failed."""

broken: set[str] = set()
"""The steps of which no more is tried."""


class NotTried(Exception):  # noqa: N818, nothing is wrong
    """A test has not been begun: its step is broken."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`."""
    parser.addoption("--full", action="store_true", help="everything in its full size")


def pytest_configure(config: pytest.Config) -> None:
    """Let fixtures stop what they started when pytest itself is told to end."""
    config.pluginmanager.register(summary)
    config.addinivalue_line("markers", "aside: run beside others; see conftest.py")
    config.addinivalue_line("markers", "in_turn: run when nothing else does; see conftest.py")
    config.addinivalue_line("markers", "full: run with --full only")
    config.addinivalue_line("markers", "sized: larger with --full")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # With vfork(2), exec has failed with EFAULT once in some thousand starts, from many threads.
    subprocess._USE_VFORK = False  # type: ignore[misc]  # its documented way out
    # Where a shell has started pytest in the background it is ignored, and would be so in
    # every process the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def alone(item: pytest.Item) -> bool:
    """Return whether a test runs when nothing else does."""
    changes = "monkeypatch" in getattr(item, "fixturenames", ())
    return changes or item.get_closest_marker("in_turn") is not None


def values(item: pytest.Item) -> dict[str, object] | None:
    """Return what a test that runs aside is to be called with; None for any other test."""
    if not isinstance(item, pytest.Function) or alone(item):
        return None
    if not item.get_closest_marker("aside"):
        return None
    given = [mark.args[0] for mark in item.iter_markers("parametrize")]
    names = {name for one in given for name in ([one] if isinstance(one, str) else one)}
    if inspect.signature(item.function).parameters.keys() - {"tmp_path"} != names:
        return None
    return {name: item.callspec.params[name] for name in names}


def order(item: pytest.Item) -> tuple[int, bool]:
    """Return 0 for a test of the main thread, 1 for one aside, 2 for one in turn; `ack` first."""
    place = 2 if alone(item) else int(values(item) is not None)
    return place, not item.name.endswith("-ack]")


def note(item: pytest.Item, error: BaseException, again: bool = False) -> None:
    """Note that a test has failed, perhaps once more, and whether its step is broken."""
    step, finding = summary.step_of(item), summary.finding_of(item, error)
    if not step or finding.rank == summary.LAST:
        return
    failed[step].add(item)
    if again or finding.name == "ack" or len(failed[step]) > AGAIN:
        broken.add(step)


def run_aside(item: pytest.Function, given: dict[str, object]) -> object:
    """Run a test in this thread, unless its step is broken."""
    if summary.step_of(item) in broken:
        raise NotTried
    try:
        return item.function(**given)
    except pytest.skip.Exception:
        raise
    except BaseException as error:
        note(item, error)
        raise


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put those that wait for an outcome after the others, and leave out what is for `--full`."""
    items.sort(key=order)
    large = [item for item in items if item.get_closest_marker("full")]
    if large and not config.getoption("full"):
        items[:] = [item for item in items if item not in large]
        config.hook.pytest_deselected(items=large)


@pytest.fixture(scope="session", autouse=True)
def nothing_left(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Begin what runs aside; at the end there is no process of ours, and no thread."""
    _, limit = descriptors.raise_limit()  # some checks hold more than a thousand connections
    pool = ThreadPoolExecutor(max(1, min(WORKERS, limit // CONNECTIONS)))
    begun = []
    for item in request.session.items:
        if (given := values(item)) is not None and isinstance(item, pytest.Function):
            if "tmp_path" in item.fixturenames:
                given["tmp_path"] = tmp_path_factory.mktemp(item.originalname)
            item.stash[ASIDE] = pool.submit(run_aside, item, given)
            begun.append(item.stash[ASIDE])
    yield
    pool.shutdown(wait=False, cancel_futures=True)
    while not all(one.done() for one in begun):  # interrupted: nobody hears what they say now
        for pid in processes.children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    pool.shutdown()
    assert processes.children(os.getpid()) == []
    assert threading.enumerate() == [threading.main_thread()]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Leave out what is not tried, and put one that failed beside others off to the end."""
    begun, step = item.stash.get(ASIDE, None), summary.step_of(item)
    if item in once_more:
        if step not in broken:
            del item.stash[ASIDE]
        return None
    error = begun.exception() if begun else None
    if isinstance(error, NotTried) or (not begun and step in broken):
        summary.untried[step] += 1
    elif error is None or isinstance(error, pytest.skip.Exception):
        return None
    elif len(once_more) < AGAIN and step not in broken:
        once_more[item] = f"{error!r:.300}"
        item.session.items.append(item)
        nextitem = nextitem or item
    else:
        return None
    item.session._setupstate.teardown_exact(nextitem)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note a failure; a second one says that it is not the machine."""
    report = yield
    if report.failed and call.excinfo:
        note(item, call.excinfo.value, again=bool(once_more.pop(item, None)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name those that have passed when they were run once more."""
    for item, error in once_more.items():
        terminalreporter.line(f"failed beside others, and passed by itself: {item.nodeid}")
        terminalreporter.line(f"  seen beside others: {error}")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Wait for a test that runs aside; what it raises is raised here."""
    begun = pyfuncitem.stash.get(ASIDE, None)
    if begun is None:
        return None
    begun.result()
    return True
