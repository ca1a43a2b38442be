"""What a reader is told who has broken something: on planted servers, and in a run as a whole."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.broken import catalogue
from lab.check.rungs import CHECKS
from lab.harness.servers import ROOT
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
    said = (": It holds.", "nothing", "a page", "alone")
    found = [
        summary.Finding(step, summary.BREAKS, name, *said, rank)
        for rank, name in enumerate(CHECKS)
        for step in ("step5_select", "step6_epoll_kqueue")
    ]
    lines = summary.told(reversed(found))
    assert len(lines) <= summary.LINES + 1
    assert lines[0] == "step6_epoll_kqueue and step5_select break a promise: It holds."
    named = sum(" break a promise: " in line for line in lines)
    assert named > 1
    assert lines[-1].startswith(f"and {len(CHECKS) - named} more: ")


PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")

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


def test_who_fails_beside_others_is_run_once_more(tmp_path: Path) -> None:
    file = tmp_path / "test_disturbed.py"
    file.write_text(DISTURBED)
    words = ("-p", "conftest", "-c", str(ROOT / "pyproject.toml"), str(file))
    done = python(*PYTEST, *words)
    assert "1 failed, 2 passed, 1 skipped" in done.stdout
    again = "failed beside others, and was run once more: "
    assert [line.rpartition("::")[2] for line in done.stdout.splitlines() if again in line] == [
        "test_disturbed_once",
        "test_broken",
    ]


@pytest.mark.aside
@pytest.mark.timeout(120)
def test_the_last_lines_of_a_run(tmp_path: Path) -> None:
    """`write` of step 5 takes it that `send` has sent everything."""
    copy = tmp_path / "copy"
    left = shutil.ignore_patterns(".*", "docs", "__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=left)
    file = copy / "step5_select" / "server.py"
    text = file.read_text()
    broken = text.replace("client.unsent = client.unsent[sent:]", 'client.unsent = b""')
    assert broken != text
    file.write_text(broken)
    chosen = ("--full", "-k", "step5_select and (late_reader or cuts or ack)")
    done = python(*PYTEST, *chosen, cwd=copy, timeout=100)
    assert done.returncode == 1, done.stdout
    *_, last = done.stdout.partition("what is broken ")
    assert "step5_select breaks a promise (late_reader): Much data comes back byte for byte" in last
    assert "\n  seen: byte " in last
    alone = "this alone: python -m lab check step5_"
    assert f"\n  read: step4_nonblocking_polling/README.md; {alone}" in last
    assert "Traceback" not in done.stdout
    assert "lab/harness/" not in done.stdout
    assert "1 failed, 2 passed" in last
    _, promise, _, read, *_ = last.splitlines()
    text = (ROOT / "README.md").read_text()
    assert f"```\n{promise}\n  seen: " in text, "the README shows it otherwise"
    assert f"\n{read}\n```" in text, "the README shows it otherwise"
