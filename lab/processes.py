"""What the operating system says of a process: threads, CPU time, memory, descriptors.

From `/proc` on Linux (proc(5)), from `ps` elsewhere.
"""

import os
import subprocess
import sys
from pathlib import Path

_LINUX = sys.platform == "linux"


def threads(pid: int) -> int:
    """Return how many threads the process has; 0 if it has ended."""
    if _LINUX:
        return int(_status(pid, "Threads") or 0)
    return max(0, len(_ps(pid, "-M").splitlines()) - 1)  # a heading, then a line each


def cpu_seconds(pid: int) -> float:
    """Return the CPU time it has used, user and system; 0 if it has ended.

    The resolution is a hundredth of a second.
    """
    if _LINUX:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return 0.0
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    total = 0.0
    for part in _ps(pid, "-o", "time=").strip().split(":"):
        total = total * 60 + float(part or 0)
    return total


def resident_bytes(pid: int) -> int:
    """Return how much memory it has resident; 0 if it has ended."""
    if _LINUX:
        return int((_status(pid, "VmRSS") or "0 kB").split()[0]) * 1024
    return int(_ps(pid, "-o", "rss=").strip() or 0) * 1024


def _status(pid: int, name: str) -> str | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":")[1] for line in lines if line.startswith(f"{name}:")), None)


def _ps(pid: int, *options: str) -> str:
    command = ["ps", *options, "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
