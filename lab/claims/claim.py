"""What a claim is, how it is measured, and what comes out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lab.harness import servers
from lab.observe.record import Recording

HOLDS, WITHIN, NOT_HERE = "holds", "holds within limits", "does not hold here"
NOT_MEASURED = "not measured here"


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
    """What an experiment has shown: the verdict, the measurement in words, and its figures.

    `curves` become a picture, a panel each; `recordings`, by title, a timeline.
    """

    verdict: str
    measured: str
    figures: dict[str, float] = field(default_factory=dict)
    curves: tuple[Curves, ...] = ()
    recordings: dict[str, Recording] = field(default_factory=dict)


@dataclass(frozen=True)
class Sizes:
    """How large the experiments are: as the notes have it, or small enough for every day."""

    quick: bool = False

    @property
    def pace(self) -> float:
        """What the client's pauses are scaled by."""
        return 0.1 if self.quick else 1.0

    def pick(self, small: Any, full: Any) -> Any:
        """Return the one or the other."""
        return small if self.quick else full


Measure = Callable[[Sizes], Finding]


@dataclass(frozen=True)
class Claim:
    """A claim of the notes (A1 to G6), or a question from the field (Q1 to Q15).

    `step` is the folder whose page it belongs to.
    """

    key: str
    step: str
    measure: Measure

    @property
    def text(self) -> str:
        """The claim itself: the first paragraph of what the experiment says of itself."""
        return " ".join(str(self.measure.__doc__).split("\n\n")[0].split())


CLAIMS: dict[str, Claim] = {}
"""All of them, by key, in the order in which they are told."""


def claim(key: str, step: int) -> Callable[[Measure], Measure]:
    """Register an experiment under a key, for the page of a step."""

    def register(measure: Measure) -> Measure:
        assert key not in CLAIMS, key
        CLAIMS[key] = Claim(key, servers.STEPS[step - 1], measure)
        return measure

    return register


def found(holds: bool, measured: str, verdict: str = HOLDS, **more: Any) -> Finding:
    """Return a finding with this verdict, or that the claim does not hold here.

    What is given by other names than those of a `Finding`'s fields are its figures.
    """
    known = {name: more.pop(name) for name in ("curves", "recordings") if name in more}
    return Finding(verdict if holds else NOT_HERE, measured, more, **known)


@contextmanager
def started(step: int, *arguments: str) -> Iterator[servers.Server]:
    """Run a step's server, quietly, with patience enough for a thousand clients."""
    with servers.start(servers.STEPS[step - 1], "--quiet", *arguments, patience=20) as server:
        yield server
