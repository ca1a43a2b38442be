"""What the page of each step says of its costs: a sentence, with figures of the bench in it."""

import re
import textwrap
from collections.abc import Callable

from lab.bench import contestants as c

NAMES = {
    "step1": c.SEQUENTIAL,
    "step2": c.THREADS,
    "step3": c.BLOCKING,
    "step7": c.LOOP,
    "uvloop": c.UV_PROTOCOL,
    "asyncio": c.PROTOCOL,
}

SENTENCES = {
    "step1": """
        For its one client a request of 64 bytes takes {1[step1]} times the CPU time that it takes
        in step 6. Its price is the time of whoever comes second.""",
    "step2": """
        With 50 clients that talk, a request takes {50[step2]} times the CPU time that it takes in
        step 6, where one thread serves them all.""",
    "step3": """
        It looks at two clocks before and after every call, also with `--quiet`: beside step 6 a
        request of one client takes {1[step3]} times the CPU time, where step 1 takes
        {1[step1]}.""",
    "step6": """
        With 50 clients that talk, uvloop, whose loop is written in C, takes {50[uvloop]} times the
        CPU time of this step for a request, and asyncio {50[asyncio]} times, once a first
        generation of clients has come and gone
        ([why that matters](../docs/benchmarks.md#cold-and-warm)).""",
    "step7": """
        A request takes {50[step7]} times the CPU time that it takes in step 6, whose loop has no
        timers and no pool; in uvloop it takes {50[uvloop]} times as much, and in asyncio
        {50[asyncio]}.""",
}


def written(name: str, find: Callable[[str, int], float]) -> str:
    """Return a sentence with its figures; `find(who, clients)` gives the ratio to step 6."""

    def figure(match: re.Match[str]) -> str:
        return f"{find(NAMES[match[2]].name, int(match[1])):.2f}"

    said = re.sub(r"\{(\d+)\[(\w+)\]\}", figure, " ".join(SENTENCES[name].split()))
    return textwrap.fill(said, 98, break_on_hyphens=False)
