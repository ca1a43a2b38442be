"""A small event loop: readiness, timers, and a pool of workers for what blocks.

A program registers callbacks and calls `run`. Everything happens on the thread
that runs the loop, except the work handed to `queue_work`; other threads may call
`call_threadsafe` and `stop`, and nothing else.

One turn of the loop, in order:

1. `_run_timers`: callbacks that are due
2. `_poll`: sleep until a socket is ready or a timer is due, then those callbacks
3. `_run_posted`: what other threads have handed in, finished work among it
"""

import bisect
import contextlib
import itertools
import logging
import math
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from step7_event_loop_threadpool.pools import thread_pool

# Seconds. The loop turns once in so long even if nothing happens: so if the byte that was to wake
# it could not be sent, or a signal came just before it fell asleep, that costs a second, no more.
_LONGEST_SLEEP = 1.0

PAUSE = 0.1
"""Seconds until the loop waits again, after the system had no memory for that."""

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

T = TypeVar("T")

log = logging.getLogger("eventloop")


class HasFileno(Protocol):
    """A socket, or a record that knows its socket's descriptor."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


def name_of(callback: Callable[..., object]) -> str:
    """Return a name to log a callback by."""
    while isinstance(callback, partial):
        callback = callback.func
    return str(getattr(callback, "__qualname__", type(callback).__qualname__))


OnReady: TypeAlias = "Callable[[Loop, Any], object]"


class Timer:
    """A callback that is to run at a time, once or repeatedly."""

    def __init__(
        self,
        callback: Callable[[], object],
        repeat: float | None,
        disarm: Callable[["Timer"], object],
    ) -> None:
        self.callback = callback
        self.repeat = repeat
        self.when = (0.0, 0)  # its deadline, and its place among those of the same
        self._disarm = disarm

    def cancel(self) -> None:
        """Do not run (again). May be called at any time, also from the callback."""
        self._disarm(self)


class Loop:
    """An event loop on the best mechanism of the platform (`selectors.DefaultSelector`)."""

    def __init__(
        self,
        make_pool: Callable[[], Executor] = thread_pool,
        clock: Callable[[], float] = time.monotonic,
        slow: float = 0.05,
    ) -> None:
        """`make_pool` makes the executor; callbacks longer than `slow` seconds are logged."""
        self._selector = selectors.DefaultSelector()
        self._watched: dict[HasFileno, tuple[int, OnReady]] = {}
        self._clock = clock
        self._timers: list[tuple[float, int, Timer]] = []  # sorted: the next one is first
        self._order = itertools.count()  # equal deadlines run in the order they were set
        self._slow = slow
        self._make_pool = make_pool
        self._pool = make_pool()
        self._posted: deque[Callable[[], object]] = deque()
        self._running = self._stopping = self._closed = False
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
        Raises OSError or ValueError if the platform's mechanism cannot watch `key`, or if
        its descriptor was another's, who was closed and not forgotten.
        """
        known = self._watched.get(key)
        if known == (interest, callback):
            return
        if known is None:
            try:
                self._selector.register(key, interest, key)
            except FileExistsError:
                self._renew_selector()
                self._selector.register(key, interest, key)
            except KeyError:
                stale = f"descriptor {key.fileno()} was closed while it was watched, not forgotten"
                raise ValueError(stale) from None
        elif known[0] != interest:
            self._selector.modify(key, interest, key)
        self._watched[key] = (interest, callback)

    def forget(self, key: HasFileno) -> None:
        """Watch `key` no more, if it is watched. An event already fetched for it is dropped."""
        if self._watched.pop(key, None):
            with contextlib.suppress(KeyError):  # a change that failed has done so already
                self._selector.unregister(key)

    def watched(self) -> int:
        """Return how many are watched, apart from what the loop itself needs."""
        return len(self._watched) - 1

    def call_later(
        self, delay: float, callback: Callable[[], object], repeat: float | None = None
    ) -> Timer:
        """Call `callback()` in `delay` seconds, and then every `repeat` seconds, if given.

        If the callback raises, the timer is cancelled. The time to the next tick counts
        from when this one ran, so that ticks missed while the loop was held up are not
        made up for. Raises ValueError if `repeat` is not positive, or `delay` is no number.
        """
        if math.isnan(delay) or (repeat is not None and not repeat > 0):
            raise ValueError(f"a timer cannot wait {delay} s and repeat every {repeat} s")
        timer = Timer(callback, repeat, self._disarm)
        self._arm(timer, self._clock() + max(0, delay))
        return timer

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call `callback()` in phase 3, after those posted before it."""
        self._posted.append(callback)

    def queue_work(
        self, work: Callable[[], T], after_work: Callable[["Future[T]"], object]
    ) -> "Future[T]":
        """Run `work()` on a worker of the pool, then `after_work(future)` on the loop's thread.

        The future is finished by then: its `result()` returns what `work` returned
        or raises what it raised (BrokenExecutor if its worker died). `cancel()` on it
        keeps work from starting. Work for a pool of processes has to be picklable.
        Raises what the pool raises if it cannot start a worker; RuntimeError after `close`.
        """
        if self._closed:
            raise RuntimeError("the loop is closed")
        try:
            future = self._pool.submit(work)
        except Exception:  # a worker of it has died, or could not be started: try a new pool
            broken, self._pool = self._pool, self._make_pool()
            broken.shutdown(wait=False)
            future = self._pool.submit(work)
        future.add_done_callback(lambda done: self.call_threadsafe(partial(after_work, done)))
        return future

    def run(self) -> None:
        """Turn until `stop` is called. RuntimeError in a callback: the loop turns already.

        What is no `Exception` (Ctrl-C) leaves through here; `run` again goes on with the rest.
        """
        if self._running:
            raise RuntimeError("the loop runs already")
        self._running, self._stopping = True, False
        try:
            while not self._stopping:
                self._run_timers()
                self._poll()
                self._run_posted()
        finally:
            self._running = False

    def close(self) -> None:
        """Release the sockets and the workers; work that has not started is cancelled."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._selector.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    # What any thread may call

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        """Do what `call_soon` does, from any thread: wake the loop, which may be asleep."""
        self.call_soon(callback)
        try:
            self._wake_sender.send(b"\0")
        except BlockingIOError:
            pass  # full of bytes the loop has not read: it will wake up anyway
        except (OSError, MemoryError):
            log.debug("nobody could be woken for %s", name_of(callback))

    def stop(self) -> None:
        """Have `run` return soon, at the end of a turn."""
        self.call_threadsafe(self._stop)

    # The phases of a turn

    def _run_timers(self) -> None:
        turn = (self._clock(), next(self._order))  # those that are set meanwhile come after it
        while self._timers and self._timers[0] < turn:
            *_, timer = self._timers.pop(0)
            if timer.repeat is not None:
                self._arm(timer, turn[0] + timer.repeat)
            if not self._call(timer.callback):
                timer.cancel()

    def _poll(self) -> None:
        try:
            batch = self._selector.select(self._timeout())
        except (OSError, MemoryError) as error:
            log.warning("cannot wait: %s; trying again", error)
            time.sleep(PAUSE)
            return
        for selected, ready in batch:
            key = selected.data
            interest, callback = self._watched.get(key, (0, None))
            # A callback earlier in this batch may have forgotten it, or changed its interest.
            if callback and ready & interest and not self._call(callback, self, key):
                self.forget(key)

    def _run_posted(self) -> None:
        for _ in range(len(self._posted)):  # what these post waits for the next turn
            self._call(self._posted.popleft())

    # Helpers

    def _timeout(self) -> float:
        """Return how long `_poll` may sleep, in seconds, unless a socket is ready."""
        if self._posted:
            return 0
        if not self._timers:
            return _LONGEST_SLEEP
        return min(max(0, self._timers[0][0] - self._clock()), _LONGEST_SLEEP)

    def _renew_selector(self) -> None:
        """Take a new selector: the kernel would not forget a descriptor when asked to."""
        fresh = selectors.DefaultSelector()
        try:
            for key, (interest, _) in self._watched.items():
                fresh.register(key, interest, key)
        except BaseException:
            fresh.close()
            raise
        stale, self._selector = self._selector, fresh
        stale.close()

    def _arm(self, timer: Timer, due: float) -> None:
        timer.when = (due, next(self._order))
        bisect.insort(self._timers, (*timer.when, timer))

    def _disarm(self, timer: Timer) -> None:
        at = bisect.bisect_left(self._timers, timer.when)
        if self._timers[at : at + 1] == [(*timer.when, timer)]:
            del self._timers[at]

    def _call(self, callback: Callable[..., object], *args: object) -> bool:
        """Call `callback`; if it raises, log that and return False: the loop goes on."""
        start = self._clock()
        try:
            callback(*args)
        except Exception:
            log.exception("%s failed", name_of(callback))
            return False
        finally:
            if (took := self._clock() - start) > self._slow:
                log.warning("%s held everybody up for %.3f s", name_of(callback), took)
        return True

    def _on_wake(self, _: "Loop", receiver: socket.socket) -> None:
        with contextlib.suppress(OSError, MemoryError):  # then it stays ready
            receiver.recv(4096)

    def _stop(self) -> None:
        self._stopping = True
