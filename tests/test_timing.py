"""How long N clients take, compared with one: the lesson of the steps, as a ratio.

Both are measured in one run with the real client, its pauses scaled down.
"""

import pytest

from lab.check import limits
from lab.harness import servers
from lab.harness.servers import Server
from lab.harness.talks import elapsed
from tests.programs import command

pytestmark = pytest.mark.in_turn

COUNT = 5
PACE = 0.06


def ratio(server: Server) -> float:
    """Return how many times as long `COUNT` clients at once take as one."""
    return elapsed(server, COUNT, PACE) / elapsed(server, 1, PACE)


def one_after_the_other(found: float) -> bool:
    return 0.7 * COUNT < found < 1.5 * COUNT


def side_by_side(found: float) -> bool:
    return found < 0.5 * COUNT


@pytest.mark.parametrize("step", limits.LIMITS["side_by_side"])
def test_elapsed(step: str) -> None:
    """Where clients are not served side by side, five take five times as long as one."""
    with servers.start(step) as server:
        found = ratio(server)
    assert one_after_the_other(found), found


@pytest.mark.parametrize(("name", "expected"), [("one_at_a_time", True), ("right", False)])
def test_the_planted_ones_are_told_apart(name: str, expected: bool) -> None:
    with Server(command("lab/broken", name)) as server:
        found = ratio(server)
    assert one_after_the_other(found) is expected
    assert side_by_side(found) is not expected


def test_step4_waits_for_its_interval() -> None:
    """The same conversation takes longer, the longer the interval."""
    with (
        servers.start("step4_nonblocking_polling", "--interval", "0.01") as often,
        servers.start("step4_nonblocking_polling", "--interval", "0.2") as seldom,
    ):
        assert elapsed(seldom, 1, PACE) > 1.5 * elapsed(often, 1, PACE)
