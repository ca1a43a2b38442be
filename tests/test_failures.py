"""Whatever goes wrong for one client ends that client, is a line of log, and harms nobody else."""

import re
import subprocess
import sys

import pytest

from lab.harness import clients
from lab.harness.servers import ROOT, STEPS, Server

SERVERS = [f"{step}/server.py" for step in STEPS] + ["step6_epoll_kqueue/edge_triggered.py"]

RAISES = """
import runpy, sys
sys.path.insert(0, {root!r})
from common.framing import Framing

def feed(self, data, really=Framing.feed):
    if b"!" in data:
        raise RuntimeError("a bug")
    return really(self, data)

Framing.feed = feed
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("server", SERVERS)
def test_a_handler_that_raises_ends_its_client_only(server: str) -> None:
    """The client is closed at once, though nobody foresaw that exception."""
    program = RAISES.format(root=str(ROOT))
    with Server([sys.executable, "-c", program, str(ROOT / server), "0"]) as running:
        with running.connect() as sock, running.connect() as other:
            sock.sendall(b"^a!$")
            assert clients.exactly(sock, 1) == b"*"
            assert clients.to_the_end(sock) == b""
            other.sendall(b"^a$")
            clients.expect(other, b"*b")
        clients.serves(running)
        running.stop()
        log = running.log()
    bug = r"disconnected: RuntimeError in <string>, line 8: a bug \(4 bytes in, 1 bytes out\)\n"
    assert len(re.findall(bug, log)) == 1
    assert "Traceback" not in log


FULL = """
import runpy, select, socket, sys

def full(*_):
    raise OSError(24, "Too many open files")

select.epoll = select.kqueue = socket.socketpair = full
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("server", SERVERS[5:])
def test_a_poller_or_loop_that_cannot_be_made_is_a_line(server: str) -> None:
    command = [sys.executable, "-c", FULL, str(ROOT / server), "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stdout == "", "it has not said that it serves"
    assert done.stderr.endswith("Cannot serve on 127.0.0.1:0: Too many open files\n")
    assert done.stderr.count("\n") <= 2  # that it has raised its limit may come before
