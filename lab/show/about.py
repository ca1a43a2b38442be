"""What figures depend on: the machine, the versions, the day."""

import datetime
import os
import platform
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""Those this process may run on; none where the system does not say."""


def processor() -> str:
    """Return the model of the processor, or only its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def facts() -> dict[str, object]:
    """Return the day and the machine, as they are kept with results."""
    machine = {
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "processor": processor(),
        "cores": f"{len(CORES) or os.cpu_count()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
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
