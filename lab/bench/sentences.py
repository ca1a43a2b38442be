"""What the page of each step says of its costs: a sentence, with figures of the bench in it."""

import textwrap
from collections.abc import Callable

from lab.bench import contestants as c

Find = Callable[[str, str, int, str], float]

NAMES = {
    "step1": c.SEQUENTIAL,
    "step2": c.THREADS,
    "step3": c.BLOCKING,
    "step5": c.SELECT,
    "step6": c.EPOLL,
    "step7": c.LOOP,
    "uvloop": c.UV_PROTOCOL,
    "asyncio": c.PROTOCOL,
}

SENTENCES = {
    "step1": """
        For its one client a request of 64 bytes takes {one[step1]} of the server's CPU time
        ({one[step6]} in step 6). Its price is the time of whoever comes second.""",
    "step2": """
        With 50 clients that talk, a request takes {fifty[step2]} of CPU time; in step 6, where one
        thread serves them all, {fifty[step6]}.""",
    "step3": """
        It looks at two clocks before and after every call, also with `--quiet`: a request of one
        client takes {one[step3]} of CPU time, in step 1 {one[step1]}.""",
    "step5": """
        With 50 clients that talk, a request takes {idle0[step5]} of CPU time. With 900 more that
        say nothing it takes {idle900[step5]}: all 950 are handed to the kernel at every call. In
        step 6 it is {idle900[step6]}.""",
    "step6": """
        With 50 clients that talk, a request takes {idle0[step6]} of CPU time, and with 9,000 more
        that say nothing {idle9000[step6]}. For the same request uvloop, whose loop is written in
        C, takes {fifty[uvloop]}, and asyncio {fifty[asyncio]}, once a first generation of clients
        has come and gone ([why that matters](../docs/benchmarks.md#cold-and-warm)).""",
    "step7": """
        A request takes {fifty[step7]} of CPU time, where the loop of step 6, which has no timers
        and no pool, takes {fifty[step6]}, uvloop {fifty[uvloop]} and asyncio {fifty[asyncio]}.
        Beside 9,000 clients that say nothing it takes {idle9000[step7]}.""",
}


def micro(seconds: float) -> str:
    """Write seconds in microseconds."""
    return f"{seconds * 1e6:,.1f} us"


class Said:
    """CPU time for an answer at some work, by the name of whose it is."""

    def __init__(self, find: Find, workload: str, point: int) -> None:
        self.find, self.workload, self.point = find, workload, point

    def __getitem__(self, name: str) -> str:
        return micro(self.find(NAMES[name].name, self.workload, self.point, "cpu"))


def written(name: str, find: Find) -> str:
    """Return a sentence with its figures; KeyError if one was not measured.

    `find(contestant, workload, point, figure)` returns a figure.
    """
    said = SENTENCES[name].format(
        one=Said(find, "requests", 1),
        fifty=Said(find, "requests", 50),
        **{f"idle{point}": Said(find, "idle", point) for point in (0, 900, 9000)},
    )
    return textwrap.fill(" ".join(said.split()), 98, break_on_hyphens=False)
