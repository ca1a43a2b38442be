"""A program against the checks of its exercise."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lab.check import suite
from lab.check.report import CAUSES
from lab.check.rungs import CHECKS
from lab.check.suite import FAILED, Check, Verdict
from lab.exercises import checks, checks_loop, observed
from lab.exercises.catalogue import Exercise
from lab.exercises.programs import CROWD, Program
from lab.harness.deadline import over, within
from lab.harness.servers import ServerError

LIMIT = 15.0
"""Seconds for all checks of an exercise."""

PATIENCE = 2.0
"""Seconds that an answer has."""

OURS = vars(checks) | vars(checks_loop)

KNOWN = CHECKS | {one.name: one for one in OURS.values() if isinstance(one, Check)}
"""Every check that an exercise may name."""


def chosen(exercise: Exercise, program: Path) -> list[Check]:
    """Return the checks of an exercise, in the order in which they are run.

    Those that no step's page explains are explained by that of the exercise's step.
    """
    found = [KNOWN["ack"], KNOWN["drawn"]]
    if exercise.never:
        found.append(observed.never(program, exercise.never, exercise.step))
    found += [timed(KNOWN[name], exercise.deadline) for name in exercise.checks]
    return [replace(one, read=exercise.page) if one.read == CAUSES else one for one in found]


def timed(one: Check, seconds: float) -> Check:
    """Return a check that is about a deadline with this one, and any other as it is."""
    run: Any = one.run
    about = "seconds" in inspect.signature(run).parameters
    return replace(one, run=partial(run, seconds=seconds)) if about else one


def verdicts(
    exercise: Exercise,
    program: Path,
    begin: Callable[[Check], object] = bool,
    tell: Callable[[Verdict], object] = bool,
    only_first: bool = False,
) -> list[Verdict]:
    """Run a program against the checks of an exercise, for `LIMIT` seconds at most.

    `begin` and `tell` are told of each, before it runs and when it is over. With `only_first`, it
    ends with the first that fails. ServerError if the program does not serve.
    """
    if wrong := not_python(program):
        raise ServerError(wrong)
    wanted, found = chosen(exercise, program), list[Verdict]()
    start = partial(Program.of, program, exercise.arguments, PATIENCE)
    with within(LIMIT):
        for verdict in suite.verdicts(wanted, start, begin):
            if CROWD.partition(",")[0] in verdict.seen:
                verdict = replace(verdict, advice="Start one for a reason, and wait for its end.")
            found.append(verdict)
            tell(verdict)
            if over() or (only_first and verdict.outcome == FAILED):
                break
    return found


def not_python(program: Path) -> str:
    """Say why a program cannot even be read; "" if it can."""
    try:
        compile(program.read_bytes(), program.name, "exec")
    except SyntaxError as error:
        line = f"\n    {error.text.rstrip()}" if error.text else ""
        return f"{program.name} is not Python yet: line {error.lineno}: {error.msg}{line}"
    except (OSError, ValueError) as error:  # a zero byte
        return f"{program.name} cannot be read: {getattr(error, 'strerror', None) or error}"
    return ""


def holds(exercise: Exercise, program: Path, found: Sequence[Verdict]) -> bool:
    """Return whether all checks of it have run, and none failed."""
    names = [one.check.name for one in found]
    good = all(one.outcome != FAILED for one in found)
    return good and names == [one.name for one in chosen(exercise, program)]
