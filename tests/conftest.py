"""Fixtures: a step's server on a free port, and a look round at the end."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from common import descriptors
from lab.check import limits
from lab.harness import processes, servers


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`."""
    parser.addoption(
        "--full",
        action="store_true",
        help="all checks against all planted servers, and 10,000 clients (many minutes)",
    )


def pytest_configure() -> None:
    """Let fixtures stop what they started when pytest itself is told to end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Where a shell has started pytest in the background it is ignored, and would be so in
    # every process the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    descriptors.raise_limit()  # some checks hold more than a thousand connections


@pytest.fixture(scope="module", params=servers.STEPS)
def step(request: pytest.FixtureRequest) -> str:
    """Each of the seven steps in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def running(step: str) -> Iterator[servers.Server]:
    """That step's server; one process goes through all the tests of a module."""
    with servers.start(step, *limits.ARGUMENTS.get(step, ())) as server:
        yield server


@pytest.fixture
def server(running: servers.Server) -> Iterator[servers.Server]:
    """The same; it has to outlive whatever this test does to it."""
    yield running
    assert running.process.poll() is None, "the server did not survive"
    assert "Traceback" not in running.log()


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """At the end there is no process of ours, and no thread."""
    yield
    assert processes.children(os.getpid()) == []
    assert threading.enumerate() == [threading.main_thread()]
