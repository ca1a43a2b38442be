"""`python -m lab pages`: write anew what pages show of the program: tables, figures, pictures.

In a page, what stands between `<!-- NAME ARGUMENT -->` and `<!-- end -->` is made by the
function that `MAKERS` has under NAME. With `--check` nothing is written, and the command fails
if something would be.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from lab.bench import figures
from lab.bench.results import Results
from lab.check import limits
from lab.check.rungs import CHECKS
from lab.servers import ROOT, STEPS

BENCH = ROOT / "docs" / "bench"
"""Where the results of the bench are, and the pictures drawn from them."""

PAGES = (
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *(ROOT / step / "README.md" for step in STEPS),
)

BLOCK = re.compile(r"(<!-- (?!end)(\w+) ?(.*?) -->\n)(.*?)<!-- end -->", re.DOTALL)


def limits_table(_: str) -> str:
    """Return the matrix of checks and steps, as `python -m lab check --matrix` prints it."""
    return limits.table([check for check in CHECKS.values() if not check.asked_for])


def checks(_: str) -> str:
    """Return the list of checks."""
    return limits.titles(list(CHECKS.values()))


def bench(name: str) -> str:
    """Return a table or a sentence of the bench's results."""
    return figures.block(results(), name)


def results() -> Results:
    """Return the results that are kept."""
    return Results(json.loads((BENCH / "results.json").read_text()))


MAKERS: dict[str, Callable[[str], str]] = {
    "limits": limits_table,
    "checks": checks,
    "bench": bench,
}


def made(text: str) -> str:
    """Return a page with its blocks made anew; ValueError if a name or argument is unknown."""

    def anew(match: re.Match[str]) -> str:
        head, name, argument, _ = match.groups()
        if name not in MAKERS:
            raise ValueError(f"nobody makes {name!r}")
        return f"{head}{MAKERS[name](argument)}\n<!-- end -->"

    return BLOCK.sub(anew, text)


def run(args: argparse.Namespace) -> int:
    """Write the pages, or check that they are as they would be written."""
    stale = []
    for page in PAGES:
        before = page.read_text()
        after = made(before)
        if after != before:
            stale.append(page)
            if not args.check:
                page.write_text(after)
    word = "is not current" if args.check else "written"
    for page in stale:
        print(f"{page.relative_to(ROOT)}: {word}", file=sys.stderr)
    if args.pictures:
        draw(BENCH)
    return 1 if args.check and stale else 0


def draw(folder: Path) -> None:
    """Draw the pictures of the bench; they want matplotlib."""
    from lab.bench import plots  # an extra

    for file in plots.draw(results(), folder):
        print(f"{file.relative_to(ROOT)}: drawn", file=sys.stderr)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command's arguments."""
    parser = commands.add_parser(
        "pages", help="write what the pages show of the program", description=__doc__
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    parser.add_argument("--pictures", action="store_true", help="draw the bench's pictures too")
    parser.set_defaults(run=run)
