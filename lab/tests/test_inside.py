"""Steps 4 to 7 from inside: what a server asks of its poller, or of its loop."""

import importlib
import socket
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest.mock import Mock, call

import pytest

from lab.harness.servers import STEPS

Pair = tuple[socket.socket, socket.socket]


class Recorder:
    """A poller, or a loop, that takes note of whom it is to watch; of no client, if it `fails`."""

    fails: Exception | None = None

    def __init__(self) -> None:
        self.watched: dict[Any, Any] = {}

    def watch(self, key: Any, interest: Any, callback: object = None) -> None:
        """Take note of it, or fail."""
        if self.fails and not isinstance(key, socket.socket):
            raise self.fails
        self.watched[key] = interest

    def forget(self, key: Any) -> None:
        """Take note of it."""
        self.watched.pop(key, None)

    def would_block(self, key: Any) -> None:
        """Mind it not."""


@pytest.fixture(params=STEPS[3:])
def module(request: pytest.FixtureRequest) -> ModuleType:
    """The server of a step, imported."""
    return importlib.import_module(f"{request.param}.server")


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A client's socket at the server, and its own end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(1)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def go_on(module: ModuleType, poller: Recorder, client: Any) -> None:
    """Do what the loop does when a client is ready."""
    module.attend(poller, client, module.write if client.unsent else module.read)


def test_what_is_read_is_answered_at_once(module: ModuleType, pair: Pair) -> None:
    """Not only when the poller says that there is room."""
    poller, client = Recorder(), module.Client(pair[0], "peer")
    module.attend(poller, client, module.greet)
    assert pair[1].recv(10) == b"*"
    pair[1].send(b"^ab")
    go_on(module, poller, client)
    assert pair[1].recv(10) == b"bc"
    assert poller.watched == {client: module.READ}


def test_waits_for_room_only_while_something_is_unsent(module: ModuleType, pair: Pair) -> None:
    poller, client = Recorder(), module.Client(pair[0], "peer")
    client.unsent = b"a" * 10_000_000
    go_on(module, poller, client)
    assert poller.watched == {client: module.WRITE}
    while client.unsent:
        assert pair[1].recv(1_000_000)
        go_on(module, poller, client)
    assert poller.watched == {client: module.READ}


def test_who_leaves_is_forgotten_and_closed(module: ModuleType, pair: Pair) -> None:
    poller, client = Recorder(), module.Client(pair[0], "peer")
    module.attend(poller, client, module.greet)
    pair[1].close()
    go_on(module, poller, client)
    assert poller.watched == {}
    assert pair[0].fileno() == -1


@pytest.mark.parametrize("error", [OSError(12, "No memory"), ValueError("1024")])
def test_who_cannot_be_watched_is_dropped_alone(
    module: ModuleType, listener: socket.socket, error: Exception
) -> None:
    poller = Recorder()
    poller.fails = error
    with socket.create_connection(listener.getsockname(), 1) as sock:
        module.accept(poller, listener)
        assert sock.recv(2) == b"*"
        assert sock.recv(1) == b""


def test_who_cannot_be_watched_later_is_dropped_alone(module: ModuleType, pair: Pair) -> None:
    poller, client = Recorder(), module.Client(pair[0], "peer")
    module.attend(poller, client, module.greet)
    poller.fails = OSError(12, "Cannot allocate memory")
    pair[1].send(b"^a")
    go_on(module, poller, client)
    assert pair[0].fileno() == -1


def test_accepted_sockets_do_not_block(module: ModuleType, listener: socket.socket) -> None:
    poller = Recorder()
    with socket.create_connection(listener.getsockname(), 1):
        module.accept(poller, listener)
        (client,) = (key for key in poller.watched if isinstance(key, module.Client))
        assert client.sock.gettimeout() == 0
        client.sock.close()
    module.accept(poller, listener)  # returns, though there is nobody


@pytest.mark.parametrize("step", STEPS[4:6])
def test_the_kernel_is_told_what_changes_and_no_more(step: str, pair: Pair) -> None:
    module = importlib.import_module(f"{step}.server")
    kernel, (sock, _) = Mock(), pair
    poller, fd = module.Poller(kernel), sock.fileno()
    for interest in ("read", "read", "read", "write", "write", "read"):
        poller.watch(sock, interest)
    poller.forget(sock)
    assert kernel.mock_calls == [
        call.change(fd, None, "read"),
        call.change(fd, "read", "write"),
        call.change(fd, "write", "read"),
        call.change(fd, "read", None),
    ]
    assert poller.watched == poller.keys == {}


class Ended(BaseException):
    """The end of a test."""


class Failing(Recorder):
    """A poller that cannot watch the listening socket again, the first time it is asked to."""

    asked = 0

    def watch(self, key: Any, interest: Any, callback: object = None) -> None:
        """Fail the second time."""
        self.asked += 1
        if self.asked == 2:
            raise OSError(12, "Cannot allocate memory")
        super().watch(key, interest)

    def wait(self, timeout: float | None) -> list[Any]:
        """Say that the listening socket is ready, if it is watched."""
        if self.asked == 3:
            raise Ended
        assert self.watched or timeout is not None, "asleep, and nobody will wake it"
        return list(self.watched)


def test_accepting_is_taken_up_again_even_if_that_fails_once(module: ModuleType) -> None:
    listener = Mock()
    listener.accept.side_effect = [OSError(24, "Too many open files")]  # and once only
    if module.__name__.startswith("step7"):
        loop = Mock()
        loop.watch.side_effect = OSError(12, "Cannot allocate memory")
        module.accept(loop, listener)
        assert [name for name, *_ in loop.mock_calls] == ["watch", "forget", "call_later"]
    else:
        poller = Failing()
        with pytest.raises(Ended):
            module.serve(listener, poller)
        assert listener in poller.watched
