"""`python -m lab bench`: what each model costs, beside its peers and the limit."""

import argparse
import gc
import json
import os
import resource
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import descriptors
from lab.bench import contestants, plan, report, results
from lab.bench.plan import Case
from lab.bench.workloads import on_core
from lab.show import arguments

SECONDS = 0.5
QUICK_SECONDS = 0.3

NAMES = [workload.name for workload in report.WORKLOADS]


def run(args: argparse.Namespace) -> int:
    """Measure and print; return 1 if a ratio that was measured is not what it must be."""
    # Servers start with compiled modules, as they do for a reader. That matters for more than
    # the start: what the compiler frees changes how malloc treats large buffers from then on.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    descriptors.raise_limit()
    seconds = QUICK_SECONDS if args.quick else SECONDS
    left_out: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        limit = contestants.compiled(Path(folder), left_out.append)
        cases = possible((plan.quick if args.quick else plan.full)(limit), left_out.append)
        if args.only:
            cases = [case for case in cases if case.workload.name in args.only]
        measure(cases, seconds)
    command = "python -m lab bench" + "".join(f" {word}" for word in words(args))
    found = results.to_json(cases, command, seconds, left_out)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    kept = results.Results(found)
    print(report.text(kept))
    missed = any(row[-1] == "NOT MET" for row in report.targets(kept))
    return 1 if missed or kept.failed else 0


def words(args: argparse.Namespace) -> list[str]:
    """Return the arguments that change what is measured."""
    only = ["--only", ",".join(args.only)] if args.only else []
    return ["--quick"] * args.quick + [shlex.quote(word) for word in only]


def possible(cases: list[Case], say: Callable[[str], object]) -> list[Case]:
    """Return those that can be measured here; `say` what is left out."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100
    missing = {case.contestant.name: case.contestant.missing for case in cases}
    for name, package in missing.items():
        if package:
            say(f"left out: {name} ({package} is not installed: pip install '.[bench]')")
    if any(case.workload.clients(case.point) > most for case in cases):
        say(f"left out: what takes more than {most:,} descriptors (ulimit -n)")
    return [
        case
        for case in cases
        if not missing[case.contestant.name] and case.workload.clients(case.point) <= most
    ]


def measure(cases: list[Case], seconds: float) -> None:
    """Measure everything, and say on standard error how far it is."""
    gc.collect()
    gc.disable()  # a pause of ours would look like one of the server's
    try:
        with on_core(-1):
            for turn, case, left in plan.carry_out(cases, seconds):
                progress(f"{left:4.0f} s left: {describe(turn, case)}")
    finally:
        gc.enable()
        progress("")


def describe(turn: int, case: Case) -> str:
    """Say what is measured now."""
    return f"round {turn + 1}, {case.workload.name} {case.point}, {case.contestant.name}"


def progress(line: str) -> None:
    """Write over the last line of a terminal; nothing is written anywhere else."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line[:78]}", end="", file=sys.stderr, flush=True)


def workloads(text: str) -> list[str]:
    """Parse a list of names of workloads."""
    chosen = text.split(",")
    for name in chosen:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(NAMES)}")
    return chosen


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command's arguments."""
    parser = commands.add_parser(
        "bench", help="what each model costs, beside peers and the limit", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="only the ratios, in a minute")
    parser.add_argument(
        "--only",
        metavar="WORKLOAD,...",
        type=workloads,
        default=[],
        help="only these workloads: " + ", ".join(NAMES),
    )
    parser.add_argument(
        "--json", metavar="FILE", type=arguments.file, help="also write what was measured here"
    )
    parser.set_defaults(run=run)
