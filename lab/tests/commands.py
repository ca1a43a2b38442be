"""How the lab's commands are run, and those of others."""

import subprocess
import sys
from pathlib import Path

from lab.harness.servers import ROOT

FULL = False
"""Whether pytest was given `--full`."""


def lab(*words: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run a command of the lab to its end; return its status and what it printed."""
    return subprocess.run(
        [sys.executable, str(ROOT / "lab"), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def executable(file: Path, script: str) -> str:
    """Make a program of a shell script; return its path."""
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)
