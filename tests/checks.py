"""What only servers of ours have to do, and how the lab's commands are run."""

import signal
import subprocess
import sys
from collections.abc import Callable

from lab.check.sockets import clients, expect, settle
from lab.servers import END, ROOT, Server

Check = Callable[[Server], None]


def ends_on(server: Server, number: signal.Signals) -> None:
    """A signal ends it at once, whatever its clients are doing; the status is 0."""
    with clients(server, 3) as socks:
        expect(socks[0], b"*")
        socks[0].sendall(b"^in the middle of")
        settle(server)
        server.process.send_signal(number)
        try:
            status = server.process.wait(END)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{number.name} does not end it") from None
        assert status == 0, f"ended with status {status}"
    assert "Traceback" not in server.log()


def ends_on_sigterm(server: Server) -> None:
    """SIGTERM ends it."""
    ends_on(server, signal.SIGTERM)


def ends_on_ctrl_c(server: Server) -> None:
    """Ctrl-C, which is SIGINT, ends it."""
    ends_on(server, signal.SIGINT)


def lab(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the lab to its end; return its status and what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "lab", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def lab_prints(*words: str) -> str:
    """Run a command of the lab to its end, which has to be good; return what it prints."""
    done = lab(*words)
    done.check_returncode()
    return done.stdout
