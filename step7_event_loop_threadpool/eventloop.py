"""A small event loop: readiness, timers, and a pool of threads for work that blocks.

A program registers callbacks and calls `run`. Everything happens on the thread
that runs the loop, except the work handed to `queue_work`; other threads may call
`call_threadsafe` and `stop`, and nothing else.

One turn of the loop, in order:

1. `_run_timers`: callbacks that are due
2. `_poll`: sleep until a socket is ready or a timer is due, then those callbacks
3. `_run_posted`: what other threads have handed in, finished work among it
"""

import contextlib
import heapq
import itertools
import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

T = TypeVar("T")

log = logging.getLogger("eventloop")


class HasFileno(Protocol):
    """A socket, or a record that knows its socket's descriptor."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


OnReady: TypeAlias = "Callable[[Loop, Any], object]"


class Timer:
    """A callback that is to run at a time, once or repeatedly."""

    def __init__(self, callback: Callable[[], object], repeat: float | None) -> None:
        self.callback = callback
        self.repeat = repeat
        self.cancelled = False

    def cancel(self) -> None:
        """Do not run (again). May be called at any time, also from the callback."""
        self.cancelled = True


class Loop:
    """An event loop on the best mechanism of the platform (`selectors.DefaultSelector`)."""

    def __init__(self, pool_size: int = 4, clock: Callable[[], float] = time.monotonic) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: dict[HasFileno, tuple[int, OnReady]] = {}
        self._clock = clock
        self._timers: list[tuple[float, int, Timer]] = []  # a heap: the next one is first
        self._order = itertools.count()  # equal deadlines run in the order they were set
        self._pool = ThreadPoolExecutor(pool_size, thread_name_prefix="worker")
        self._posted: deque[Callable[[], object]] = deque()
        self._stopping = False
        # A thread that posts while the loop sleeps in `select` has to wake it: it
        # sends a byte to a socket that the loop waits for like any other.
        self._wake_receiver, self._wake_sender = socket.socketpair()
        for end in (self._wake_receiver, self._wake_sender):
            end.setblocking(False)
        self.watch(self._wake_receiver, READ, self._on_wake)

    # What a program calls, on the loop's thread

    def watch(self, key: HasFileno, interest: int, callback: OnReady) -> None:
        """Call `callback(loop, key)` whenever `key` is ready for `interest`, READ or WRITE.

        Replaces what `key` was watched for. If the callback raises, `key` is forgotten.
        Raises OSError or ValueError if the platform's mechanism cannot watch `key`.
        """
        known = self._watched.get(key)
        if known == (interest, callback):
            return
        if known is None:
            self._selector.register(key, interest, key)
        elif known[0] != interest:
            self._selector.modify(key, interest, key)
        self._watched[key] = (interest, callback)

    def forget(self, key: HasFileno) -> None:
        """Watch `key` no more. An event that has already been fetched for it is dropped."""
        del self._watched[key]
        self._selector.unregister(key)

    def call_later(
        self, delay: float, callback: Callable[[], object], repeat: float | None = None
    ) -> Timer:
        """Call `callback()` in `delay` seconds, and then every `repeat` seconds, if given.

        If the callback raises, the timer is cancelled. The time to the next tick counts
        from when this one ran, so that ticks missed while the loop was held up are not
        made up for. Raises ValueError if `repeat` is not positive.
        """
        if repeat is not None and repeat <= 0:
            raise ValueError(f"repeat must be positive, not {repeat}")
        timer = Timer(callback, repeat)
        self._arm(timer, self._clock() + delay)
        return timer

    def queue_work(
        self, work: Callable[[], T], after_work: Callable[["Future[T]"], object]
    ) -> "Future[T]":
        """Run `work()` on a thread of the pool, then `after_work(future)` on the loop's.

        The future is finished by then: its `result()` returns what `work` returned
        or raises what it raised. `cancel()` on it keeps work from starting.
        """
        future = self._pool.submit(work)
        future.add_done_callback(lambda done: self.call_threadsafe(partial(after_work, done)))
        return future

    def run(self) -> None:
        """Turn until `stop` is called."""
        self._stopping = False
        while not self._stopping:
            self._run_timers()
            self._poll()
            self._run_posted()

    def close(self) -> None:
        """Release the sockets and the threads; work that has not started is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._selector.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    # What any thread may call

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        """Have the loop call `callback()` soon, after those posted before it."""
        self._posted.append(callback)
        try:
            self._wake_sender.send(b"\0")
        except BlockingIOError:
            pass  # full of bytes the loop has not read: it will wake up anyway
        except OSError:
            log.debug("the loop is closed: %r dropped", callback)

    def stop(self) -> None:
        """Have `run` return soon, at the end of a turn."""
        self.call_threadsafe(self._stop)

    # The phases of a turn

    def _run_timers(self) -> None:
        now = self._clock()
        due = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers)[2])
        for timer in due:  # those that are set meanwhile wait for the next turn
            if timer.cancelled:
                continue
            if timer.repeat is not None:
                self._arm(timer, now + timer.repeat)
            if not self._call(timer.callback):
                timer.cancel()

    def _poll(self) -> None:
        for selected, _ in self._selector.select(self._timeout()):
            key = selected.data
            if key not in self._watched:
                continue  # forgotten by a callback earlier in this batch
            _, callback = self._watched[key]
            if not self._call(callback, self, key) and key in self._watched:
                self.forget(key)

    def _run_posted(self) -> None:
        for _ in range(len(self._posted)):  # what these post waits for the next turn
            self._call(self._posted.popleft())

    # Helpers

    def _timeout(self) -> float | None:
        """Return how long `_poll` may sleep, in seconds; None: until a socket is ready."""
        if self._posted:
            return 0
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0, self._timers[0][0] - self._clock())

    def _arm(self, timer: Timer, due: float) -> None:
        heapq.heappush(self._timers, (due, next(self._order), timer))

    def _call(self, callback: Callable[..., object], *args: object) -> bool:
        """Call `callback`; if it raises, log that and return False: the loop goes on."""
        try:
            callback(*args)
        except Exception:
            log.exception("%r failed", callback)
            return False
        return True

    def _on_wake(self, _: "Loop", receiver: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            receiver.recv(4096)

    def _stop(self) -> None:
        self._stopping = True
