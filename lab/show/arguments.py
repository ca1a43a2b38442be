"""Arguments of commands, checked before hours of work go into them."""

import argparse
import contextlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lab.harness.servers import STEPS

N = TypeVar("N", int, float)


class Wrong(Exception):  # noqa: N818, the error is the reader's
    """What was asked for makes no sense, or cannot be had here; the message says why."""


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong: the usage is in `--help`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def add_clients(parser: argparse.ArgumentParser, count: int) -> None:
    """Add how many clients there are, `count` unless told otherwise, and their pace."""
    parser.add_argument("-n", type=positive, default=count, help="clients at once (%(default)s)")
    parser.add_argument("--pace", type=pace, default=1.0, help="scales their pauses (1.0)")


def step(text: str) -> str:
    """Parse an argument that names a step: its folder, or how that begins (`step5`, `5`)."""
    word = text.rstrip("/")
    found = [step for step in STEPS if step.startswith((word, f"step{word}"))]
    if len(found) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(STEPS)}")
    return found[0]


def number(kind: type[N], least: float, most: float) -> Callable[[str], N]:
    """Return what parses an argument that is a number in these bounds."""

    def parse(text: str) -> N:
        with contextlib.suppress(ValueError):
            if least <= (value := kind(text)) <= most:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not from {least:g} to {most:g}")

    return parse


port, positive = number(int, 1, 65535), number(int, 1, 100_000)
pace, seconds = number(float, 0, 1000), number(float, 0.01, 3600)


def file(text: str) -> Path:
    """Parse an argument that is a file to be written: its folder has to exist."""
    path = Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no file in a folder that exists")
    return path


def existing(text: str) -> Path:
    """Parse an argument that is a file to be read."""
    if not (path := Path(text)).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def folder(text: str) -> Path:
    """Parse an argument that is a folder to write into."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return path


def want_matplotlib() -> None:
    """Raise Wrong if pictures cannot be drawn here."""
    if not importlib.util.find_spec("matplotlib"):
        raise Wrong("wants matplotlib (pip install '.[lab]')")
