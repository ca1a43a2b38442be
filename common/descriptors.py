"""The limit on open descriptors, and so on connections; and the first three of them."""

import contextlib
import os
import resource

_OPEN_MAX = 10240
"""What macOS grants where it says that there is no limit."""


def raise_limit() -> tuple[int, int]:
    """Allow this process as many descriptors as it may have without asking anybody.

    Many systems start programs with a soft limit of 1024, or even 256. Returns the soft
    limit before and after (getrlimit(2)).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_MAX if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft, soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # a sandbox, or macOS, which has a lower limit of its own
        return soft, soft
    return soft, wanted


def take_the_first() -> None:
    """Open those of 0, 1 and 2 that a program was started without.

    The next file or socket would have that number, and get what is printed or logged.
    """
    with contextlib.suppress(OSError):
        while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(fd)
