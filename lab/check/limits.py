"""What a step cannot do because of what it is: the one table of it.

The tests assert it both ways, so that a step which could after all would be noticed.
"""

from lab.check.suite import Check
from lab.harness.servers import ROOT, STEPS
from lab.show.tables import markdown

_ONE_AT_A_TIME = "serves one client at a time"
_SERIAL = dict.fromkeys(("step1_sequential", "step3_blocking"), _ONE_AT_A_TIME)
_POLLING = "step4_nonblocking_polling"

LIMITS: dict[str, dict[str, str]] = {
    "silence": _SERIAL,
    "side_by_side": _SERIAL,
    "stuck_reader": _SERIAL,
    "latency": {_POLLING: "looks only once an interval"},
    "idle_cpu": {_POLLING: "asks all clients once an interval"},
    "idle_memory": {"step2_thread_per_client": "has a thread for each client"},
    "thousand_idle": _SERIAL,
    "high_descriptor": {"step5_select": "select ends at descriptor 1023"},
    "ten_thousand_idle": _SERIAL
    | {
        _POLLING: "asks all clients before it accepts the next",
        "step5_select": "select ends at descriptor 1023",
    },
}
"""The name of a check, the steps that fail it, and why."""

NOT_MEASURED = {"idle_memory": set(_SERIAL)}
"""The name of a check, and the steps of which it has nothing to measure."""

ARGUMENTS = {_POLLING: ("--interval", "0.05")}
"""What a step is started with to be checked: it is not to be waited for all the time."""


OTHERS = (
    *((path.relative_to(ROOT).as_posix(),) for path in sorted(ROOT.glob("step*/*_server.py"))),
    ("step7_event_loop_threadpool/asyncio_server.py", "--style", "protocol"),
)
"""The servers beside the steps, which have to stand what fails too, and their arguments."""


def declared(step: str) -> dict[str, str]:
    """Return the checks that the step is to fail, and why."""
    return {check: steps[step] for check, steps in LIMITS.items() if step in steps}


def titles(checks: list[Check]) -> str:
    """Return a list of the checks as Markdown, rung by rung."""
    lines, rung = [], ""
    for check in checks:
        if check.rung != rung:
            rung = check.rung
            lines.append(f"- **{rung}**")
        lines.append(f"  - `{check.name}`: {check.title}")
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
