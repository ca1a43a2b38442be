"""The fleet: what is lost when a machine ends, that it is seen, and that nothing is left of it."""

import argparse
import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.claims.claim import HOLDS, NOT_HERE, Finding
from lab.claims.command import carried_out
from lab.fleet import balancer, command, experiments, machines
from lab.fleet.experiments import FLEET
from lab.fleet.load import CUT, REFUSED, WHOLE, Talk, Toll
from lab.harness import processes
from lab.harness.processes import NotMeasured
from lab.harness.servers import ROOT, Server
from lab.show.arguments import Wrong
from lab.tests.commands import lab

ATTEMPTS = 3
"""How often an experiment may be tried: the machine may be busy with something else."""


def missing() -> str:
    """Say what is not here of what a fleet wants; "" if all is."""
    try:
        machines.want()
    except NotMeasured as error:
        return str(error)
    return ""


fleet = pytest.mark.skipif(bool(missing()), reason=missing())


def tried(key: str) -> list[Finding]:
    """Carry out an experiment until it holds; return all that was found."""
    found: list[Finding] = []
    while len(found) < ATTEMPTS and (not found or found[-1].verdict == NOT_HERE):
        found.append(carried_out(FLEET[key], full=False))
    return found


@fleet
@pytest.mark.in_turn
@pytest.mark.parametrize("key", FLEET)
def test_it_holds_here(key: str) -> None:
    seen = tried(key)
    assert seen[-1].verdict == HOLDS, seen
    assert re.search(r"\d", seen[-1].measured), "without a figure"


KEEPS = """
import runpy, socket, sys

kept, real = [], socket.socket.accept

def accept(self):
    made = real(self)
    kept.append(made[0].dup())
    return made

socket.socket.accept = accept
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def keeping(self: balancer.Fleet, machine: machines.Machine) -> Server:
    words = [sys.executable, "-c", KEEPS, self.script, "8080", "--host", machine.address]
    with machine:
        return Server(words, port=8080)


real_until = balancer.Balancer.until


def impatient(self: balancer.Balancer, column: str, *rest: str) -> float:
    return 0.0 if column == "scur" else real_until(self, column, *rest)


OTHERWISE: list[tuple[str, Any, str, Any]] = [
    ("M1", balancer, "TEXT", balancer.TEXT.replace("maxconn {maxconn}", "")),
    ("M2", experiments, "GREETED", balancer.CONNECTED),
    ("M3", balancer, "TEXT", balancer.TEXT.replace("option redispatch 1", "")),
    ("M4", experiments, "SHUT", "on-marked-up shutdown-backup-sessions"),
    ("M5", balancer.Fleet, "_server", keeping),
    ("M6", balancer.Balancer, "until", impatient),
]
"""An experiment, and what to replace so that it does not hold any more: a machine's limit, the kind
of check, another try elsewhere, the end of connections, servers, waiting for the last."""


@fleet
@pytest.mark.full
@pytest.mark.in_turn
@pytest.mark.parametrize(("key", "owner", "name", "other"), OTHERWISE, ids=lambda one: str(one)[:2])
def test_it_would_not_hold_otherwise(
    key: str, owner: Any, name: str, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, other)
    finding = carried_out(FLEET[key], full=False)
    assert finding.verdict == NOT_HERE, finding


# What is left of it


@fleet
@pytest.mark.in_turn
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind(number: signal.Signals) -> None:
    """Neither a process, nor a network: a namespace goes with its last process."""
    words = [sys.executable, "-m", "lab", "fleet", "M3", "--full"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            assert soon(lambda: len(processes.tree(process.pid)) == 5)  # three servers, HAProxy
            ours = networks(*map(str, processes.children(process.pid)))
            assert len(ours) == 4
        finally:
            process.send_signal(number)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert soon(lambda: not ours & networks("[0-9]*"))


def networks(*pids: str) -> set[str]:
    """Return the network namespaces in which these processes are; zombies are in none."""
    found = set()
    for pid in pids:
        for link in Path("/proc").glob(f"{pid}/ns/net"):
            with contextlib.suppress(OSError):
                found.add(str(link.readlink()))
    return found


def soon(holds: Callable[[], bool]) -> bool:
    """Return whether something holds within some seconds."""
    deadline = time.monotonic() + 10
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_without_haproxy_it_says_so_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = lab("fleet", "M1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("python -m lab fleet: wants ")
    assert done.stderr.count("\n") == 1
    assert lab("fleet", "--list").stdout.count("\n") == len(FLEET)


@fleet
def test_without_the_right_to_make_namespaces_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(name: str, *_: int) -> None:
        real_call(name, -1)  # which is no set of flags

    real_call = machines._call
    monkeypatch.setattr(machines, "_call", call)
    with pytest.raises(Wrong, match="may not make network namespaces"):
        command.run(argparse.Namespace(list=False))


# What is computed


def test_a_toll_counts_who_was_cut_and_for_how_long() -> None:
    talks = [
        Talk(0, 0.0, 2, [1.0, 2.0], 2.1, WHOLE),
        Talk(1, 0.0, 3, [1.0, 2.0], 2.2, CUT),
        Talk(1, 2.5, 0, [], 2.5, REFUSED),
        Talk(2, 0.0, 1, [], 3.0, CUT),
        Talk(1, 4.0, 1, [4.5], 4.6, WHOLE),
    ]
    toll = Toll(talks)
    assert toll.counts == {WHOLE: 2, CUT: 2, REFUSED: 1}
    assert (toll.unanswered, toll.waits, toll.never) == (2, [2.5], 1)
    assert str(toll) == (
        "2 whole, 2 cut, 1 refused, 2 requests unanswered;"
        " they were answered again after 2.50 to 2.50 s"
    )
