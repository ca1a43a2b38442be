"""The diff is the lesson: what differs between a step and the one it grew from.

The steps are a tree. On each edge the names that differ are declared, and all other
functions and classes are the same to the byte.
"""

import ast
import difflib
import re
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from lab.harness.servers import ROOT, STEPS
from lab.pages.excerpts import PARENTS, definitions, difference, source


class Edge(NamedTuple):
    """What a step changes, adds and drops of the one it grew from: names, as one writes them."""

    parent: str
    changed: str
    added: str = ""
    dropped: str = ""


LINEAGE = {
    "step2_thread_per_client": Edge("step1_sequential", "serve"),
    # Each call in which it waits is narrated, and it can end with its first client.
    "step3_blocking": Edge("step1_sequential", "serve converse main", "narrated"),
    # A conversation is no longer one function: a record, and three things to do for a client.
    "step4_nonblocking_polling": Edge(
        "step3_blocking",
        "serve main",
        "READ WRITE Poller Client Key accept attend greet read write drop",
        "narrated converse",
    ),
    # Nobody counts the EAGAINs any more.
    "step5_select": Edge(
        "step4_nonblocking_polling", "Poller accept attend main", "Select Mechanism"
    ),
    "step6_epoll_kqueue": Edge(
        "step5_select", "Mechanism main", "MAX_EVENTS Epoll Kqueue NATIVE", "Select"
    ),
    "step6_epoll_kqueue/edge_triggered": Edge(
        "step6_epoll_kqueue", "Epoll Kqueue Poller accept attend"
    ),
    "step7_event_loop_threadpool": Edge(
        "step6_epoll_kqueue",
        "serve accept attend drop main",
        "on_ready",
        "READ WRITE MAX_EVENTS Epoll Kqueue Mechanism NATIVE Poller Key",
    ),
}

FILES = [STEPS[0], *LINEAGE]

ORDER = "Poller Client serve accept attend converse greet read write drop main"
"""In which these stand, in every file that has them."""


@pytest.mark.parametrize("step", LINEAGE)
def test_only_what_is_declared_differs(step: str) -> None:
    """From the step that it grew from, only what `tests/test_lineage.py` declares is changed."""
    parent, *declared = LINEAGE[step]
    found = difference(source(parent), source(step))
    for kind, names, known in zip(("changed", "new", "gone"), found, declared, strict=True):
        others = ", ".join(sorted(names ^ {*known.split()}))
        assert not others, f"{kind} beside {parent}, but not in LINEAGE, or only there: {others}"


def test_a_difference_is_seen() -> None:
    text = source("step5_select")
    assert difference(text, text) == (set(), set(), set())
    changed = text.replace("sent = client.sock.send", "sent = 1 or ")
    assert difference(text, changed) == ({"write"}, set(), set())
    assert difference(text, text + "\nA, B = 1, 2\n") == (set(), {"A", "B"}, set())


def test_every_step_but_the_first_has_a_parent() -> None:
    assert [step for step in (STEPS[0], *LINEAGE) if "/" not in step] == list(STEPS)
    assert {step: edge.parent for step, edge in LINEAGE.items()} == PARENTS


def lines_changed(before: str, after: str) -> int:
    """Return in how many lines two texts differ, not counting how deep they are indented."""
    old, new = ([line.strip() for line in text.splitlines()] for text in (before, after))
    return sum(line[0] in "-+" for line in difflib.ndiff(old, new))


def test_step3_is_step1_again() -> None:
    """Saying where it waits, and no more than that."""
    changed = lines_changed(source(STEPS[0]), source(STEPS[2]))
    assert changed <= 45, f"{changed} lines differ from step 1, 45 may"


MINIMAL = dict(zip(STEPS[1:], (20, 20, 30, 20, 20, 40), strict=True))
"""How many lines an idea may differ in, at most, from the one it grew from."""


@pytest.mark.parametrize("step", MINIMAL)
def test_an_idea_is_a_handful_of_lines_from_the_last(step: str) -> None:
    before, after = (source(f"{one}/minimal") for one in (PARENTS[step], step))
    changed = lines_changed(before, after)
    assert changed <= MINIMAL[step], f"{changed} lines differ in minimal.py, {MINIMAL[step]} may"


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("step*/minimal*.py")), ids=lambda one: one.parent.name
)
def test_an_idea_is_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 35, f"minimal.py has {len(lines)} lines, 35 may be"
    assert not [line for line in lines if re.match(r"\s*(try|class)\b", line)]


def test_kqueue_is_epoll_with_other_names() -> None:
    epoll, kqueue = (source(f"step6_epoll_kqueue/{one}") for one in ("minimal", "minimal_kqueue"))
    pairs = zip(epoll.splitlines()[1:], kqueue.splitlines()[1:], strict=True)
    assert all(one == other for one, other in pairs if "epoll" not in one and "fd" not in one)


def test_the_coroutine_holds_the_conversation_of_step1() -> None:
    """With `async` and `await` in it, and another type of socket; nothing else is changed."""
    then = definitions(source(STEPS[0]))["converse"]
    now = definitions(source("step7_event_loop_threadpool/coroutine_server"))["converse"]
    assert now.count("await ") == 3
    assert "async " in now
    now = re.sub("async |await ", "", now)
    assert now.replace("sock: Socket", "sock: socket.socket") == then


def test_the_coroutines_are_short() -> None:
    """Eighty lines, not counting empty ones."""
    text = source("step7_event_loop_threadpool/coroutines")
    assert len([line for line in text.splitlines() if line]) <= 80
    assert "asyncio" not in text


@pytest.mark.parametrize("step", FILES)
def test_the_order_is_the_same_in_every_file(step: str) -> None:
    order = ORDER.split()
    names = [name for name in definitions(source(step)) if name in order]
    assert names == sorted(names, key=order.index)


SOURCES = [ROOT / "simple_client.py", *ROOT.glob("common/*.py"), *ROOT.glob("step*/*.py")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_imports_are_the_standard_library_and_our_own(path: Path) -> None:
    """Nothing that is not installed, and nothing of the lab or the tests."""
    allowed = sys.stdlib_module_names | {"common", path.parent.name}
    if path.name == "asyncio_server.py":
        allowed |= {"uvloop"}  # an extra
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            continue
        assert {module.partition(".")[0] for module in modules} <= allowed


@pytest.mark.parametrize("step", STEPS)
def test_no_file_shadows_a_standard_module(step: str) -> None:
    stems = {path.stem for path in (ROOT / step).glob("*.py")}
    assert not stems & sys.stdlib_module_names


def test_the_client_is_short() -> None:
    assert len((ROOT / "simple_client.py").read_text().splitlines()) <= 160


@pytest.mark.parametrize("step", FILES)
def test_functions_are_short(step: str) -> None:
    text = source(step)
    lengths = [
        node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.end_lineno
    ]
    assert max(lengths) <= 30, f"a function has {max(lengths)} lines, 30 may be"
    assert (middle := statistics.median(lengths)) < 12, f"half of the functions have {middle} lines"
    lines, most = len(text.splitlines()), 220 if "edge" in step else 200
    assert lines <= most, f"server.py has {lines} lines, {most} may be"
