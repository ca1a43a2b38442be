"""All of them by name (`no_greeting` for `NoGreeting`), and how one is started."""

import re
import sys
from collections.abc import Callable
from functools import partial

from lab.broken import costs, ending, faults, leaving, many, nasty, prompt, steps, talk, together
from lab.broken.right import Right
from lab.harness.servers import ROOT, Server

RUNGS = (talk, leaving, together, prompt, costs, many, ending, faults, nasty)


def _named(kind: type[Right]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


KINDS: dict[str, type[Right]] = {
    _named(kind): kind
    for rung in RUNGS
    for kind in vars(rung).values()
    if isinstance(kind, type) and issubclass(kind, Right)
}

STEPS = (
    steps.computes,
    steps.computes_briefly,
    steps.own_queues,
    steps.until_eagain,
    steps.once_per_edge,
)

LOOPS = (steps.in_processes, steps.in_threads)
"""These are `2_in_threads` and the like: so many loops."""

SERVERS: dict[str, Callable[[int], object]] = {
    **{name: kind.run for name, kind in KINDS.items()},
    **{step.__name__: step for step in STEPS},
    **{f"{n}_{loops.__name__}": partial(loops, count=n) for loops in LOOPS for n in (1, 2, 4)},
}


def command(name: str) -> list[str]:
    """Return the command that runs it; `{port}` stands for its port."""
    return [sys.executable, str(ROOT / "lab" / "broken"), name, "{port}"]


def started(name: str, patience: float = 10.0) -> Server:
    """Run it in a process of its own, for the block that enters this."""
    return Server(command(name), patience)
