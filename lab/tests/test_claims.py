"""The claims: each can be shown here, and would not be if it were not so."""

import json
import re
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simple_client
from lab.__main__ import parser
from lab.broken import catalogue
from lab.check.prompt import BURST
from lab.claims import command, costs, questions, step1, step2, step4, step5, step6, step7, workers
from lab.claims.claim import CLAIMS, HOLDS, NOT_HERE, WITHIN, Finding, started, text
from lab.claims.command import NOT_CARRIED_OUT, NOT_MEASURED
from lab.harness.clients import Failed
from lab.harness.servers import STEPS, Server
from lab.observe import run
from lab.pages import command as pages
from lab.tests.commands import lab

LAST = {"A": 3, "B": 5, "C": 4, "D": 4, "E": 5, "F": 6, "G": 6, "H": 6, "Q": 15}
KEYS = [f"{part}{number}" for part, last in LAST.items() for number in range(1, last + 1)]

ATTEMPTS = 3
"""How often an experiment may be tried: the machine may be busy with something else."""


def test_every_claim_has_its_experiment() -> None:
    assert list(CLAIMS) == KEYS


WAIT = {"A3", "B5", "C1", "C2", "C3", "D1", "D2", "E1", "F3", "F6", "G1", "G5", "Q1", "Q10", "Q13"}
"""What compares no times, and mostly waits."""


MAY_NOT = ("H2", "H6", "Q13")
"""What may not be measured on Linux: with the cores busy, or without IPv6."""


@pytest.mark.aside
@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=[pytest.mark.in_turn] * (key not in WAIT)) for key in KEYS]
)
def test_it_holds_here(key: str) -> None:
    seen: list[Finding] = []
    while len(seen) < ATTEMPTS and (not seen or seen[-1].verdict == NOT_HERE):
        seen.append(command.carried_out(CLAIMS[key], full=False))
    finding = seen[-1]
    assert finding.verdict in (HOLDS, WITHIN, NOT_MEASURED), seen
    assert re.search(r"\d", finding.measured), "without a figure"
    if sys.platform == "linux" and key not in MAY_NOT:
        assert finding.verdict != NOT_MEASURED


kept_queues = workers.workers(2, workers.REUSEPORT, "--quiet")
real_at_the_end, real_command = workers.at_the_end, run.step_command
real_started, real_lateness, real_latencies = catalogue.started, step7.lateness, step7.latencies


def always(step: int) -> Callable[..., Server]:
    """Return what starts this step, whatever is asked for."""
    return lambda *_: started(step)


def right(*_: object) -> Server:
    """Start a server that is right, whichever broken one is asked for."""
    return real_started("right")


OTHERWISE: list[tuple[str, Any, str, Any]] = [
    ("A1", simple_client, "script", lambda pace: 0.1 * pace),
    ("A2", step1, "started", always(2)),
    ("A3", run, "step_command", lambda _: real_command(STEPS[1])),
    ("B1", step2, "started", always(1)),
    ("B2", costs, "memory", lambda *_: 400.0),
    ("B3", step2, "started", always(6)),
    ("B4", catalogue, "started", always(2)),
    ("D1", step4, "POLLING", STEPS[2]),
    ("D4", step4, "started", always(5)),
    ("E2", step5, "started", always(6)),
    ("E4", step5, "passed_on", lambda *_: (0.0, 1.0)),
    ("F1", step6, "served_of", lambda *_: 1020),
    ("F2", costs, "request", lambda _, idle, talking: 10 + idle),
    ("F3", run, "step_command", lambda _: real_command(STEPS[4])),
    ("F4", step6, "passed_on", lambda *_: (902.0, 902.0)),
    ("F5", step6, "bytes_back", lambda _: step6.BYTES),
    ("F6", select, "kqueue", None),
    ("G3", step7, "lateness", lambda period, *_: real_lateness(period)),
    ("G4", step7, "latencies", lambda _, number: real_latencies("threads", number)),
    ("H1", costs, "request", lambda who, _: 10.0 * int(who.name.split()[0])),
    ("H2", workers, "turn", lambda *_: (100.0, 1.0)),
    ("H3", workers, "counts", lambda _, count, __: [count // 4] * 4),
    ("H4", catalogue, "started", lambda _: kept_queues.start()),
    ("H5", workers, "at_the_end", lambda share, _: real_at_the_end(share, "0")),
    ("H6", workers, "turn", lambda *_: (100.0, 1.0)),
    ("Q2", catalogue, "started", right),
    ("Q3", questions, "clients_greeted", lambda _: BURST),
    ("Q4", catalogue, "started", right),
    ("Q6", catalogue, "started", right),
    ("Q11", catalogue, "started", right),
    ("Q12", catalogue, "started", right),
    ("Q14", questions, "posted", lambda *_: 0.5),
    ("Q15", catalogue, "started", right),
]
"""A claim, and what to replace so that it is not true any more: the step it is about by another,
the wrong server by a right one."""


@pytest.mark.in_turn
@pytest.mark.parametrize(("key", "owner", "name", "other"), OTHERWISE, ids=lambda one: str(one)[:3])
def test_it_would_not_hold_otherwise(
    key: str, owner: Any, name: str, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, other, raising=False)
    try:
        finding = CLAIMS[key](False)
    except Failed:
        return  # it was not answered as it should be, and does not even come to an end
    assert finding.verdict == NOT_HERE, finding


@pytest.mark.parametrize(
    ("ratios", "cores", "holds"),
    [
        ({1: 1, 2: 1.95, 4: 1.94}, 2, True),
        ({1: 1, 2: 1.95, 4: 3.8}, 4, True),
        ({1: 1, 2: 1.02, 4: 0.99}, 2, False),
        ({1: 1, 2: 1.95, 4: 1.9}, 4, False),
        ({1: 1, 2: 1.9, 4: 3.7}, 2, False),
    ],
)
def test_what_grows_with_the_workers(ratios: dict[int, float], cores: int, holds: bool) -> None:
    assert workers.grow(ratios, cores) is holds


Figures = tuple[float, ...]

BUILDS: list[tuple[Callable[..., bool], Figures, Figures, Figures]] = [
    (step2.as_built, (4.0, 30, 2), (2.1, 1.5, 2), (2.9, 1.5, 2)),
    (step7.as_built, (1.9, 1.0), (1.1, 1.0), (1.9, 1.9)),
    (
        questions.as_built,
        (1e-4, 5e-3, 2e-2, 2e-4),
        (1e-4, 2e-4, 9e-4, 2e-4),
        (1e-4, 5e-3, 2e-3, 2e-4),
    ),
    (workers.as_built, (0.98, 1.0, 1.92), (1.8, 1.9, 1.92), (1.8, 1.0, 1.0)),
]
"""Figures of an interpreter with the GIL, of one without it, and of neither: B4, G6, Q8, H6."""


@pytest.mark.parametrize("gil", [True, False])
@pytest.mark.parametrize(("as_built", "locked", "free", "neither"), BUILDS)
def test_what_holds_is_what_such_a_build_does(
    as_built: Callable[..., bool], locked: Figures, free: Figures, neither: Figures, gil: bool
) -> None:
    holds = [as_built(gil, *figures) for figures in (locked, free, neither)]
    assert holds == [gil, not gil, False]


def test_the_command_prints_and_keeps_what_it_finds(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    done = lab("claims", "C3", "q14", "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert text(CLAIMS["C3"]) in done.stdout
    assert "`python -m lab claims`, on " in done.stdout
    kept = json.loads(file.read_text())["claims"]
    assert [(one["key"], one["verdict"]) for one in kept] == [("C3", HOLDS), ("Q14", HOLDS)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["A2", "--json", "/nowhere/a.json"], "/nowhere"),
        (["A2", "--pictures", "/nowhere"], "/nowhere"),
        (["Z9"], "'Z9'"),
    ],
)
def test_what_cannot_be_done_is_said_before(words: list[str], said: str) -> None:
    done = lab("claims", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_what_fails_is_said_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: bool) -> Finding:
        """Nothing."""
        raise Failed("no answer")

    monkeypatch.setitem(CLAIMS, "A1", fails)
    args = parser("claims").parse_args(["claims", "A1", "C3"])
    assert args.run(args) == 1
    printed = capsys.readouterr().out
    assert f"Failed: no answer\n     {NOT_CARRIED_OUT}" in printed
    assert text(CLAIMS["C3"]) in printed


def test_the_kept_results_are_of_all_claims_in_full() -> None:
    kept = json.loads((pages.CLAIMS / "results.json").read_text())
    assert kept["command"] == "python -m lab claims --full"
    assert [one["key"] for one in kept["claims"]] == KEYS
    assert {one["verdict"] for one in kept["claims"]} == {HOLDS, WITHIN}
    for one in kept["claims"]:
        assert one["claim"] == text(CLAIMS[one["key"]])


def test_what_has_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="an extra")
    assert lab("claims", "A3", "--pictures", str(tmp_path)).returncode == 0
    assert "waits for its *" in (tmp_path / "A3.svg").read_text()
