"""Become another program, after changing what it inherits: a limit, or open files.

    python lab/harness/launch.py LIMIT TAKEN FREE PROGRAM [ARGUMENT ...]

LIMIT is how many descriptors it may have, and TAKEN the number below which all of
them are open already, but for those from 3 to below FREE; 0 leaves either as it is.
"""

import os
import resource
import sys


def main() -> None:
    """Set the limit, open the files, and become the program."""
    limit, taken, free = map(int, sys.argv[1:4])
    if limit:
        # The hard limit too: some languages raise the soft one when a program starts.
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    fd = 0
    while fd < taken - 1:
        fd = os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(fd, fd >= free)  # the others are closed when the program begins
    try:
        os.execvp(sys.argv[4], sys.argv[4:])
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[4]}: {error.strerror}")


if __name__ == "__main__":
    main()
