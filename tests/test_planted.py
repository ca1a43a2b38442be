"""The tests of the tests: each check fails on a server with its bug, and not on a right one."""

import sys

import pytest

from lab import servers
from lab.servers import ROOT, Server
from tests import checks, planted
from tests.test_contract import named

SEEN_BY = {
    "no_greeting": "ack",
    "two_greetings": "ack",
    "greets_when_spoken_to": "ack",
    "saturates_at255": "all_values",
    "echoes_unchanged": "framing",
    "forgets_the_frame": "frame_over_packets",
    "one_frame_a_packet": "frames_in_a_packet",
    "whole_frames_only": "frame_over_packets",
    "caret_opens_again": "fragmentation",
    "echoes_garbage": "garbage",
    "drops_the_reply_at_half_close": "half_close",
    "never_closes": "half_close",
    "careless_send": "slow_reader",
    "no_backpressure": "never_reads",
    "dies_of_a_reset": "resets",
    "dies_of_a_health_check": "connect_and_close",
    "one_at_a_time": "silence",
    "at_most_a_thousand": "eleven_hundred_at_once",
    "short_backlog": "burst",
    "looks_now_and_then": "answers_at_once",
    "spins": "idle_is_cheap",
    "spins_without_descriptors": "no_descriptors",
    "sends_away_without_descriptors": "no_descriptors",
    "dies_without_descriptors": "no_descriptors",
    "ignores_sigterm": "ends_on_sigterm",
    "ignores_ctrl_c": "ends_on_ctrl_c",
    "ends_with_a_traceback": "ends_on_sigterm",
    "ends_with_another_status": "ends_on_sigterm",
}
"""The check that has to fail on each bug."""

# Those that others fail with: the first thing any of them does is to wait for the `*`.
ALSO = {
    "reset_while_owed": "dies_of_a_reset",
    "fifty_at_once": "one_at_a_time",
    "stuck_reader": "one_at_a_time",
}

CHECKS = {
    check.__name__: check for check in (*checks.CONTRACT, checks.no_descriptors, *checks.ENDS)
}


def start(bug: str, check: str) -> Server:
    """Start the planted server, short of descriptors if the check is about that."""
    command = [sys.executable, str(ROOT / "tests" / "planted.py"), bug]
    if check == "no_descriptors":
        command = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh", *command]
    return Server(command)


@pytest.mark.parametrize(("bug", "check"), [*SEEN_BY.items(), *((b, c) for c, b in ALSO.items())])
def test_the_bug_is_seen(bug: str, check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE", 0.3)
    for module in (checks, servers):
        monkeypatch.setattr(module, "END", 1)
    with start(bug, check) as server:
        with pytest.raises((AssertionError, ConnectionError)):
            CHECKS[check](server)
        # It failed because of its bug, and not because it is no server at all.
        assert bug.startswith(("dies_", "ends_")) or server.process.poll() is None


@pytest.mark.parametrize("check", CHECKS.values(), ids=named)
def test_a_right_server_passes(check: checks.Check) -> None:
    with start("right", check.__name__) as server:
        check(server)


def test_every_bug_and_every_check_has_its_test() -> None:
    assert SEEN_BY.keys() == planted.BUGS.keys()
    assert {*SEEN_BY.values(), *ALSO} == CHECKS.keys()
