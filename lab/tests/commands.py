"""How the lab's commands are run."""

import subprocess
import sys
from pathlib import Path

from lab.harness.servers import ROOT

FULL = False
"""Whether pytest was given `--full`."""


def lab(*words: str, stdin: int | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command of the lab to its end; return its status and what it printed."""
    return python("-m", "lab", *words, stdin=stdin)


def python(
    *words: str, cwd: Path = ROOT, stdin: int | None = None, timeout: float = 50
) -> "subprocess.CompletedProcess[str]":
    """Run Python so, to its end."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
