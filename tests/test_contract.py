"""The matrix, for all seven servers: what each can do, and what it cannot."""

import sys

import pytest

from lab.check import limits
from lab.check.rungs import CHECKS
from lab.check.suite import FAILED, HELD, NOT_MEASURED, Check, judge
from lab.harness import servers
from lab.harness.clients import busy, clients
from lab.harness.servers import ROOT, Server
from tests import checks

MATRIX = [check for check in CHECKS.values() if not check.asked_for]


def named(check: Check) -> str:
    return check.name


def check_as_declared(check: Check, step: str, server: Server) -> None:
    """Run a check, and compare with what the step is declared to fail."""
    expected = FAILED if check.name in limits.declared(step) else HELD
    if step in limits.NOT_MEASURED.get(check.name, ()):
        expected = NOT_MEASURED
    if expected == FAILED:
        server.patience = 0.5  # for an answer that is not to come
    try:
        verdict = judge(check, server)
    finally:
        server.patience = 10
    assert verdict.outcome == expected, verdict.seen
    assert "Traceback" not in verdict.seen or expected == FAILED


@pytest.mark.parametrize("check", MATRIX, ids=named)
def test_contract(check: Check, step: str, server: Server) -> None:
    check_as_declared(check, step, server)


@pytest.mark.timeout(180)
def test_ten_thousand(step: str, server: Server, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("full"):
        pytest.skip("with --full only")
    check_as_declared(CHECKS["ten_thousand_idle"], step, server)


@pytest.mark.parametrize("end", [checks.ends_on_sigterm, checks.ends_on_ctrl_c])
def test_end(end: checks.Check, step: str) -> None:
    with servers.start(step) as server:
        end(server)


def test_no_descriptors_is_logged_now_and_then(step: str) -> None:
    command = [sys.executable, str(ROOT / step / "server.py"), "{port}"]
    with Server(command, limit=24) as server, clients(server, 30):
        busy(server, 0.5)
        log = server.log()
    if step not in ("step1_sequential", "step3_blocking"):  # these need but one at a time
        assert log.count("cannot accept: Too many open files") in range(1, 9)
    assert "Traceback" not in log


def test_limits_name_what_exists() -> None:
    assert limits.LIMITS.keys() | limits.NOT_MEASURED.keys() <= CHECKS.keys()
    for steps in limits.LIMITS.values():
        assert steps.keys() <= set(servers.STEPS)


def test_the_seven_steps() -> None:
    assert [step.partition("_")[0] for step in servers.STEPS] == [f"step{i}" for i in range(1, 8)]
