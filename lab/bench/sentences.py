"""What the page of each step says of its costs: a sentence, with figures of the bench in it."""

import re
import textwrap
from collections.abc import Callable

from lab.bench import contestants as c

NAMES = {
    "step1": c.SEQUENTIAL,
    "step2": c.THREADS,
    "step3": c.BLOCKING,
    "step6": c.EPOLL,
    "step7": c.LOOP,
    "uvloop": c.UV_PROTOCOL,
    "asyncio": c.PROTOCOL,
}

SENTENCES = {
    "step1": """
        For its one client a request of 64 bytes takes {1[step1]} of the server's CPU time
        ({1[step6]} in step 6). Its price is the time of whoever comes second.""",
    "step2": """
        With 50 clients that talk, a request takes {50[step2]} of CPU time; in step 6, where one
        thread serves them all, {50[step6]}.""",
    "step3": """
        It looks at two clocks before and after every call, also with `--quiet`: a request of one
        client takes {1[step3]} of CPU time, in step 1 {1[step1]}.""",
    "step6": """
        With 50 clients that talk, a request takes {50[step6]} of CPU time. In uvloop, whose loop is
        written in C, it takes {50[uvloop]}, and in asyncio {50[asyncio]}, once a first generation
        of clients has come and gone
        ([why that matters](../docs/benchmarks.md#cold-and-warm)).""",
    "step7": """
        A request takes {50[step7]} of CPU time, where the loop of step 6, which has no timers and
        no pool, takes {50[step6]}, uvloop {50[uvloop]} and asyncio {50[asyncio]}.""",
}


def micro(seconds: float) -> str:
    """Write seconds in microseconds."""
    return f"{seconds * 1e6:,.1f} us"


def written(name: str, find: Callable[[str, int], float]) -> str:
    """Return a sentence with its figures; `find(who, clients)` gives the CPU time of a request."""

    def figure(match: re.Match[str]) -> str:
        return micro(find(NAMES[match[2]].name, int(match[1])))

    said = re.sub(r"\{(\d+)\[(\w+)\]\}", figure, " ".join(SENTENCES[name].split()))
    return textwrap.fill(said, 98, break_on_hyphens=False)
