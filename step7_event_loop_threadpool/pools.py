"""The pools that a loop can hand work to: of threads, or of processes."""

import argparse
import os
import signal
import threading
from concurrent.futures import Executor, ThreadPoolExecutor

SIZE = 4
"""Workers of a pool, unless told otherwise: as many as libuv has."""


def size(text: str) -> int:
    """Parse an argument that is a number of workers, from 1 to 256."""
    value = int(text)
    if not 1 <= value <= 256:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 256")
    return value


def thread_pool(workers: int = SIZE) -> Executor:
    """Return a pool of threads."""
    return ThreadPoolExecutor(workers, thread_name_prefix="worker")


def process_pool(workers: int = SIZE) -> Executor:
    """Return a pool of processes: they compute at the same time, as threads cannot (the GIL).

    They are spawned and not forked, so that they have none of the server's sockets, and
    cannot keep its port when it is gone. They end when it does, whatever ended it.
    """
    # Imported here, since it takes a while, and most servers need no processes.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Have this worker leave Ctrl-C to the server, and end when that has ended."""
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent

    def watch() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
