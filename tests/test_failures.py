"""Whatever goes wrong for one client ends that client, is a line of log, and harms nobody else."""

import re

import pytest

from lab.harness import clients
from lab.harness.servers import ROOT, STEPS, Server
from tests.programs import command, patched, run
from tests.waiting import answer, logged

SERVERS = [f"{step}/server.py" for step in STEPS] + ["step6_epoll_kqueue/edge_triggered.py"]

FILE = b"ok\n" + (ROOT / "step7_event_loop_threadpool" / "lines.py").read_bytes()

SCHEDULED = 50
"""Clients in which all calls have failed that fail."""

RAISES = """
from common.framing import Framing

def feed(self, data, really=Framing.feed):
    if b"!" in data:
        raise RuntimeError("a bug")
    return really(self, data)

Framing.feed = feed
"""


@pytest.mark.parametrize("server", SERVERS)
def test_a_handler_that_raises_ends_its_client_only(server: str) -> None:
    """The client is closed at once, though nobody foresaw that exception."""
    with Server(patched(RAISES, server, "0")) as running:
        with running.connect() as sock, running.connect() as other:
            clients.ask(sock, b"^a!$", b"*")
            assert clients.to_the_end(sock) == b""
            clients.ask(other, b"^a$", b"*b")
        clients.serves(running)
        logged(running, "disconnected: RuntimeError")
        running.stop()
        log = running.log()
    bug = r"disconnected: RuntimeError in <string>, line 8: a bug \(4 bytes in, 1 bytes out\)\n"
    assert len(re.findall(bug, log)) == 1
    assert "Traceback" not in log


FOLDER = "step7_event_loop_threadpool"

TALKS = {
    **dict.fromkeys(SERVERS, (b"^abc$", b"*bcd")),
    f"{FOLDER}/coroutine_server.py": (b"^abc$", b"*bcd"),
    f"{FOLDER}/asyncio_server.py --style streams": (b"^abc$", b"*bcd"),
    f"{FOLDER}/asyncio_server.py --style protocol": (b"^abc$", b"*bcd"),
    f"{FOLDER}/prime_server.py": (b"7\n8\n", b"prime\ncomposite\n"),
    f"{FOLDER}/file_server.py": (b"lines.py\n", FILE),
}
"""For each server what a client sends, and what it is owed."""


def answered(server: Server, said: bytes) -> bytes:
    """Return what a client is answered before the end; if there is none, name the last failure."""
    try:
        return answer(server, said)
    except TimeoutError:
        *_, last = ["nothing", *re.findall("made to fail: (.+)", server.log())]
        raise AssertionError(f"a client was left hanging; made to fail before: {last}") from None


@pytest.mark.aside
@pytest.mark.timeout(120)
@pytest.mark.parametrize("server", TALKS)
def test_whatever_call_fails_a_client_is_answered_or_closed(server: str) -> None:
    """Never left hanging; who was not hit is served, and later all are. It ends with status 0."""
    said, owed = TALKS[server]
    with Server(command(server, "0", python=[str(ROOT / "tests" / "failing.py")])) as running:
        answers = [answered(running, said) for _ in range(SCHEDULED)]
        files = running.descriptors()
        assert {answered(running, said) for _ in range(5)} == {owed}
        assert running.descriptors() <= files
        assert running.stop() == 0
        log = running.log()
    assert owed in answers
    wrong = {each for each in answers if each != owed and not owed.startswith(each)}
    assert all(each.startswith(b"error: ") and "file" in server + each.decode() for each in wrong)
    assert "Traceback" not in log, log[log.index("Traceback") :]


FULL = """
import select, socket

def full(*_):
    raise OSError(24, "Too many open files")

select.epoll = select.kqueue = socket.socketpair = full
"""


@pytest.mark.parametrize("server", SERVERS[5:])
def test_a_poller_or_loop_that_cannot_be_made_is_a_line(server: str) -> None:
    done = run(*patched(FULL, server, "0"))
    assert done.returncode == 1
    assert done.stdout == "", "it has not said that it serves"
    assert done.stderr.endswith("Cannot serve on 127.0.0.1:0: Too many open files\n")
    assert done.stderr.count("\n") <= 2  # that it has raised its limit may come before
