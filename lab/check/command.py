"""`python -m lab check`: what a server can do and what it cannot, in any language.

The server takes the protocol's port, and that is all it has to know: give the command
that starts it, with {port} where the port belongs, or where it runs already. Without
either, the seven steps are checked, or those that are named.

  python -m lab check step5_select
  python -m lab check --cmd './my-server {port}'
  python -m lab check --connect localhost:8080 --only talk,latency
"""

import argparse
import itertools
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial

from lab.check import limits
from lab.check.report import Report, write_json, write_junit
from lab.check.rungs import CHECKS
from lab.check.suite import FAILED, NOT_MEASURED, PATIENCE, Check, Verdict, verdicts
from lab.harness import servers
from lab.harness.servers import Endpoint
from lab.show import arguments
from lab.show.arguments import Wrong


def run(args: argparse.Namespace) -> int:
    """Check one server after another; return 0 if all is as it should be."""
    checks, subjects = chosen(args), list(subjects_of(args))
    if args.list or args.matrix:
        listed = limits.titles(checks, "{}:", "  {:17} {}")
        print(limits.table(checks) if args.matrix else listed)
        return 0
    # What a server survives is told first; but without an `ack` there is nothing to tell.
    checks.sort(key=lambda check: 0 if check.name == "ack" else 2 - bool(check.survives))
    for report, start in subjects:
        print(report.name, flush=True)
        check_one(report, start, checks)
        print(f"{report.summary()}\n", flush=True)
    reports = [report for report, _ in subjects]
    if args.json:
        write_json(args.json, reports)
    if args.junit:
        write_junit(args.junit, reports)
    return 0 if all(report.good for report in reports) else 1


def check_one(report: Report, start: Callable[[], Endpoint], checks: list[Check]) -> None:
    """Run the checks; print the name of each when it begins, and its verdict when it is over.

    Those that say what a server survives are the first, and are told in a line before that.
    """
    early = [check for check in checks if check.survives or check.name == "ack"]
    early = early if any(check.survives for check in early) else []
    lines: list[str] = []

    def begin(check: Check) -> None:
        if check not in early:
            print(f"{check.name:17} ", end="", flush=True)

    found = verdicts(checks, start, begin)
    print(f"{'survives':17}" * bool(early), end="", flush=True)
    try:
        for verdict in itertools.islice(found, len(early)):
            print(survived(verdict, report.verdicts), end="", flush=True)
            lines.append(f"{verdict.check.name:17} {report.lines(verdict)}")
            report.verdicts.append(verdict)
        if early:
            print("", *lines, sep="\n", flush=True)
            lines.clear()
        for verdict in found:  # on a terminal a check may have written over its name
            name = f"\r{verdict.check.name:17} " * sys.stdout.isatty()
            print(f"{name}{report.lines(verdict)}", flush=True)
            report.verdicts.append(verdict)
        if left := len(checks) - len(report.verdicts):
            print(f"{f'the other {left}':17} skipped   they begin with the `*`")
    except servers.ServerError as error:
        print("", *(lines or [""]), sep="\n", flush=True)
        report.error = str(error)


def survived(verdict: Verdict, before: list[Verdict]) -> str:
    """Go on with the line that says what a server survives, and what it does NOT."""
    what = verdict.check.survives
    if not what or verdict.outcome == NOT_MEASURED:
        return ""
    comma = "," * any(one.check.survives and one.outcome != NOT_MEASURED for one in before)
    return f"{comma} {'NOT ' * (verdict.outcome == FAILED)}{what}"


def chosen(args: argparse.Namespace) -> list[Check]:
    """Return the checks to run; Wrong if one is named that does not exist."""
    only, skip = (
        {word for words in given for word in words.split(",")} for given in (args.only, args.skip)
    )
    known = {name for check in CHECKS.values() for name in (check.name, check.rung)}
    if unknown := (only | skip) - known:
        raise Wrong(f"no check or rung is named {sorted(unknown)[0]!r}; see --list")
    asked = {
        "thinks": args.deadline is None,
        "ten_thousand_idle": args.full,
        "deadline": args.deadline is not None,
        "drains": args.drains,
    }
    found = []
    for check in CHECKS.values():
        fails = check.rung == "faults"
        wanted = args.list or asked.get(check.name, fails or not check.asked_for)
        if only:
            wanted = check.name in only or (wanted and check.rung in only)
        elif not args.list:
            wanted = wanted and fails is args.faults
        if wanted and not {check.name, check.rung} & skip:
            found.append(with_arguments(check, args))
    if not found:
        raise Wrong("no check is left")
    return found


def with_arguments(check: Check, args: argparse.Namespace) -> Check:
    """Return a check with what was said of it: which cases to try, or a time limit."""
    if check.rung == "faults":
        return check.given(full=args.full, seed=args.seed)
    if check.name == "deadline" and args.deadline is not None:
        return check.given(seconds=args.deadline)
    return check


def subjects_of(args: argparse.Namespace) -> Iterator[tuple[Report, Callable[[], Endpoint]]]:
    """Yield the servers to check, and how to start each; Wrong if they are no servers."""
    if (args.cmd is not None) + (args.connect is not None) + bool(args.steps) > 1:
        raise Wrong("steps, --cmd and --connect exclude each other")
    if args.cmd is not None:
        words = shlex.split(args.cmd)
        if not words or not (args.port or "{port}" in args.cmd):
            raise Wrong("--cmd needs {port} where the port belongs, or --port")
        yield Report(args.cmd), partial(servers.Foreign, words, args.patience, port=args.port)
    elif args.connect is not None:
        host, port = args.connect
        yield Report(f"{host}:{port}"), partial(Endpoint, host, port, args.patience)
    else:
        for step, script in args.steps or [(step, servers.SERVER) for step in servers.STEPS]:
            words = [*limits.ARGUMENTS.get(step, ())] if script == servers.SERVER else []
            name = step if script == servers.SERVER else f"{step}/{script}"
            report = Report(" ".join((name, *words)), limits.declared(step, script))
            start = partial(servers.start, step, *words, patience=args.patience, script=script)
            yield report, start
        for script, *words in [] if args.steps or not args.faults else limits.OTHERS:
            command = [sys.executable, str(servers.ROOT / script), "{port}", *words]
            report = Report(" ".join((script, *words)))
            yield report, partial(servers.Server, command, args.patience)


def step_or_minimal(text: str) -> tuple[str, str]:
    """Parse an argument that names a step, or its `minimal.py`: `5`, `step5/minimal`."""
    step = text.removesuffix(".py").removesuffix("/minimal")
    return arguments.step(step), "minimal.py" if step != text else servers.SERVER


def address(text: str) -> tuple[str, int]:
    """Parse an argument that is HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), arguments.port(port)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add, file = parser.add_argument, arguments.file
    steps = "a step, or its minimal.py (5/minimal)"
    rungs = "checks, or whole rungs, as --list groups them"
    add("steps", metavar="STEP", nargs="*", type=step_or_minimal, help=steps)
    add("--cmd", metavar="COMMAND", help="start the server so; {port} stands for its port")
    add("--port", type=arguments.port, default=0, help="its port, if COMMAND does not take one")
    add("--connect", metavar="HOST:PORT", type=address, help="a server that is running already")
    add("--only", metavar="NAMES", action="append", default=[], help=rungs)
    add("--skip", metavar="NAMES", action="append", default=[], help=rungs)
    full = "with 10,000 idle clients too; with --faults, every case"
    add("--full", action="store_true", help=full)
    add("--faults", action="store_true", help="the rung in which system calls fail (Linux)")
    within = "one that says nothing is to be sent away so soon"
    add("--deadline", metavar="SECONDS", type=arguments.seconds, help=within)
    add("--drains", action="store_true", help="after SIGTERM those who are there are to be served")
    add("--seed", type=int, help="draw these cases of it; with --full, all are tried")
    add("--patience", type=arguments.seconds, default=PATIENCE, help="seconds for an answer (5)")
    add("--list", action="store_true", help="list the checks, rung by rung, and end")
    add("--matrix", action="store_true", help="print which step holds which check, and end")
    add("--json", metavar="FILE", type=file, help="write the verdicts there")
    add("--junit", metavar="FILE", type=file, help="write them as JUnit XML")
