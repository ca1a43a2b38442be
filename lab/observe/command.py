"""`python -m lab observe`: every call of a server in which it can wait, as it happens.

The server is run as it is, and driven with the real client. Both are recorded: that a
client waits in the backlog can only be seen from there.

  python -m lab observe step5_select -n 3
  python -m lab observe step7_event_loop_threadpool/asyncio_server.py --out calls.jsonl
  python -m lab observe --cmd 'python my_server.py {port}'
  python -m lab observe --cmd 'python -m http.server -b 127.0.0.1 {port}' --client 'curl http://{host}:{port}/'
  python -m lab observe --cmd 'python chat.py' --port 9000 --for 60
"""

import argparse
import json
import shlex
import sys

from lab.observe import run as running
from lab.observe import summary
from lab.observe.record import Recording
from lab.show import arguments

Named = tuple[str, list[str]]
"""A server's name and its command."""


def run(args: argparse.Namespace) -> int:
    """Observe servers; return 1 if one answered wrongly."""
    if len(args.servers) + bool(args.cmd) > 1 and args.out:
        raise arguments.Wrong("--out takes one server")
    found = recordings(args)
    for name, recording in found.items():
        print(*[f"{name}:"] * (len(found) > 1), summary.text(recording), sep="\n")
        if args.out:
            args.out.write_text("".join(json.dumps(line) + "\n" for line in recording.lines))
        for line in recording.problems:
            print(f"not as it should be: {line}", file=sys.stderr)
    return 1 if any(recording.problems for recording in found.values()) else 0


def recordings(args: argparse.Namespace) -> dict[str, Recording]:
    """Observe one server after the other; return the recordings by their names."""
    servers: list[Named] = args.servers + ([(args.cmd, shlex.split(args.cmd))] if args.cmd else [])
    if not servers:
        raise arguments.Wrong("name a step or a script, or give --cmd")
    client = shlex.split(args.client)
    found = {}
    for name, command in servers:
        words = command[:-1] if args.port and command[-1] == "0" else command
        found[name] = running.conversation(
            words, args.n, args.pace, client, args.seconds, args.port, args.stdin
        )
    return found


def server(text: str) -> Named:
    """Parse an argument that is a step, or a script; return its name and what runs it."""
    if not text.endswith(".py"):
        step = arguments.step(text)
        return step, running.step_command(step)
    return text, [sys.executable, str(arguments.existing(text)), "0"]


def add_recorded(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `recordings`: which servers, and who talks to them."""
    add = parser.add_argument
    add("servers", metavar="STEP", nargs="*", type=server, help="a step, or a script like one")
    add("--cmd", metavar="COMMAND", help="start the server so; {port} stands for its port")
    add("--port", type=arguments.port, default=0, help="its port, if it is always the same")
    add("--stdin", metavar="FILE", type=arguments.existing, help="what it reads (what you type)")
    arguments.add_clients(parser, 3)
    add("--client", metavar="COMMAND", default="", help="talk to it so, at {host} and {port}")
    lasts = "talk to it yourself, for so long; or how long the --client has"
    add("--for", dest="seconds", metavar="SECONDS", type=arguments.seconds, default=0.0, help=lasts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add_recorded(parser)
    parser.add_argument(
        "--out", metavar="FILE", type=arguments.file, help="write the calls there: lines of JSON"
    )
