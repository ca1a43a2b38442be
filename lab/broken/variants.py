"""Our own servers with one thing done differently, to see what it is good for.

    python -m lab.broken.variants NAME

Each variant replaces a function or a constant of a step before that step is started, on a
free port. `computes` is no mistake: its answers take long to work out.
"""

import argparse
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from common import framing, serving
from lab.harness import servers
from step1_sequential import server as step1
from step2_thread_per_client import server as step2
from step5_select import server as step5
from step6_epoll_kqueue import server as step6

COMPUTING = 0.2
"""Seconds of CPU time that an answer takes the variant `computes`; not for a packet of a byte."""

VARIANTS: dict[str, Callable[[], None]] = {}


def variant(serve: Callable[[], None]) -> Callable[[], None]:
    """Register a variant under the name of its function."""
    VARIANTS[serve.__name__] = serve
    return serve


@contextmanager
def started(name: str, patience: float = 20, limit: int = 0) -> Iterator[servers.Server]:
    """Run a variant in a process of its own."""
    command = [sys.executable, "-m", "lab.broken.variants", name]
    with servers.Server(command, patience, limit=limit) as server:
        yield server


@variant
def computes() -> None:
    """Step 2, where an answer of several bytes takes much computing."""

    class Framing(framing.Framing):
        def feed(self, data: bytes) -> bytes:
            end = time.thread_time() + COMPUTING * (len(data) > 1)
            while time.thread_time() < end:
                pass
            return super().feed(data)

    vars(step2)["Framing"] = Framing
    step2.main()


@variant
def always_writable() -> None:
    """Step 5, which waits for room to write even while it has nothing to send."""
    watch = step5.Poller.watch

    def watch_for_both(poller: step5.Poller, key: step5.Key, interest: str) -> None:
        watch(poller, key, interest)
        if isinstance(key, step5.Client):
            poller.kernel.sets["write"].add(key.fileno())

    step5.Poller.watch = watch_for_both  # type: ignore[method-assign, assignment]
    step5.main()


@variant
def forgets_the_rest() -> None:
    """Step 6, which takes it that `send` has sent everything."""

    def write(client: step6.Client) -> None:
        client.sent += client.sock.send(client.unsent)
        client.unsent = b""

    step6.write = write
    step6.main()


@variant
def keeps_reading() -> None:
    """Step 6 without backpressure: it reads on while it has something unsent."""

    def attend(
        poller: step6.Poller, client: step6.Client, step: Callable[[step6.Client], object]
    ) -> None:
        if step is step6.greet:
            real_attend(poller, client, step)
            return
        try:
            if data := _received(client):
                client.unsent += client.framing.feed(data)
            if client.unsent:
                with suppress(BlockingIOError):
                    step6.write(client)
        except (EOFError, OSError) as error:
            step6.drop(poller, client, error)

    real_attend, step6.attend = step6.attend, attend
    step6.main()


def _received(client: step6.Client) -> bytes:
    try:
        data = client.sock.recv(serving.RECV_SIZE)
    except BlockingIOError:
        return b""
    if not data:
        raise EOFError
    return data


@variant
def spins_without_descriptors() -> None:
    """Step 6, which goes on watching the listening socket when `accept` says EMFILE."""
    accept = step6.accept

    def accept_or_not(poller: step6.Poller, listener: socket.socket) -> None:
        accept(poller, listener)
        poller.watch(listener, step6.READ)

    step6.accept = accept_or_not
    step6.main()


@variant
def no_reuse() -> None:
    """Step 1 without `SO_REUSEADDR`."""
    _without(socket.SOL_SOCKET, socket.SO_REUSEADDR)


@variant
def nagle() -> None:
    """Step 1 without `TCP_NODELAY`, whose answers go out a byte at a time."""
    _without(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@variant
def a_byte_at_a_time() -> None:
    """Step 1 as it is, with `TCP_NODELAY`, whose answers go out a byte at a time too."""
    _without(0, 0)


class _Socket(socket.socket):
    """Leaves an option alone, and sends each byte by itself."""

    left_alone = (0, 0)

    def setsockopt(self, level: int, option: int, value: int) -> None:  # type: ignore[override]
        if (level, option) != self.left_alone:
            super().setsockopt(level, option, value)

    def sendall(self, data: bytes) -> None:  # type: ignore[override]
        for at in range(len(data)):
            super().sendall(data[at : at + 1])


def _without(level: int, option: int) -> None:
    """Be step 1, with an option of its sockets left alone."""
    _Socket.left_alone = (level, option)
    socket.socket = _Socket  # type: ignore[misc]
    step1.main()


@variant
def short_backlog() -> None:
    """Step 6 with a backlog of 5."""
    serving.BACKLOG = 5
    step6.main()


def main() -> None:
    """Be the variant named on the command line, on a free port."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=VARIANTS)
    parser.add_argument("port", nargs="?", default="0")
    args = parser.parse_args()
    sys.argv[1:] = [args.port, "--quiet"]
    VARIANTS[args.name]()


if __name__ == "__main__":
    main()
