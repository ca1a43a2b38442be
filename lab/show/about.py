"""What figures depend on: the machine, the versions, the day."""

import contextlib
import datetime
import os
import platform
import re
import sys
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""Those this process may run on; none where the system does not say."""


def cores() -> int:
    """Return how many cores this process may run on, as far as the system says."""
    return len(CORES) or os.cpu_count() or 1


def processor() -> str:
    """Return the model of the processor, or only its kind."""
    with contextlib.suppress(OSError):
        if found := re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()):
            return found[1]
    return platform.machine()


def has_gil() -> bool:
    """Return whether only one thread at a time runs Python code, in this interpreter."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def facts() -> dict[str, object]:
    """Return the day and the machine, as they are kept with results."""
    build = "" if has_gil() else " without the GIL"
    machine = {
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "processor": processor(),
        "cores": f"{cores()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}{build}",
    }
    return {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "machine": machine}


def line(command: str, found: dict[str, object] | None = None) -> str:
    """Say by which command, on what machine and when something was measured: now, or as kept."""
    kept = found or facts()
    at: dict[str, str] = kept["machine"]  # type: ignore[assignment]
    return (
        f"(`{command}`, on {at['cores']} cores of {at['processor']}, {at['system']},"
        f" {at['python']}, on {kept['date']}.)"
    )
