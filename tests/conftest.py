"""Smaller sizes without `--full`."""

from collections.abc import Iterator

import pytest

from tests import contract


def pytest_configure(config: pytest.Config) -> None:
    """Lower what is large, unless it is to be run in full."""
    contract.resize(config)


@pytest.fixture(scope="session", autouse=True)
def lender() -> Iterator[None]:
    """End the servers that were kept."""
    yield
    contract.LENDER.close()
