"""`python -m lab race`: all servers at once, each with the same clients, side by side."""

import argparse
import asyncio
import contextlib
import sys
import time

import simple_client
from common import descriptors
from lab.harness import processes, servers
from lab.show import arguments

MARKS = {
    simple_client.WAITING: ".",
    simple_client.TALKING: ">",
    simple_client.DONE: "#",
    simple_client.FAILED: "!",
}
WIDEST = 40
"""A lane with more clients than this shows how many are in each state, not each of them."""

TICK = 0.1
"""Seconds between two looks at the servers."""


class Lane:
    """One server in the race, and what was measured of it."""

    def __init__(self, step: str, server: servers.Server) -> None:
        self.step = step
        self.server = server
        self.states: dict[str, str] = {}  # of each conversation, by its name
        self.elapsed: list[float] = []  # seconds, of each heat that has ended
        self.running = False
        self.threads = 0  # at peak
        self.cpu = 0.0  # seconds, in the last heat
        self.problems: list[str] = []

    async def heat(self, count: int, pace: float) -> None:
        """Hold `count` conversations at once, and measure."""
        self.states = {f"conn{i}": simple_client.WAITING for i in range(count)}
        self.running = True
        start, cpu = time.monotonic(), processes.cpu_seconds(self.server.pid)
        done = await simple_client.run(
            self.server.host, self.server.port, count, pace, on_state=self._enter
        )
        self.elapsed.append(time.monotonic() - start)
        self.cpu = processes.cpu_seconds(self.server.pid) - cpu
        self.running = False
        self.problems += simple_client.problems(done)

    def _enter(self, conversation: simple_client.Conversation) -> None:
        self.states[conversation.name] = conversation.state

    def look(self) -> None:
        """Take note of how many threads the server has now."""
        self.threads = max(self.threads, processes.threads(self.server.pid))

    def line(self) -> str:
        """Draw the lane: a mark for each client."""
        marks = "".join(MARKS[state] for state in self.states.values())
        if len(marks) > WIDEST:
            counts = ((mark, marks.count(mark)) for mark in MARKS.values())
            marks = "  ".join(f"{mark} {count}" for mark, count in counts if count)
        elapsed = "" if self.running else f"{self.elapsed[-1]:.1f} s"
        return f"{self.step:28}{marks:{min(WIDEST, len(self.states))}}  {elapsed}".rstrip()


class Board:
    """The lanes on the screen: drawn over in place on a terminal, else a line a change."""

    def __init__(self, lanes: list[Lane]) -> None:
        self.lanes = lanes
        self.in_place = sys.stdout is not None and sys.stdout.isatty()
        self.drawn: list[str] = []
        self.start = time.monotonic()

    def draw(self) -> None:
        """Show what has changed since the last time."""
        lines = [lane.line() for lane in self.lanes]
        if self.in_place:
            up = f"\x1b[{len(lines)}A" if self.drawn else ""
            print(up + "".join(f"\x1b[2K{line}\n" for line in lines), end="", flush=True)
        else:
            now = time.monotonic() - self.start
            for line, before in zip(lines, self.drawn or [""] * len(lines), strict=True):
                if line != before:
                    print(f"{now:5.1f} s  {line}", flush=True)
        self.drawn = lines


async def _heat(lanes: list[Lane], count: int, pace: float) -> None:
    print(f"\n{_clients(count)} each:")
    async with asyncio.TaskGroup() as group:
        heats = [group.create_task(lane.heat(count, pace)) for lane in lanes]
        await asyncio.sleep(0)  # every lane is off
        board = Board(lanes)
        board.draw()
        while not all(heat.done() for heat in heats):
            await asyncio.wait(heats, timeout=TICK)
            for lane in lanes:
                lane.look()
            board.draw()


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def table(lanes: list[Lane], count: int) -> str:
    """Return the results, a row for each server, and how to read them."""
    rows = [f"{'':28}{'1 client':>9}{_clients(count):>12}{'ratio':>8}{'threads':>9}{'CPU':>9}"]
    for lane in lanes:
        one, many = lane.elapsed[0], lane.elapsed[-1]
        rows.append(
            f"{lane.step:28}{one:7.2f} s{many:10.2f} s{many / one:8.1f}"
            f"{lane.threads or '?':>9}{lane.cpu:7.3f} s"
        )
    rows.append(
        f"\nHow to read it: a ratio near 1 means that the {_clients(count)} were served side by\n"
        f"side, one near {count} that they waited for each other; threads (at their peak) and CPU\n"
        f"(while the {_clients(count)} were served) are what the server paid for it."
    )
    return "\n".join(rows)


def run(args: argparse.Namespace) -> int:
    """Hold the race; return 1 if a reply was wrong or a server failed."""
    try:
        steps = [servers.named(word) for word in args.steps] or list(servers.STEPS)
    except ValueError as error:
        print(f"python -m lab race: {error}", file=sys.stderr)
        return 2
    descriptors.raise_limit()  # the clients of all seven are in this process
    with contextlib.ExitStack() as stack:
        lanes = []
        for step in steps:
            lanes.append(Lane(step, servers.start(step, "--quiet")))
            stack.push(lanes[-1].server)  # to be stopped, whatever happens
        try:
            for lane in lanes:
                lane.server.wait_until_ready()
        except servers.ServerError as error:
            print(f"python -m lab race: {error}", file=sys.stderr)
            return 1
        legend = "   ".join(f"{mark} {state}" for state, mark in MARKS.items())
        print(f"A mark for each client:   {legend}")
        for count in (1, args.n):
            asyncio.run(_heat(lanes, count, args.pace))
        print(f"\n{table(lanes, args.n)}")
        problems = [f"{lane.step}: {line}" for lane in lanes for line in lane.problems]
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this command's arguments."""
    parser = commands.add_parser(
        "race",
        help="all servers at once, each with the same clients",
        description="Start the servers on free ports, drive each with one client and then with"
        " N at once, show who waits, and compare. Ctrl-C ends it and the servers.",
    )
    parser.add_argument("-n", type=arguments.positive, default=5, help="clients of each (5)")
    parser.add_argument(
        "--pace", type=arguments.pace, default=1.0, help="scales the client's pauses (1.0)"
    )
    parser.add_argument("steps", metavar="STEP", nargs="*", help="as step5_select, step5 or 5")
    parser.set_defaults(run=run)
