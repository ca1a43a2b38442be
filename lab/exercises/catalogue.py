"""What each exercise is: its files, and its `exercise.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from lab.harness.servers import ROOT

LEARNER, HERE = ROOT / "exercises", ROOT / "lab" / "exercises"
"""Where the programs to change are, and where all else about them is."""

PROGRAM = "program.py"


@dataclass(frozen=True)
class Exercise:
    """An exercise; `name` is that of its two folders.

    `checks` are names of checks, of `fails` the start fails each and no other. `never` are the
    kinds of what it may not use (see `observed`), `arguments` what the program is started with
    beside its port, and `deadline` the seconds for the check of that name. `gives_up` are checks
    that the step's `minimal.py` holds, and a solution need not, because of what is asked of it.
    """

    name: str
    title: str
    step: str
    checks: tuple[str, ...]
    fails: tuple[str, ...]
    hints: tuple[str, ...]
    hints_ko: tuple[str, ...]
    never: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    gives_up: tuple[str, ...] = ()
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

    def file(self, name: str) -> Path:
        """Return a file of ours: `start.py`, `solution.py`."""
        return HERE / self.name / name

    @property
    def wrong(self) -> list[Path]:
        """Return the wrong solutions."""
        return sorted((HERE / self.name).glob("wrong_*.py"))

    def unchanged(self, program: Path) -> bool:
        """Return whether a program is not there, or as it is at the start."""
        start = self.file("start.py").read_bytes()
        return not program.is_file() or program.read_bytes() == start


def load(file: Path) -> Exercise:
    """Read an `exercise.toml`; TypeError if it says too much or too little."""
    known = tomllib.loads(file.read_text())
    lists = {key: tuple(value) for key, value in known.items() if isinstance(value, list)}
    return Exercise(file.parent.name, **known | lists)


EXERCISES = {
    found.number: found for found in map(load, sorted(HERE.glob("[0-9][0-9]_*/exercise.toml")))
}
"""All of them, in their order, by their numbers."""
