"""How tests wait: for an answer, for a line of log, for the end of a process."""

import contextlib
import os
import socket
import time
from collections.abc import Callable

from lab.harness.deadline import soon
from lab.harness.servers import Endpoint, Server


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    assert soon(holds, 15), f"never: {what}"


def logged(server: Server, text: str) -> str:
    """Wait until the server has logged `text`; return its log."""
    wait_until(lambda: text in server.log(), f"{text!r} in its log")
    return server.log()


def alive(pid: int) -> bool:
    """Return whether the process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def answer(server: Endpoint, *pieces: bytes) -> bytes:
    """Say these, and no more; return all that comes before the end, or before a reset."""
    heard = b""
    with server.connect() as sock, contextlib.suppress(ConnectionError):
        for piece in pieces:
            sock.sendall(piece)
            if piece is not pieces[-1]:
                time.sleep(0.01)
        with contextlib.suppress(OSError):  # ENOTCONN: it is reset already
            sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(4096):
            heard += data
    return heard
