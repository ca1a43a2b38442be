"""What each exercise is: its files, its `exercise.toml`, and its `wrong.toml`."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.broken.parts import swapped
from lab.harness.servers import ROOT

LEARNER, HERE = ROOT / "exercises", ROOT / "lab" / "exercises"
"""Where the programs to change are, and where all else about them is."""

PROGRAM = "program.py"


@dataclass(frozen=True)
class Wrong:
    """A solution of a kind that people try, and `what` is wrong with it.

    It is the start, or whatever it is made `of`, after `swaps` of texts; the check `found_by`
    rejects it.
    """

    what: str
    found_by: str
    swaps: Sequence[Sequence[str]]
    of: str = "start"


@dataclass(frozen=True)
class Exercise:
    """An exercise; `name` is that of its two folders.

    `checks` are names of checks, of `fails` the start fails each and no other. `never` are the
    kinds of what it may not use (see `observed`), `arguments` what the program is started with
    beside its port, and `deadline` the seconds for the checks of one. `gives_up` are checks
    that the step's `minimal.py` holds, and a solution need not, because of what is asked of it.
    """

    name: str
    title: str
    step: str
    checks: Sequence[str]
    fails: Sequence[str]
    hints: Sequence[str]
    hints_ko: Sequence[str]
    never: Sequence[str] = ()
    arguments: Sequence[str] = ()
    gives_up: Sequence[str] = ()
    deadline: float = 5.0

    @property
    def number(self) -> str:
        """Return its number, of two digits."""
        return self.name[:2]

    @property
    def program(self) -> Path:
        """Return the program that a learner changes."""
        return LEARNER / self.name / PROGRAM

    @property
    def shown(self) -> str:
        """Return its name, from the folder of this repository."""
        return f"exercises/{self.name}/{PROGRAM}"

    @property
    def page(self) -> str:
        """Return the page of its step."""
        return f"{self.step}/README.md"

    def file(self, name: str) -> Path:
        """Return a file of ours: `start.py`, `solution.py`."""
        return HERE / self.name / name

    @property
    def wrong(self) -> dict[str, Wrong]:
        """Return the wrong solutions, by their names."""
        known = tomllib.loads(self.file("wrong.toml").read_text())
        return {name: Wrong(**each) for name, each in known.items()}

    def text(self, wrong: Wrong) -> str:
        """Return the program that a wrong solution is."""
        return swapped(self.file(f"{wrong.of}.py").read_text(), wrong.swaps)

    def unchanged(self, program: Path) -> bool:
        """Return whether a program is not there, or as it is at the start."""
        start = self.file("start.py").read_bytes()
        return not program.is_file() or program.read_bytes() == start


def load(file: Path) -> Exercise:
    """Read an `exercise.toml`; TypeError if it says too much or too little."""
    return Exercise(file.parent.name, **tomllib.loads(file.read_text()))


EXERCISES = {
    found.number: found for found in map(load, sorted(HERE.glob("[0-9][0-9]_*/exercise.toml")))
}
"""All of them, in their order, by their numbers."""
