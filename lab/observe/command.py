"""`python -m lab observe`: every call of a server in which it can wait, as it happens.

The server is run as it is, and driven with the real client. Both are recorded: that a
client waits in the backlog can only be seen from there.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

from lab.harness import servers
from lab.observe import run as running
from lab.observe import summary, trace
from lab.observe.record import Recording
from lab.show import arguments

EXAMPLES = """examples:
  python -m lab observe step5_select -n 3
  python -m lab observe step7_event_loop_threadpool/asyncio_server.py --trace asyncio.json
  python -m lab observe --cmd 'python my_server.py {port}' --out calls.jsonl
"""


def run(args: argparse.Namespace) -> int:
    """Observe one server; return 1 if it did not start, or answered wrongly."""
    try:
        recording = running.conversation(*subject(args), args.n, args.pace)
    except (ValueError, running.NotPython) as error:
        print(f"python -m lab observe: {error}", file=sys.stderr)
        return 2
    except servers.ServerError as error:
        print(f"python -m lab observe: {error}", file=sys.stderr)
        return 1
    print(summary.text(recording))
    write(recording, args)
    for line in recording.problems:
        print(f"not as it should be: {line}", file=sys.stderr)
    return 1 if recording.problems else 0


def subject(args: argparse.Namespace) -> tuple[list[str], bool]:
    """Return the command of the server, and whether it has to be told its port."""
    if bool(args.step) == bool(args.cmd):
        raise ValueError("name a step or a script, or give --cmd")
    if args.cmd:
        return shlex.split(args.cmd), "{port}" in args.cmd
    if args.step.endswith(".py"):
        if not Path(args.step).is_file():
            raise ValueError(f"there is no file {args.step}")
        return [sys.executable, args.step, "0"], False
    return running.step_command(servers.named(args.step)), False


def write(recording: Recording, args: argparse.Namespace) -> None:
    """Write the files that were asked for."""
    if args.out:
        lines = "".join(json.dumps(line) + "\n" for line in recording.lines)
        args.out.write_text(lines)
    if args.trace:
        args.trace.write_text(json.dumps(trace.trace(recording)) + "\n")


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command's arguments."""
    parser = commands.add_parser(
        "observe",
        help="every call in which a server can wait",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("step", metavar="STEP", nargs="?", help="a step, or a script that is started like one")
    add("--cmd", metavar="COMMAND", help="start the server so; {port} stands for its port")
    add("-n", type=arguments.positive, default=3, help="clients at once (3)")
    add("--pace", type=arguments.pace, default=1.0, help="scales their pauses (1.0)")
    add(
        "--out", metavar="FILE", type=arguments.file, help="write the calls there, as lines of JSON"
    )
    add(
        "--trace",
        metavar="FILE",
        type=arguments.file,
        help="write them as trace events, for Perfetto",
    )
    parser.set_defaults(run=run)
