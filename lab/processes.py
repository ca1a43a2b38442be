"""What the operating system says of a process: threads, CPU time, memory, descriptors.

From `/proc` on Linux (proc(5)), from `ps` elsewhere.
"""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

_LINUX = sys.platform == "linux"


def threads(pid: int) -> int:
    """Return how many threads the process has; 0 if it has ended."""
    if _LINUX:
        return int(_status(pid, "Threads") or 0)
    return max(0, len(_ps("-M", "-p", str(pid)).splitlines()) - 1)  # a heading, then a line each


def cpu_seconds(pid: int) -> float:
    """Return the CPU time it has used so far, user and system; 0 if it has ended.

    Elsewhere than on Linux the resolution is a hundredth of a second.
    """
    if _LINUX:
        try:
            # The clock that clock_getcpuclockid(3) gives for a process.
            return time.clock_gettime(~pid << 3 | 2)
        except OSError:
            return 0.0
    total = 0.0
    for part in _ps("-o", "time=", "-p", str(pid)).strip().split(":"):
        total = total * 60 + float(part or 0)
    return total


def resident_bytes(pid: int) -> int:
    """Return how much memory it has resident; 0 if it has ended."""
    if _LINUX:
        return int((_status(pid, "VmRSS") or "0 kB").split()[0]) * 1024
    return int(_ps("-o", "rss=", "-p", str(pid)).strip() or 0) * 1024


def _status(pid: int, name: str) -> str | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":")[1] for line in lines if line.startswith(f"{name}:")), None)


def _ps(*options: str) -> str:
    done = subprocess.run(
        ["ps", *options],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C"},
    )
    return done.stdout


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started and that are still there."""
    if _LINUX:  # where there need be no `ps`
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, parent, *_ = path.read_text().rpartition(")")[2].split()
                if int(parent) == pid and state != "Z":
                    found.append(int(path.parent.name))
        return found
    listed = _ps("-A", "-o", "ppid=", "-o", "pid=", "-o", "comm=")
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [
        int(own)
        for parent, own, name in rows
        if int(parent) == pid and name.rpartition("/")[2] != "ps"
    ]
