"""The idea of each step, `minimal.py`: what brings it down is declared, and nothing else does."""

import select
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lab.broken.parts import PARTS, Part, without
from lab.check import limits
from lab.check.rungs import CHECKS, MATRIX
from lab.check.suite import FAILED, verdicts
from lab.harness.servers import ROOT, STEPS, Server
from lab.tests.commands import lab
from tests.contract import each_half, each_step, half

MINIMAL = "minimal.py"
POLLING = STEPS[3]


def as_declared(step: str, start: Callable[[], Server], times: bool) -> None:
    """Run the checks that compare times, or the others, on what is started so."""
    chosen = half([*MATRIX, CHECKS["deadline"].given(seconds=0.3), CHECKS["drains"]], times)
    failed = {one.check.name for one in verdicts(chosen, start) if one.outcome == FAILED}
    assert failed == limits.declared(step, MINIMAL).keys() & {one.name for one in chosen}


@pytest.mark.aside
@each_half
@each_step
def test_what_brings_it_down_is_declared(step: str, times: bool, tmp_path: Path) -> None:
    if step == "step6_epoll_kqueue" and not hasattr(select, "epoll"):
        pytest.skip("no epoll here")
    script = ROOT / step / MINIMAL
    if step == POLLING and not times:  # a client waits for a round through all others
        quicker = Part(step, "", ((MINIMAL, "sleep(0.01)", "sleep(0.002)"),))
        script = without(quicker, tmp_path / "copy").with_name(MINIMAL)
    patience = 2 if times else 5
    as_declared(step, partial(Server, [sys.executable, str(script), "{port}"], patience), times)


@pytest.mark.aside
def test_with_kqueue_it_is_the_same() -> None:
    """The real one, or the model of it."""
    model = [] if hasattr(select, "kqueue") else [str(ROOT / "tests" / "kqueue_model.py")]
    script = ROOT / "step6_epoll_kqueue" / "minimal_kqueue.py"
    start = partial(Server, [sys.executable, *model, str(script), "{port}"], 2)
    as_declared("step6_epoll_kqueue", start, False)


@pytest.mark.aside
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_without_a_part_its_check_fails(part: Part, tmp_path: Path) -> None:
    script = str(without(part, tmp_path / "copy"))
    arguments = limits.ARGUMENTS.get(part.step, ())
    start = partial(Server, [sys.executable, script, "{port}", *arguments], 2)
    (verdict,) = verdicts([CHECKS[part.check]], start)
    assert verdict.outcome == FAILED, verdict.seen
    assert part.check not in limits.declared(part.step)


def test_the_declared_names_exist() -> None:
    assert list(limits.MINIMAL) == list(STEPS)
    for names in limits.MINIMAL.values():
        assert names.keys() <= {one.name for one in MATRIX}


def test_the_command_says_so() -> None:
    done = lab("check", "1/minimal", "--only", "ack,resets")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("step1_sequential/minimal.py\n")
    assert "1 held, 1 failed; as declared" in done.stdout
