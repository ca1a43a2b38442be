"""`python -m lab observe`: every call of a server in which it can wait, as it happens.

The server is run as it is, and driven with the real client. Both are recorded: that a
client waits in the backlog can only be seen from there.

  python -m lab observe step5_select -n 3
  python -m lab observe step7_event_loop_threadpool/asyncio_server.py --trace asyncio.json
  python -m lab observe --cmd 'python my_server.py {port}' --out calls.jsonl
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

from lab.observe import run as running
from lab.observe import summary, trace
from lab.show import arguments


def run(args: argparse.Namespace) -> int:
    """Observe one server; return 1 if it answered wrongly."""
    if bool(args.step) == bool(args.cmd):
        raise arguments.Wrong("name a step or a script, or give --cmd")
    recording = running.conversation(args.step or shlex.split(args.cmd), args.n, args.pace)
    print(summary.text(recording))
    if args.out:
        args.out.write_text("".join(json.dumps(line) + "\n" for line in recording.lines))
    if args.trace:
        args.trace.write_text(json.dumps(trace.trace(recording)) + "\n")
    for line in recording.problems:
        print(f"not as it should be: {line}", file=sys.stderr)
    return 1 if recording.problems else 0


def server(text: str) -> list[str]:
    """Parse an argument that is a step, or a script; return the command that runs it."""
    if not text.endswith(".py"):
        return running.step_command(arguments.step(text))
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return [sys.executable, text, "0"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add, file = parser.add_argument, arguments.file
    add("step", metavar="STEP", nargs="?", type=server, help="a step, or a script like one")
    add("--cmd", metavar="COMMAND", help="start the server so; {port} stands for its port")
    arguments.add_clients(parser, 3)
    add("--out", metavar="FILE", type=file, help="write the calls there, as lines of JSON")
    add("--trace", metavar="FILE", type=file, help="write them as trace events, for Perfetto")
