"""`python -m lab pages`: write anew what pages show of the program: code, output, tables, figures.

In a page, what stands between `<!-- NAME ARGUMENT -->` and `<!-- end -->` is made by the
function that `MAKERS` has under NAME. What is printed is run again, smaller; if it looks as
before but for its figures, the page keeps those. A Korean page shows what its English twin shows.
With `--check` nothing is written, and the command fails if something would be, if there is
something to show that no page shows, or if a Korean page does not say what its twin says.
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from lab.bench import report
from lab.broken import parts
from lab.check import limits
from lab.check.rungs import CHECKS, MATRIX
from lab.exercises import shown
from lab.fleet import balancer, paper
from lab.harness.servers import ROOT, STEPS
from lab.live import page as live
from lab.live import replay
from lab.live.app import App
from lab.live.command import PROGRAMS
from lab.pages import excerpts, korean, outputs
from lab.pages.blocks import BLOCK
from lab.show import about, arguments
from lab.show.tables import markdown

DOCS = ROOT / "docs"

BENCH, CLAIMS, FLEET = DOCS / "bench", DOCS / "claims", DOCS / "fleet"
"""Where the results of the bench, of the claims and of three machines are, with their pictures."""

FLOWS, REPLAYS = DOCS / "flows", DOCS / "replays"
"""Where the timelines are, and of each step's idea a recording, to be looked at call by call."""

DRAWN = {
    "step3.svg": STEPS[2:3],
    "step4.svg": STEPS[2:4],
    "step5.svg": STEPS[3:5],
    "step6.svg": STEPS[5:6],
    "step7.svg": STEPS[6:7],
}
"""The timelines, and whom each shows; those of A3, B5 and E1 are drawn by the claims."""

LESSONS = sorted(
    {*ROOT.glob("step*/*.md")} - {*korean.PAGES},
    key=lambda page: (page.parent, page.name != "README.md"),
)

PAGES = (
    ROOT / "README.md",
    *sorted({*ROOT.glob("docs/*.md")} - {*korean.PAGES, korean.GLOSSARY}),
    *LESSONS,
)
"""The pages in English."""

WORDS = 1000
"""The most that a lesson may say, not counting code, tables and pictures."""


def results() -> report.Results:
    """Return the results of the bench that are kept."""
    return report.Results(json.loads((BENCH / "results.json").read_text()))


def claims(keys: str, where: Path = CLAIMS) -> str:
    """Return a table of claims, with what was measured and the verdict."""
    kept = json.loads((where / "results.json").read_text())
    found = {one["key"]: one for one in kept["claims"]}
    names = ("key", "claim", "measured", "verdict")
    rows = [[found[key][name] for name in names] for key in keys.split()]
    table = markdown([["", *names[1:]], *rows], "---")
    return f"{table}\n\n{about.line(kept['command'], kept)}"


MAKERS: dict[str, Callable[[str], str]] = {
    "limits": lambda _: limits.table([one for one in MATRIX if one.name in limits.LIMITS]),
    "matrix": lambda _: limits.table(MATRIX),
    "down": limits.down,
    "parts": parts.table,
    "checks": lambda _: limits.titles([*CHECKS.values()]),
    "bench": lambda name: report.block(results(), name),
    "claims": claims,
    "fleet": partial(claims, where=FLEET),
    "haproxy": lambda _: f"```\n{balancer.configuration()}```",
    "paper": paper.block,
    "code": excerpts.code,
    "edge": excerpts.edge,
    "exercises": shown.table,
    "solutions": lambda _: shown.solutions(),
}


def made(text: str, anew: bool = False) -> str:
    """Return a page with its blocks made; KeyError if a name or an argument is unknown.

    What is printed is kept if it looks as before, unless it is to be made `anew`.
    """

    def replaced(match: re.Match[str]) -> str:
        head, name, argument, before = match.groups("")
        if name == "output":
            now = outputs.current(argument, before.rstrip("\n"), anew)
        else:
            now = MAKERS[name](argument)
        return f"{head}{now}\n<!-- end -->"

    return BLOCK.sub(replaced, text)


def words(text: str) -> int:
    """Return how many words of prose a page has."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.DOTALL)
    return len(re.sub(r"^[|!].*", "", text, flags=re.MULTILINE).split())


def unshown() -> Iterator[str]:
    """Yield what there is to show and no page shows."""
    text = "".join(page.read_text() for page in PAGES)
    blocks = {(name, argument) for _, name, argument, _ in BLOCK.findall(text)}
    for maker, where in (("claims", CLAIMS), ("fleet", FLEET)):
        shown = {word for name, argument in blocks if name == maker for word in argument.split()}
        kept = json.loads((where / "results.json").read_text())["claims"]
        yield from (f"claim {one['key']}" for one in kept if one["key"] not in shown)
    yield from (f"output {name}" for name in outputs.OUTPUTS if ("output", name) not in blocks)
    for file in sorted((*ROOT.glob("docs/*/*.svg"), *REPLAYS.glob("*"))):
        if f"{file.parent.name}/{file.name}" not in text and ".ko" not in file.suffixes:
            yield f"picture {file.relative_to(ROOT)}"


def current(page: Path, text: str, anew: bool) -> str:
    """Return a page, or a picture, as it should be."""
    if page in korean.PICTURES:
        return korean.picture(page)
    if page in korean.PAGES:
        return korean.made(text, korean.english(page).read_text())
    if page.suffix == ".html":
        return live.whole(live.recorded(text))
    return made(text, anew)


def run(args: argparse.Namespace) -> int:
    """Write the pages, or check that they are as they would be written."""
    if args.pictures:
        draw()
    wrong = []
    ours = (*korean.PAGES, *korean.PICTURES)
    for page in (*PAGES, *ours, *sorted(REPLAYS.glob("*.html"))):
        before = page.read_text() if page.exists() else ""
        after = current(page, before, args.anew)
        if after != before and args.check:
            wrong.append(f"{page.relative_to(ROOT)} is not current")
        elif after != before:
            page.write_text(after)
            print(f"{page.relative_to(ROOT)} written")
    wrong += [f"no page shows {one}" for one in unshown()]
    for page in LESSONS:
        if (count := words(page.read_text())) > WORDS:
            wrong.append(f"{page.relative_to(ROOT)} has {count:,} words, {WORDS:,} at most")
    wrong += [fault for page in ours for fault in korean.faults(page)]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def draw() -> None:
    """Draw the pictures of the bench from its results, and record the timelines."""
    arguments.want_matplotlib()
    from lab.bench import plots
    from lab.observe import run as running
    from lab.observe import timeline
    from lab.show import pictures

    pictures.save(BENCH / "requests.svg", partial(plots.requests, results()))
    for name, steps in DRAWN.items():
        pictures.save(FLOWS / name, partial(timeline.draw, running.conversations(steps)))
    for step in STEPS:
        events = asyncio.run(replay.record(App(PROGRAMS), f"{step}/minimal", 3, 0.5))
        (REPLAYS / f"{step.partition('_')[0]}.html").write_text(live.whole(events))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("--check", action="store_true", help="write nothing; fail if something is not current")
    add("--anew", action="store_true", help="run all that is printed anew, for new figures")
    add("--pictures", action="store_true", help="draw the bench's pictures and the timelines too")
