"""Partial sends, spurious wake-ups and a full system, in every server."""

import re
import sys

import pytest

from lab.check import leaving, talk
from lab.harness import clients
from lab.harness.clients import Failed
from lab.harness.servers import ROOT, Server
from tests.contract import each_step

pytestmark = pytest.mark.aside


@each_step
def test_a_stingy_kernel(step: str) -> None:
    """Where the kernel takes and gives a byte at a time, or nothing now, no byte is lost."""
    arguments = ["--interval", "0.001"] if step == "step4_nonblocking_polling" else []
    command = [sys.executable, str(ROOT / "tests" / "stingy.py")]
    with Server([*command, str(ROOT / step / "server.py"), "0", *arguments]) as server:
        for _ in range(2):
            clients.conversation(server, b"^" + b"abc" * 200 + b"$garbage^xyz$")
            talk.cuts.run(server)
            leaving.resets.run(server)
        assert re.search("cannot (accept|go on): stingy", server.log())
        assert "Traceback" not in server.log()


def test_the_stingy_socket_is_used() -> None:
    """A server that does not look at what `send` returns fails here."""
    careless = ROOT / "lab" / "broken"
    command = [sys.executable, str(ROOT / "tests" / "stingy.py"), str(careless)]
    with Server([*command, "careless_send"], patience=0.5) as server:
        try:
            clients.conversation(server, b"^abc$")
        except Failed:
            return
    raise AssertionError("no byte was lost")
