"""What only servers of ours have to do."""

import signal
from collections.abc import Callable

from lab.harness.clients import clients, expect, settle
from lab.harness.servers import END, Server

Check = Callable[[Server], None]


def ends_on(server: Server, number: signal.Signals) -> None:
    """A signal ends it at once, whatever its clients are doing; the status is 0."""
    with clients(server, 3) as socks:
        expect(socks[0], b"*")
        socks[0].sendall(b"^in the middle of")
        settle(server)
        server.process.send_signal(number)
        status = server.wait(END)
        assert status is not None, f"{number.name} does not end it"
        assert status == 0, f"ended with status {status}"
    assert "Traceback" not in server.log()


def ends_on_sigterm(server: Server) -> None:
    """SIGTERM ends it."""
    ends_on(server, signal.SIGTERM)


def ends_on_ctrl_c(server: Server) -> None:
    """Ctrl-C, which is SIGINT, ends it."""
    ends_on(server, signal.SIGINT)
