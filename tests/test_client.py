"""The client: its script and its log, and that it notices what is wrong."""

import asyncio
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import pytest

import simple_client
from lab.harness import clients, servers
from lab.harness.clients import owed
from lab.harness.servers import Server
from tests.programs import ANYWHERE, command, run, started

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"


def client(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run the client from the command line."""
    return run(*command("simple_client.py", *words))


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """The port of a right server."""
    with servers.start("step6_epoll_kqueue") as server:
        yield str(server.port)


def test_owed_is_what_the_protocol_says() -> None:
    sent = b"".join(piece for piece, _ in simple_client.SCRIPT)
    assert owed(sent) == simple_client.OWED


def test_the_script_the_pauses_and_the_log(port: str) -> None:
    start = time.monotonic()
    done = client("127.0.0.1", port)
    assert time.monotonic() - start > 2.2
    assert done.returncode == 0
    elapsed = re.fullmatch(r"Elapsed: (\d+\.\d+)\n", done.stdout)
    assert elapsed
    assert float(elapsed[1]) >= 2.2
    said = re.findall(rf"^INFO:{STAMP}:conn0 (.+)$", done.stderr, re.MULTILINE)
    assert len(said) == done.stderr.count("\n"), done.stderr
    assert "".join(re.findall("received b'(.+)'", done.stderr)) == "bcdbcuf23436bc1111"
    assert said[-2].startswith("received")
    assert [line for line in said if not line.startswith("received")] == [
        "connected...",
        "sending b'^abc$de^abte$f'",
        "sending b'xyz^123'",
        "sending b'25$^ab0000$abab'",
        "disconnecting",
    ]


def test_runs_from_anywhere_and_isolated(port: str) -> None:
    isolated = command("simple_client.py --pace 0 127.0.0.1", port, python=["-I"])
    done = run(*ANYWHERE, *isolated)
    assert done.returncode == 0, done.stderr


def test_many_conversations_at_a_pace(port: str) -> None:
    done = client("localhost", port, "-n", "20", "--pace", "0.05")
    assert done.returncode == 0
    for i in range(20):
        assert f":conn{i} connected...\n" in done.stderr
        assert f":conn{i} disconnecting\n" in done.stderr
    assert 0.11 < float(done.stdout.split()[-1]) < 2.2


def test_refused_connections_are_one_line() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        done = client("127.0.0.1", str(unused.getsockname()[1]), "-n", "7")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "conn0, conn1, conn2, conn3, ...: no connection to 127.0.0.1:" in done.stderr
    assert "refused" in done.stderr
    assert done.stdout.startswith("Elapsed: ")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("no-such-host.invalid 80", 1),
        ("127.0.0.1 70000", 2),
        *((f"127.0.0.1 1 {option}", 2) for option in ("-n=0", "-n=x", "--pace=-1", "--pace=nan")),
    ],
)
def test_an_address_or_an_option_that_is_none(words: str, status: int) -> None:
    done = client(*words.split())
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_it_without_a_traceback(port: str) -> None:
    with started(*command("simple_client.py 127.0.0.1", port)) as process:
        assert process.stderr
        assert "connected" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert "Traceback" not in process.stderr.read()


Then: TypeAlias = Callable[[socket.socket], object]
"""What a server does when it has said something."""

LEFT = threading.Event()
"""Whether the client of `converse_with` has come to its end."""


def converse_with(reply: bytes, then: Then) -> simple_client.Conversation:
    """Hold one conversation with a server that sends `reply` and treats its client like that."""

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.sendall(reply)
            then(sock)

    LEFT.clear()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve)
        port = listener.getsockname()[1]
        (done,) = asyncio.run(simple_client.run("127.0.0.1", port, pace=0.01))
        LEFT.set()
        served.result()
    return done


def reads_on(sock: socket.socket) -> None:
    """Read until the client leaves."""
    while sock.recv(4096):
        pass


def never_closes(sock: socket.socket) -> None:
    """Not before the client has left."""
    reads_on(sock)
    LEFT.wait(20)


def resets(sock: socket.socket) -> None:
    """Read something, and reset the connection."""
    sock.recv(1)
    clients.reset(sock)


def hangs_up(sock: socket.socket) -> None:
    """Read all that the client sends, and close."""
    clients.exactly(sock, sum(len(piece) for piece, _ in simple_client.SCRIPT))


OWED = simple_client.OWED


@pytest.mark.parametrize(
    ("reply", "then", "problem"),
    [
        (b"*" + OWED, reads_on, ""),
        (b"+", reads_on, "wrong greeting"),
        (b"*" + OWED.replace(b"4", b"5"), reads_on, "wrong"),
        (b"*" + OWED + b"x", reads_on, "wrong"),
        (b"*1111", reads_on, "wrong"),
        (b"*" + OWED[:-1], hangs_up, "short"),
        (b"*", hangs_up, "short"),
        (b"", socket.socket.close, "wrong greeting"),
        (b"*bcd", reads_on, "short"),
        (b"", never_closes, "late: no b'*'"),
        (b"*" + OWED, never_closes, "late: not closed; all that is owed has come"),
        (b"*bcd", never_closes, "late: not closed; got b'bcd', owed b'bcdbcuf"),
        (b"*bcd", resets, "connection lost: Connection reset by peer"),
    ],
)
def test_what_is_wrong_is_said(
    reply: bytes, then: Then, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if problem.startswith("late"):
        monkeypatch.setattr(simple_client, "PATIENCE", 0.3)
    done = converse_with(reply, then)
    assert done.problem.startswith(problem)
    assert bool(done.problem) == bool(problem)
    assert done.state == (simple_client.FAILED if problem else simple_client.DONE)


@pytest.mark.parametrize("bug", ["echoes_unchanged", "careless_send", "dies_of_a_reset"])
def test_the_status_is_that_of_the_replies(bug: str) -> None:
    with Server(command("lab/broken", bug)) as server:
        done = client(server.host, str(server.port), "--pace", "0.01")
    assert done.returncode == (1 if bug == "echoes_unchanged" else 0)
    assert ("wrong: got " in done.stderr) is (bug == "echoes_unchanged")


def test_states_are_told_as_they_change() -> None:
    told: list[tuple[str, str]] = []

    def note(conversation: simple_client.Conversation) -> None:
        told.append((conversation.name, conversation.state))

    with servers.start("step1_sequential") as server:
        asyncio.run(simple_client.run(server.host, server.port, 2, 0.01, note))
    for name in ("conn0", "conn1"):
        assert [state for who, state in told if who == name] == ["waiting", "talking", "done"]
    assert told[0][1] == "waiting"
    assert told[-1][1] == "done"
