"""What a claim is, how it is measured, and what comes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.broken import catalogue
from lab.check.rungs import CHECKS
from lab.check.suite import FAILED, HELD, NOT_MEASURED, Verdict, judge
from lab.harness import servers
from lab.harness.processes import NotMeasured
from lab.harness.servers import STEPS, Server
from lab.observe import run
from lab.observe.record import Recording

HOLDS, WITHIN, NOT_HERE = "holds", "holds within limits", "does not hold here"


@dataclass(frozen=True)
class Curves:
    """What a picture draws: for each line its points, and what the axes are called.

    `log` is for values that are thousands of times apart.
    """

    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    log: bool = False


@dataclass(frozen=True)
class Finding:
    """What an experiment has shown: the verdict, and what was measured, in words with figures.

    `curves` become a picture, a panel each; `recordings`, by title, a timeline. `figures` are kept
    as numbers too, for whoever computes with them.
    """

    verdict: str
    measured: str
    curves: Sequence[Curves] = ()
    recordings: dict[str, Recording] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


def found(holds: bool, measured: str, verdict: str = HOLDS, **more: Any) -> Finding:
    """Return a finding with this verdict, or that the claim does not hold here."""
    return Finding(verdict if holds else NOT_HERE, measured, **more)


Experiment = Callable[[bool], Finding]
"""It is as large as the notes have it if `full`, or else small enough for every day.

The first paragraph of its docstring is the claim.
"""

CLAIMS: dict[str, Experiment] = {}
"""All claims: of the notes (A1 to G6), of workers (H1 to H6), questions from the field (Q1 to Q15).

In their order."""


def claim(key: str, among: dict[str, Experiment] = CLAIMS) -> Callable[[Experiment], Experiment]:
    """Register an experiment under a key."""

    def register(experiment: Experiment) -> Experiment:
        assert key not in among, key
        among[key] = experiment
        return experiment

    return register


def text(experiment: Experiment) -> str:
    """Return the claim itself."""
    return " ".join(str(experiment.__doc__).split("\n\n")[0].split())


# What experiments have in common


def pace(full: bool) -> float:
    """Return what the client's pauses are scaled by."""
    return 1.0 if full else 0.1


def started(step: int, *arguments: str) -> Server:
    """Run a step's server, quietly, with patience enough for a thousand clients."""
    return servers.start(STEPS[step - 1], "--quiet", *arguments, patience=20)


def recorded(full: bool, *steps: int) -> dict[str, Recording]:
    """Return what each of these steps does while three clients talk at once, by its name."""
    return run.conversations([STEPS[step - 1] for step in steps], pace=pace(full))


def checked(check: str, server: Server) -> Verdict:
    """Run a check against a server, and end that."""
    with server:
        verdict = judge(CHECKS[check], server)
    if verdict.outcome == NOT_MEASURED:
        raise NotMeasured(verdict.seen)
    return verdict


def told_apart(seen: dict[str, Verdict]) -> Finding:
    """Return what a check saw of two servers: the claim holds if it fails on the first only."""
    holds = [verdict.outcome for verdict in seen.values()] == [FAILED, HELD]
    last_words = {name: one.seen.splitlines()[-1].strip() for name, one in seen.items()}
    return found(holds, "; ".join(f"{name}: {said}" for name, said in last_words.items()))


def told_by(check: str, named: dict[str, str]) -> Finding:
    """Have a check tell a broken server from one that is right."""
    return told_apart({what: checked(check, catalogue.started(one)) for what, one in named.items()})
