"""`python -m lab live`: a real server in the browser, held before a call if you like.

Its program, what the kernel holds for it, its clients and the time they take. It is run as it is,
under the observer. Several are shown side by side, with the same clients.

  python -m lab live 1
  python -m lab live --lesson 2
  python -m lab live 5/minimal 6/minimal
  python -m lab live --cmd 'python my_server.py {port}'
"""

import argparse
import asyncio
import shlex
import sys
import webbrowser
from urllib.parse import urlencode

from lab.harness.servers import ROOT, STEPS
from lab.live import page, web
from lab.live.app import App, running
from lab.show import arguments

GONE = 3.0
"""Seconds without a browser, after there was one, until all ends: time to load the page again."""


def run(args: argparse.Namespace) -> int:
    """Show it until the browser is closed."""
    programs, first = wanted(args)
    asyncio.run(show(App(programs), first, args))
    return 0


def wanted(args: argparse.Namespace) -> tuple[dict[str, list[str]], list[str]]:
    """Return the programs that may be opened, and those that are to be at first."""
    if args.cmd and args.programs:
        raise arguments.Wrong("name steps, or give --cmd, not both")
    if args.cmd:
        return {args.cmd: shlex.split(args.cmd)}, [args.cmd]
    first = [args.programs] if isinstance(args.programs, str) else args.programs
    return PROGRAMS, first or [f"{STEPS[0]}/minimal"]


async def show(app: App, first: list[str], args: argparse.Namespace) -> None:
    """Serve the page until nobody has it open any more."""
    async with running(app):
        with web.serving(app, args.port) as pages:
            await app.open(first)
            asked = {"token": pages.token, "lang": args.lang, "lesson": args.lesson}
            query = urlencode({name: value for name, value in asked.items() if value})
            address = f"http://127.0.0.1:{pages.server_port}/?{query}"
            print(f"Open this address, if your browser has not: {address}", flush=True)
            if args.browser:
                await asyncio.to_thread(webbrowser.open, address)
            gone = 0.0
            while gone < GONE:
                await asyncio.sleep(0.1)
                gone = gone + 0.1 if pages.came and not pages.readers else 0.0


def program(text: str) -> str:
    """Parse an argument that names a program: a step, its minimal.py (5/minimal), or a script."""
    word = text.removesuffix(".py")
    if word in PROGRAMS:
        return word
    step, _, script = word.partition("/")
    name = "/".join(filter(None, (arguments.step(step), script)))
    if name not in PROGRAMS:
        raise argparse.ArgumentTypeError(f"there is no {text!r}; see --help")
    return name


def programs() -> dict[str, list[str]]:
    """Return the command of each program that can be shown: of each step the idea and the craft."""
    found = {}
    for step in STEPS:
        for path in (ROOT / step / "minimal.py", *sorted((ROOT / step).glob("*server.py"))):
            name = step if path.name == "server.py" else f"{step}/{path.stem}"
            found[name] = [sys.executable, str(path), "0"]
    return found


PROGRAMS = programs()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    named = "a step, its minimal.py (5/minimal), or another server of it; several are side by side"
    add("programs", metavar="STEP", nargs="*", type=program, help=named)
    add("--cmd", metavar="COMMAND", help="start the server so; {port} stands for its port")
    add("--lesson", type=arguments.number(int, 1, len(STEPS)), help="the guided walk of a step")
    add("--lang", choices=page.LANGUAGES, help="what the page is written in at first")
    add("--port", type=arguments.number(int, 0, 65535), default=0, help="the page's port")
    add("--no-browser", dest="browser", action="store_false", help="only print the address")
