"""The contract, for all seven servers: what each can do, and what it cannot."""

import sys

import pytest

from lab import servers
from lab.servers import ROOT, Server
from tests import checks
from tests.limits import LIMITS


def named(check: checks.Check) -> str:
    return check.__name__


@pytest.mark.parametrize("check", checks.CONTRACT, ids=named)
def test_contract(
    check: checks.Check, step: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step not in LIMITS.get(check.__name__, {}):
        check(server)
        return
    monkeypatch.setattr(checks, "PATIENCE", 0.5)
    with pytest.raises(AssertionError):
        check(server)
    monkeypatch.undo()
    checks.serves(server)


@pytest.mark.parametrize("check", checks.ENDS, ids=named)
def test_end(check: checks.Check, step: str) -> None:
    with servers.start(step) as server:
        check(server)


def test_no_descriptors(step: str) -> None:
    script = ROOT / step / "server.py"
    limited = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh", sys.executable, str(script), "0"]
    with Server(limited) as server:
        checks.no_descriptors(server)
        log = server.log()
    if step not in ("step1_sequential", "step3_blocking"):  # these need but one at a time
        assert log.count("cannot accept: Too many open files") in range(1, 9)
    assert "Traceback" not in log


def test_limits_name_what_exists() -> None:
    names = {check.__name__ for check in checks.CONTRACT}
    for check, steps in LIMITS.items():
        assert check in names
        assert set(steps) <= set(servers.STEPS)


def test_the_seven_steps() -> None:
    assert [step.partition("_")[0] for step in servers.STEPS] == [f"step{i}" for i in range(1, 8)]
