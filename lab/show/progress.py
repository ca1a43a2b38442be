"""How far a command is, where somebody watches it."""

import sys


def progress(line: str = "") -> None:
    """Write over the last line of a terminal; nothing is written anywhere else."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line[:78]}", end="", file=sys.stderr, flush=True)
