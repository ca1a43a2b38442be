"""What every peer does around its library: take the port, say where it serves, end quietly."""

import os
import signal
import sys

from common import descriptors

HOST = "127.0.0.1"


def port() -> int:
    """Return the port to listen on, the only argument; also allow as many clients as may be.

    From now on SIGTERM and SIGINT end the process at once with status 0.
    """
    descriptors.raise_limit()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    return int(sys.argv[1])


def serving(port: int) -> None:
    """Say that it listens, as all servers here do."""
    print(f"Serving on {HOST}:{port}", flush=True)
