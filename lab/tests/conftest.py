"""Everything in its full size, with `--full`."""

import pytest

from lab.check import suite
from lab.exercises import runs
from lab.tests import commands


def pytest_configure(config: pytest.Config) -> None:
    """Tell the tests, before they are collected; so many at once take longer than one."""
    commands.FULL = config.getoption("full")
    suite.ALL *= 3
    suite.BOUND *= 3
    runs.LIMIT *= 3
