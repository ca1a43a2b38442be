"""The client: its script and its log, and that it notices what is wrong."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import simple_client
from lab.harness import clients, servers
from lab.harness.clients import owed
from lab.harness.servers import ROOT, Server

CLIENT = str(ROOT / "simple_client.py")
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the client from the command line."""
    command = [sys.executable, CLIENT, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)


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
    done = run("127.0.0.1", port)
    assert time.monotonic() - start > 2.2
    assert done.returncode == 0
    elapsed = re.fullmatch(r"Elapsed: (\d+\.\d+)\n", done.stdout)
    assert elapsed
    assert float(elapsed[1]) >= 2.2
    said = []
    for line in done.stderr.splitlines():
        match = re.fullmatch(rf"INFO:{STAMP}:conn0 (.+)", line)
        assert match, line
        said.append(match[1])
    received = b"".join(
        line.partition("b'")[2][:-1].encode() for line in said if line.startswith("received")
    )
    assert received == b"bcdbcuf23436bc1111"
    assert said[-2].startswith("received")
    assert [line for line in said if not line.startswith("received")] == [
        "connected...",
        "sending b'^abc$de^abte$f'",
        "sending b'xyz^123'",
        "sending b'25$^ab0000$abab'",
        "disconnecting",
    ]


def test_runs_from_anywhere_and_isolated(port: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", CLIENT, "127.0.0.1", port, "--pace", "0"],
        cwd="/",
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_many_conversations_at_a_pace(port: str) -> None:
    done = run("localhost", port, "-n", "20", "--pace", "0.05")
    assert done.returncode == 0
    for i in range(20):
        assert f":conn{i} connected...\n" in done.stderr
        assert f":conn{i} disconnecting\n" in done.stderr
    assert 0.11 < float(done.stdout.split()[-1]) < 2.2


def test_refused_connections_are_one_line() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        done = run("127.0.0.1", str(unused.getsockname()[1]), "-n", "7")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "conn0, conn1, conn2, conn3, ...: no connection to 127.0.0.1:" in done.stderr
    assert "refused" in done.stderr
    assert done.stdout.startswith("Elapsed: ")


@pytest.mark.parametrize("words", [("no-such-host.invalid", "80"), ("127.0.0.1", "70000")])
def test_an_address_that_is_none(words: tuple[str, str]) -> None:
    done = run(*words)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["-n=0", "-n=x", "--pace=-1", "--pace=nan"])
def test_an_option_that_is_none(option: str) -> None:
    done = run("127.0.0.1", "1", option)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_it_without_a_traceback(port: str) -> None:
    command = [sys.executable, CLIENT, "127.0.0.1", port]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as client:
        assert client.stderr
        assert "connected" in client.stderr.readline()
        client.send_signal(signal.SIGINT)
        assert client.wait(10) == 130
        assert "Traceback" not in client.stderr.read()


left = threading.Event()
"""Whether the client of `converse_with` has come to its end."""


def converse_with(serve: Callable[[socket.socket], object]) -> simple_client.Conversation:
    """Hold one conversation with a server that treats its only client like that."""

    def accept() -> None:
        sock, _ = listener.accept()
        with sock:
            serve(sock)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        port = listener.getsockname()[1]
        left.clear()
        (done,) = asyncio.run(simple_client.run("127.0.0.1", port, pace=0.01))
        left.set()
        thread.join()
    return done


def answers(reply: bytes) -> Callable[[socket.socket], object]:
    """Return a server that sends `reply` and then reads until its client leaves."""

    def serve(sock: socket.socket) -> None:
        sock.sendall(reply)
        while sock.recv(4096):
            pass

    return serve


def never_closes(reply: bytes) -> Callable[[socket.socket], object]:
    """Return a server that sends `reply`, and does not close before its client has left."""

    def serve(sock: socket.socket) -> None:
        answers(reply)(sock)
        left.wait(20)

    return serve


def reset_after(reply: bytes) -> Callable[[socket.socket], object]:
    """Return a server that sends `reply`, reads something, and resets the connection."""

    def serve(sock: socket.socket) -> None:
        sock.sendall(reply)
        sock.recv(1)
        clients.reset(sock)

    return serve


def hangs_up(reply: bytes) -> Callable[[socket.socket], object]:
    """Return a server that sends `reply`, reads all that its client sends, and closes."""

    def serve(sock: socket.socket) -> None:
        sock.sendall(reply)
        size = sum(len(piece) for piece, _ in simple_client.SCRIPT)
        while size > 0:
            size -= len(sock.recv(4096))

    return serve


@pytest.mark.parametrize(
    ("serve", "problem"),
    [
        (answers(b"*" + simple_client.OWED), None),
        (answers(b"+"), "wrong greeting"),
        (answers(b"*" + simple_client.OWED.replace(b"4", b"5")), "wrong"),
        (answers(b"*" + simple_client.OWED + b"x"), "wrong"),
        (answers(b"*1111"), "wrong"),
        (hangs_up(b"*" + simple_client.OWED[:-1]), "short"),
        (hangs_up(b"*"), "short"),
        (lambda sock: sock.close(), "wrong greeting"),
        (answers(b"*bcd"), "short"),
        (never_closes(b""), "late: no b'*'"),
        (never_closes(b"*" + simple_client.OWED), "late: not closed"),
        (never_closes(b"*bcd"), "late: not closed; got b'bcd', owed b'bcdbcuf"),
        (reset_after(b"*bcd"), "connection lost: Connection reset by peer"),
    ],
)
def test_what_is_wrong_is_said(
    serve: Callable[[socket.socket], object],
    problem: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if problem and problem.startswith("late"):
        monkeypatch.setattr(simple_client, "PATIENCE", 0.3)
    done = converse_with(serve)
    if problem is None:
        assert done.problem == ""
        assert done.state == simple_client.DONE
    else:
        assert done.problem
        assert done.problem.startswith(problem)
        assert done.state == simple_client.FAILED


@pytest.mark.parametrize("bug", ["echoes_unchanged", "careless_send", "dies_of_a_reset"])
def test_the_status_is_that_of_the_replies(bug: str) -> None:
    with Server([sys.executable, str(ROOT / "lab" / "broken"), bug]) as server:
        done = run(server.host, str(server.port), "--pace", "0.01")
    assert done.returncode == (1 if bug == "echoes_unchanged" else 0)
    assert ("wrong: got " in done.stderr) is (bug == "echoes_unchanged")


def test_states_are_told_as_they_change() -> None:
    told: list[tuple[str, str]] = []
    with servers.start("step1_sequential") as server:
        asyncio.run(
            simple_client.run(
                server.host, server.port, 2, 0.01, lambda each: told.append((each.name, each.state))
            )
        )
    for name in ("conn0", "conn1"):
        assert [state for who, state in told if who == name] == ["waiting", "talking", "done"]
    assert told[0][1] == "waiting"
    assert told[-1][1] == "done"
