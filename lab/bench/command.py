"""`python -m lab bench`: what each model costs, beside its peers and the limit."""

import argparse
import gc
import json
import os
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import descriptors
from lab.bench import contestants, framing, pairs, plan, report
from lab.show import about, arguments
from lab.show.progress import progress


def run(args: argparse.Namespace) -> int:
    """Measure and print; return 1 if a ratio that was measured is not what it must be."""
    # Servers start with compiled modules, as they do for a reader. That matters for more than
    # the start: what the compiler frees changes how malloc treats large buffers from then on.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    descriptors.raise_limit()
    left_out: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        limit = [*contestants.compiled(Path(folder), left_out.append)]
        wanted = [target.pair for target in plan.targets(limit)]
        wanted += plan.tables(limit) if args.full else []
        found = measure(possible(list(dict.fromkeys(wanted)), left_out.append), args.pairs)
    fewer = f" --pairs {args.pairs}" if args.pairs != pairs.PAIRS else ""
    results = report.Results(
        {
            "command": "python -m lab bench" + " --full" * args.full + fewer,
            **about.facts(),
            "turns": args.pairs,
            "left out": left_out,
            "framing": framing.compared(1.0),
            "pairs": found,
        }
    )
    if args.json:
        args.json.write_text(json.dumps(results.found, indent=1) + "\n")
    print(report.text(results))
    missed = any(row[-1] == "NOT MET" for row in report.ratios(results))
    return 1 if missed or len(results.pairs) < len(found) else 0


def possible(wanted: list[plan.Pair], say: Callable[[str], object]) -> list[plan.Pair]:
    """Return those that can be measured here; `say` what is left out."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200
    missing = {side.contestant.name: side.contestant.missing for pair in wanted for side in pair}
    for name, package in missing.items():
        if package:
            say(f"left out: {name} ({package} is not installed: pip install '.[bench]')")
    clients = {pair: sum(side.workload.clients(side.point) for side in pair) for pair in wanted}
    if any(count > most for count in clients.values()):
        say(f"left out: what takes more than {most:,} descriptors (ulimit -n)")
    return [
        pair
        for pair in wanted
        if clients[pair] <= most and not any(missing[side.contestant.name] for side in pair)
    ]


def measure(wanted: list[plan.Pair], count: int) -> list[dict[str, object]]:
    """Measure all pairs, and say on a terminal how far it is."""
    found = []
    gc.collect()
    gc.disable()  # a pause of ours would look like one of the servers'
    try:
        with pairs.on_core(-1):
            for number, (top, bottom) in enumerate(wanted, 1):
                names = f"{top.contestant.name} beside {bottom.contestant.name}"
                progress(f"[{number}/{len(wanted)}] {top.workload.name} {top.point}: {names}")
                found.append(pairs.paired(top, bottom, count))
    finally:
        gc.enable()
        progress("")
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("--full", action="store_true", help="all tables, in some twenty minutes (the ratios)")
    add("--pairs", type=arguments.positive, default=pairs.PAIRS, help="turns of each side (20)")
    add("--json", metavar="FILE", type=arguments.file, help="also write what was measured here")
