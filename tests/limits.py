"""What a step cannot do because of what it is: the one table of it.

The tests assert each entry, so that a step which could after all would be noticed.
The README shows the table.
"""

from lab.servers import STEPS

_ONE_AT_A_TIME = "serves one client at a time"

LIMITS: dict[str, dict[str, str]] = {
    "silence": {
        "step1_sequential": _ONE_AT_A_TIME,
        "step3_blocking": _ONE_AT_A_TIME,
    },
    "stuck_reader": {
        "step1_sequential": _ONE_AT_A_TIME,
        "step3_blocking": _ONE_AT_A_TIME,
    },
    "fifty_at_once": {
        "step1_sequential": _ONE_AT_A_TIME,
        "step3_blocking": _ONE_AT_A_TIME,
    },
    "answers_at_once": {
        "step4_nonblocking_polling": "looks only once an interval",
    },
    "eleven_hundred_at_once": {
        "step1_sequential": _ONE_AT_A_TIME,
        "step3_blocking": _ONE_AT_A_TIME,
        "step5_select": "select ends at descriptor 1023",
    },
}
"""The name of a check, the steps that fail it, and why."""

SERIAL = ("step1_sequential", "step3_blocking")
"""The steps for which N clients take N times as long as one."""

LABELS = {
    "silence": "a silent client holds nobody up",
    "stuck_reader": "a client that never reads holds nobody up",
    "fifty_at_once": "50 clients at once",
    "answers_at_once": "answers the client it serves without delay",
    "eleven_hundred_at_once": "1,100 clients at once",
}


def table() -> str:
    """Return the table as Markdown: a column for each step."""
    rows = ["| | " + " | ".join(step.partition("_")[0][4:] for step in STEPS) + " |"]
    rows.append("|---" * (len(STEPS) + 1) + "|")
    for check, label in LABELS.items():
        cells = ("no" if step in LIMITS[check] else "yes" for step in STEPS)
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(rows)
