"""`python -m lab race`, as a reader runs it."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import race
from lab.broken import catalogue
from lab.harness import processes, servers
from lab.harness.servers import ROOT, STEPS
from lab.tests.commands import lab

COMMAND = [sys.executable, "-m", "lab", "race"]


def test_all_seven_on_a_pipe() -> None:
    done = lab("race", "-n", "4", "--pace", "0.15")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    rows = {}
    for line in done.stdout.splitlines():
        if re.match(r"step\d_\w+ +\d", line):
            name, *cells = line.replace(" s ", " ").removesuffix(" s").split()
            rows[name] = [float(cell) for cell in cells]
    assert list(rows) == list(STEPS)
    for name, (one, many, ratio, threads, cpu) in rows.items():
        assert ratio == pytest.approx(many / one, abs=0.2)
        assert (ratio > 2.5) is (name in ("step1_sequential", "step3_blocking"))
        assert threads == (5 if name == "step2_thread_per_client" else 1)
        assert cpu < many
        assert cpu > 0 or sys.platform != "linux"  # it is coarse elsewhere
    assert "How to read it" in done.stdout
    assert re.search(r"s  step1_sequential +(\.\.>\.|>\.\.\.|\.>\.\.|\.\.\.>)", done.stdout)


def test_steps_by_name_or_number() -> None:
    done = lab("race", "-n", "60", "--pace", "0.01", "5", "step6", "step7_event_loop_threadpool/")
    assert done.returncode == 0, done.stderr
    assert "step5_select" in done.stdout
    assert "step6_epoll_kqueue" in done.stdout
    assert "step7_event_loop_threadpool" in done.stdout
    assert "step4" not in done.stdout
    assert re.search(r"# 60 +\d", done.stdout)


@pytest.mark.parametrize("word", ["step8", "8", "step", "", "server.py"])
def test_a_step_that_is_none(word: str) -> None:
    done = lab("race", word)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "step1_sequential, " in done.stderr


def test_drawn_in_place_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "-n", "3", "--pace", "0.15", "1", "5"]
    with subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        screen = b""
        with contextlib.suppress(OSError):  # the end, on Linux
            while piece := os.read(ours, 4096):
                screen += piece
        assert process.wait() == 0
    os.close(ours)
    assert b"\x1b[2A\x1b[2Kstep1_sequential" in screen
    assert b"##>" in screen.replace(b".", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process(number: signal.Signals) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        assert process.stderr
        while "step7" not in process.stdout.readline():
            pass  # they all serve now
        started = processes.children(process.pid)
        assert len(started) == len(STEPS)
        process.send_signal(number)
        assert process.wait(20) == 130
        assert "Traceback" not in process.stderr.read()
    time.sleep(0.05)
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("words", ["race -n 2 --pace 0.01 5", "check step5_select --only ack"])
def test_nobody_is_told(words: str, closed: str) -> None:
    """Where output is closed, Python has no `sys.stdout`, and a file would get its number."""
    shell = ["sh", "-c", f'"$0" -m lab {words} {closed}', sys.executable]
    done = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.in_turn
def test_a_server_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "step5_select"
    broken.mkdir()
    (broken / "server.py").write_text("raise SystemExit('broken')")
    monkeypatch.setattr(servers, "ROOT", tmp_path)
    with pytest.raises(servers.ServerError, match="its last words:\n    broken"):
        servers.start("step5_select").__enter__()


@pytest.mark.in_turn
def test_a_wrong_reply_makes_the_status_1(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(servers, "start", lambda *_: catalogue.started("echoes_unchanged"))
    monkeypatch.setattr(sys, "argv", ["lab", "race", "-n", "2", "--pace", "0.01", "5"])
    from lab.__main__ import main

    before = signal.getsignal(signal.SIGTERM)
    assert main() == 1
    signal.signal(signal.SIGTERM, before)
    assert "step5_select: conn0: wrong: got b'abcabte" in capfd.readouterr().err


def test_a_lane_shows_each_client_or_their_numbers() -> None:
    with servers.start("step1_sequential") as server:
        lane = race.Lane("step1_sequential", server)
        lane.running = True
        lane.states = {"conn0": "done", "conn1": "talking", "conn2": "waiting", "conn3": "failed"}
        assert lane.line() == "step1_sequential            #>.!"
        lane.states = {str(i): "waiting" for i in range(100)} | {"99": "done"}
        assert lane.line() == "step1_sequential            . 99  # 1"
