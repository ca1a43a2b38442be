"""`python -m lab check`: what a server can do and what it cannot, in any language.

The server takes the protocol's port, and that is all it has to know: give the command
that starts it, with {port} where the port belongs, or where it runs already. Without
either, the seven steps are checked, or those that are named.
"""

import argparse
import math
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lab.check import limits
from lab.check.report import Report, write_json, write_junit
from lab.check.rungs import CHECKS
from lab.check.suite import NOT_GREETED, Check, verdicts
from lab.harness import servers
from lab.harness.servers import Endpoint
from lab.show import arguments

EXAMPLES = """examples:
  python -m lab check step5_select
  python -m lab check --cmd './my-server {port}'
  python -m lab check --connect localhost:8080 --only talk,latency
"""


def run(args: argparse.Namespace) -> int:
    """Check one server after another; return 0 if all is as it should be."""
    try:
        checks, subjects = chosen(args), list(subjects_of(args))
    except (ValueError, argparse.ArgumentTypeError) as error:
        print(f"python -m lab check: {error}", file=sys.stderr)
        return 2
    if args.list or args.matrix:
        print(limits.table(checks) if args.matrix else limits.titles(checks))
        return 0
    reports = []
    for report, start in subjects:
        reports.append(report)
        print(report.name, flush=True)
        check_one(report, start, checks)
        print(f"{report.summary()}\n", flush=True)
    if args.json:
        write_json(args.json, reports)
    if args.junit:
        write_junit(args.junit, reports)
    return 0 if all(report.good for report in reports) else 1


def check_one(report: Report, start: Callable[[], Endpoint], checks: list[Check]) -> None:
    """Run the checks and print each verdict as it comes; a terminal shows what is running."""

    def announce(check: Check) -> None:
        if sys.stderr.isatty():
            at = f"[{checks.index(check) + 1}/{len(checks)}]"
            print(f"\r{at} {check.name} ...\033[K", end="", file=sys.stderr, flush=True)

    try:
        for verdict in verdicts(checks, start, announce):
            report.verdicts.append(verdict)
            clear()
            if verdict.seen != NOT_GREETED:
                print(report.lines(verdict), flush=True)
        if left := sum(one.seen == NOT_GREETED for one in report.verdicts):
            print(f"skipped   the other {left:<7} they begin with the `*`")
    except servers.ServerError as error:
        report.error = str(error)
    finally:
        clear()


def clear() -> None:
    """Take away what is shown of the running check."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def chosen(args: argparse.Namespace) -> list[Check]:
    """Return the checks to run; ValueError if one is named that does not exist."""
    only, skip = (
        {word for words in given for word in words.split(",")} for given in (args.only, args.skip)
    )
    for path in (args.json, args.junit):
        if path and not path.absolute().parent.is_dir():
            raise ValueError(f"there is no folder for {path}")
    known = {*CHECKS, *(check.rung for check in CHECKS.values())}
    if unknown := (only | skip) - known:
        raise ValueError(f"no check or rung is named {sorted(unknown)[0]!r}; see --list")
    found = []
    for check in CHECKS.values():
        names = {check.name, check.rung}
        wanted = not only or names & only
        left_out = check.asked_for and not args.ten_thousand and check.name not in only
        if wanted and not names & skip and not (left_out and not args.list):
            found.append(check)
    if not found:
        raise ValueError("no check is left")
    return found


def subjects_of(args: argparse.Namespace) -> "list[tuple[Report, Callable[[], Endpoint]]]":
    """Return the servers to check, and how to start each; ValueError if they are no servers."""
    if (args.cmd is not None) + (args.connect is not None) + bool(args.steps) > 1:
        raise ValueError("steps, --cmd and --connect exclude each other")
    if args.cmd is not None:
        words = shlex.split(args.cmd)
        if not words or not (args.port or "{port}" in args.cmd):
            raise ValueError("--cmd needs {port} where the port belongs, or --port")
        start = partial(servers.Foreign, words, args.patience, port=args.port)
        return [(Report(args.cmd), start)]
    if args.connect is not None:
        host, _, port = args.connect.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"{args.connect!r} is not HOST:PORT")
        address = host.strip("[]"), arguments.port(port)
        return [(Report(args.connect), partial(Endpoint, *address, args.patience))]
    found: list[tuple[Report, Callable[[], Endpoint]]] = []
    for step in map(servers.named, args.steps or servers.STEPS):
        words = [*limits.ARGUMENTS.get(step, ())]
        report = Report(" ".join((step, *words)), limits.declared(step))
        found.append((report, partial(servers.start, step, *words, patience=args.patience)))
    return found


def seconds(text: str) -> float:
    """Parse an argument that is a number of seconds above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return value


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command's arguments."""
    parser = commands.add_parser(
        "check",
        help="what a server can do and what it cannot, in any language",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("steps", metavar="STEP", nargs="*", help="a folder of ours, or its number (all seven)")
    add("--cmd", metavar="COMMAND", help="start the server so; {port} stands for its port")
    add("--port", type=arguments.port, default=0, help="its port, if COMMAND does not take one")
    add("--connect", metavar="HOST:PORT", help="a server that is running already")
    add("--only", metavar="NAMES", action="append", default=[], help="checks, or whole rungs")
    add("--skip", metavar="NAMES", action="append", default=[], help="checks, or whole rungs")
    add("--ten-thousand", action="store_true", help="with 10,000 idle clients too")
    add("--patience", type=seconds, default=5.0, help="seconds it has for an answer (5)")
    add("--list", action="store_true", help="list the checks and end")
    add("--matrix", action="store_true", help="print which step holds which check, and end")
    add("--json", metavar="FILE", type=Path, help="write the verdicts there")
    add("--junit", metavar="FILE", type=Path, help="write them as JUnit XML")
    parser.set_defaults(run=run)
