"""How the lab's commands are run, and those of others."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.harness.servers import ROOT
from tests.programs import run

FULL = False
"""Whether pytest was given `--full`."""


def lab(*words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command of the lab to its end; return its status and what it printed."""
    return python(str(ROOT / "lab"), *words, **more)


def python(
    *words: str, cwd: Path = ROOT, stdin: int | None = None, timeout: float = 50
) -> "subprocess.CompletedProcess[str]":
    """Run Python so, to its end."""
    return run(sys.executable, *words, cwd=cwd, stdin=stdin, timeout=timeout)


def executable(file: Path, script: str) -> str:
    """Make a program of a shell script; return its path."""
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)
