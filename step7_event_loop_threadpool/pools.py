"""The pools that a loop can hand work to: of threads, or of processes."""

import argparse
import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import Executor, Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from concurrent.futures.thread import ThreadPoolExecutor
from typing import Any

SIZE = 4
"""Workers of a pool, unless told otherwise: as many as libuv has."""


def size(text: str) -> int:
    """Parse an argument that is a number of workers, from 1 to 256."""
    value = int(text)
    if not 1 <= value <= 256:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 256")
    return value


def add_size(parser: argparse.ArgumentParser) -> None:
    """Add the argument `--pool-size`."""
    workers = "workers of the pool (%(default)s)"
    parser.add_argument("--pool-size", type=size, default=SIZE, metavar="N", help=workers)


def thread_pool(workers: int = SIZE) -> Executor:
    """Return a pool of threads."""
    return ThreadPoolExecutor(workers, thread_name_prefix="worker")


class ProcessPool(ProcessPoolExecutor):
    """Processes that compute at the same time, as threads cannot (the GIL).

    They are spawned and not forked, so that they have none of the server's sockets, and
    cannot keep its port when it is gone. They end when it does, whatever ended it.
    """

    def __init__(self, workers: int = SIZE) -> None:
        context = multiprocessing.get_context("spawn")
        super().__init__(workers, mp_context=context, initializer=_end_with_parent)
        self._given: set[Future[Any]] = set()
        self._abandoned = False
        threading.excepthook = self._abandon  # no other thread here lets anything through

    def submit(self, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Submit work; a worker that this starts leaves Ctrl-C to the server."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            future = super().submit(*args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._given.add(future)
        future.add_done_callback(self._given.discard)
        if self._abandoned:
            raise BrokenProcessPool("the thread that handed out its work has died")
        return future

    def _abandon(self, args: threading.ExceptHookArgs) -> None:
        """Have all work fail when the thread has died that would have said what came of it."""
        self._abandoned = True
        kill_processes()
        for future in tuple(self._given):
            with contextlib.suppress(InvalidStateError):  # done, or cancelled, at this moment
                future.set_exception(BrokenProcessPool(str(args.exc_value)))


def process_pool(workers: int = SIZE) -> Executor:
    """Return a pool of processes."""
    # A server that just ends leaves its semaphores to another process, the tracker of
    # multiprocessing, which removes them; this keeps it from warning of that.
    sys.warnoptions.append("ignore:resource_tracker")
    pool = ProcessPool(workers)
    with contextlib.suppress(Exception):  # if they cannot, the first job will say so
        for _ in range(workers):
            pool.submit(int)  # so that all start now: to start one holds the loop up
    return pool


def kill_processes() -> None:
    """Kill the workers of all pools, those that are starting too."""
    for process in multiprocessing.active_children():
        process.kill()


def _end_with_parent() -> None:
    """Have this worker end when the server has ended."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # by which a pool ends it
    parent = multiprocessing.parent_process()
    assert parent

    def watch() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
