"""Partial sends, spurious wake-ups and a full system, in every server."""

import re

import pytest

from lab.check import leaving, talk
from lab.harness import clients
from lab.harness.clients import Failed
from lab.harness.servers import ROOT, Server
from tests.contract import each_step
from tests.programs import command

pytestmark = pytest.mark.aside

STINGY = [str(ROOT / "tests" / "stingy.py")]


@each_step
def test_a_stingy_kernel(step: str) -> None:
    """Where the kernel takes and gives a byte at a time, or nothing now, no byte is lost."""
    arguments = ["--interval", "0.001"] if step == "step4_nonblocking_polling" else []
    words = command(f"{step}/server.py", "0", *arguments, python=STINGY)
    with Server(words) as server:
        for _ in range(2):
            clients.conversation(server, b"^" + b"abc" * 200 + b"$garbage^xyz$")
            talk.cuts.run(server)
            leaving.resets.run(server)
        assert re.search("cannot (accept|go on): stingy", server.log())
        assert "Traceback" not in server.log()


def test_the_stingy_socket_is_used() -> None:
    """A server that does not look at what `send` returns fails here."""
    careless = command("lab/broken careless_send", python=STINGY)
    with Server(careless, patience=0.5) as server, pytest.raises(Failed):
        clients.conversation(server, b"^abc$")
