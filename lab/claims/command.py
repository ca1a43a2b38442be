"""`python -m lab claims`: every claim of the notes as an experiment, with its figure and a verdict.

A1 to G6 are what the study notes say of the seven servers; Q1 to Q15 are what people ask who
write such servers. Real servers in processes of their own, real clients.
"""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from common import descriptors
from lab.claims.claim import CLAIMS, NOT_MEASURED, Claim, Finding, Sizes
from lab.harness import servers
from lab.harness.clients import Failed
from lab.show import about, arguments

for name in (*(f"step{number}" for number in range(1, 8)), "questions"):
    importlib.import_module(f"lab.claims.{name}")  # which registers its claims


def run(args: argparse.Namespace) -> int:
    """Carry out the experiments; return 1 if one could not be carried out to its end."""
    try:
        keys = dict.fromkeys(key.upper() for key in args.keys or CLAIMS)
        chosen = [CLAIMS[key] for key in keys]
    except KeyError as error:
        print(f"python -m lab claims: no claim has the key {error}; see --list", file=sys.stderr)
        return 2
    if args.list:
        for claim in chosen:
            print(f"{claim.key:4} {claim.text}")
        return 0
    if args.pictures and not arguments.can_draw("claims"):
        return 1
    descriptors.raise_limit()
    failed = False
    results: list[dict[str, Any]] = []
    for number, claim in enumerate(chosen, 1):
        progress(f"[{number}/{len(chosen)}] {claim.key}: {claim.text}")
        start = time.monotonic()
        try:
            finding = carry_out(claim, Sizes(args.quick))
        except (Failed, AssertionError, OSError, servers.ServerError) as error:
            failed = True
            finding = Finding("could not be carried out", f"{type(error).__name__}: {error}")
        progress("")
        results.append(kept(claim, finding, time.monotonic() - start))
        print(f"{claim.key:4} {claim.text}\n     {finding.measured}\n     {finding.verdict}\n")
        sys.stdout.flush()
        if args.pictures:
            draw(claim, finding, args.pictures)
    command = "python -m lab claims" + " --quick" * args.quick
    print(about.line(command))
    if args.json:
        found = {"command": command, **about.facts(), "claims": results}
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if failed else 0


def carry_out(claim: Claim, sizes: Sizes) -> Finding:
    """Return what an experiment finds, or why it cannot be carried out on this system."""
    try:
        return claim.measure(sizes)
    except servers.NotMeasured as error:
        return Finding(NOT_MEASURED, str(error))


def kept(claim: Claim, finding: Finding, seconds: float) -> dict[str, Any]:
    """Return what is kept of an experiment."""
    return {
        "key": claim.key,
        "step": claim.step,
        "claim": claim.text,
        "measured": finding.measured,
        "verdict": finding.verdict,
        "figures": finding.figures,
        "seconds": round(seconds, 1),
    }


def draw(claim: Claim, finding: Finding, folder: Path) -> None:
    """Draw what a finding has to show, if it has: wants matplotlib."""
    if not finding.curves and not finding.recordings:
        return
    from lab.claims import plots
    from lab.observe import timeline
    from lab.show import pictures

    file = folder / f"{claim.key}.svg"
    if finding.recordings:
        pictures.save(file, lambda: timeline.draw(finding.recordings))
    else:
        pictures.save(file, lambda: plots.draw(finding.curves))


def progress(line: str) -> None:
    """Write over the last line of a terminal; nothing is written anywhere else."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line[:78]}", end="", file=sys.stderr, flush=True)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command's arguments."""
    parser = commands.add_parser(
        "claims",
        help="every claim of the notes as an experiment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("keys", metavar="KEY", nargs="*", help="as A2 (all of them)")
    add("--list", action="store_true", help="list the claims and end")
    add("--quick", action="store_true", help="smaller sizes, shorter pauses")
    add("--json", metavar="FILE", type=arguments.file, help="write what was measured there")
    add("--pictures", metavar="FOLDER", type=arguments.folder, help="draw there what has a picture")
    parser.set_defaults(run=run)
