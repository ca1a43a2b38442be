"""How the lab's commands are run."""

import subprocess
import sys

from lab.harness.servers import ROOT

FULL = False
"""Whether pytest was given `--full`."""


def lab(*words: str, stdin: int | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command of the lab to its end; return its status and what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "lab", *words],
        cwd=ROOT,
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
