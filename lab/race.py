"""`python -m lab race`: all servers at once, each with the same clients, side by side.

Start the servers on free ports, drive each with one client and then with N at once, show who
waits, and compare. Ctrl-C ends it and the servers.
"""

import argparse
import asyncio
import contextlib
import sys
import time

import simple_client
from common import descriptors
from lab.harness import processes, servers
from lab.show import arguments
from lab.show.tables import aligned

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

HELP = """
How to read it: a ratio near 1 means that the {clients} were served side by
side, one near {count} that they waited for each other; threads (at their peak) and CPU
(while the {clients} were served) are what the server paid for it."""


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
        server, states = self.server, self.states
        done = await simple_client.run(
            server.host, server.port, count, pace, lambda one: states.update({one.name: one.state})
        )
        self.elapsed.append(time.monotonic() - start)
        self.cpu = processes.cpu_seconds(self.server.pid) - cpu
        self.running = False
        self.problems += [f"{self.step}: {line}" for line in simple_client.problems(done)]

    def line(self) -> str:
        """Draw the lane: a mark for each client."""
        marks = "".join(MARKS[state] for state in self.states.values())
        if len(marks) > WIDEST:
            counts = ((mark, marks.count(mark)) for mark in MARKS.values())
            marks = "  ".join(f"{mark} {count}" for mark, count in counts if count)
        elapsed = "" if self.running else f"{self.elapsed[-1]:.1f} s"
        return f"{self.step:28}{marks:{min(WIDEST, len(self.states))}}  {elapsed}".rstrip()

    def row(self) -> list[str]:
        """Return what was measured, as a row of the table."""
        one, many = self.elapsed[0], self.elapsed[-1]
        measured = [f"{one:.2f} s", f"{many:.2f} s", f"{many / one:.1f}"]
        return [self.step, *measured, f"{self.threads or '?'}", f"{self.cpu:.3f} s"]


async def heat(lanes: list[Lane], count: int, pace: float) -> None:
    """Hold a heat in all lanes, and show it: in place on a terminal, else a line a change."""
    in_place = sys.stdout.isatty()
    print(f"\n{clients(count)} each:")
    start, drawn = time.monotonic(), [""] * len(lanes)
    async with asyncio.TaskGroup() as group:
        heats = [group.create_task(lane.heat(count, pace)) for lane in lanes]
        await asyncio.sleep(0)  # every lane is off
        pending = set(heats)
        while True:
            lines = [lane.line() for lane in lanes]
            if in_place:
                up = f"\x1b[{len(lines)}A" if any(drawn) else ""
                print(up + "".join(f"\x1b[2K{line}\n" for line in lines), end="", flush=True)
            else:
                now = time.monotonic() - start
                for line in (line for line in lines if line not in drawn):
                    print(f"{now:5.1f} s  {line}", flush=True)
            if not pending:
                return
            drawn = lines
            _, pending = await asyncio.wait(heats, timeout=TICK)
            for lane in lanes:
                lane.threads = max(lane.threads, processes.threads(lane.server.pid))


def clients(count: int) -> str:
    """Write how many clients."""
    return "1 client" if count == 1 else f"{count} clients"


def run(args: argparse.Namespace) -> int:
    """Hold the race; return 1 if a reply was wrong."""
    descriptors.raise_limit()  # the clients of all seven are in this process
    with contextlib.ExitStack() as stack:
        lanes = []
        for step in args.steps or servers.STEPS:
            lanes.append(Lane(step, servers.start(step, "--quiet")))
            stack.push(lanes[-1].server)  # to be stopped, whatever happens
        for lane in lanes:
            lane.server.wait_until_ready()
        legend = "   ".join(f"{mark} {state}" for state, mark in MARKS.items())
        print(f"A mark for each client:   {legend}")
        for count in (1, args.n):
            asyncio.run(heat(lanes, count, args.pace))
    heading = ["", "1 client", clients(args.n), "ratio", "threads", "CPU"]
    print(f"\n{aligned([heading, *(lane.row() for lane in lanes)])}")
    print(HELP.format(clients=clients(args.n), count=args.n))
    problems = [line for lane in lanes for line in lane.problems]
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    arguments.add_clients(parser, 5)
    named = "as step5_select, step5 or 5 (all seven)"
    parser.add_argument("steps", metavar="STEP", nargs="*", type=arguments.step, help=named)
