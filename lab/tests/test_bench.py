"""The bench: right answers or no figure, ratios within a round, and right peers."""

import json
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.bench import command, contestants, figures, plan, report
from lab.bench import workloads as w
from lab.bench.contestants import EPOLL, LIMIT, PEER, PEERS, POLL, Contestant
from lab.bench.plan import Case
from lab.bench.results import TARGETS, Results, Side, Target, to_json
from lab.bench.workloads import Workload
from lab.check.rungs import CHECKS, MATRIX
from lab.check.suite import FAILED, verdicts
from lab.harness.clients import Failed
from lab.harness.servers import ROOT, Server
from lab.pages import command as pages
from lab.show.about import CORES
from lab.tests.commands import lab

SHORT = 0.05
"""Seconds of traffic: what is measured does not matter here."""


def planted(bug: str) -> Contestant:
    """Return a server with a bug."""
    command = (sys.executable, str(ROOT / "lab" / "broken"), bug, "0")
    return Contestant(bug, PEER, command)


@pytest.fixture(scope="module")
def limit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Contestant]]:
    """The servers in C that compile here, by name."""
    left_out: list[str] = []
    found = contestants.compiled(tmp_path_factory.mktemp("limit"), left_out.append)
    yield {one.name: one for one in found}


def results(*cases: Case) -> Results:
    """Return results as they would be read from a file."""
    found = to_json(list(cases), "python -m lab bench", 1, [])
    return Results(json.loads(json.dumps(found)))


def sampled(
    contestant: Contestant, *cpu: float, workload: Workload = w.REQUESTS, point: float = 50
) -> Case:
    """Return a case with these figures."""
    case = Case(workload, point, contestant, len(cpu))
    case.samples = [{"cpu": one, "rate": 1, "p50": 1, "p99": 1, "busy": 1} for one in cpu]
    return case


# Right answers or no figure


@pytest.mark.parametrize(
    ("bug", "workload", "point"),
    [
        ("echoes_unchanged", w.REQUESTS, 2),
        ("no_greeting", w.REQUESTS, 2),
        ("one_frame_a_packet", w.TINY_FRAMES, 16 * w.KiB),
        ("fixed_buffer", w.FRAMES, w.MiB),
        ("echoes_unchanged", w.CHURN, 1),
        ("echoes_unchanged", w.STARTUP, ""),
        ("echoes_unchanged", w.IDLE, 2),
        ("no_greeting", w.MEMORY, 2),
    ],
)
def test_who_answers_wrongly_gets_no_figure(
    bug: str, workload: Workload, point: w.Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contestants, "PATIENCE", 0.5)
    case = Case(workload, point, planted(bug), 1)
    case.measure(SHORT)
    assert case.failed
    assert results(case).samples == {}
    assert bug in results(case).failed[0]


def test_who_fails_later_loses_the_figures_of_before() -> None:
    def worse(contestant: Contestant, point: w.Point, seconds: float) -> w.Figures:
        if case.samples:
            raise Failed("no more")
        return {"cpu": 1}

    case = Case(Workload("requests", worse, "", lambda _: 1), 1, EPOLL, 3)
    turns = [turn for turn, *_ in plan.carry_out([case], SHORT)]
    assert turns == [0, 1]  # and not a third time
    assert (case.samples, case.failed) == ([], "no more")


@pytest.mark.parametrize(
    ("workload", "point"),
    [
        (w.REQUESTS, 3),
        (w.FRAMES, w.MiB),
        (w.TINY_FRAMES, 16 * w.KiB),
        (w.IDLE, 100),
        (w.MEMORY, 100),
        (w.CHURN, 1),
        (w.STARTUP, ""),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_every_workload_measures_a_right_server(workload: Workload, point: w.Point) -> None:
    found = workload.measure(EPOLL, point, SHORT)
    assert found.keys() >= {name for name, *_ in report.COLUMNS[workload.name]}
    assert all(value > 0 for value in found.values()), found


def test_the_latency_of_polling_grows_with_its_interval() -> None:
    short, long = (w.interval(contestants.polling(one), one, SHORT) for one in (0.002, 0.1))
    assert 10 * short["p50"] < long["p50"] < 0.2
    assert short["busy"] > long["busy"]


def test_memory_is_counted_for_each_client() -> None:
    few, many = (w.memory(contestants.THREADS, count, SHORT)["memory"] for count in (50, 100))
    assert few == pytest.approx(many, rel=0.5)
    assert w.memory(EPOLL, 100, SHORT)["memory"] < few / 4


# Who takes part


@pytest.mark.parametrize("peer", [*PEERS, POLL], ids=lambda one: one.name)
def test_a_peer_keeps_the_contract(peer: Contestant) -> None:
    if peer.missing:
        pytest.skip(f"{peer.missing} is not installed: it is an extra")
    assert failures(peer) == set()


@pytest.mark.parametrize("name", ["C on epoll", "C on libuv"])
def test_the_limit_keeps_the_contract(name: str, limit: dict[str, Contestant]) -> None:
    if name not in limit:
        pytest.skip("no C compiler here, or no libuv")
    assert limit[name].kind == LIMIT
    assert failures(limit[name]) == set()


def failures(contestant: Contestant) -> set[str]:
    """Return the checks that fail, of those that say whether the answers are right."""
    chosen = [one for one in MATRIX if one.rung in ("talk", "leaving", "prompt")]
    chosen += [CHECKS[name] for name in ("side_by_side", "stuck_reader", "never_reads")]

    def start() -> Server:
        return Server(contestant.command, 3)

    return {one.check.name for one in verdicts(chosen, start) if one.outcome == FAILED}


def test_what_is_missing_is_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    absent = Contestant("another", PEER, ("none",), needs="no_such_package")
    said: list[str] = []
    cases = plan.cases(w.REQUESTS, (absent, EPOLL), (1, 2000), 1)
    kept = command.possible(cases, said.append)
    assert [(one.contestant, one.point) for one in kept] == [(EPOLL, 1)]
    assert ["no_such_package" in said[0], "descriptors" in said[1]] == [True, True]


def test_without_a_compiler_the_limit_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setenv("CC", "no-such-compiler")
    assert contestants.compiled(tmp_path, said.append) == ()
    monkeypatch.setenv("CC", "false")
    if shutil.which("false"):
        assert contestants.compiled(tmp_path, said.append) == ()
        assert len(said) == 3


def test_nobody_is_asked_for_more_clients_than_it_can_have() -> None:
    for case in plan.full(()):
        assert case.workload.clients(case.point) <= case.contestant.clients
    for step in (contestants.SEQUENTIAL, contestants.BLOCKING):
        assert {one.point for one in plan.full(()) if one.contestant is step} == {1, ""}


def test_rounds_take_turns() -> None:
    order: list[tuple[int, str]] = []
    cases = [Case(Workload("w", lambda *_: {"cpu": 1}, "", int), 1, who, 2) for who in PEERS[:2]]
    for turn, case, _ in plan.carry_out(cases, 0):
        order.append((turn, case.contestant.name))
    names = [one.name for one in PEERS[:2]]
    assert order == [(turn, name) for turn in range(2) for name in names]


# What is computed


def test_a_ratio_is_taken_within_each_round() -> None:
    """A machine that was slow in one round was so for both."""
    found = results(sampled(EPOLL, 1, 10, 3), sampled(PEERS[0], 2, 20, 4))
    sides = [Side(who, w.REQUESTS, 50) for who in (EPOLL, PEERS[0])]
    assert Target("", 1, 1, sides[0], sides[1]).rounds(found) == [0.5, 0.5, 0.75]
    assert Target("", 1, 1, sides[0]).rounds(found) == [1, 10, 3]


def test_a_target_knows_its_direction() -> None:
    side = Side(EPOLL, w.REQUESTS, 50)
    most, least = Target("", 1.25, 1.0, side), Target("", 25, 50, side)
    assert [most.verdict(value) for value in (1.0, 1.2, 1.3)] == [
        "met, and the aim",
        "met",
        "NOT MET",
    ]
    assert [least.verdict(value) for value in (50, 30, 20)] == [
        "met, and the aim",
        "met",
        "NOT MET",
    ]


def test_both_plans_measure_what_the_ratios_want(limit: dict[str, Contestant]) -> None:
    for make in (plan.quick, plan.full):
        cases = make(tuple(limit.values()))
        measured = {(one.workload.name, one.point, one.contestant.name) for one in cases}
        for target in TARGETS:
            for side in filter(None, (target.top, target.bottom)):
                who = side.contestant
                name = who if isinstance(who, str) else who.name
                if name == contestants.C_LIBUV and name not in limit:
                    continue
                assert (side.workload.name, side.point, name) in measured, target.title


def test_rows_are_sorted_and_carry_their_spread() -> None:
    found = results(sampled(PEERS[0], 3e-6, 4e-6, 9e-6), sampled(EPOLL, 1e-6, 2e-6, 3e-6))
    _, first, second = report.rows(found, w.REQUESTS, 50)
    assert first[:4] == [EPOLL.name, "2.0 us", "1.0 us", "3.0 us"]
    assert second[:4] == [PEERS[0].name, "4.0 us", "3.0 us", "9.0 us"]


def test_the_command_prints_the_ratios(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    words = ["bench", "--quick", "--only", "protocol", "--json", str(file)]
    done = lab(*words)
    assert done.returncode in (0, 1), done.stderr  # the figures depend on the machine
    for target in TARGETS:
        assert target.title in done.stdout
    assert "not measured" in done.stdout
    assert "`python -m lab bench --quick --only protocol`, on " in done.stdout
    kept = json.loads(file.read_text())
    assert {one["workload"] for one in kept["results"]} == {"protocol"}
    assert kept["machine"]["python"] in done.stdout


def test_an_unknown_workload_is_refused() -> None:
    done = lab("bench", "--only", "nothing")
    assert done.returncode == 2
    assert "'nothing'" in done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no cores to choose from")
def test_the_core_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with w.on_core(0), w.running(EPOLL) as server:
        assert os.sched_getaffinity(server.pid) == os.sched_getaffinity(0) == {CORES[0]}
    assert os.sched_getaffinity(0) == before


# What the pages say


def test_the_kept_results_are_of_a_full_run_and_name_no_path() -> None:
    found = pages.results()
    assert found.about["command"] == "python -m lab bench"
    assert found.failed == []
    assert str(ROOT) not in json.dumps(found.about)
    for name in figures.SENTENCES:
        assert figures.block(found, name)


def test_the_pictures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="an extra")
    from lab.bench import plots

    drawn = plots.draw(pages.results(), tmp_path)
    assert {file.name for file in drawn} == {file.name for file in pages.BENCH.glob("*.svg")}
    for file in drawn:
        assert file.read_text().startswith("<?xml")
