"""`python -m lab COMMAND`: the lab's commands."""

import argparse
import errno
import importlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

if not __package__:  # `python path/to/lab COMMAND`, from anywhere
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common import descriptors
from lab.harness.servers import ServerError
from lab.show.arguments import Parser, Wrong

COMMANDS = {
    "race": "lab.race",
    "check": "lab.check.command",
    "observe": "lab.observe.command",
    "timeline": "lab.observe.timeline",
    "live": "lab.live.command",
    "replay": "lab.live.replay",
    "claims": "lab.claims.command",
    "bench": "lab.bench.command",
    "fleet": "lab.fleet.command",
    "exercise": "lab.exercises.command",
    "grade": "lab.exercises.grade",
    "pages": "lab.pages.command",
}
"""Each has a docstring that says what it does, `add_arguments(parser)` and `run(arguments)`."""


UNWRITTEN = (errno.EPIPE, errno.ENOSPC, errno.EIO)
"""Why output is not written: nobody reads on, as after `| head`; there is no room, no terminal."""


def parser(asked: str = "") -> argparse.ArgumentParser:
    """Return the parser of the command that is asked for, or of all; no other is imported."""
    found: argparse.ArgumentParser = Parser(prog="python -m lab", description=__doc__)
    commands = found.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name in [asked] if asked in COMMANDS else COMMANDS:
        command: Any = importlib.import_module(COMMANDS[name])
        what = str(command.__doc__).partition("\n")[0].partition(": ")[2].rstrip(".")
        its = commands.add_parser(name, help=what, description=command.__doc__)
        command.add_arguments(its)
        its.set_defaults(run=command.run)
    return found


def as_ctrl_c(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C would do now: within `asyncio.run` that is to cancel the task."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


def main() -> int:
    """Run the command that was asked for; return its status."""
    descriptors.take_the_first()
    sys.stdout = sys.stdout or os.fdopen(1, "w")  # None, if it was closed
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    args = parser(*sys.argv[1:2]).parse_args()
    # So that the servers a command has started end with it, whatever ends it.
    signal.signal(signal.SIGTERM, as_ctrl_c)
    status = 1
    try:
        done = int(args.run(args))
        print(end="", flush=True)  # what cannot be written is to be told of here
        status = done
    except* (Wrong, ServerError) as group:
        for error in group.exceptions:
            print(f"python -m lab {args.command}: {error}", file=sys.stderr)
            status = 2 if isinstance(error, Wrong) else 1
    except* KeyboardInterrupt:
        status = 130
    except* OSError as failed:
        for one in failed.exceptions:
            if not isinstance(one, OSError) or one.errno not in UNWRITTEN:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python tries once more at the end
            if one.errno != errno.EPIPE:
                print(f"python -m lab {args.command}: {one.strerror}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
