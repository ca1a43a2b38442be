"""The tests of the tests: each check fails on a server with its bug, and on no other."""

from functools import partial

import pytest

from lab.broken import catalogue
from lab.check.rungs import CHECKS, MATRIX
from lab.check.suite import FAILED, HELD, Check, judge, verdicts
from lab.harness import servers
from lab.harness.servers import Foreign
from lab.tests.commands import FULL
from tests import checks
from tests.contract import COMPARE_TIMES, each_half, half

EVERY = " ".join(CHECKS)
TALK = "cuts long_frame late_reader half_close exact thinks side_by_side drip fair latency stopped"

SEEN_BY = {
    "no_greeting": "ack",
    "two_greetings": "ack",
    "greets_when_spoken_to": "ack",
    "echoes_unchanged": "ack",
    "echoes_garbage": "ack",
    "forgets_the_frame": f"cuts {TALK} resets vanished thousand_idle",
    "whole_frames_only": f"cuts {TALK} resets vanished stuck_reader idle_cpu never_reads"
    " thousand_idle",
    "saturates_at255": "all_values",
    "stops_at_zero": "all_values garbage",
    "one_frame_a_packet": "many_frames cuts all_values odd_places late_reader half_close"
    " side_by_side drip",
    "gives_up_on_garbage": "garbage",
    "caret_opens_again": "odd_places cuts all_values",
    "fixed_buffer": "long_frame",
    "careless_send": "late_reader half_close",
    "sends_again": "late_reader half_close",
    "drops_the_reply_at_half_close": "half_close latency",
    "drops_the_rest_at_half_close": "half_close late_reader never_reads",
    "waits_for_more": "exact garbage long_frame stuck_reader fair never_reads",
    "tires_of_silence": "thinks idle_cpu idle_memory thousand_idle no_descriptors",
    "listens_to_one": "fair stuck_reader latency",
    "never_closes": "half_close side_by_side churn no_descriptors",
    # Whichever check is next may be the one to find it dead.
    "dies_of_a_health_check": f"connect_and_close {EVERY}",
    "dies_of_a_reset": f"resets {EVERY}",
    "spins_after_a_reset": "resets idle_cpu churn",
    "state_by_descriptor": "vanished half_close resets side_by_side drip churn",
    "one_at_a_time": "side_by_side silence stuck_reader fair thousand_idle",
    "waits_for_the_first_word": "silence resets thousand_idle no_descriptors",
    "one_conversation_at_a_time": "stuck_reader drip fair churn no_descriptors",
    "blocks_in_send": "stuck_reader",
    "answers_the_last_speaker": "drip side_by_side churn",
    "looks_now_and_then": "latency late_reader",
    "nagle": "latency",
    # Its backlog is full, and it is slow: whatever brings many clients fails.
    "short_backlog": "burst connect_and_close drip idle_cpu churn thousand_idle no_descriptors",
    "spins": "idle_cpu resets no_descriptors",
    "always_watches_for_writing": "idle_cpu no_descriptors",
    "large_buffers": "idle_memory",
    "no_backpressure": "never_reads late_reader idle_cpu",
    "leaks_descriptors": "churn",
    "leaks_after_a_reset": "churn",
    "leaves_zombies": "churn",
    "leaks_memory": "churn",
    "at_most_two_hundred": "thousand_idle burst",
    "watches_with_select": "high_listener",
    "at_most_a_thousand": "high_descriptor high_listener",
    "spins_without_descriptors": "no_descriptors",
    "floods_without_descriptors": "no_descriptors",
    "sends_away_without_descriptors": "no_descriptors",
    "dies_without_descriptors": "no_descriptors",
    "dies_of_an_interruption": "stopped resets",
    "ignores_sigterm": "ends",
    "keeps_the_port": "restarts",
}
"""For each bug the check that has to fail on it, and after it those that may because of it."""

SEEN = {bug: names.split() for bug, names in SEEN_BY.items()}

OTHERS = {
    name
    for name, kind in catalogue.KINDS.items()
    if kind.__module__.rpartition(".")[2] in ("faults", "nasty")
}
"""Those of a rung that no other sees (test_faults.py), and those that are slow (test_check.py)."""

RIGHT = {"right", "in_pieces"}
"""Those that every check holds for."""

DEADLINE, DRAINS = CHECKS["deadline"].given(seconds=0.8), CHECKS["drains"]

ASKED = {
    "tires_of_silence": (DEADLINE, HELD),
    "right": (DEADLINE, FAILED),
    "drains": (DRAINS, HELD),
    "drains_and_accepts": (DRAINS, FAILED),
    "drains_the_rest": (DRAINS, FAILED),
}
"""For what has to be asked for: whose verdict is which."""

OURS = {
    "ignores_ctrl_c": checks.ends_on_ctrl_c,
    "ends_with_a_traceback": checks.ends_on_sigterm,
    "ends_with_another_status": checks.ends_on_sigterm,
}
"""What only servers of ours must not do."""

LONG = """
late_reader half_close thinks resets fair idle_cpu idle_memory never_reads churn thousand_idle
high_listener high_descriptor no_descriptors stopped ends restarts
"""

SLOW = COMPARE_TIMES.union(LONG.split())
"""Checks that take a third of a second, or a start, and more; or the machine. They run against the
servers they have to fail on; with `--full` against all."""


def failures(bug: str, chosen: list[Check]) -> dict[str, str]:
    """Run checks against a planted server; return what failed, and what was seen."""
    found = verdicts(chosen, partial(Foreign, catalogue.command(bug), 0.5))
    return {one.check.name: one.seen for one in found if one.outcome == FAILED}


FILLS = {"half_close", "never_reads"}
"""Checks that fill every buffer, which a busy machine may not come to: a bug is missed then."""


@pytest.mark.aside
@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, marks=[pytest.mark.in_turn] * (must in COMPARE_TIMES | FILLS))
        for bug, (must, *_) in SEEN.items()
    ],
)
def test_the_bug_is_seen(bug: str) -> None:
    must, *_ = SEEN[bug]
    assert must in failures(bug, [CHECKS[must]])


@pytest.mark.aside
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, marks=[pytest.mark.in_turn] * FULL)
        for bug, (must, *_) in SEEN.items()
        if must != "ack"  # without which nothing else is asked
    ],
)
def test_no_other_check_sees_it(bug: str) -> None:
    must, *may = SEEN[bug]
    chosen = [one for one in MATRIX if one.name != must and (FULL or one.name not in SLOW)]
    failed = failures(bug, chosen)
    assert failed.keys() <= {*may}, failed


@pytest.mark.in_turn
@pytest.mark.parametrize("bug", OURS)
def test_a_bug_of_ours_is_seen(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (checks, servers):
        monkeypatch.setattr(module, "END", 1)
    with catalogue.started(bug) as server, pytest.raises(AssertionError):
        OURS[bug](server)


@pytest.mark.aside
@each_half
@pytest.mark.parametrize("name", sorted(RIGHT))
def test_a_right_server_passes(name: str, times: bool) -> None:
    found = list(verdicts(half(MATRIX, times), partial(Foreign, catalogue.command(name))))
    assert [one.check for one in found] == half(MATRIX, times)
    assert {one.check.name: one.seen for one in found if one.outcome != HELD} == {}
    for end in (checks.ends_on_sigterm, checks.ends_on_ctrl_c):
        with catalogue.started(name) as server:
            end(server)


@pytest.mark.aside
@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_for(name: str) -> None:
    one, outcome = ASKED[name]
    with Foreign(catalogue.command(name), 1) as server:
        verdict = judge(one, server)
    assert verdict.outcome == outcome, verdict.seen


def test_every_bug_and_every_check_has_its_test() -> None:
    tested = SEEN_BY.keys() | OURS.keys() | OTHERS | ASKED.keys() | RIGHT
    assert tested == catalogue.KINDS.keys()
    assert {must for must, *_ in SEEN.values()} == {check.name for check in MATRIX}
    assert SLOW.union(*SEEN.values()) <= CHECKS.keys()
