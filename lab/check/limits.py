"""What a step cannot do because of what it is: the one table of it.

The tests assert it both ways, so that a step which could after all would be noticed.
"""

from itertools import groupby

from lab.check.suite import Check
from lab.harness.servers import ROOT, SERVER, STEPS
from lab.show.tables import markdown

_ONE_AT_A_TIME = "serves one client at a time"
_SERIAL = dict.fromkeys(("step1_sequential", "step3_blocking"), _ONE_AT_A_TIME)
_POLLING = "step4_nonblocking_polling"
_FD_SETSIZE = {"step5_select": "select ends at descriptor 1023"}

LIMITS: dict[str, dict[str, str]] = {
    "silence": _SERIAL,
    "side_by_side": _SERIAL,
    "stuck_reader": _SERIAL,
    "fair": _SERIAL,
    "latency": {_POLLING: "looks only once an interval"},
    "idle_cpu": {_POLLING: "asks all clients once an interval"},
    "idle_memory": {"step2_thread_per_client": "has a thread for each client"},
    "thousand_idle": _SERIAL,
    "high_listener": _FD_SETSIZE,
    "high_descriptor": _FD_SETSIZE,
    "ten_thousand_idle": _SERIAL
    | {_POLLING: "asks all clients before it accepts the next"}
    | _FD_SETSIZE,
}
"""The name of a check, the steps that fail it, and why."""

_ENDS, _SLEEPS = "a call that fails ends it", "sleeps in `sendall` until one client reads"
_FRAGILE = dict.fromkeys(("connect_and_close", "resets", "churn"), _ENDS)
_ALONE = {check: _ONE_AT_A_TIME for check, steps in LIMITS.items() if steps is _SERIAL}
_LOSES_IT = "a call that fails is the end of the listening socket"

MINIMAL: dict[str, dict[str, str]] = {
    "step1_sequential": _FRAGILE | _ALONE,
    "step2_thread_per_client": {
        "idle_memory": "has a thread for each client",
        "no_descriptors": _ENDS,
    },
    "step3_blocking": _FRAGILE | _ALONE,
    _POLLING: _FRAGILE
    | {
        **dict.fromkeys(("late_reader", "half_close"), "does not look how much `send` took"),
        "latency": "looks only once an interval",
        "idle_cpu": "asks all clients once an interval",
        "no_descriptors": _ENDS,
    },
    "step5_select": _FRAGILE
    | {
        "stuck_reader": _SLEEPS,
        **dict.fromkeys(("high_listener", "high_descriptor"), *_FD_SETSIZE.values()),
        "no_descriptors": _ENDS,
    },
    "step6_epoll_kqueue": _FRAGILE | {"stuck_reader": _SLEEPS, "no_descriptors": _ENDS},
    "step7_event_loop_threadpool": {
        "resets": _LOSES_IT,
        "stuck_reader": _SLEEPS,
        "no_descriptors": _LOSES_IT,
    },
}
"""What the `minimal.py` of each step fails, and why: the way from there to its `server.py`."""

ASKED = {"deadline": "waits for everybody for ever", "drains": "ends at once"}
"""What has to be asked for, and what all of them do instead."""

NOT_MEASURED = {"idle_memory": set(_SERIAL)}
"""The name of a check, and the steps of which it has nothing to measure."""

ARGUMENTS = {_POLLING: ("--interval", "0.05")}
"""What a step is started with to be checked: it is not to be waited for all the time."""


OTHERS = (
    *((path.relative_to(ROOT).as_posix(),) for path in sorted(ROOT.glob("step*/*_server.py"))),
    ("step7_event_loop_threadpool/asyncio_server.py", "--style", "protocol"),
)
"""The servers beside the steps, which have to stand what fails too, and their arguments."""


def declared(step: str, script: str = SERVER) -> dict[str, str]:
    """Return the checks that the step's server, or its `minimal.py`, is to fail, and why."""
    if script == "minimal.py":
        return MINIMAL[step] | ASKED
    return {check: steps[step] for check, steps in LIMITS.items() if step in steps} | ASKED


def down(step: str) -> str:
    """Return what brings the step's `minimal.py` down as Markdown: a row for each check."""
    rows = [[f"`{check}`", why] for check, why in MINIMAL[step].items()]
    return markdown([["check", "what `minimal.py` does"], *rows], "---")


def titles(checks: list[Check], head: str = "- **{}**", row: str = "  - `{}`: {}") -> str:
    """Return a list of the checks, rung by rung; as Markdown, unless it is told otherwise."""
    lines = []
    for rung, those in groupby(checks, key=lambda check: check.rung):
        lines += [head.format(rung), *(row.format(one.name, one.title) for one in those)]
    return "\n".join(lines)


def table(checks: list[Check]) -> str:
    """Return the matrix as Markdown: a row for each check, a column for each step."""
    rows = [["", *(step.partition("_")[0][4:] for step in STEPS)]]
    for check in checks:
        cells = [_cell(check.name, step) for step in STEPS]
        rows.append([f"`{check.name}`: {check.title}", *cells])
    return markdown(rows, "---")


def _cell(check: str, step: str) -> str:
    if step in NOT_MEASURED.get(check, ()):
        return "n/a"
    return "**no**" if step in LIMITS.get(check, ()) else "yes"
