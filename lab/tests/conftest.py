"""Everything in its full size, with `--full`."""

import pytest

from lab.tests import commands


def pytest_configure(config: pytest.Config) -> None:
    """Tell the tests, before they are collected."""
    commands.FULL = config.getoption("full")
