"""Files, the libuv way: the system has only blocking calls for them, so they go to the pool.

Each function returns at once. The call is made by a worker, and the callback is called on
the loop's thread, with a finished future: its `result()` returns what the call returned,
or raises its OSError.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from step7_event_loop_threadpool.eventloop import Loop

CHUNK = 64 * 1024
"""Bytes of a file that are in memory at once."""


def open_file(loop: Loop, path: str, callback: Callable[["Future[int]"], object]) -> None:
    """Open a file to be read; the result is its descriptor (open(2))."""
    loop.queue_work(partial(os.open, path, os.O_RDONLY), callback)


def stat(loop: Loop, path: str, callback: Callable[["Future[os.stat_result]"], object]) -> None:
    """Look a file up; the result is what `os.stat` returns (stat(2))."""
    loop.queue_work(partial(os.stat, path), callback)


def read_file(
    loop: Loop,
    path: str | Callable[[], int],
    callback: Callable[["Reader", "Future[bytes]"], object],
) -> "Reader":
    """Read a file, chunk by chunk: `callback(reader, done)` is called with each.

    The chunk is `done.result()`, and b"" at the end. The next one is read when
    `reader.next()` is called, so that no more than one is in memory; `reader.close()` has
    to be called in the end, or before. `path` may also be a function that opens the file
    and returns its descriptor; it too is called in the pool.
    """
    open_it = partial(os.open, path, os.O_RDONLY) if isinstance(path, str) else path
    return Reader(loop, open_it, callback)


class Reader:
    """A file that is being read; see `read_file`."""

    def __init__(
        self,
        loop: Loop,
        open_it: Callable[[], int],
        callback: Callable[["Reader", "Future[bytes]"], object],
    ) -> None:
        self._loop = loop
        self.callback = callback
        self._fd: int | None = None
        self._working = True  # a worker has the file
        self._closed = False
        loop.queue_work(open_it, self._opened)

    def next(self) -> None:
        """Have the next chunk read."""
        assert self._fd is not None
        self._working = True
        self._loop.queue_work(partial(os.read, self._fd, CHUNK), self._have_read)

    def close(self) -> None:
        """Close the file, as soon as no worker has it; no callback comes any more."""
        self._closed = True
        if self._fd is not None and not self._working:
            self._loop.queue_work(partial(os.close, self._fd), lambda done: done.result())
            self._fd = None

    def _opened(self, done: "Future[int]") -> None:
        self._working = False
        if error := done.exception():
            if not self._closed:
                failed: Future[bytes] = Future()
                failed.set_exception(error)
                self.callback(self, failed)
            return
        self._fd = done.result()
        if self._closed:
            self.close()
        else:
            self.next()

    def _have_read(self, done: "Future[bytes]") -> None:
        self._working = False
        if self._closed:
            self.close()
        else:
            self.callback(self, done)
