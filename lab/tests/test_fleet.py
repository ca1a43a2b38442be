"""The fleet: what is lost when a machine ends, that it is seen, and that nothing is left of it."""

import argparse
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.claims.claim import HOLDS, NOT_HERE, Finding, text
from lab.claims.command import NOT_MEASURED, carried_out
from lab.fleet import balancer, command, costs, experiments, herd, machines, paper
from lab.fleet.experiments import FLEET
from lab.fleet.herd import Back, Door
from lab.fleet.load import CUT, REFUSED, WHOLE, Load, Talk, Toll
from lab.harness import processes
from lab.harness.deadline import soon
from lab.harness.processes import NotMeasured
from lab.harness.servers import ROOT
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


LONG = {"M2", "M7", "M9"}


@fleet
@pytest.mark.in_turn
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=[pytest.mark.full] * (key in LONG)) for key in FLEET]
)
def test_it_holds_here(key: str) -> None:
    seen: list[Finding] = []
    while len(seen) < ATTEMPTS and (not seen or seen[-1].verdict == NOT_HERE):
        seen.append(carried_out(FLEET[key], full=False))
    assert seen[-1].verdict == HOLDS, seen
    assert re.search(r"\d", seen[-1].measured), "without a figure"


def test_what_was_in_memory_before_does_not_matter() -> None:
    given_back = [bytearray(20_000) for _ in range(3000)]
    del given_back[:-1]  # the last one is behind the others: they stay ours
    finding = carried_out(FLEET["M11"], full=False)
    if finding.verdict == NOT_MEASURED:
        pytest.skip(finding.measured)
    assert finding.verdict == HOLDS, finding


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

real_until = balancer.Balancer.until


def impatient(self: balancer.Balancer, column: str, *rest: str) -> float:
    return 0.0 if column == "scur" else real_until(self, column, *rest)


OTHERWISE: list[tuple[str, Any, str, Any]] = [
    ("M1", balancer, "TEXT", balancer.TEXT.replace("maxconn {maxconn}", "")),
    ("M2", experiments, "GREETED", balancer.CONNECTED),
    ("M3", balancer, "TEXT", balancer.TEXT.replace("option redispatch 1", "")),
    ("M4", experiments, "SHUT", "on-marked-up shutdown-backup-sessions"),
    ("M5", balancer, "PYTHON", [sys.executable, "-c", KEEPS]),
    ("M6", balancer.Balancer, "until", impatient),
    ("M9", costs, "SHUT", "on-marked-up shutdown-backup-sessions"),
    ("M10", costs, "kernel_bytes", lambda: 0),
]
"""An experiment, and what to replace so that it does not hold any more: a machine's limit, the kind
of check, another try elsewhere, the end of connections, servers, waiting for the last."""


@fleet
@pytest.mark.full
@pytest.mark.in_turn
@pytest.mark.parametrize(("key", "owner", "name", "other"), OTHERWISE, ids=lambda one: str(one)[:3])
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


@fleet
def test_clients_do_not_insist_when_all_is_to_end() -> None:
    with balancer.three_machines(6) as three:
        them = Load(three, 4)
        with pytest.raises(KeyboardInterrupt), them:
            them.until_talking()
            three.balancer.send_signal(signal.SIGKILL)
            assert soon(lambda: any(one.how == REFUSED for one in them.talks))
            raise KeyboardInterrupt
    assert len(them.talks) < 50 * them.count


def networks(*pids: str) -> set[str]:
    """Return the network namespaces in which these processes are; zombies are in none."""
    found = set()
    for pid in pids:
        for link in Path("/proc").glob(f"{pid}/ns/net"):
            with contextlib.suppress(OSError):
                found.add(str(link.readlink()))
    return found


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
        " those clients are answered 2.50 to 2.50 s later"
    )


@pytest.mark.parametrize(
    ("formula", "given", "comes_to"),
    [
        (paper.how_many, (10, 4), 3),
        (paper.how_many, (8, 4), 2),
        (paper.how_many, (28_233, paper.PORTS), 2),
        (paper.memory, (10, 3.0, 4.0), 70.0),
        (paper.backlog, (1000, 0.0101), 11),
        (paper.cores, (1000, 0.002), 2.0),
        (paper.until_all_are_back, (1000, 0.002, 4), 0.5),
        (paper.packets, (1000, 2), 4000),
        (paper.bits, (1000, 34), 800_000),
    ],
)
def test_a_formula(
    formula: Callable[..., float], given: tuple[float, ...], comes_to: float
) -> None:
    assert formula(*given) == pytest.approx(comes_to)


def test_the_tables_take_what_was_measured() -> None:
    kept = paper.Kept()
    assert kept.found["command"] == "python -m lab fleet --full"
    assert {one["verdict"] for one in kept.found["claims"]} == {HOLDS}
    said = {one["key"]: one["claim"] for one in kept.found["claims"]}
    assert said == {key: text(experiment) for key, experiment in FLEET.items()}
    before = {name: table(kept) for name, table in paper.TABLES.items()}
    kept.kernel *= 2
    kept.balanced *= 2
    kept.herd["backoff: back"] -= 1
    changed = {name: table(kept) for name, table in paper.TABLES.items()}
    assert all(before[name] != changed[name] for name in paper.TABLES)


def test_a_door_lets_in_so_many_a_second() -> None:
    door = Door(4)
    turns = [door.turn(0.5) for _ in range(20)]
    assert turns == sorted(turns)
    assert turns[:4] == [0.5] * 4
    for second in range(1, 5):
        assert sum(0.5 + second <= turn < 1.5 + second for turn in turns) == 4
    assert [door.turn(60.0) for _ in range(4)] == [60.0] * 4, "those of long ago do not count"


def test_a_herd_with_room_comes_back_at_the_first_try() -> None:
    for pause in herd.PAUSES.values():
        assert herd.simulate(20, 100, 1.0, pause, 10.0) == Back(20, 20)


def test_a_herd_that_queues_behind_itself_stays_out() -> None:
    """However long it takes; but pauses that grow let it in, with a tenth of the tries."""
    never = herd.simulate(20, 6, 1.0, herd.at_once, 100.0)
    later = herd.simulate(20, 6, 1.0, herd.jitter, 100.0)
    assert never.back < 10 < later.back == 20
    assert never.tries > 10 * later.tries
    assert herd.simulate(20, 6, 1.0, herd.jitter, 100.0) == later, "the same each time"


def test_pauses_have_to_be_as_long_as_it_takes_to_let_all_in() -> None:
    """The longest is 8 s, in which 48 get in: of 60 fewer do than of 20."""
    assert herd.simulate(60, 6, 1.0, herd.jitter, 100.0).back < 20
    assert herd.simulate(60, 12, 1.0, herd.jitter, 100.0).back == 60
