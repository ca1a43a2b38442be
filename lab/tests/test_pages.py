"""The pages say what is so: the table, the commands, the links, the diffs."""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import __main__ as lab
from lab.check import limits
from lab.check.rungs import CHECKS, MATRIX
from lab.exercises.catalogue import EXERCISES
from lab.harness import servers
from lab.harness.servers import ROOT, STEPS
from lab.live import page as live
from lab.pages import command as pages
from lab.pages import korean, outputs
from lab.pages.blocks import BLOCK
from lab.pages.korean import named
from tests.test_lineage import LINEAGE

PAGES = pages.PAGES


def commands(page: Path) -> list[str]:
    """Return the lines of the page's shell blocks."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]


@pytest.mark.aside
@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_is_made_is_current(page: Path) -> None:
    text = page.read_text()
    assert pages.made(text) == text, "run `python -m lab pages`"


def test_all_there_is_to_show_is_shown() -> None:
    assert list(pages.unshown()) == []


def test_what_no_page_shows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = (ROOT / "docs" / "evidence.md", ROOT / STEPS[2] / "README.md")
    monkeypatch.setattr(pages, "PAGES", [page for page in PAGES if page not in left_out])
    found = list(pages.unshown())
    assert {"claim C1", "output narrated3", "picture docs/flows/step3.svg"} <= set(found)


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="pages are written on Linux")


@pytest.mark.parametrize(
    "block",
    [
        "nobody",
        "code step5_select/server.py Nothing",
        "code step5_select/server.py Poller.nothing",
        pytest.param("output nothing", marks=LINUX),
        "claims A4",
        "edge step1_sequential",
        "bench requests 51",
    ],
)
def test_what_does_not_exist_cannot_be_shown(block: str) -> None:
    with pytest.raises(KeyError):
        pages.made(f"<!-- {block} -->\n<!-- end -->")


def test_what_a_class_has_is_shown_by_its_name() -> None:
    page = "<!-- code step5_select/server.py Poller.watch -->\n<!-- end -->"
    assert "Have `wait` say when" in pages.made(page)


def test_two_blocks_without_an_argument() -> None:
    page = "<!-- limits -->\n<!-- end -->\n\nText.\n\n<!-- matrix -->\n<!-- end -->"
    assert "\n\nText.\n\n<!-- matrix -->\n|" in pages.made(page)


@LINUX
def test_what_is_printed_is_compared_but_for_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter(["a  1,234.5 us\nb", "a 6.7 us\nb", "a 6.7 us\nc", "a 8 us\nc"])
    monkeypatch.setitem(outputs.OUTPUTS, "timer", lambda quick: next(said))
    page = "<!-- output timer -->\n{}\n<!-- end -->"
    first = pages.made(page.format(""), anew=True)
    assert first == page.format("a  1,234.5 us\nb")
    assert pages.made(first) == first
    assert pages.made(first) == page.format("a 8 us\nc")


def test_the_command_finds_what_is_stale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs" / "check.md"
    monkeypatch.setattr(pages, "PAGES", [page])
    monkeypatch.setitem(pages.MAKERS, "checks", lambda _: "another list")
    monkeypatch.setattr(pages, "unshown", lambda: iter(()))
    args = argparse.Namespace(check=True, anew=False, pictures=False)
    monkeypatch.setattr(pages, "LESSONS", [page])
    monkeypatch.setattr(pages, "WORDS", 100)
    assert pages.run(args) == 1
    said = capsys.readouterr().err
    assert "docs/check.md is not current" in said
    assert re.search(r"docs/check.md has [\d,]+ words, 100 at most", said)


def test_the_pages_show_what_the_contract_asserts() -> None:
    assert limits.table(MATRIX) in (ROOT / "docs" / "check.md").read_text()
    rows = limits.table([one for one in MATRIX if one.name in limits.LIMITS])
    assert rows in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("step", STEPS)
def test_a_page_names_all_that_its_server_cannot_do(step: str) -> None:
    """In the words, and not only in a table."""
    page = BLOCK.sub("", (ROOT / step / "README.md").read_text())
    said = re.findall(r"`(\w+)`", page.partition("## What still fails")[2])
    assert {*said} & {*CHECKS} == {check for check, steps in limits.LIMITS.items() if step in steps}


@pytest.mark.parametrize("page", [*PAGES, *korean.PAGES, korean.GLOSSARY], ids=named)
def test_the_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def anchors(page: Path) -> list[str]:
    """Return the headings of a page as links name them; of a recording its calls."""
    if page.suffix == ".html":
        calls = [one for one in live.recorded(page.read_text()) if one["kind"] == "begin"]
        return [f"call={number}" for number, _ in enumerate(calls, 1)]
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings]


def said_in_prose(page: Path) -> list[str]:
    """Return the commands that stand in the page's text."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    found = re.findall(r"`(python3? (?:-m lab|simple_client\.py|step)[^`]*)`", text)
    return [" ".join(command.split()) for command in found if "STEP" not in command]


COMMANDS = sorted(
    {
        command.replace("python3 ", "python ", 1)
        for page in PAGES
        for command in (*commands(page), *said_in_prose(page))
        if re.match(r"(python3?|diff) ", command)
        and "&&" not in command
        and not command.endswith("-m lab")
    }
)
PRINTED = {output.command for output in outputs.OUTPUTS.values() if hasattr(output, "command")}
"""These are run to see whether what the page shows is current."""


def test_all_pages_have_commands() -> None:
    assert len(COMMANDS) > 50
    assert all(commands(page) for page in PAGES)


@pytest.mark.aside
@pytest.mark.parametrize("command", sorted(set(COMMANDS) - PRINTED))
def test_the_command_runs(command: str) -> None:
    """A command of the lab is run by its own tests; here it has to make sense."""
    name, script, *words = shlex.split(command)
    if script == "-m":
        args = lab.parser().parse_args(words[1:])
        if args.command in ("check", "claims"):
            args.list = True
            assert args.run(args) == 0
    elif name == "diff":
        assert done([name, script, *words]) in (0, 1)
    elif script == "simple_client.py":
        with servers.start(STEPS[5], "--quiet") as server:
            words = [str(server.port) if word[:2] == "80" else word for word in words]
            assert done([sys.executable, script, *words, "--pace", "0.02"]) == 0
    elif script.endswith("timer_demo.py"):
        assert done([sys.executable, script, *words, "--period", "0.01"]) == 0
    else:
        with servers.Server([sys.executable, script, "0", *words]) as server:
            server.connect().close()


def done(command: list[str]) -> int:
    """Run a command to its end; return its status."""
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, timeout=50, check=False
    ).returncode


@pytest.mark.parametrize("step", LINEAGE)
def test_the_page_shows_the_diff_from_its_parent(step: str) -> None:
    name = f"{step}.py" if "/" in step else f"{step}/server.py"
    diff = f"diff {LINEAGE[step].parent}/server.py {name}"
    assert diff in commands(ROOT / step.partition("/")[0] / "README.md")


def test_every_step_and_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert {*re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)} == {*lab.COMMANDS}
    for step in STEPS:
        assert f"({step}/README.md)" in text
        assert re.search(rf"{step}\s+(│?\s+)?\w", text)


def test_the_loop_on_the_page_of_step7() -> None:
    """Ticks stall while a callback blocks, and go on while the pool works."""
    page = BLOCK.sub("", (ROOT / STEPS[6] / "pool.md").read_text())
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
    held = re.findall(r"<lambda> held everybody up for (\d+\.\d+) s\n", done.stderr)
    assert [time for time in held if float(time) >= 0.5] == held[:1]  # a busy machine adds others
    assert held
    first, _, second = done.stdout.partition("then\n")
    assert "slept\n" in second
    assert second.count("tick") >= first.count("tick") + 2


# In Korean


def test_every_page_of_the_path_is_in_korean() -> None:
    path = {ROOT / "README.md", ROOT / "docs" / "teaching.md", *pages.LESSONS}
    path |= {exercise.program.with_name("README.md") for exercise in EXERCISES.values()}
    assert {korean.english(page) for page in korean.PAGES} == path


@pytest.mark.parametrize("page", [*korean.PAGES, *korean.PICTURES], ids=named)
def test_the_korean_page_follows_its_twin(page: Path) -> None:
    assert list(korean.faults(page)) == []
    text = page.read_text()
    assert pages.current(page, text, anew=False) == text, "run `python -m lab pages`"


@pytest.mark.parametrize("page", korean.PAGES, ids=named)
def test_what_is_made_has_the_same_figures_in_korean(page: Path) -> None:
    said = (BLOCK.findall(one.read_text()) for one in (page, korean.english(page)))
    for (head, *_, ours), (_, *_, theirs) in zip(*said, strict=True):
        figures = (sorted(re.findall(r"\d+(?:\.\d+)*", one)) for one in (ours, theirs))
        assert len({*map(tuple, figures)}) == 1, head


@pytest.fixture
def twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the Korean page of step 1, which has its English twin beside it."""
    for step in STEPS[:2]:
        (tmp_path / step).mkdir()
        for name in ("README.ko.md", "README.md"):
            shutil.copy(ROOT / step / name, tmp_path / step / name)
    monkeypatch.setattr(korean, "ROOT", tmp_path)
    return tmp_path / STEPS[0] / "README.ko.md"


def put(page: Path, old: str, new: str) -> None:
    """Have a page say something else; where that is nothing, of several lines."""
    text, count = re.subn(old, new, page.read_text(), count=1, flags=re.DOTALL if not new else 0)
    assert count
    page.write_text(text)


PLANTED = {
    "a lost code block": (r"```sh\n.*?```\n\n", "", "differs in its code blocks"),
    "another command in it": (r"simple_client.py localhost", "x", "differs in its code blocks"),
    "a lost heading": (r"\n## 비용\n", "", "differs in its headings"),
    "a lost link": (r"\[2단계\]\(.*?\)", "2단계", "differs in its links (6, in English 7)"),
    "a link to the English": ("per_client/README.ko", "per_client/README", "is in Korean"),
    "a lost picture": (r"!\[세.*\)", "", "differs in its pictures"),
    "a lost command": (r"`python -m lab check 1/minimal`", "", "differs in its commands"),
    "a lost figure": (r"40 ms까지", "조금", "does not say 40 as often"),
    "a lost name": (r"`TCP_NODELAY`가 없으면, ", "", "does not say `TCP_NODELAY` as often"),
    "a lost table": (r"<!-- parts .*?<!-- end -->", "", "differs in its generated blocks"),
    "a wrong term": ("스레드", "쓰레드", "says 쓰레드, where the glossary has 스레드"),
    "a title in English": ("# 1단계: 순차 처리", "# Step 1: sequential", "in English: # Step 1"),
    "a sentence in English": (r"나머지는 .*?\.", "Others do not count.", "in English: Others"),
    "a paragraph in English": (r"모두가 가장 느린.*", "All wait. It is shown.", "in English: All"),
    "what is made, in English": (
        "한 번에 클라이언트 하나만 처리한다",
        "serves one",
        "in English: ",
    ),
    "no way to its twin": (r"\[English\]", "English", "does not link to README.md"),
    "no hash": ("<!-- README.md: .*", "", "follows another README.md"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_fault_of_a_korean_page_is_found(name: str, twin: Path) -> None:
    old, new, said = PLANTED[name]
    put(twin, old, new)
    assert said in "\n".join(korean.faults(twin))


def test_a_new_figure_does_not_make_a_page_stale(twin: Path) -> None:
    put(korean.english(twin), r"takes [\d.]+ times", "takes 77 times")
    assert list(korean.faults(twin)) == []


@pytest.mark.parametrize("git", [True, False])
def test_what_has_changed_in_english_is_shown(
    git: bool, twin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if git:
        who = "-c", "user.name=x", "-c", "user.email=x@example.org"
        for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"]):
            subprocess.run(["git", *words], cwd=twin.parents[1], check=True)
    else:
        monkeypatch.setenv("PATH", "")
    put(korean.english(twin), "Everybody waits", "All wait")
    (said,) = korean.faults(twin)
    assert "follows another README.md" in said
    assert ("-Everybody waits" in said and "+All wait" in said) is git


def test_new_words_in_a_picture_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = korean.rows
    unknown = "the clients&#x27; connections"
    monkeypatch.setattr(korean, "rows", lambda *which: [r for r in real(*which) if r[0] != unknown])
    found = [fault for picture in korean.PICTURES for fault in korean.faults(picture)]
    assert found == ["docs/board/step7_pool.ko.svg says in English: the clients&#x27; connections"]
