"""`python -m lab claims`: every claim of the notes as an experiment, with its figure and a verdict.

A1 to G6 are what the study notes say of the seven servers, H1 to H6 are about several processes
with a loop each; Q1 to Q15 are what people ask who write such servers. Real servers in processes
of their own, real clients.
"""

import argparse
import importlib
import json
import time
from pathlib import Path
from typing import Any

from common import descriptors
from lab.claims.claim import CLAIMS, Experiment, Finding, text
from lab.harness.clients import Failed
from lab.harness.processes import NotMeasured
from lab.harness.servers import ServerError
from lab.show import about, arguments
from lab.show.progress import progress

NOT_MEASURED, NOT_CARRIED_OUT = "not measured here", "could not be carried out"

for name in (*(f"step{number}" for number in range(1, 8)), "workers", "questions"):
    importlib.import_module(f"lab.claims.{name}")  # which registers its claims


def run(args: argparse.Namespace) -> int:
    """Carry out the claims that were asked for; return 1 if one came to no end."""
    return carry_out(CLAIMS, "claims", args)


def carry_out(known: dict[str, Experiment], name: str, args: argparse.Namespace) -> int:
    """Do what `python -m lab NAME` does with these experiments; return its status."""
    keys = dict.fromkeys(map(str.upper, args.keys or known))
    if unknown := keys.keys() - known:
        raise arguments.Wrong(f"no claim has the key {min(unknown)!r}; see --list")
    if args.list:
        for key in keys:
            print(f"{key:4} {text(known[key])}")
        return 0
    if args.pictures:
        arguments.want_matplotlib()
    descriptors.raise_limit()
    results: list[dict[str, Any]] = []
    for number, key in enumerate(keys, 1):
        claim, start = text(known[key]), time.monotonic()
        progress(f"[{number}/{len(keys)}] {key}: {claim}")
        finding = carried_out(known[key], args.full)
        progress()
        print(f"{key:4} {claim}\n     {finding.measured}\n     {finding.verdict}\n", flush=True)
        found: dict[str, Any] = {"measured": finding.measured, "verdict": finding.verdict}
        if finding.figures:
            found["figures"] = finding.figures
        took = round(time.monotonic() - start, 1)
        results.append({"key": key, "claim": claim, **found, "seconds": took})
        if args.pictures:
            draw(finding, args.pictures / f"{key}.svg")
    command = f"python -m lab {name}" + " --full" * args.full
    print(about.line(command))
    if args.json:
        kept = {"command": command, **about.facts(), "claims": results}
        args.json.write_text(json.dumps(kept, indent=1) + "\n")
    return 1 if any(one["verdict"] == NOT_CARRIED_OUT for one in results) else 0


def carried_out(experiment: Experiment, full: bool) -> Finding:
    """Return what an experiment finds, or why it came to no end."""
    try:
        return experiment(full)
    except NotMeasured as error:
        return Finding(NOT_MEASURED, str(error))
    except (Failed, AssertionError, OSError, ServerError) as error:
        return Finding(NOT_CARRIED_OUT, f"{type(error).__name__}: {error}")


def draw(finding: Finding, file: Path) -> None:
    """Draw what a finding has to show, if it has: wants matplotlib."""
    from lab.claims import plots
    from lab.observe import timeline
    from lab.show import pictures

    if finding.recordings:
        pictures.save(file, lambda: timeline.draw(finding.recordings))
    elif finding.curves:
        pictures.save(file, lambda: plots.draw(finding.curves))


def add_experiments(parser: argparse.ArgumentParser, key: str, full: str) -> None:
    """Add the arguments of `carry_out`: which experiments, as `key`, and how large `full` is."""
    add = parser.add_argument
    add("keys", metavar="KEY", nargs="*", help=f"as {key} (all of them)")
    add("--list", action="store_true", help="list the claims and end")
    add("--full", action="store_true", help=full)
    add("--json", metavar="FILE", type=arguments.file, help="write what was measured there")
    parser.set_defaults(pictures=None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_experiments(parser, "A2", "as large as on the pages, all in ten minutes")
    parser.add_argument(
        "--pictures", metavar="FOLDER", type=arguments.folder, help="draw there what has a picture"
    )
