"""The matrix, for all seven servers: what each can do, and what it cannot."""

import re
import socket
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from lab.check import limits
from lab.check.rungs import CHECKS, MATRIX
from lab.check.suite import Check
from lab.harness import servers
from lab.harness.clients import busy, clients, expect, reset, serves, settle
from lab.harness.servers import Server
from tests import checks, contract
from tests.contract import each_step
from tests.programs import command

pytestmark = pytest.mark.aside


@contract.each(MATRIX)
@each_step
def test_contract(step: str, check: Check) -> None:
    contract.as_declared(check, step)


@pytest.mark.parametrize("name", limits.ASKED)
@each_step
def test_what_is_asked_for(step: str, name: str) -> None:
    run: Any = CHECKS[name].run
    asked = partial(run, seconds=0.3) if name == "deadline" else run
    contract.as_declared(replace(CHECKS[name], run=asked), step)


@pytest.mark.full
@pytest.mark.in_turn
@pytest.mark.timeout(180)
@each_step
def test_ten_thousand(step: str) -> None:
    contract.as_declared(CHECKS["ten_thousand_idle"], step)


@pytest.mark.parametrize("end", [checks.ends_on_sigterm, checks.ends_on_ctrl_c])
@each_step
def test_end(step: str, end: checks.Check) -> None:
    """A signal ends it at once, whatever its clients are doing, with status 0."""
    with servers.start(step) as server:
        end(server)


@each_step
def test_each_socket_is_closed_and_none_left_to_the_collector(step: str) -> None:
    """The server itself closes a client's socket, however the client leaves."""
    words = command(f"{step}/server.py", "0", python=["-W", "always::ResourceWarning"])
    with Server(words) as server:
        for said in (b"", b"^abc$"):
            for leave in (socket.socket.close, reset):
                with server.connect() as sock:
                    expect(sock, b"*")
                    sock.sendall(said)
                    leave(sock)
        serves(server)
        settle(server)
        log = server.log()
    left = re.findall(r"ResourceWarning: unclosed (.+)", log)
    assert not left, f"{len(left)} sockets were left to the garbage collector: {left[0]}"


@each_step
def test_no_descriptors_is_logged_now_and_then(step: str) -> None:
    with Server(command(f"{step}/server.py", "0"), limit=24) as server, clients(server, 30):
        busy(server, 0.5)
        log = server.log()
    if step not in ("step1_sequential", "step3_blocking"):  # these need but one at a time
        assert len(re.findall(r"cannot (?:accept|go on): Too many open files", log)) in range(1, 9)
    assert "Traceback" not in log


def test_limits_name_what_exists() -> None:
    assert limits.LIMITS.keys() | limits.NOT_MEASURED.keys() <= CHECKS.keys()
    for steps in limits.LIMITS.values():
        assert steps.keys() <= set(servers.STEPS)


def test_the_seven_steps() -> None:
    assert [step.partition("_")[0] for step in servers.STEPS] == [f"step{i}" for i in range(1, 8)]
