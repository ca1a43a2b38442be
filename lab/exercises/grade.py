"""`python -m lab grade`: submissions against the checks of their exercises, a row for each.

A submission is a folder as a learner has it, with NN_name/program.py in it, be it in a folder
`exercises` or not; or one program.py, if one exercise is named. What is missing, or as it was at
the start, counts as failed.

  python -m lab grade submissions/*
  python -m lab grade --exercise 3 --gradescope results.json /autograder/submission
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.check.report import Report, printable, write_junit
from lab.check.suite import FAILED, Verdict
from lab.exercises import programs, runs
from lab.exercises.catalogue import EXERCISES, PROGRAM, Exercise
from lab.exercises.command import exercise_of
from lab.harness.servers import ROOT, ServerError
from lab.show import about, arguments

SETUP = Path(__file__).with_name("setup.sh")
"""What a container has to run once, before it can grade."""

HANGS = runs.LIMIT + 30
"""Seconds after which whoever runs a program is killed, and all that is with it."""

APART = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child")
"""What a program is run with where that is permitted (unshare(1)): it has no network but its own
loopback, and when the first process of it ends, so do all others. `--mount-proc` shows them."""

NETWORK = "each without a network but loopback"

WAYS = {
    (*APART, "--mount-proc"): f"{NETWORK}, and in a space of processes of its own",
    APART[:4]: f"{NETWORK}; a space of processes of its own is not to be had here",
    (): "NOT kept from the network: this system does not permit it (Linux, unshare(1))",
}
"""How a program is run, from what keeps it apart best to nothing, and what is said of it."""


@dataclass
class Grade:
    """How a submission did in an exercise; `error` says why nothing was run, or did not serve."""

    submission: str
    exercise: Exercise
    holds: bool = False
    error: str = ""
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def short(self) -> str:
        """Say in a word or two how it did."""
        failed = [one.check.name for one in self.verdicts if one.outcome == FAILED]
        said = self.error.partition("\n")[0].removeprefix(f"{PROGRAM}: ")[:40]
        return "holds" if self.holds else ",".join(failed) or said or "out of time"

    def text(self) -> str:
        """Say all, as `lab exercise` does."""
        report = Report(self.exercise.name, causes="")
        lines = [f"{one.check.name:17} {report.lines(one)}" for one in self.verdicts]
        return "\n".join([*lines, *filter(None, [self.error])])


def run(args: argparse.Namespace) -> int:
    """Grade them, one after the other; return 0, however they did."""
    if args.inside:
        print(json.dumps(inside(*args.inside)))
        return 0
    if args.setup:
        print(SETUP.read_text(), end="")
        return 0
    if not args.folders:
        raise arguments.Wrong("name a folder, or more")
    if args.gradescope and len(args.folders) > 1:
        raise arguments.Wrong("results.json is about one submission")
    programs.keep_orphans()
    way = next(filter(permitted, WAYS))
    exercises, grades = args.exercise or [*EXERCISES.values()], []
    for folder in map(Path.resolve, args.folders):
        row = [grade(folder, one, way, len(exercises) == 1) for one in exercises]
        grades += row
        told = "  ".join(
            f"{one.exercise.number} {one.short}" for one in row if one.error != MISSING
        )
        score = sum(one.holds for one in row)
        print(f"{folder.name:20} {score:2}/{len(row)}  {told}", flush=True)
    print(f"\nrun {WAYS[way]}")
    write(args, grades)
    return 0


MISSING, UNCHANGED = "missing", "as at the start"


def grade(folder: Path, exercise: Exercise, way: tuple[str, ...], alone: bool) -> Grade:
    """Run what a submission has for an exercise, in a process of its own; say how it did."""
    program = program_of(folder, exercise, alone)
    if program is None or exercise.unchanged(program):
        return Grade(folder.name, exercise, error=UNCHANGED if program else MISSING)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as space:
        copy = Path(space, exercise.name, PROGRAM)  # so that nothing beside it is imported
        copy.parent.mkdir()
        shutil.copyfile(program, copy)
        words = [sys.executable, "-m", "lab", "grade", "--inside", exercise.number, str(copy)]
        try:
            done = subprocess.run(
                [*way, *words], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=HANGS, check=False,
            )  # fmt: skip
            told = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            told = {"error": f"hangs: stopped after {HANGS:.0f} s"}
        except ValueError:
            told = {"error": f"lost: {done.stderr.decode(errors='replace')[-500:]}"}
        programs.end_orphans()
    seconds = time.monotonic() - start
    checks = {one.name: one for one in runs.chosen(exercise, copy)}
    lines = told.pop("verdicts", [])
    found = [Verdict(**line | {"check": checks[line["check"]]}) for line in lines]
    return Grade(folder.name, exercise, **told, verdicts=found, seconds=seconds)


def program_of(folder: Path, exercise: Exercise, alone: bool) -> Path | None:
    """Return the program of a submission, if it has one; `alone` it may lie there as it is."""
    places = [f"{exercise.name}/{PROGRAM}", f"exercises/{exercise.name}/{PROGRAM}"]
    found = (folder / place for place in places + [PROGRAM] * alone)
    return next((path for path in found if path.is_file() and not path.is_symlink()), None)


def permitted(way: tuple[str, ...]) -> bool:
    """Return whether a program can be run so here."""
    words = [*way, sys.executable, "-c", "pass"]
    try:
        return subprocess.run(words, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def inside(number: str, program: str) -> dict[str, Any]:
    """Run one program, with a network of its own perhaps; return what came of it, for JSON."""
    programs.raise_loopback()
    programs.keep_orphans()
    exercise = EXERCISES[number]
    try:
        found = runs.verdicts(exercise, Path(program))
    except ServerError as error:
        return {"error": str(error)}
    lines = [vars(one) | {"check": one.check.name} for one in found]
    return {"holds": runs.holds(exercise, Path(program), found), "verdicts": lines}


def write(args: argparse.Namespace, grades: list[Grade]) -> None:
    """Write the files that were asked for."""
    if args.gradescope:
        args.gradescope.write_text(json.dumps(gradescope(grades), indent=2) + "\n")
    if args.json:
        known = about.facts() | {"submissions": [*submissions(grades)]}
        args.json.write_text(json.dumps(known, indent=2) + "\n")
    if args.junit:
        suites = [
            Report(f"{one.submission}/{one.exercise.name}", {}, one.verdicts, one.error)
            for one in grades
        ]
        write_junit(args.junit, suites)


def gradescope(grades: list[Grade]) -> dict[str, Any]:
    """Return the results of one submission as Gradescope wants them.

    See https://gradescope-autograders.readthedocs.io/en/latest/specs/.
    """
    tests = [
        {
            "name": f"{one.exercise.number} {one.exercise.title}",
            "number": str(int(one.exercise.number)),
            "score": float(one.holds),
            "max_score": 1.0,
            "status": "passed" if one.holds else "failed",
            "output": printable(one.text()),
        }
        for one in grades
    ]
    return {
        "score": float(sum(one.holds for one in grades)),
        "execution_time": round(sum(one.seconds for one in grades)),
        "tests": tests,
    }


def submissions(grades: list[Grade]) -> Iterator[dict[str, Any]]:
    """Yield all there is to know, submission by submission."""
    for name in dict.fromkeys(one.submission for one in grades):
        own = [one for one in grades if one.submission == name]
        score = sum(one.holds for one in own)
        exercises = [
            {
                "exercise": one.exercise.name,
                "holds": one.holds,
                "error": one.error,
                "seconds": round(one.seconds, 3),
                "checks": [
                    {"check": each.check.name, "outcome": each.outcome, "seen": each.seen}
                    for each in one.verdicts
                ],
            }
            for one in own
        ]
        yield {"name": name, "score": score, "most": len(own), "exercises": exercises}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add, file = parser.add_argument, arguments.file
    add("folders", metavar="FOLDER", nargs="*", type=arguments.folder, help="a submission")
    only = "this one only; may be repeated"
    add("--exercise", metavar="N", action="append", type=exercise_of, help=only)
    add("--gradescope", metavar="FILE", type=file, help="write results.json for Gradescope there")
    add("--junit", metavar="FILE", type=file, help="write the verdicts as JUnit XML there")
    add("--json", metavar="FILE", type=file, help="write scores and verdicts there")
    add("--setup", action="store_true", help="print what a container has to run first, and end")
    add("--inside", nargs=2, help=argparse.SUPPRESS)  # what it calls itself with
