"""The last rung: the end of the server itself."""

import contextlib
import math
import socket
import time

from lab.check.suite import check
from lab.harness.clients import Failed, clients, expect, greeted, must, serves, settle
from lab.harness.servers import END, Endpoint


@check("step3_blocking", alone=True)
def ends(server: Endpoint) -> str:
    """SIGTERM ends it at once, whatever its clients are doing.

    It may clean up, but must not wait for clients that have no reason to leave, or for a
    thread that sleeps in `recv`.
    """
    with server.another() as own, clients(own, 3) as socks:
        expect(socks[0], b"*")
        socks[0].sendall(b"^in the middle of")
        settle(own)
        start = time.monotonic()
        prompt = math.ceil(min(END, own.patience))
        status = own.terminate(prompt)
        taken = time.monotonic() - start
        if status is None:
            own.process.kill()
            raise Failed(f"still there after {prompt} s")
        left = "it ended, but something that it started still holds its clients"
        must(not left_alone(socks[0]), left)
    return f"after {taken * 1000:.0f} ms, status {status}"


def left_alone(sock: socket.socket) -> bool:
    """Return whether the connection is still there a second after the server has ended."""
    sock.settimeout(1)
    try:
        while sock.recv(4096):
            pass
    except TimeoutError:
        return True
    except OSError:
        pass
    return False


@check("step1_sequential", alone=True)
def restarts(server: Endpoint) -> str:
    """Started again at once, it gets its port again.

    The connections of the one before are in TIME_WAIT for a minute, and hold the port
    unless SO_REUSEADDR is set on the listening socket before `bind`.
    """
    with server.another() as own, greeted(own) as sock:
        own.stop()
        with contextlib.suppress(OSError):
            sock.recv(1)
    start = time.monotonic()
    with server.another(port=own.port) as again:
        serves(again)
    return f"serves on the same port after {(time.monotonic() - start) * 1000:.0f} ms"
