"""Everything in its full size, with `--full`."""

import pytest

from lab.check import talk
from lab.tests import commands


def pytest_configure(config: pytest.Config) -> None:
    """Tell the tests, before they are collected."""
    commands.FULL = config.getoption("full")
    if not commands.FULL:
        talk.LATE = 8
