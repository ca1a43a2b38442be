"""The event loop of step 7: its phases, timers, pool, and being woken from other threads."""

import contextlib
import errno
import gc
import itertools
import logging
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias, TypeVar
from unittest.mock import DEFAULT, Mock

import pytest

from step7_event_loop_threadpool.eventloop import READ, WRITE, Loop

Pair: TypeAlias = tuple[socket.socket, socket.socket]
Notes: TypeAlias = list[Any]

T = TypeVar("T")


class Timed(Loop):
    """A loop whose clock stands still until it is moved."""

    now = 100.0

    def __init__(self) -> None:
        super().__init__(clock=lambda: self.now)

    def later(self, seconds: float) -> None:
        """Let so much time pass, and turn once."""
        self.now += seconds
        turn(self)


@pytest.fixture
def loop() -> Iterator[Loop]:
    with contextlib.closing(Loop()) as made:
        yield made
    for thread in threading.enumerate():
        if thread.name.startswith("worker"):
            thread.join()


@pytest.fixture
def timed() -> Iterator[Timed]:
    with contextlib.closing(Timed()) as made:
        yield made


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    """Two pairs of sockets; one that is added is closed, too."""
    made = [socket.socketpair() for _ in range(2)]
    yield made
    for sock in itertools.chain(*made):
        sock.close()


@pytest.fixture
def pair(pairs: list[Pair]) -> Pair:
    return pairs[0]


@pytest.fixture
def called() -> Notes:
    """What the callbacks of a test have noted."""
    return []


def turn(loop: Loop) -> None:
    """Have the loop turn once."""
    loop.stop()
    loop.run()


def run(loop: Loop) -> None:
    """Have the loop run until it is stopped; a test that does not stop it fails."""
    late: list[bool] = []

    def give_up() -> None:
        late.append(True)
        loop.stop()

    timer = loop.call_later(10, give_up)
    loop.run()
    timer.cancel()
    assert not late, "nobody stopped the loop"


def finished(loop: Loop, work: Callable[[], T]) -> "Future[T]":
    """Have some work done; return what `after_work` is given."""
    given: list[Future[T]] = []

    def after_work(future: "Future[T]") -> None:
        given.append(future)
        loop.stop()

    loop.queue_work(work, after_work)
    run(loop)
    return given[0]


# Readiness


def test_a_callback_is_called_with_loop_and_key(loop: Loop, pair: Pair, called: Notes) -> None:
    loop.watch(pair[0], READ, lambda *args: called.append(args))
    turn(loop)
    assert called == []
    pair[1].send(b"x")
    turn(loop)
    assert called == [(loop, pair[0])]


def test_it_says_how_many_are_watched(loop: Loop, pair: Pair) -> None:
    assert loop.watched() == 0
    loop.watch(pair[0], READ, lambda *_: None)
    loop.watch(pair[0], WRITE, lambda *_: None)
    assert loop.watched() == 1
    loop.forget(pair[0])
    assert loop.watched() == 0


def test_watch_replaces_interest_and_callback(loop: Loop, pair: Pair, called: Notes) -> None:
    pair[1].send(b"x")
    loop.watch(pair[0], WRITE, lambda *_: called.append("first"))
    loop.watch(pair[0], WRITE, lambda *_: called.append("second"))
    turn(loop)
    loop.watch(pair[0], READ, lambda *_: called.append("third"))
    turn(loop)
    assert called == ["second", "third"]


def test_what_is_forgotten_in_a_batch_is_not_called(
    loop: Loop, pairs: list[Pair], called: Notes
) -> None:
    """Of two that are ready in one turn, the first callback forgets the other."""

    def forget_the_other(loop: Loop, key: socket.socket) -> None:
        called.append(key)
        for one, _ in pairs:
            if one is not key:
                loop.forget(one)

    for one, other in pairs:
        loop.watch(one, READ, forget_the_other)
        other.send(b"x")
    turn(loop)
    assert len(called) == 1


@pytest.mark.in_turn  # no other thread is to get that number
def test_an_event_for_a_reused_descriptor_hits_nobody(
    loop: Loop, pairs: list[Pair], called: Notes
) -> None:
    """The same, and a new socket has been given the descriptor meanwhile."""

    def replace_the_other(loop: Loop, key: socket.socket) -> None:
        called.append("ready")
        (victim,) = (one for one, _ in pairs if one is not key)
        number = victim.fileno()
        loop.forget(victim)
        victim.close()
        new, _ = fresh = socket.socketpair()
        pairs.append(fresh)
        assert new.fileno() == number
        loop.watch(new, READ, lambda *_: called.append("nobody sent it anything"))

    for one, other in list(pairs):
        loop.watch(one, READ, replace_the_other)
        other.send(b"x")
    turn(loop)
    assert called == ["ready"]


def test_what_cannot_be_watched_is_refused(loop: Loop) -> None:
    closed = socket.socket()
    closed.close()
    with pytest.raises(ValueError, match="Invalid file"):
        loop.watch(closed, READ, lambda *_: None)


def test_a_callback_that_raises_ends_its_socket_only(
    loop: Loop, pair: Pair, caplog: pytest.LogCaptureFixture, called: Notes
) -> None:
    def fail(*_: object) -> None:
        called.append("failed")
        raise RuntimeError("a bug")

    loop.watch(pair[0], WRITE, fail)
    loop.watch(pair[1], WRITE, lambda *_: called.append("other"))
    turn(loop)
    turn(loop)
    assert sorted(called) == ["failed", "other", "other"]
    assert "a bug" in caplog.text


# Timers


def test_timers_run_in_the_order_of_their_deadlines(timed: Timed, called: Notes) -> None:
    for name, delay in (("c", 2), ("a", 1), ("d", 2), ("b", 1), ("later", 9)):
        timed.call_later(delay, partial(called.append, name))
    turn(timed)
    assert called == []
    timed.later(2)
    assert called == ["a", "b", "c", "d"]


def test_a_repeating_timer_repeats_until_it_is_cancelled(timed: Timed, called: Notes) -> None:
    timer = timed.call_later(1, lambda: called.append(timed.now), repeat=2)
    for _ in range(6):
        timed.later(1)
    assert called == [101, 103, 105]
    timer.cancel()
    timed.later(10)
    assert len(called) == 3


def test_missed_ticks_are_not_made_up_for(timed: Timed, called: Notes) -> None:
    timed.call_later(1, lambda: called.append(timed.now), repeat=1)
    timed.later(10)
    turn(timed)
    assert called == [110]


def test_a_timer_cancelled_by_another_of_the_same_time_does_not_run(
    timed: Timed, called: Notes
) -> None:
    timed.call_later(1, lambda: second.cancel())
    second = timed.call_later(1, lambda: called.append("second"))
    timed.later(1)
    assert called == []


@pytest.mark.parametrize("raises", [False, True])
def test_a_timer_that_cancels_itself_or_raises_is_ended(
    raises: bool, timed: Timed, caplog: pytest.LogCaptureFixture, called: Notes
) -> None:
    def tick() -> None:
        called.append(timed.now)
        if raises:
            raise RuntimeError("a bug")
        timer.cancel()

    timer = timed.call_later(1, tick, repeat=1)
    for _ in range(3):
        timed.later(1)
    assert called == [101]
    assert ("a bug" in caplog.text) is raises


@pytest.mark.parametrize(("delay", "repeat"), [(1, 0), (1, -1), (float("nan"), None)])
def test_a_timer_has_a_time_and_pauses(loop: Loop, delay: float, repeat: float | None) -> None:
    with pytest.raises(ValueError, match=f"cannot wait {delay} s and repeat every {repeat} s"):
        loop.call_later(delay, lambda: None, repeat)


def test_the_loop_sleeps_until_the_next_timer(loop: Loop) -> None:
    loop.call_later(3600, lambda: None)
    loop.call_later(0.05, loop.stop)
    start, cpu = time.monotonic(), time.thread_time()
    run(loop)
    assert time.monotonic() - start >= 0.05
    assert time.thread_time() - cpu < 0.04


# The pool


def test_work_runs_in_the_pool_and_its_completion_on_the_loop(loop: Loop, called: Notes) -> None:
    def after_work(done: "Future[threading.Thread]") -> None:
        called.extend([done.result(), threading.current_thread()])
        loop.stop()

    loop.queue_work(threading.current_thread, after_work)
    run(loop)
    worker, finisher = called
    assert worker.name.startswith("worker")
    assert finisher is threading.current_thread()


def test_an_exception_reaches_after_work(loop: Loop) -> None:
    assert isinstance(finished(loop, lambda: 1 / 0).exception(), ZeroDivisionError)


@pytest.mark.parametrize("pool", [True, False])
def test_timers_tick_while_work_blocks_and_not_while_a_callback_does(
    pool: bool, loop: Loop, called: Notes
) -> None:
    loop.call_later(0.01, partial(called.append, "tick"), repeat=0.01)
    block = partial(time.sleep, 0.3)
    if pool:
        loop.queue_work(block, lambda _: loop.stop())
    else:
        loop.call_later(0, block)
        loop.call_later(0.1, loop.stop)
    run(loop)
    assert len(called) > 5 if pool else len(called) <= 2


def test_hundreds_of_jobs_against_four_workers(loop: Loop, called: Notes) -> None:
    workers: set[str] = set()
    barrier = threading.Barrier(4)

    def work(number: int) -> int:
        if number < 4:
            barrier.wait(10)  # four at once, or never
        workers.add(threading.current_thread().name)
        return number

    def after_work(future: "Future[int]") -> None:
        called.append(future.result())
        if len(called) == 400:
            loop.stop()

    for number in range(400):
        loop.queue_work(partial(work, number), after_work)
    run(loop)
    assert sorted(called) == list(range(400))
    assert len(workers) == 4


def test_work_that_is_cancelled_does_not_start(loop: Loop, called: Notes) -> None:
    release = threading.Event()
    for _ in range(4):
        loop.queue_work(release.wait, lambda _: None)

    def after_work(done: "Future[None]") -> None:
        called.append(done.cancelled())
        loop.stop()

    queued = loop.queue_work(partial(called.append, "started"), after_work)
    assert queued.cancel()
    release.set()
    run(loop)
    assert called == [True]


def test_work_that_ends_after_the_loop_was_closed_harms_nobody(loop: Loop) -> None:
    release = threading.Event()
    future = loop.queue_work(release.wait, lambda _: None)
    loop.close()
    release.set()
    assert future.result(10)


# Other threads


class Deaf(Loop):
    """A loop with the wake-up planted out of it: what is posted is only put in the queue."""

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        """Put it in the queue."""
        self._posted.append(callback)


@pytest.mark.parametrize(("kind", "heard"), [(Loop, True), (Deaf, False)])
def test_an_idle_loop_is_woken_from_another_thread(
    kind: type[Loop], heard: bool, called: Notes
) -> None:
    """Posted while the loop sleeps; a timer ends the sleep of one that does not hear."""
    loop = kind()
    asleep = threading.Event()
    select = loop._selector.select

    def sleeping_select(timeout: float | None = None) -> object:
        asleep.set()
        return select(timeout)

    loop._selector.select = sleeping_select  # type: ignore[method-assign, assignment]

    def post() -> None:
        asleep.wait(10)
        time.sleep(0.05)  # from the event to the system call
        loop.call_threadsafe(lambda: called.append(time.monotonic()))

    poster = threading.Thread(target=post)
    loop.call_later(1.0, lambda: Loop.stop(loop))
    start = time.monotonic()
    poster.start()
    loop.run()
    poster.join()
    loop.close()
    assert (bool(called) and called[0] - start < 0.8) is heard


def test_posted_callbacks_keep_their_order(loop: Loop, called: Notes) -> None:
    for number in range(100_000):  # more than the wake-up socket holds bytes
        loop.call_threadsafe(partial(called.append, number))
    turn(loop)
    assert called == list(range(100_000))


def test_a_posted_callback_that_raises_does_not_end_the_loop(
    loop: Loop, caplog: pytest.LogCaptureFixture, called: Notes
) -> None:
    loop.call_threadsafe(lambda: 1 / 0)
    loop.call_threadsafe(lambda: called.append(1))
    turn(loop)
    assert called == [1]
    failed = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(failed) == 1  # a busy machine may hold the loop up, which is a warning


@pytest.mark.parametrize("how", ["call_soon", "call_threadsafe", "call_later"])
def test_what_a_callback_sets_waits_for_the_next_turn(how: str, loop: Loop, called: Notes) -> None:
    set_one = partial(loop.call_later, 0) if how == "call_later" else getattr(loop, how)

    def again() -> None:
        called.append(len(called))
        set_one(again)

    set_one(again)
    turn(loop)
    assert called == [0]
    turn(loop)
    assert called == [0, 1]


def test_stop_from_another_thread_and_run_again(loop: Loop) -> None:
    for _ in range(2):
        stopper = threading.Timer(0.05, loop.stop)
        stopper.start()
        run(loop)
        stopper.join()


def test_the_phases_are_in_order(timed: Timed, pair: Pair, called: Notes) -> None:
    timed.call_threadsafe(lambda: called.append("posted"))
    timed.watch(pair[0], WRITE, lambda *_: called.append("ready"))
    timed.call_later(0, lambda: called.append("timer"))
    turn(timed)
    assert called == ["timer", "ready", "posted"]


def test_the_wake_up_is_over_when_it_has_been_heard(loop: Loop) -> None:
    """The byte is read: a loop that is woken once does not spin from then on."""
    loop.call_threadsafe(lambda: None)
    loop.call_later(0.3, loop.stop)
    cpu = time.thread_time()
    run(loop)
    assert time.thread_time() - cpu < 0.1


def test_an_event_is_dropped_when_the_interest_has_changed_meanwhile(
    loop: Loop, pairs: list[Pair], called: Notes
) -> None:
    """Both can be read; the first one's callback has both wait for room, and there is none."""

    def on_readable(loop: Loop, key: socket.socket) -> None:
        called.append("readable")
        for one, _ in pairs:
            loop.watch(one, WRITE, lambda *_: called.append("writable"))

    for one, other in pairs:
        one.setblocking(False)
        other.send(b"x")
        with pytest.raises(BlockingIOError):
            while True:
                one.send(b"x" * 65536)
        loop.watch(one, READ, on_readable)
    turn(loop)
    turn(loop)
    assert called == ["readable"]


def test_what_cannot_be_changed_can_still_be_forgotten(
    loop: Loop, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory in `modify`: `selectors` has unregistered the socket by then."""
    selector = loop._selector

    def modify(key: socket.socket, *_: object) -> None:
        selector.unregister(key)
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(selector, "modify", modify)
    loop.watch(pair[0], READ, lambda *_: None)
    with pytest.raises(OSError, match="allocate"):
        loop.watch(pair[0], WRITE, lambda *_: None)
    loop.forget(pair[0])


@pytest.mark.parametrize("delay", [3600 * 24 * 365 * 100, float("inf")])
def test_a_timer_may_be_far_away(loop: Loop, delay: float) -> None:
    loop.call_later(delay, lambda: None)
    loop.call_later(0.01, loop.stop)
    run(loop)


def test_a_slow_callback_is_named(timed: Timed, caplog: pytest.LogCaptureFixture) -> None:
    def quick() -> None:
        timed.now += 0.04

    def slow(seconds: float) -> None:
        timed.now += seconds

    timed.call_later(0, quick)
    timed.call_soon(partial(slow, 0.06))
    turn(timed)
    assert "slow held everybody up for 0.060 s" in caplog.text
    assert "quick" not in caplog.text


# Whatever fails


def test_a_wake_up_that_is_lost_costs_a_second_at_most(loop: Loop) -> None:
    """The byte cannot be sent; a signal just before the system call is the same."""
    loop._wake_sender = sender = Mock(wraps=loop._wake_sender)
    sender.send.side_effect = OSError(errno.ENOBUFS, "no room")
    threading.Timer(0.1, loop.stop).start()
    run(loop)


@pytest.mark.parametrize(("whose", "call"), [("_selector", "select"), ("_wake_receiver", "recv")])
def test_a_call_of_the_loop_itself_that_fails_is_made_again(
    loop: Loop, whose: str, call: str, called: Notes
) -> None:
    fails = Mock(wraps=getattr(loop, whose))
    failures = OSError(errno.ENOMEM, "no memory"), MemoryError()
    getattr(fails, call).side_effect = itertools.chain(failures, itertools.repeat(DEFAULT))
    loop.forget(loop._wake_receiver)
    setattr(loop, whose, fails)
    loop.watch(loop._wake_receiver, READ, loop._on_wake)

    def post() -> None:
        loop.call_threadsafe(partial(called.append, "posted"))
        loop.stop()

    for _ in range(3):
        threading.Timer(0.05, post).start()  # by then it sleeps
        run(loop)
    assert called == ["posted"] * 3
    assert loop.watched() == 0, "its own receiver is watched no more"


class Held:
    """What a callback holds."""

    def callback(self) -> None:
        """Do nothing."""


def test_a_cancelled_timer_goes_at_once_with_all_it_holds(loop: Loop) -> None:
    held = Held()
    gone = weakref.ref(held)
    timers = [loop.call_later(delay, held.callback) for delay in (3600, 1800, 7200)]
    kept = loop.call_later(5400, int)
    for timer in timers:
        timer.cancel()
        timer.cancel()
    del held, timer, timers
    gc.collect()
    assert gone() is None
    assert [timer for *_, timer in loop._timers] == [kept]


@pytest.mark.parametrize("when", ["timer", "posted", "ready"])
def test_an_interrupted_turn_loses_nobody_else(
    when: str, loop: Loop, pair: Pair, called: Notes
) -> None:
    """Ctrl-C comes in a callback; `run` again goes on with the others."""

    def interrupted(*_: object) -> None:
        loop.forget(pair[0])
        raise KeyboardInterrupt

    pair[0].send(b"x")
    pair[1].send(b"x")
    loop.watch(pair[0], READ, interrupted if when == "ready" else lambda *_: called.append("ready"))
    loop.watch(pair[1], READ, lambda *_: called.append("ready"))
    for name, set_one in (("timer", partial(loop.call_later, 0)), ("posted", loop.call_soon)):
        if name == when:
            set_one(interrupted)
        set_one(partial(called.append, name))
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    turn(loop)
    turn(loop)
    assert set(called) == {"timer", "posted", "ready"}


def test_a_callback_whose_name_raises(
    loop: Loop, caplog: pytest.LogCaptureFixture, called: Notes
) -> None:
    class Strange:
        def __call__(self) -> None:
            raise RuntimeError("a bug")

        def __repr__(self) -> str:
            raise RuntimeError("and no name")

    loop.call_later(0, Strange())
    loop.call_soon(partial(Strange()))
    loop.call_soon(partial(called.append, 1))
    turn(loop)
    assert called == [1]
    assert caplog.text.count("Strange failed") == 2


def test_run_in_a_callback_is_refused(loop: Loop, called: Notes) -> None:
    def again() -> None:
        with pytest.raises(RuntimeError, match="the loop runs already"):
            loop.run()
        called.append("refused")

    loop.call_soon(again)
    turn(loop)
    assert called == ["refused"]
    turn(loop)


@pytest.mark.in_turn  # no other thread is to get that number
def test_a_descriptor_closed_behind_its_back_and_used_again_is_refused(loop: Loop) -> None:
    stale, other = socket.socketpair()
    loop.watch(stale, READ, Loop.forget)
    fd = stale.fileno()
    stale.close()
    with other, socket.socket() as again:
        assert again.fileno() == fd
        with pytest.raises(ValueError, match=f"descriptor {fd} was closed while it was watched"):
            loop.watch(again, READ, Loop.forget)
        loop.forget(stale)
        loop.watch(again, WRITE, Loop.forget)
        turn(loop)
        assert again not in loop._watched


def test_a_pool_that_cannot_start_a_worker_is_replaced() -> None:
    """The job that meets it raises, if the next pool cannot either; later all is as it was."""
    broken = [True, True]

    class Pool(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> "Future[Any]":
            if broken and broken.pop():
                raise RuntimeError("can't start new thread")
            return super().submit(*args, **kwargs)

    loop = Loop(Pool)
    with pytest.raises(RuntimeError):
        loop.queue_work(int, print)
    assert finished(loop, int).result() == 0
    loop.close()
