"""Become another program that cannot do much harm if it is wrong.

    python -I lab/exercises/confined.py PROGRAM [ARGUMENT ...]

It may use the CPU for a minute and write files of 64 MiB, which is what a log without an end comes
to, and a user has a last limit on processes. It finds `common` wherever it is itself. With -I it
is not observed itself, where the program is to be.
"""

import contextlib
import os
import resource
import sys
from pathlib import Path

LIMITS = {
    resource.RLIMIT_CPU: 60,  # should nobody be left who ends it
    resource.RLIMIT_FSIZE: 64 << 20,
    resource.RLIMIT_NPROC: 6000,  # all that the user has, threads too; of root nobody asks it
    resource.RLIMIT_CORE: 0,
}


def main() -> None:
    """Set the limits, and become the program."""
    for which, most in LIMITS.items():
        soft, hard = resource.getrlimit(which)
        if soft == resource.RLIM_INFINITY or soft > most:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(which, (most, hard))
    path = [os.environ.get("PYTHONPATH"), str(Path(__file__).resolve().parents[2])]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    os.environ["PROGRAM_OF_AN_EXERCISE"] = str(os.getpid())  # by which they are found again
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
