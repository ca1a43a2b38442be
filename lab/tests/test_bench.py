"""The bench: right answers or no figure, ratios of what was there at once, and right peers."""

import json
import os
import platform
import resource
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from lab.bench import command, contestants, framing, pairs, plan, report, sentences
from lab.bench.contestants import EPOLL, LIMIT, PEER, PEERS, POLL, PROTOCOL, Contestant
from lab.bench.pairs import Side, paired
from lab.bench.report import Results
from lab.bench.workloads import CHURN, FRAMES, IDLE, KEPT, REQUESTS, KiB, MiB, Workload
from lab.broken import catalogue
from lab.check.rungs import CHECKS, MATRIX
from lab.check.suite import FAILED, Check, verdicts
from lab.harness.servers import ROOT, Server
from lab.pages import command as pages
from lab.show import about
from lab.show.about import CORES
from lab.tests.commands import lab
from tests.contract import each_half, half


def planted(bug: str) -> Contestant:
    """Return a server with a bug."""
    return Contestant(bug, PEER, tuple(catalogue.command(bug)))


@pytest.fixture(scope="module")
def limit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Contestant]:
    """The servers in C that compile here, by name."""
    found = contestants.compiled(tmp_path_factory.mktemp("limit"), print)
    return {one.name: one for one in found}


short = mock.patch.object(pairs, "SLICE", 0.03)
"""Short slices: what is measured does not matter. None of the tests beside knows of them."""

impatient = mock.patch.object(contestants, "PATIENCE", 0.5)
"""Little time for answers: they would not come later."""


def results(*found: dict[str, object]) -> Results:
    """Return results as they would be read from a file."""
    rows = framing.compared(0.01)
    kept = {"command": "python -m lab bench", "turns": 1, "left out": [], "framing": rows}
    return Results(json.loads(json.dumps(kept | {"pairs": found} | about.facts())))


def row(top: Side, ratio: float, **figures: float) -> dict[str, Any]:
    """Return a pair, beside step 6, as it would be measured."""
    known = {"cpu": ratio * 1e-5, "rate": 1, "faults": 0.0}
    known |= {"cold": known["cpu"], "cold_faults": 0.0, "memory": 400.0} | figures
    bottom = Side(EPOLL, top.workload, top.point)
    spread = {"ratio": ratio, "low": 0.9 * ratio, "high": 1.1 * ratio}
    both = {"top": known, "bottom": known}
    return {"top": top.key, "bottom": bottom.key, **spread, "figures": both}


# Right answers or no figure


@short
@impatient
@pytest.mark.parametrize(
    ("bug", "workload", "point"),
    [
        ("echoes_unchanged", REQUESTS, 2),
        ("no_greeting", REQUESTS, 2),
        ("fixed_buffer", FRAMES, MiB),
        ("echoes_unchanged", CHURN, 1),
        ("echoes_unchanged", IDLE, 2),
    ],
)
def test_who_answers_wrongly_gets_no_figure(bug: str, workload: Workload, point: int) -> None:
    wrong, right = (Side(one, workload, point) for one in (planted(bug), EPOLL))
    for top, bottom in ((wrong, right), (right, wrong)):
        found = paired(top, bottom, 1)
        assert found["failed"]
        assert results(found).pairs == []
        assert bug in report.method(results(found)) or top is right


@short
@pytest.mark.parametrize(
    ("workload", "point"),
    [(REQUESTS, 1), (REQUESTS, 3), (FRAMES, MiB), (IDLE, 0), (IDLE, 100), (CHURN, 1)],
    ids=lambda value: getattr(value, "name", None),
)
def test_every_workload_measures_a_right_server(workload: Workload, point: int) -> None:
    side = Side(EPOLL, workload, point)
    found: Any = paired(side, side, 2)
    for figures in found["figures"].values():
        assert figures.keys() >= {"cpu", "rate", "faults", "cold", "cold_faults"}
        assert all(figures[name] > 0 for name in ("cpu", "rate", "cold"))
        assert ("memory" in figures) is (workload is IDLE and point > 0)
    assert found["low"] <= found["high"]


def beside_step6(contestant: Contestant, workload: Workload, point: int, pairs: int = 1) -> Any:
    """Return what is measured of a server and of step 6, at the same work."""
    return paired(Side(contestant, workload, point), Side(EPOLL, workload, point), pairs)


@pytest.mark.in_turn
def test_the_same_server_on_both_sides_takes_the_same() -> None:
    """With room, since the slices are few; the bench itself allows 3 %."""
    found = beside_step6(EPOLL, REQUESTS, 50, pairs=8)
    assert "failed" not in found, found
    assert 0.7 < found["ratio"] < 1.4


def patched(code: str) -> Contestant:
    """Return step 6 with code that is run before it."""
    program = f"import runpy, sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}\n"
    program += "del sys.argv[0]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    return Contestant("patched", PEER, (EPOLL.command[0], "-c", program, *EPOLL.command[1:]))


SLOW = """
from common.framing import Framing

def feed(self, data, really=Framing.feed):
    for _ in range(30):
        self.in_frame = False
        owed = really(self, data)
    return owed

Framing.feed = feed
"""


@pytest.mark.in_turn
def test_a_server_that_does_more_takes_more() -> None:
    """Planted: it works each answer out thirty times."""
    assert beside_step6(patched(SLOW), REQUESTS, 50, pairs=4)["ratio"] > 1.4


COLD = """
import itertools, mmap
from common.framing import Framing

class Counted(Framing):
    numbers = itertools.count()

    def __init__(self):
        super().__init__()
        self.in_frame, self.number = False, next(self.numbers)

    def feed(self, data):
        if self.number < 50:
            with mmap.mmap(-1, 16 * mmap.PAGESIZE) as pages:
                pages[:] = bytes(len(pages))
        return super().feed(data)

import common.framing
common.framing.Framing = Counted
"""


@pytest.mark.in_turn
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts page faults here")
def test_the_first_generation_is_measured_by_itself() -> None:
    """Planted: what it does for its first fifty clients takes pages that the kernel has to give."""
    figures = beside_step6(patched(COLD), REQUESTS, 50, pairs=2)["figures"]["top"]
    assert figures["cold_faults"] > 10 > 1 > figures["faults"]
    assert figures["cold"] > 1.2 * figures["cpu"]


GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's malloc")


def faults_of_asyncio() -> tuple[float, float]:
    """Return the page faults of a request, for the first generation and for the second."""
    figures = beside_step6(PROTOCOL, REQUESTS, 3)["figures"]
    assert figures["bottom"]["cold_faults"] < 0.5
    return figures["top"]["cold_faults"], figures["top"]["faults"]


@GLIBC
@short
@pytest.mark.parametrize("size", [0, 2000, 4000])
def test_asyncio_is_warm_when_a_client_has_left(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it begins: what else is in its memory decides that."""
    monkeypatch.setenv("PADDING", size * "x")
    _, warm = faults_of_asyncio()
    assert warm < 0.5


@GLIBC
@short
def test_large_pieces_cost_page_faults_unless_free_memory_is_kept() -> None:
    given_back, kept = (beside_step6(PROTOCOL, work, MiB)["figures"] for work in (FRAMES, KEPT))
    assert given_back["top"]["faults"] > 100
    assert max(side["faults"] for side in kept.values()) < 10


@GLIBC
@short
def test_asyncio_stays_cold_with_a_malloc_that_does_not_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(128 * KiB))
    assert min(faults_of_asyncio()) > 1.5


# Who takes part


RIGHT = [one for one in MATRIX if one.rung in ("talk", "leaving", "prompt")]
RIGHT += [CHECKS[name] for name in ("side_by_side", "stuck_reader", "never_reads")]
"""The checks that say whether the answers are right."""


@pytest.mark.aside
@each_half
@pytest.mark.parametrize("peer", [*PEERS, POLL], ids=lambda one: one.name)
def test_a_peer_keeps_the_contract(peer: Contestant, times: bool) -> None:
    assert failures(peer, half(RIGHT, times)) == set()


UNFAIR = {"gevent", "tornado", "uvloop protocol"}
"""Beside a flood they serve nobody else, or late: docs/benchmarks.md says why."""


@pytest.mark.in_turn
@pytest.mark.parametrize("peer", [*PEERS, POLL], ids=lambda one: one.name)
def test_a_peer_is_fair_or_is_said_not_to_be(peer: Contestant) -> None:
    """A flood may pause for want of a core, and who serves nobody else comes to the others."""
    tries = 3 if peer.name in UNFAIR else 1
    seen = any(failures(peer, [CHECKS["fair"]]) for _ in range(tries))
    assert seen is (peer.name in UNFAIR)


@each_half
@pytest.mark.parametrize("name", ["C on epoll", "C on libuv"])
def test_the_limit_keeps_the_contract(name: str, times: bool, limit: dict[str, Contestant]) -> None:
    if name not in limit:
        pytest.skip("no C compiler here, or no libuv")
    assert limit[name].kind == LIMIT
    assert failures(limit[name], half(RIGHT, times)) == set()


def failures(contestant: Contestant, checks: list[Check]) -> set[str]:
    """Return the checks that fail, of these."""
    if contestant.missing:
        pytest.skip(f"{contestant.missing} is not installed: it is an extra")
    seen = verdicts(checks, lambda: Server(contestant.command, 3))
    return {one.check.name for one in seen if one.outcome == FAILED}


def test_what_is_missing_is_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    absent = Contestant("another", PEER, ("none",), needs="no_such_package")
    said: list[str] = []
    here = Side(EPOLL, REQUESTS, 1)
    wanted = [(Side(absent, REQUESTS, 1), here), (here, here), (Side(EPOLL, REQUESTS, 2000), here)]
    assert command.possible(wanted, said.append) == [(here, here)]
    assert ["no_such_package" in said[0], "descriptors" in said[1]] == [True, True]


def test_without_a_compiler_the_limit_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setenv("CC", "no-such-compiler")
    assert not [*contestants.compiled(tmp_path, said.append)]
    monkeypatch.setenv("CC", "false")
    if shutil.which("false"):
        assert not [*contestants.compiled(tmp_path, said.append)]
        assert len(said) == 3


def test_step6_stands_beside_itself_in_every_table() -> None:
    tables = {(top.workload, top.point) for top, _ in plan.tables(())}
    for workload, point in tables:
        itself = Side(EPOLL, workload, point)
        assert plan.tables(()).count((itself, itself)) == 1
    assert all(bottom.contestant is EPOLL for _, bottom in plan.tables(()))


# What is computed


def test_a_target_knows_how_far_it_is_met() -> None:
    one, other = Side(EPOLL, REQUESTS, 50), Side(PROTOCOL, REQUESTS, 50)
    most, itself = plan.Target("", (one, other), 1.25, 1.0), plan.Target("", (one, one), 1.03, 1.03)
    assert [*map(most.verdict, (1.0, 1.2, 1.3))] == ["met, and the aim", "met", "NOT MET"]
    assert [*map(itself.verdict, (0.9, 0.98, 1.02, 1.1))] == ["NOT MET", "met", "met", "NOT MET"]
    assert plan.Target("", (one, other)).verdict(9) == ""


def test_rows_are_sorted_and_carry_their_spread() -> None:
    found = results(row(Side(PROTOCOL, REQUESTS, 50), 1.5), row(Side(EPOLL, REQUESTS, 50), 1.0))
    _, first, second = report.work(found, "requests", 50)
    assert first[:4] == [f"{EPOLL.name} (itself)", "1.00", "0.90 to 1.10", "10.0 us"]
    assert second[:4] == [PROTOCOL.name, "1.50", "1.35 to 1.65", "15.0 us"]


def test_page_faults_are_shown_where_they_count() -> None:
    found = results(row(Side(PROTOCOL, FRAMES, MiB), 1.5, faults=570.2))
    assert report.work(found, "frames", MiB)[1][-1] == "570, beside 570"
    few = results(row(Side(PROTOCOL, FRAMES, MiB), 1.5, faults=0.3))
    assert "page faults" not in report.work(few, "frames", MiB)[0]


def test_who_is_cold_at_first_is_shown_beside_itself() -> None:
    found = results(
        row(Side(PROTOCOL, REQUESTS, 50), 1.5, cold=5e-5, cold_faults=2.0),
        row(Side(EPOLL, REQUESTS, 50), 1.0, cold=5e-5),  # a slow moment
    )
    assert report.cold(found)[1:] == [[PROTOCOL.name, "50.0 us", "2.00", "15.0 us", "0.00"]]


@pytest.mark.aside
@pytest.mark.timeout(120)
def test_the_command_prints_the_ratios(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    done = lab("bench", "--pairs", "1", "--json", str(file))
    assert done.returncode in (0, 1), done.stderr  # the figures depend on the machine
    for target in report.TARGETS:
        assert target.title in done.stdout
    said = " ".join(done.stdout.split())
    assert "1 each" in said
    assert "`python -m lab bench --pairs 1`, on " in said
    kept = json.loads(file.read_text())
    assert len(kept["pairs"]) >= 5
    assert kept["machine"]["python"] in done.stdout


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no cores to choose from")
def test_the_core_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with pairs.running(Side(EPOLL, REQUESTS, 1)) as running:
        assert os.sched_getaffinity(running.server.pid) == {CORES[0]}
    assert os.sched_getaffinity(0) == before


def test_the_protocol_is_compared_on_every_input() -> None:
    found = framing.compared(0.05)
    assert found.keys() == framing.INPUTS.keys()
    ours, loop = found["one long frame"]
    assert ours > 5 * loop


# What the pages say


def test_the_kept_results_are_of_a_full_run_and_name_no_path() -> None:
    found = pages.results()
    assert found.found["command"] == "python -m lab bench --full"
    assert len(found.pairs) == len(found.found["pairs"]), "something failed"
    assert str(ROOT) not in json.dumps(found.found)
    for name in sentences.SENTENCES:
        assert report.block(found, name)
    for block in ("nothing", "requests 51"):
        with pytest.raises(KeyError):
            report.block(found, block)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="an extra")
    from lab.bench import plots
    from lab.show import pictures

    file = tmp_path / "requests.svg"
    pictures.save(file, lambda: plots.requests(pages.results()))
    drawn = file.read_text()
    assert drawn.startswith("<?xml")
    assert all(
        f"{one['top'][0]}<" in drawn for one in pages.results().against_reference("requests", 50)
    )
