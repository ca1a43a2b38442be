"""The pages say what is so: the table, the commands, the links, the diffs."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab import pages
from lab.check import limits
from lab.servers import ROOT, STEPS
from tests.test_contract import MATRIX
from tests.test_lineage import LINEAGE

PAGES = pages.PAGES


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(page: Path) -> list[str]:
    """Return the lines of the page's shell blocks."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]


@functools.cache
def help_of(*words: str) -> str:
    """Return what a script of ours, or `-m lab` and a command, says of itself."""
    command = [sys.executable, *words, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_is_made_is_current(page: Path) -> None:
    text = page.read_text()
    assert pages.made(text) == text, "run `python -m lab pages`"


def test_the_readme_shows_what_the_contract_asserts() -> None:
    assert limits.table(MATRIX) in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_commands_exist_with_their_options(page: Path) -> None:
    found = 0
    for command in commands(page):
        words = command.split()
        if words[0] not in ("python", "python3") or "&&" in words:
            continue
        found += 1
        end = 4 if words[1] == "-m" else 2
        described = help_of(*words[1:end])
        for word in words[end:]:
            if word.startswith("-"):
                assert f"{word} " in described, command
    assert found


@pytest.mark.parametrize("step", LINEAGE)
def test_the_page_shows_the_diff_from_its_parent(step: str) -> None:
    diff = f"diff {LINEAGE[step].parent}/server.py {step}/server.py"
    assert diff in commands(ROOT / step / "README.md")


def test_every_step_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for step in STEPS:
        assert f"({step}/README.md)" in text
        assert re.search(rf"{step}\s+(│?\s+)?\w", text)


def test_the_loop_on_the_page_of_step7() -> None:
    """Ticks stall while a callback blocks, and go on while the pool works."""
    page = pages.BLOCK.sub("", (ROOT / STEPS[6] / "README.md").read_text())
    blocking, pooled = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    script = blocking + 'print("then")\n' + pooled + "loop.close()\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert re.fullmatch(r"<lambda> held everybody up for 0\.5\d+ s\n", done.stderr)
    first, _, second = done.stdout.partition("then\n")
    assert "slept\n" in second
    assert second.count("tick") >= first.count("tick") + 2
