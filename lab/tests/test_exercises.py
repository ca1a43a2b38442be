"""The exercises: each start fails what it is to fail, each solution holds, no wrong one does."""

import ast
import builtins
import json
import keyword
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from lab.__main__ import parser
from lab.broken.parts import swapped
from lab.check import limits
from lab.check.rungs import CHECKS, MATRIX
from lab.check.suite import FAILED, Verdict
from lab.check.suite import verdicts as suite_verdicts
from lab.exercises import catalogue, command, grade, observed, programs, runs
from lab.exercises.catalogue import EXERCISES, HERE, LEARNER, Exercise
from lab.exercises.programs import Program
from lab.harness.servers import ROOT, ServerError
from lab.tests.commands import FULL, lab
from tests.contract import each_half, half

TIMES = 20 if FULL else 3
"""How often a wrong one has to be rejected, every time."""

QUICK = 1.0
"""Seconds for an answer of what is wrong: it would not come later."""

each = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda one: str(one.name))

WRONG = [(exercise, name) for exercise in EXERCISES.values() for name in exercise.wrong]

ONE = EXERCISES["01"]


def failed(found: list[Verdict]) -> dict[str, str]:
    """Return what failed, and what was seen."""
    return {one.check.name: one.seen for one in found if one.outcome == FAILED}


def wrong_one(number: str) -> str:
    """Return the first wrong solution of an exercise."""
    exercise = EXERCISES[number]
    return exercise.text(next(iter(exercise.wrong.values())))


def here(exercise: Exercise) -> None:
    """Skip what this system cannot run."""
    if "epoll" in exercise.file("start.py").read_text() and not hasattr(select, "epoll"):
        pytest.skip("no epoll here")


@pytest.mark.aside
@pytest.mark.timeout(300)
@each
def test_the_start_fails_what_it_names(exercise: Exercise) -> None:
    here(exercise)
    found = runs.verdicts(exercise, exercise.file("start.py"))
    assert failed(found).keys() == set(exercise.fails), failed(found)


@pytest.mark.aside
@pytest.mark.timeout(300)
@each
def test_the_solution_holds(exercise: Exercise) -> None:
    here(exercise)
    solution = exercise.file("solution.py")
    found = runs.verdicts(exercise, solution)
    assert failed(found) == {}
    assert runs.holds(exercise, solution, found)


@pytest.mark.sized
@pytest.mark.aside
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("exercise", "name"), WRONG, ids=lambda one: getattr(one, "number", one))
def test_a_wrong_one_is_rejected(exercise: Exercise, name: str, tmp_path: Path) -> None:
    """By the check that is to find it; with `--full`, where all run, by any."""
    here(exercise)
    wrong = exercise.wrong[name]
    program = nasty(tmp_path, exercise.text(wrong))
    chosen = runs.chosen(exercise, program)
    if not FULL:
        chosen = [one for one in chosen if one.name in ("ack", wrong.found_by)]
    start = partial(Program.of, program, exercise.arguments, QUICK)
    for _ in range(TIMES):
        with closing(suite_verdicts(chosen, start)) as found:
            seen = [one.seen for one in takewhile(lambda one: one.outcome != FAILED, found)]
        assert 1 <= len(seen) < len(chosen), seen  # `ack` holds


@pytest.mark.full
@pytest.mark.aside
@pytest.mark.timeout(900)
@each_half
@each
def test_the_solution_holds_the_contract(exercise: Exercise, times: bool) -> None:
    """All that the idea of its step holds, unless the exercise asks for something else."""
    here(exercise)
    may = {*limits.declared(exercise.step, "minimal.py"), *exercise.gives_up}
    chosen = [one for one in half(MATRIX, times) if one.name not in may]
    start = partial(Program.of, exercise.file("solution.py"), (), 5)
    assert failed([*suite_verdicts(chosen, start)]) == {}


@pytest.mark.full
@pytest.mark.in_turn
@pytest.mark.timeout(900)
@each
def test_the_solution_holds_on_a_busy_machine(exercise: Exercise) -> None:
    here(exercise)
    loop = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(loop) for _ in range(2)]
    try:
        for _ in range(TIMES):
            assert failed(runs.verdicts(exercise, exercise.file("solution.py"))) == {}
    finally:
        for process in busy:
            process.kill()
            process.wait()


@each
def test_what_an_exercise_is_made_of(exercise: Exercise) -> None:
    start = exercise.file("start.py").read_text()
    assert exercise.program.read_text() == start
    assert len(start.splitlines()) <= 65
    assert "lab" not in re.findall(r"^(?:from|import) (\w+)", start, re.MULTILINE)
    assert (ROOT / exercise.step / "minimal.py").is_file()
    assert {*exercise.checks, "ack", "drawn"} <= runs.KNOWN.keys()
    assert {*exercise.gives_up} <= CHECKS.keys()
    assert {*exercise.fails} <= {"ack", "drawn", "never", *exercise.checks}
    assert exercise.fails
    assert {*exercise.never} <= observed.KINDS.keys()
    assert len(exercise.hints) == 3
    assert len(exercise.wrong) >= 3
    for wrong in exercise.wrong.values():
        ast.parse(exercise.text(wrong))
        assert wrong.found_by in {"drawn", "never", *exercise.checks}
    page = (exercise.program.parent / "README.md").read_text()
    assert page.rstrip().endswith(f"`python -m lab exercise {exercise.number}`")
    assert exercise.shown in page
    assert len(re.sub(r"```.*?```", "", page, flags=re.DOTALL).split()) <= 200
    files = {path.name for path in exercise.program.parent.iterdir()} - {"__pycache__"}
    assert files == {"README.ko.md", "README.md", "program.py"}


def test_there_is_a_folder_for_each() -> None:
    assert [*EXERCISES] == [f"{number:02}" for number in range(1, len(EXERCISES) + 1)]
    folders = {path.name for path in LEARNER.iterdir() if path.is_dir()}
    assert folders == {one.name for one in EXERCISES.values()}
    assert folders == {path.name for path in HERE.glob("[0-9]*")}


@each
def test_hints_name_nothing_that_does_not_exist(exercise: Exercise) -> None:
    text = exercise.file("start.py").read_text() + exercise.file("solution.py").read_text()
    known = set(re.findall(r"\w+", text)) | {*dir(builtins), *keyword.kwlist}
    for module in (socket, select, threading, signal, time, os, socket.socket, threading.Thread):
        known.update(dir(module))
    for name in re.findall(r"`([^`]+)`", " ".join(exercise.hints)):
        if re.match(r"[\w/]+\.(py|md)$", name):
            assert (ROOT / name).is_file() or name == "program.py", name
        elif not re.search(r"[$^]|^/proc|^lsof", name):  # bytes of the protocol, or a command
            strange = set(re.findall(r"[A-Za-z_]\w+", name)) - known
            assert not strange, name


def test_a_hint_that_names_nothing_is_seen() -> None:
    wrong = replace(ONE, hints=("Look at `sock.sendeverything`.",))
    with pytest.raises(AssertionError, match="sendeverything"):
        test_hints_name_nothing_that_does_not_exist(wrong)


# What a learner's program may do


def nasty(folder: Path, text: str) -> Path:
    """Write a program; return its file."""
    file = folder / "program.py"
    file.write_text(text)
    return file


def said_of(program: Path) -> str:
    """Run it against the first exercise; return why it could not be."""
    with pytest.raises(ServerError) as caught:
        runs.verdicts(ONE, program)
    return str(caught.value)


SAID = {
    "while True: pass": r"program.py does not serve: nobody listens on its port after \d+ s",
    "import os\ndef f(:": r"program.py is not Python yet: line 2: ",
    "print(1 / 0)": r"program.py: it ended with status 1; its last words:(?s:.*)ZeroDivisionError",
}


@pytest.mark.aside
@pytest.mark.parametrize("text", SAID)
def test_what_does_not_serve_is_said(text: str, tmp_path: Path) -> None:
    said = said_of(nasty(tmp_path, f"{text}\n"))
    assert re.match(SAID[text], said), said


FORKS = """
import os, time
for i in range(200):
    if not os.fork():
        time.sleep(60)
        os._exit(0)
time.sleep(60)
"""


def test_processes_upon_processes_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST", 50)
    said = said_of(nasty(tmp_path, FORKS))
    assert said == "program.py: it started process upon process, more than 50, and was stopped"
    assert of_program(tmp_path / "program.py") == []


def that_leaves(does: str) -> str:
    """Return a solution that also starts a process of its own session, whose parent has ended."""
    leaves = "if not os.fork():\n    os.setsid()\n    os.fork() and os._exit(0)\n"
    swaps = (
        ("import sys", "import os, sys, time"),
        ("while True", f"{leaves}    {does}\nwhile True"),
    )
    return swapped(ONE.file("solution.py").read_text(), swaps)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only its group is ended")
def test_who_left_its_group_is_ended_too(tmp_path: Path) -> None:
    """It is found by its environment."""
    text = that_leaves("time.sleep(600)")
    assert failed(runs.verdicts(ONE, nasty(tmp_path, text))) == {}
    assert of_program(tmp_path / "program.py") == []


def of_program(program: Path) -> list[str]:
    """Return the command lines of all processes that run it."""
    done = subprocess.run(["ps", "-Ao", "args="], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if str(program) in line]


FORKS_FOR_EACH = (
    ("import socket", "import os, socket"),
    ("    framing =", "    if os.fork():\n        sock.close()\n        continue\n    framing ="),
)

BOTH = {"threads", "threads that talk"}
"""A program that has the one here has the other too."""

USES = {
    **dict.fromkeys(BOTH, (ROOT / "step2_thread_per_client/minimal.py").read_text()),
    "sleep": (ROOT / "step4_nonblocking_polling/minimal.py").read_text(),
    "select": (ROOT / "step5_select/minimal.py").read_text(),
    "processes": swapped(ONE.file("start.py").read_text(), FORKS_FOR_EACH),
}


def without(program: Path, *kinds: str) -> list[Verdict]:
    """Return the verdicts on a program that may use nothing of these kinds."""
    return runs.verdicts(replace(ONE, checks=(), never=kinds), program)


@pytest.mark.aside
@pytest.mark.parametrize("kind", observed.KINDS)
def test_what_it_may_not_use_is_found(kind: str, tmp_path: Path) -> None:
    program = nasty(tmp_path, USES[kind])
    assert failed(without(program, kind)).keys() == {"never"}
    if kind != "select":
        others = {*observed.KINDS} - (BOTH if kind in BOTH else {kind})
        assert failed(without(program, *others)) == {}


@pytest.mark.aside
def test_a_thread_started_below_threading_is_found(tmp_path: Path) -> None:
    text = USES["threads"].replace("import threading", "import _thread")
    text = re.sub(r"threading.Thread.*", "_thread.start_new_thread(converse, (sock,))", text)
    assert failed(without(nasty(tmp_path, text), "threads")).keys() == {"never"}


# The command


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a folder of exercises of our own, and keep what is asked there."""
    folder = tmp_path / "exercises"
    shutil.copytree(LEARNER, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    monkeypatch.setattr(catalogue, "LEARNER", folder)
    monkeypatch.setattr(command, "ASKED", folder / ".asked.json")
    monkeypatch.setattr(programs, "keep_orphans", bool)
    return folder


def ask(*words: str) -> int:
    """Run the command here; return its status."""
    args = parser().parse_args(["exercise", *words])
    return int(args.run(args))


def test_where_one_stands(learner: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile(ONE.file("solution.py"), ONE.program)
    EXERCISES["02"].program.write_text(wrong_one("02"))
    assert ask() == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"01 .* holds", lines[0])
    assert re.fullmatch(r"02 .* fails drawn", lines[1])
    assert all(line.endswith(" not begun") for line in lines[2 : len(EXERCISES)])
    assert "Next is 02" in lines[-2]


def test_one_of_them(learner: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("1") == 1
    said = capsys.readouterr().out
    assert "\nresets            FAILED    it ended with status 1" in said
    assert "3 failed" in said
    pages = re.findall(r" Read (\S+)\.$", said, re.MULTILINE)
    assert len(pages) == 3
    assert all(page.endswith(ONE.page) for page in pages)
    shutil.copyfile(ONE.file("solution.py"), ONE.program)
    assert ask("01") == 0
    assert "It holds" in capsys.readouterr().out


def test_hints_come_one_after_the_other(learner: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3, 3):
        assert ask("1", "--hint") == 0
        assert capsys.readouterr().out == f"{number}/3: {ONE.hints[number - 1]}\n"
    ask("2", "--hint", "--lang", "ko")
    assert capsys.readouterr().out == f"1/3: {EXERCISES['02'].hints_ko[0]}\n"


def test_a_solution_is_for_who_holds_or_asks_twice(
    learner: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solution = ONE.file("solution.py").read_text()
    assert ask("1", "--solution") == 1
    assert ask("2", "--hint") == 0
    assert ask("1", "--solution") == 1  # not in a row
    assert solution not in capsys.readouterr().out
    assert ask("1", "--solution") == 0
    assert capsys.readouterr().out == solution
    assert ask("1", "--reset") == 0
    shutil.copyfile(ONE.file("solution.py"), ONE.program)
    capsys.readouterr()
    assert ask("1", "--solution") == 0
    assert capsys.readouterr().out == solution


def test_reset_brings_back_the_start(learner: Path) -> None:
    ONE.program.write_text("")
    assert ask("1", "--reset") == 0
    assert ONE.unchanged(ONE.program)


def test_watch_runs_it_at_each_save(
    learner: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def saved_meanwhile(seconds: float) -> None:
        if ONE.unchanged(ONE.program):
            shutil.copyfile(ONE.file("solution.py"), ONE.program)
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(command, "time", SimpleNamespace(sleep=saved_meanwhile))
    assert ask("1", "--watch") == 0
    said = capsys.readouterr().out
    assert said.index("3 failed") < said.index("It holds")
    assert said.count("Ctrl-C ends this") == 2


def test_show_opens_it_in_the_browser(learner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Mock(return_value=0)
    monkeypatch.setattr(subprocess, "call", call)
    assert ask("1", "--show") == 0
    python, *words, what = call.call_args.args[0]
    assert words == ["-m", "lab", "live", "--cmd"]
    assert shlex.split(what) == [python, ONE.shown, "{port}"]


def test_what_makes_no_sense_is_said() -> None:
    for words in (["99"], ["--hint"], ["1", "--hint", "--reset"]):
        done = lab("exercise", *words)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1


# Grades


def submission(folder: Path, texts: dict[str, str]) -> Path:
    """Write a submission: the text of a program by the number of its exercise."""
    for number, text in texts.items():
        own = folder / EXERCISES[number].name
        own.mkdir(parents=True)
        nasty(own, text)
    return folder


REACHES = """
import socket
for host in ("192.0.2.1", "8.8.8.8"):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((host, 53))  # without a route this fails; nothing is sent
"""


def test_grades_in_all_their_forms(tmp_path: Path) -> None:
    good, start = ONE.file("solution.py").read_text(), EXERCISES["02"].file("start.py").read_text()
    one = submission(tmp_path / "anna", {"01": good, "02": start})
    two = submission(tmp_path / "ben", {"01": "def f(:\n", "02": wrong_one("02")})
    (tmp_path / "cleo").mkdir()
    files = {kind: tmp_path / kind for kind in ("json", "junit")}
    written = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    only = ["--exercise", "1", "--exercise", "2"]
    done = lab("grade", *only, *written, str(one), str(two), str(tmp_path / "cleo"))
    assert done.returncode == 0, done.stderr
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert rows[0] == "anna 1/2 01 holds 02 as at the start"
    assert rows[1].startswith("ben 0/2 01 program.py is not Python yet: line 1")
    assert re.search(r" 02 drawn(,\w+)*$", rows[1])
    assert rows[2] == "cleo 0/2"
    kept = json.loads(files["json"].read_text())["submissions"]
    scores = [(each["name"], each["score"], each["most"]) for each in kept]
    assert scores == [("anna", 1, 2), ("ben", 0, 2), ("cleo", 0, 2)]
    suites = ET.parse(files["junit"]).getroot().findall("testsuite")
    assert len(suites) == 6
    assert suites[0].get("failures") == suites[0].get("errors") == "0"
    assert suites[2].get("errors") == "1"


GRADESCOPE = {
    float: "score",
    int: "execution_time",
    str: "output output_format test_output_format test_name_format visibility stdout_visibility",
    dict: "extra_data",
    list: "tests leaderboard",
}
TEST = {
    float: "score max_score",
    str: "status name name_format number output output_format visibility",
    dict: "extra_data",
    list: "tags",
}
"""What Gradescope's specification has in results.json, by its type."""


def test_gradescope_gets_what_it_specifies(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    nasty(own, wrong_one("01"))
    file = tmp_path / "results.json"
    done = lab("grade", "--exercise", "1", "--gradescope", str(file), str(own))
    assert done.returncode == 0, done.stderr
    results = json.loads(file.read_text())
    assert results["score"] == 0
    (test,) = results["tests"]
    for known, found in ((GRADESCOPE, results), (TEST, test)):
        for key, value in found.items():
            assert key in known[type(value)].split(), key
    assert test["status"] == "failed"
    assert "resets            FAILED" in test["output"]


@pytest.mark.parametrize("way", [one for one in grade.WAYS if grade.permitted(one)], ids=len)
def test_a_submission_stays_where_it_is(
    way: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches no network but loopback, where that can be, and nothing of it is left."""
    monkeypatch.setattr(programs, "end_orphans", bool)  # which would end what other tests run
    text = that_leaves(f"os.execve(sys.executable, [sys.executable, '-c', {LEFT!r}], {{}})")
    found = grade.grade(submission(tmp_path / "anna", {"01": text}), ONE, way, False)
    assert found.holds, found.text()
    assert of_program(Path(LEFT)) == []
    if way:
        found = grade.grade(submission(tmp_path / "ben", {"01": REACHES}), ONE, way, False)
        assert "Network is unreachable" in found.error


LEFT = "import time; time.sleep(613)"
"""What is left by a submission that hides: a session, a parent, an environment of its own."""


def test_a_submission_that_hangs_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "end_orphans", bool)
    monkeypatch.setattr(grade, "HANGS", 1)
    way = next(way for way in grade.WAYS if grade.permitted(way))
    hangs = submission(tmp_path / "anna", {"01": "while True: pass\n"})
    assert grade.grade(hangs, ONE, way, False).error == "hangs: stopped after 1 s"


def test_the_setup_is_a_script() -> None:
    done = lab("grade", "--setup")
    assert done.stdout == grade.SETUP.read_text()
    subprocess.run(["bash", "-n", str(grade.SETUP)], check=True)
