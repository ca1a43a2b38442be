"""What `observe` and `timeline` are asked: which servers, and who talks to them."""

import argparse
import shlex
import sys

from lab.observe import run as running
from lab.observe.record import Recording
from lab.show import arguments

Named = tuple[str, list[str]]
"""A server's name and its command."""


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that both take."""
    add = parser.add_argument
    add("servers", metavar="STEP", nargs="*", type=server, help="a step, or a script like one")
    add("--cmd", metavar="COMMAND", help="start the server so; {port} stands for its port")
    add("--port", type=arguments.port, default=0, help="its port, if it is always the same")
    add("--stdin", metavar="FILE", type=arguments.existing, help="what it reads (what you type)")
    arguments.add_clients(parser, 3)
    add("--client", metavar="COMMAND", default="", help="talk to it so, at {host} and {port}")
    add(
        "--for",
        metavar="SECONDS",
        dest="seconds",
        type=arguments.seconds,
        default=0.0,
        help="talk to it yourself, for so long; or how long the --client has",
    )
