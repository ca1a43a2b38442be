"""How tests run programs of ours, also with something replaced in them."""

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from lab.harness.servers import ROOT

ANYWHERE = ["sh", "-c", 'cd /; exec "$@"', "sh"]
"""Before a command, which is run in another folder then."""


def command(line: str, *more: str, python: Iterable[str] = ()) -> list[str]:
    """Return the command that runs a script: `line` is its path from the root, and arguments."""
    script, *arguments = line.split()
    return [sys.executable, *python, str(ROOT / script), *arguments, *more]


def program(code: str) -> list[str]:
    """Return the command that runs some code, which may import what is ours."""
    return [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}"]


def patched(patch: str, line: str, *more: str) -> list[str]:
    """Return the command that runs a script after `patch`, which replaces something."""
    rest = "import runpy\ndel sys.argv[0]\nrunpy.run_path(sys.argv[0], run_name='__main__')"
    return [*program(f"{patch}\n{rest}"), *command(line, *more)[1:]]


def run(*words: str, timeout: float = 50, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command that is expected to end by itself; `more` is for `subprocess.run`."""
    return subprocess.run(
        words, capture_output=True, text=True, timeout=timeout, check=False, **more
    )


@contextlib.contextmanager
def started(*words: str, **more: Any) -> "Iterator[subprocess.Popen[str]]":
    """Run a command that ends in the block; kill it if it does not. `more` is for `Popen`."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, text=True, **(pipes | more)) as process:
        try:
            yield process
        finally:
            process.kill()


def complaint(status: int, *words: str) -> str:
    """Run a command that fails as one should; return the one line that it writes, on stderr."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr
