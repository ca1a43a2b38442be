"""Become another program, after changing what it inherits: a limit, or open files.

    python lab/harness/launch.py LIMIT TAKEN PROGRAM [ARGUMENT ...]

LIMIT is how many descriptors it may have, and TAKEN the number below which all of
them are open already; 0 leaves either as it is.
"""

import os
import resource
import sys


def main() -> None:
    """Set the limit, open the files, and become the program."""
    limit, taken = int(sys.argv[1]), int(sys.argv[2])
    if limit:
        # The hard limit too: some languages raise the soft one when a program starts.
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    fd = 0
    while fd < taken - 1:
        fd = os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(fd, True)
    try:
        os.execvp(sys.argv[3], sys.argv[3:])
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[3]}: {error.strerror}")


if __name__ == "__main__":
    main()
