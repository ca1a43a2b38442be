"""`python -m lab exercise`: where you stand with the exercises, and one of them against its checks.

Without a number it says which hold and what is next. Only programs that you have changed are run;
nothing is kept of what they did, so it is always true.

  python -m lab exercise
  python -m lab exercise 3
  python -m lab exercise 3 --hint
  python -m lab exercise 3 --hint --lang ko
  python -m lab exercise 3 --watch
"""

import argparse
import contextlib
import json
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

from lab.check.report import Report
from lab.check.suite import FAILED, Check, Verdict
from lab.exercises import programs, runs
from lab.exercises.catalogue import EXERCISES, LEARNER, Exercise
from lab.harness.servers import ROOT, ServerError
from lab.live.page import LANGUAGES
from lab.show import arguments

ASKED = LEARNER / ".asked.json"
"""How many hints were given of each, and what was asked last. Whether it holds is not in there."""

OFTEN = 0.2
"""Seconds between two looks whether a program was saved."""


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; return 0 if what was run holds."""
    programs.keep_orphans()
    exercise: Exercise | None = args.exercise
    if exercise is None:
        if args.way:
            raise arguments.Wrong(f"--{args.way} of which exercise?")
        return stand()
    if args.lang == "ko":
        exercise = replace(exercise, hints=exercise.hints_ko)
    asked = read_asked()
    again = asked.get("last") == [exercise.number, args.way]
    asked["last"] = [exercise.number, args.way]
    status = WAYS[args.way](exercise, asked, again) if args.way else tell(exercise)
    write_asked(asked)
    return status


def stand() -> int:
    """Say of each exercise where one stands, and what is next."""
    follows = None
    for exercise in EXERCISES.values():
        print(f"{exercise.number} {exercise.title:50} ", end="", flush=True)
        line = state(exercise)
        print(line)
        if line != "holds":
            follows = follows or exercise
    if follows:
        number, title, shown = follows.number, follows.title, follows.shown
        print(f"\nNext is {number}, {title}. Read the README.md beside {shown},")
        print(f"change that, and then:  python -m lab exercise {number}")
    else:
        print("\nAll of them hold.")
    return 0


def state(exercise: Exercise) -> str:
    """Say in a few words where one stands with an exercise; "holds" if it does."""
    if exercise.unchanged(exercise.program):
        return "not begun"
    try:
        found = runs.verdicts(exercise, exercise.program, only_first=True)
    except ServerError as error:
        return str(error).partition("\n")[0]
    if runs.holds(exercise, exercise.program, found):
        return "holds"
    return f"fails {found[-1].check.name}" if found[-1].outcome == FAILED else "out of time"


def tell(exercise: Exercise) -> int:
    """Run it against its checks, and say of each what was seen."""
    report = Report(exercise.name, causes="")

    def begin(check: Check) -> None:
        print(f"{check.name:17} ", end="", flush=True)

    def over(verdict: Verdict) -> None:
        print(report.lines(verdict), flush=True)

    print(f"{exercise.number} {exercise.title}", flush=True)
    try:
        found = runs.verdicts(exercise, exercise.program, begin, over)
    except ServerError as error:
        print(error)
        return 1
    taken = sum(one.seconds for one in found)
    if runs.holds(exercise, exercise.program, found):
        print(f"It holds ({taken:.1f} s). How we did it: --solution")
        return 0
    count = sum(one.outcome == FAILED for one in found)
    total = len(runs.chosen(exercise, exercise.program))
    untried = f", {total - len(found)} of {total} not tried" if len(found) < total else ""
    print(f"{count} failed{untried} ({taken:.1f} s)")
    return 1


def watch(exercise: Exercise, *_: Any) -> int:
    """Run it now, and again each time it is saved, until Ctrl-C."""
    before, status = None, 0
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            with contextlib.suppress(OSError):  # an editor may be about to put it there
                if (now := exercise.program.stat().st_mtime_ns) != before:
                    before = now
                    status = tell(exercise)
                    print("Waiting until it is saved; Ctrl-C ends this.\n", flush=True)
            time.sleep(OFTEN)
    return status


def hint(exercise: Exercise, asked: dict[str, Any], _: bool) -> int:
    """Give the next hint; after the last one, that again."""
    given = asked.setdefault("hints", {})
    number = min(given.get(exercise.number, 0) + 1, len(exercise.hints))
    given[exercise.number] = number
    print(f"{number}/{len(exercise.hints)}: {exercise.hints[number - 1]}")
    return 0


def show(exercise: Exercise, *_: Any) -> int:
    """Open it in `lab live`, until that is closed."""
    command = shlex.join([sys.executable, exercise.shown, "{port}", *exercise.arguments])
    words = [sys.executable, "-m", "lab", "live", "--cmd", command]
    return subprocess.call(words, cwd=ROOT)


def solution(exercise: Exercise, _: dict[str, Any], again: bool) -> int:
    """Print how we did it, if it holds already, or if that is asked for twice."""
    if not again and state(exercise) != "holds":
        print("It does not hold yet. Ask once more, and you get it all the same.")
        return 1
    print(exercise.file("solution.py").read_text(), end="")
    return 0


def reset(exercise: Exercise, *_: Any) -> int:
    """Bring back what it was at the start."""
    shutil.copyfile(exercise.file("start.py"), exercise.program)
    print(f"{exercise.shown} is as it was at the start")
    return 0


WAYS = {"watch": watch, "hint": hint, "show": show, "solution": solution, "reset": reset}
"""What can be done with an exercise beside running it once, by the name of the argument."""


def read_asked() -> dict[str, Any]:
    """Return what was asked before; nothing if that cannot be known."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(ASKED.read_text()))
    return {}


def write_asked(asked: dict[str, Any]) -> None:
    """Keep what was asked, if it can be kept."""
    with contextlib.suppress(OSError):
        ASKED.write_text(json.dumps(asked) + "\n")


def exercise_of(text: str) -> Exercise:
    """Parse an argument that names an exercise: `3`, `03`, its folder, or a file in that."""
    word = text.removeprefix("exercises/")[:2].rstrip("_/").zfill(2)
    if word not in EXERCISES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(EXERCISES)}")
    return EXERCISES[word]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("exercise", metavar="N", nargs="?", type=exercise_of, help="which")
    parser.add_argument("--lang", choices=LANGUAGES, help="what the hints are in")
    either = parser.add_mutually_exclusive_group()
    for name, way in WAYS.items():
        what = str(way.__doc__).rstrip(".")
        what = what[0].lower() + what[1:]
        either.add_argument(f"--{name}", dest="way", action="store_const", const=name, help=what)
