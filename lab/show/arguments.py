"""Arguments of the commands, checked before hours of work go into them."""

import argparse
import importlib.util
import sys
from pathlib import Path


def port(text: str) -> int:
    """Parse an argument that is a port number."""
    value = int(text)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 65535")
    return value


def positive(text: str) -> int:
    """Parse an argument that is a number of clients."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def pace(text: str) -> float:
    """Parse an argument that scales the pauses."""
    value = float(text)
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1000")
    return value


def file(text: str) -> Path:
    """Parse an argument that is a file to be written: its folder has to exist."""
    path = Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no file in a folder that exists")
    return path


def folder(text: str) -> Path:
    """Parse an argument that is a folder to write into."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return path


def can_draw(command: str) -> bool:
    """Return whether pictures can be drawn here; if not, say what to install."""
    if importlib.util.find_spec("matplotlib"):
        return True
    print(f"python -m lab {command}: wants matplotlib (pip install '.[lab]')", file=sys.stderr)
    return False
