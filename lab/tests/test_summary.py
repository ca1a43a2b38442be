"""What a reader is told who has broken something: on planted servers, and in a run as a whole."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.broken import catalogue
from lab.check.rungs import CHECKS
from lab.harness.servers import ROOT, STEPS
from lab.tests.commands import python
from tests import contract, summary
from tests.summary import Broken

SAID = [
    ("echoes_unchanged", "ack", "got 'a' for '^a$', owed 'b'", "step1_sequential"),
    ("forgets_the_frame", "cuts", ", owed ", "step1_sequential"),
    ("careless_send", "late_reader", " is one that ", "step4_nonblocking_polling"),
    ("never_closes", "half_close", "not closed after '*bcd'", "docs/check.md"),
    ("answers_the_last_speaker", "drip", ", owed ", "step4_nonblocking_polling"),
    ("dies_of_a_reset", "resets", "it ended with status 1", "step1_sequential"),
    ("always_watches_for_writing", "idle_cpu", " of a core, ", "step4_nonblocking_polling"),
    ("leaks_descriptors", "churn", " descriptors, ", "step5_select"),
]


@pytest.fixture
def lender(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that is closed when the test has ended."""
    monkeypatch.setattr(contract, "LENDER", own := contract.Lender())
    yield
    own.close()


@pytest.mark.aside
@pytest.mark.parametrize(("bug", "check", "seen", "page"), SAID)
def test_a_sentence_says_which_promise_what_was_seen_and_what_to_read(
    bug: str, check: str, seen: str, page: str
) -> None:
    command = catalogue.command(bug)
    contract.BROKEN[tuple(command)] = contract.MANY
    with pytest.raises(Broken) as caught:
        contract.as_declared(CHECKS[check], "step7_event_loop_threadpool", command, bug)
    first, second, *_, last = str(caught.value).splitlines()
    assert " does not start" not in first, caught.value
    who = f"step7_event_loop_threadpool ({bug})"
    assert first == f"{who} breaks a promise ({check}): {CHECKS[check].title}"
    assert second.startswith("  seen: ")
    assert seen in second
    page = page if page.endswith(".md") else f"{page}/README.md"
    assert last == f"  read: {page}; this alone: pytest -k '{bug} and {check}'"


@pytest.mark.usefixtures("lender")
def test_a_declared_failure_that_holds_is_a_sentence_too() -> None:
    with pytest.raises(Broken) as caught:
        command = catalogue.command("right")
        contract.as_declared(CHECKS["silence"], "step1_sequential", command, "right")
    assert "is declared to break a promise and keeps it (silence)" in str(caught.value)


def test_many_broken_promises_are_twenty_lines_the_basic_ones_first() -> None:
    found = [
        summary.Finding(
            step, summary.BREAKS, name, ": It holds.", "nothing", "a page", "alone", rank
        )
        for rank, name in enumerate(CHECKS)
        for step in ("step5_select", "step6_epoll_kqueue")
    ]
    lines = summary.told(reversed(found))
    assert len(lines) <= summary.LINES + 7
    assert lines[0] == "step6_epoll_kqueue and step5_select break a promise: It holds."
    named = sum(" break a promise: " in line for line in lines)
    assert named > 1
    assert f"and {len(CHECKS) - named} more:" in lines
    assert lines[-2:] == ["  It holds", "  ..."]


PYTEST = ("-m", "pytest", "-q", "--tb=auto", "-p", "no:cacheprovider")

DISTURBED = """
import pytest

pytestmark = pytest.mark.aside
tries = []

def test_right():
    pass

def test_disturbed_once():
    tries.append(None)
    assert len(tries) == 2

def test_broken():
    raise AssertionError

def test_skipped():
    pytest.skip("no such thing here")
"""


def said_of(tests: str, folder: Path, *words: str) -> str:
    """Return what pytest says of a file of tests, run with our conftest.py."""
    file = folder / "test_planted.py"
    file.write_text(tests)
    ours = ("-p", "conftest", "-c", str(ROOT / "pyproject.toml"))
    return python(*PYTEST, *ours, *words, str(file)).stdout


def test_who_fails_beside_others_is_run_once_more(tmp_path: Path) -> None:
    said = said_of(DISTURBED, tmp_path)
    assert "1 failed, 2 passed, 1 skipped" in said
    again = "failed beside others, and passed by itself: "
    assert [line.rpartition("::")[2] for line in said.splitlines() if again in line] == [
        "test_disturbed_once"
    ]


BREAKS = """
import time
import pytest

pytestmark = {mark}

@pytest.mark.parametrize("step", ["step1_sequential", "step5_select"])
@pytest.mark.parametrize("number", range(40))
def test_broken(number, step):
    time.sleep(0.01)
    with open(__file__ + ".tried", "a") as file:
        file.write(step + " ")
    assert step == "step5_select" or number >= {broken}
"""


def tried(folder: Path) -> tuple[int, int]:
    """Return how many tests of the two steps were tried."""
    steps = (folder / "test_planted.py.tried").read_text().split()
    return steps.count("step1_sequential"), steps.count("step5_select")


@pytest.mark.parametrize("mark", ["[]", "pytest.mark.aside"], ids=["main", "aside"])
def test_no_more_is_tried_of_a_step_that_is_broken(mark: str, tmp_path: Path) -> None:
    said = said_of(BREAKS.format(mark=mark, broken=40), tmp_path)
    of_broken, of_other = tried(tmp_path)
    assert of_broken in (range(6, 16) if "aside" in mark else [6])
    assert of_other == 40
    rest = f"the rest of step1_sequential was not tried ({40 - of_broken} tests); `pytest -k "
    assert f"\n{rest}" in said
    assert said.count("step1_sequential breaks a promise: broken.\n") == 1
    assert len(said.splitlines()) < 15, "without tracebacks"
    assert "in test_broken" in said_of(BREAKS.format(mark=mark, broken=1), tmp_path, "--tb=short")


def test_one_that_fails_twice_is_not_the_machine(tmp_path: Path) -> None:
    """Of its step no other is run once more."""
    said = said_of(BREAKS.format(mark="pytest.mark.aside", broken=4), tmp_path)
    assert "4 failed, 76 passed" in said
    assert "passed by itself" not in said
    assert "was not tried" not in said
    assert tried(tmp_path) == (41, 40)


def said_of_copy(folder: Path, step: str, old: str, new: str, tests: str) -> str:
    """Return what pytest says of a copy of all this, in whose server something is replaced."""
    left = shutil.ignore_patterns(".*", "docs", "__pycache__", "build", "*.egg-info")
    copy = shutil.copytree(ROOT, folder / "copy", ignore=left)
    file = copy / step / "server.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return python(*PYTEST, "-k", tests, cwd=copy, timeout=100).stdout


SENDS_ALL = "client.unsent = client.unsent[sent:]", 'client.unsent = b""'

TO_THE_LAST = """serving.last = serving.last if client.sent else client
    sent = serving.last.sock.send"""

CAUSES = {
    "whatever_call": (STEPS[1], "sock.close()", "pass", "made to fail before: start, Runtime"),
    "collector": (STEPS[3], ", client.sock:", ":", "sockets were left to the garbage collector:"),
    "drip": (STEPS[4], "sent = client.sock.send", TO_THE_LAST, "; but client "),
    "lineage": (STEPS[4], *SENDS_ALL, "_select differs from the steps beside it, which matters"),
}
"""For each test what is replaced in the server of a step, and what is said then."""


@pytest.mark.aside
@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_among_what_was_seen(name: str, tmp_path: Path) -> None:
    step, old, new, seen = CAUSES[name]
    said = said_of_copy(tmp_path, step, old, new, f"{step} and {name}")
    assert seen in said
    assert "\n    assert " not in said


@pytest.mark.aside
@pytest.mark.timeout(120)
def test_the_last_lines_of_a_run(tmp_path: Path) -> None:
    """`write` of step 5 takes it that `send` has sent everything."""
    tests = "step5_select and (late_reader or cuts or ack)"
    said = said_of_copy(tmp_path, STEPS[4], *SENDS_ALL, tests)
    *_, last = said.partition("what is broken ")
    assert "step5_select breaks a promise (late_reader): Much data comes back byte for byte" in last
    assert "\n  seen: byte " in last
    alone = "this alone: python -m lab check step5_"
    assert f"\n  read: step4_nonblocking_polling/README.md; {alone}" in last
    assert "Traceback" not in said
    assert "lab/harness/" not in said
    assert "1 failed, 2 passed" in last
    _, promise, _, read, *_ = last.splitlines()
    text = (ROOT / "README.md").read_text()
    assert f"```\n{promise}\n  seen: " in text, "the README shows it otherwise"
    assert f"\n{read}\n```" in text, "the README shows it otherwise"
