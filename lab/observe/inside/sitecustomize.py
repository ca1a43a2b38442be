"""Record the calls of a Python program in which it can wait. The program is run unmodified.

Python imports this when it starts, before it comes to the program, if this folder is the first in
PYTHONPATH (see the module `site`); the program then finds everything as it is without us.
What it is about to import is replaced: sockets, `select` and its kin, `time.sleep`, threads, and
the steps of asyncio's tasks. Each call is made as it would be, and becomes a line of JSON in the
file that LAB_RECORD names; that is made at once, and filled when the program ends, be it by
`os._exit` or by SIGTERM. What is in a line is in docs/observe.md; only that here times are
seconds of CLOCK_MONOTONIC, which all processes of a machine share. The last one has `cost`: the
seconds that all this took. Nothing here imports the rest of the lab.
"""

import _thread
import atexit
import contextlib
import errno
import functools
import importlib.machinery
import importlib.util
import itertools
import json
import os
import select
import selectors
import signal
import socket
import stat
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

LIBRARY = os.path.dirname(os.__file__)  # noqa: PTH120, few modules are to be loaded here
FOLDER = os.path.dirname(__file__)  # noqa: PTH120
ROOT = os.path.realpath(FOLDER + "/../../..")

ASLEEP = 1e-4
"""Seconds from which a thread is said to have slept in a call; below it is the call's own work."""

UNSEEN = ("eventlet", "gevent", "uvloop")
"""Packages that make their calls in other ways than those that are replaced here."""

Event = dict[str, Any]


class Recorder:
    """What has been recorded, and what is under way. Every recorded call begins and ends here."""

    def __init__(self) -> None:
        self.file = ""
        self.here = threading.local()
        self.numbers = itertools.count()
        self.under_way: dict[int, Event] = {}  # by the identity of the event
        self.ended: list[Event] = []
        self.rounds: dict[int, dict[Any, Event]] = {}  # by thread: what came to nothing of late
        self.cost = 0.0
        self.forked = 0
        self.gate: Any = None  # where each call is told, and leave is waited for: see gate.py

    def thread(self) -> int:
        """Return this thread's number. The system's own are used again when a thread ends."""
        if not hasattr(self.here, "number"):
            self.here.number = next(self.numbers)
        number: int = self.here.number
        return number

    def begin(self, call: str, /, **known: Any) -> Event:
        """Begin with an event of this thread: it is under way until its `end`."""
        before = time.monotonic()
        event = {"call": call, "thread": self.thread(), **known, "count": 1}
        if self.gate:
            self.gate.before(event)
        event["cpu"] = [time.thread_time(), None]
        event["start"] = time.monotonic()
        self.under_way[id(event)] = event  # last, for a signal may come at any moment
        self.cost += event["start"] - before
        return event

    def end(self, event: Event) -> None:
        """An event has ended; it is kept."""
        event["end"] = time.monotonic()
        event["cpu"][1] = time.thread_time()
        self.under_way.pop(id(event), None)
        (self.gate.after if self.gate else self.keep)(event)
        self.cost += time.monotonic() - event["end"]

    def keep(self, event: Event) -> None:
        """Keep an event, or fold it into an earlier one.

        A server that spins makes the same round of calls again and again. A call of which nothing
        comes is one with the last that was made at the same place, if of none since anything came.
        """
        again, before = self.rounds.setdefault(event["thread"], {}), event
        if moot(event):
            same = [event.get(key) for key in ("call", "error", "file", "line", "task")]
            same.append(event.get("error") == "EAGAIN" or event.get("fd"))
            before = again.setdefault(tuple(same), event)
        else:
            again.clear()
        if before is event:
            self.ended.append(event)
            return
        before["count"] += 1
        before["end"] = event["end"]
        before["cpu"][1] = event["cpu"][1]
        if before.get("fd") != event.get("fd"):
            before.update(fd=None, peer=None)  # several

    def finish(self) -> None:
        """Write what has ended, and what is under way and will never end; then no more."""
        if not self.file or self.gate:
            return
        unended = [{**event, "end": None} for event in list(self.under_way.values())]
        for event in unended:
            event["cpu"] = [event["cpu"][0], used(event.get("tid"))]
        last = {"call": "exit", "thread": self.thread(), "start": time.monotonic()}
        last |= {"end": last["start"], "cost": self.cost, "cpu": [time.thread_time()] * 2}
        last["unseen"] = [name for name in UNSEEN if name in sys.modules]
        last["forked"] = self.forked
        lines = [json.dumps(event) + "\n" for event in (*self.ended, *unended, last)]
        with open(self.file, "w") as file:  # noqa: PTH123
            file.writelines(lines)
        self.abandon()

    def fork(self) -> None:
        """Count a child, which records nothing."""
        self.forked += 1

    def abandon(self) -> None:
        """Record nothing any more: this is the end, or a forked child."""
        self.file = ""
        self.gate = None
        self.ended.clear()
        self.under_way.clear()
        sockets.clear()


recorder = Recorder()


class Hidden:
    """A block of which no traceback tells: that an error goes on after `__exit__` adds no line."""

    def __enter__(self) -> object:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error and error.__traceback__:
            error.__traceback__ = error.__traceback__.tb_next


class Call(Hidden):
    """A call that is made in the block of a `with`, and recorded; its result is added there.

    Calls that a `leaf` makes are part of it, and not recorded.
    """

    def __init__(self, call: str, known: Event, leaf: bool = True) -> None:
        self.call, self.known, self.leaf = call, known, leaf
        self.event: Event | None = None

    def __enter__(self) -> Event:
        here, before = recorder.here, time.monotonic()
        if not recorder.file or getattr(here, "inside", False):
            return {}
        known = self.known | (where(sys._getframe()) if self.leaf else {})
        recorder.cost += time.monotonic() - before
        self.event = recorder.begin(self.call, **known)
        here.inside = self.leaf
        return self.event

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        super().__exit__(_, error, __)
        if not self.event:
            return
        recorder.here.inside = False
        if error:
            self.event["error"] = name_of(error)
        recorder.end(self.event)


def used(thread: int | None) -> float | None:
    """Return the CPU time of a thread that lives, where the system says it: Linux (schedstat)."""
    if thread:
        with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/schedstat") as file:  # noqa: PTH123
            return int(file.read().split()[0]) / 1e9
    return None


def given(*values: Any) -> Event:
    """Return what a call is given, or gives: the first of it, and where there is a gate only."""
    if not recorder.gate:
        return {}
    said = (one for one in values if one is not None)
    return {"given": [one if isinstance(one, int | float) else start_of(one) for one in said]}


def start_of(one: Any) -> str:
    """Return the first of some bytes, or of what else it is, as text."""
    with contextlib.suppress(TypeError):
        return bytes(memoryview(one)[:40]).decode("latin-1")
    return str(one)[:40]


MOOT = ("select", "sleep", "await", "setblocking", "settimeout")
"""Calls, beside the waits and changes of the pollers, of which nothing comes if nobody sleeps."""


def moot(event: Event) -> bool:
    """Return whether nothing came of a call: nothing moved or changed, and nobody slept."""
    call, (began, ended) = event["call"], event["cpu"]
    if event.get("error") == "EAGAIN":
        return True
    if event["end"] - event["start"] - (ended - began) > ASLEEP:
        return False
    idle = call in MOOT or call.endswith((".poll", ".control", ".modify"))
    return idle or "error" in event or event.get("result") == 0


def name_of(error: BaseException) -> str:
    """Return the name of an error's number, or what else it is called."""
    name = type(error).__name__
    if name in ("SSLWantReadError", "SSLWantWriteError"):
        return "EAGAIN"
    code = 0 if name.startswith("SSL") else getattr(error, "errno", None)
    return errno.errorcode.get(code or 0, name)


def where(frame: FrameType | None) -> Event:
    """Return where in the program's own code a call is made: the innermost line of it."""
    while frame and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return place(frame) if frame else {}


def place(frame: FrameType) -> Event:
    """Return the line of a frame."""
    code = frame.f_code
    return {"file": shown(code.co_filename), "line": frame.f_lineno, "function": code.co_qualname}


@functools.cache
def is_library(file: str) -> bool:
    """Return whether a file belongs to Python, to a package, or to the observer."""
    inside = file.startswith(("<", LIBRARY, FOLDER))
    return inside or "site-packages" in file or "dist-packages" in file


@functools.cache
def shown(file: str) -> str:
    """Return a file's name: within this repository, or without its folder."""
    file = os.path.realpath(file)
    return file.removeprefix(ROOT + "/") if file.startswith(ROOT + "/") else file.split("/")[-1]


def address(of: Any) -> str | None:
    """Write a socket's address as HOST:PORT; None if it is not of the Internet."""
    if not isinstance(of, tuple) or len(of) < 2:
        return None
    return f"[{of[0]}]:{of[1]}" if ":" in str(of[0]) else f"{of[0]}:{of[1]}"


def descriptor(of: Any) -> int:
    """Return the descriptor of a socket, or of a descriptor; -1 of what has none."""
    with contextlib.suppress(Exception):  # the call says itself what is wrong with it
        return of if isinstance(of, int) else int(of.fileno())
    return -1


# Sockets


class Known(weakref.ref[socket.socket]):
    """What is known of an open socket; the socket itself is as without us.

    If nobody closes it before it is collected, that is a `close` too.
    """

    fd: int
    peer: str | None = None
    local: str | None = None

    def __new__(cls, sock: socket.socket) -> "Known":
        """Refer to a socket."""
        it = super().__new__(cls, sock, collected)
        it.fd = sock.fileno()
        return it


sockets: dict[int, Known] = {}
"""By descriptor."""


def known(sock: socket.socket) -> Known:
    """Return what is known of a socket."""
    return sockets.get(sock.fileno()) or Known(sock)


def called(sock: socket.socket, name: str, *args: Any) -> Call:
    """Record the call on a socket that is made in the block."""
    it = known(sock)
    ends = {"fd": sock.fileno(), "peer": it.peer, "local": it.local}
    return Call(name, ends | given(*args))


def collected(it: Known) -> None:
    """Record that a socket has been closed by the collector, be it in the middle of a call."""
    if sockets.get(it.fd) is it:
        del sockets[it.fd]
        recorder.end(recorder.begin("close", fd=it.fd, peer=it.peer, **where(sys._getframe())))


class ObservedSocket(socket.socket):
    """A socket whose calls are recorded."""

    __slots__ = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        with Hidden():
            super().__init__(*args, **options)
        if recorder.file:
            it = sockets[self.fileno()] = Known(self)
            with contextlib.suppress(OSError):
                it.peer = address(self.getpeername())

    def __init_subclass__(cls) -> None:
        """Record what TLS makes of the calls."""
        if cls.__module__ == "ssl":
            observe(cls, (*MOVES, "read", "write", "do_handshake", "unwrap"))

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept, and know from now on who the new socket's peer is."""
        with called(self, "accept") as event:
            sock, came_from = super().accept()
            event |= {"result": sock.fileno(), "peer": address(came_from)}
            known(sock).peer = address(came_from)
        return sock, came_from

    def connect(self, to: Any) -> None:
        """Connect, and know from now on whence and whither."""
        known(self).peer = address(to)
        with called(self, "connect") as event:
            try:
                super().connect(to)
            finally:
                with contextlib.suppress(OSError):
                    event["local"] = known(self).local = address(self.getsockname())

    def detach(self) -> int:
        """Give the descriptor away: to another socket, or to somebody of whom nothing is known."""
        it, fd = known(self), super().detach()
        if it() is self:
            sockets.pop(fd, None)
        return fd

    def _real_close(self, *args: Any) -> None:  # `close`, when no file is made of it any more
        with called(self, "close") if self.fileno() >= 0 else Hidden():
            sockets.pop(self.fileno(), None)
            super()._real_close(*args)  # type: ignore[misc]


MOVES = ("recv", "recv_into", "send", "sendall", "sendmsg", "sendfile")


def observe(kind: type[socket.socket], names: tuple[str, ...]) -> None:
    """Have these methods of a kind of socket recorded."""
    for name in names:
        setattr(kind, name, observed_method(name, getattr(kind, name)))


def observed_method(name: str, real: Any) -> Any:
    """Return a method that makes the call `name` of a socket and records it."""

    @functools.wraps(real, assigned=("__name__", "__doc__"))
    def method(self: ObservedSocket, *args: Any, **options: Any) -> Any:
        with called(self, name, *args) as event:
            result = real(self, *args, **options)
            moved = args[0] if name == "sendall" else result
            with contextlib.suppress(TypeError):  # it is None, or `unwrap` gives a socket
                event["result"] = moved if isinstance(moved, int) else memoryview(moved).nbytes
            if name == "recv":
                event |= given(result)
        return result

    return method


def replace_sockets() -> None:
    """Replace `socket.socket`, which the library looks up by this name also for its own use."""
    observe(ObservedSocket, ("bind", "listen", "setblocking", "settimeout", "shutdown", *MOVES))
    ObservedSocket.__name__ = ObservedSocket.__qualname__ = "socket"
    ObservedSocket.__module__ = "socket"
    socket.socket = ObservedSocket  # type: ignore[misc]
    socket.SocketType = ObservedSocket


# Waiting for several

READ, WRITE = 1, 4
"""POLLIN and POLLOUT, which epoll has as well."""

KQ_FILTER_READ, KQ_EV_ADD = -1, 1
"""Of kqueue."""

Fds = dict[int, str]
"""Descriptors, and for each what is waited for: "r", "w", "rw"."""


def letters(mask: int = READ | WRITE) -> str:
    """Write what is waited for: both, if nothing is said."""
    return "r" * bool(mask & READ) + "w" * bool(mask & WRITE)


def handed(name: str, fds: Fds, line: int = 0, timeout: Any = None) -> Call:
    """Record a call that hands all descriptors over: how many, and what is new at this line."""
    if recorder.gate:  # which shows the set each time
        return Call(name, {"handed": len(fds), "fds": [*fds.items()], **given(timeout)})
    sets: dict[tuple[str, int], Fds] = vars(recorder.here).setdefault("sets", {})
    before, sets[name, line] = sets.get((name, line), {}), fds
    changes = [(fd, now) for fd, now in fds.items() if before.get(fd) != now]
    changes += [(fd, "") for fd in before if fd not in fds]
    return Call(name, {"handed": len(fds), "fds": changes} if changes else {"handed": len(fds)})


def observed_select(r: Any, w: Any, x: Any, timeout: float | None = None) -> Any:
    """Call `select.select` and record it."""
    observe_tasks()
    r, w, x = (list(one) if isinstance(one, Iterator) else one for one in (r, w, x))
    fds: Fds = {}
    with contextlib.suppress(TypeError):  # likewise
        for letter, group in zip("rwx", (r, w, x), strict=True):
            for fd in map(descriptor, group):
                fds[fd] = fds.get(fd, "") + letter
    with handed("select", fds, sys._getframe(1).f_lineno, timeout) as event:
        found = real_select(r, w, x, timeout)
        event["ready"] = [descriptor(one) for group in found for one in group]
    return found


class ObservedKernel:
    """A stand-in for `select.epoll` and `kqueue`, which cannot be subclassed."""

    kind = ""
    real: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        observe_tasks()
        with Hidden():
            self._kernel = type(self).real(*args, **options)
        self._set: Fds = {}  # where that is not known from each change

    @classmethod
    def fromfd(cls, *args: Any) -> "ObservedKernel":
        """Be one that is there already."""
        made = cls.__new__(cls)
        made._kernel, made._set = cls.real.fromfd(*args), {}
        return made

    def _change(self, name: str, fd: Any, *mask: int, **options: int) -> None:
        with self._told(name, descriptor(fd), letters(*mask, *options.values())):
            getattr(self._kernel, name)(fd, *mask, **options)

    register = functools.partialmethod(_change, "register")
    modify = functools.partialmethod(_change, "modify")
    unregister = functools.partialmethod(_change, "unregister")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._kernel.close()

    def _told(self, name: str, fd: int, what: str) -> Hidden:
        change = (fd, "" if name == "unregister" else what)
        return Call(f"{self.kind}.{name}", {"fd": fd, "fds": [change]})

    def poll(self, *args: Any, **options: Any) -> Any:
        """Wait, as epoll does."""
        with self._waits(*args[:1]) as event:
            found = self._kernel.poll(*args, **options)
            event["ready"] = [fd for fd, _ in found]
        return found

    def _waits(self, *timeout: Any) -> Call:
        return Call(f"{self.kind}.poll", {"handed": 0, **given(*timeout)})

    def control(self, changes: Any, most: int, *args: Any) -> Any:
        """Change what is watched, or wait, as kqueue does."""
        changes = list(changes or ())
        known: Event = {"handed": len(changes), "fds": [self._changed(one) for one in changes]}
        if changes and not most:
            known["fd"] = changes[0].ident
        with Call(f"{self.kind}.{'control' if most else 'change'}", known) as event:
            found = self._kernel.control(changes, most, *args)
            if most:
                event["ready"] = [one.ident for one in found]
        return found

    def _changed(self, change: Any) -> tuple[int, str]:
        """Return what is watched of a descriptor from now on: kqueue is told one by one."""
        fd, letter = change.ident, "r" if change.filter == KQ_FILTER_READ else "w"
        now = self._set.get(fd, "").replace(letter, "") + letter * bool(change.flags & KQ_EV_ADD)
        self._set[fd] = now
        return fd, now


class ObservedPoll(ObservedKernel):
    """A stand-in for `select.poll`, which keeps its set in the program: each call hands it over."""

    def _told(self, name: str, fd: int, what: str) -> Hidden:
        self._set[fd] = what
        if name == "unregister":
            del self._set[fd]
        return Hidden()  # it is no system call

    def _waits(self, *timeout: Any) -> Call:
        return handed(f"{self.kind}.poll", dict(self._set), 0, *timeout)


real_select = select.select


def replace_waiting() -> None:
    """Replace `select` and its kin, also where `selectors` has taken them already."""
    select.select = observed_select
    selectors.SelectSelector._select = staticmethod(observed_select)  # type: ignore[attr-defined]
    for kind in ("epoll", "poll", "kqueue"):
        if hasattr(select, kind):
            known = {"kind": kind, "real": getattr(select, kind), "__module__": "select"}
            observed = type(kind, (ObservedPoll if kind == "poll" else ObservedKernel,), known)
            setattr(select, kind, observed)
            user = getattr(selectors, f"{kind.capitalize()}Selector")
            user._selector_cls = observed  # kqueue's looks it up by name


# Sleep, threads, and tasks


def replace_threads() -> None:
    """Replace `time.sleep`, and what starts threads: nothing of a thread itself is changed."""
    real_sleep = time.sleep

    def sleep(seconds: float) -> None:
        with Call("sleep", given(seconds)):
            real_sleep(seconds)

    time.sleep = sleep  # type: ignore[assignment]
    for name in ("start_new_thread", "start_joinable_thread"):  # from Python 3.13 on, both
        if hasattr(_thread, name):
            started = starts_threads(getattr(_thread, name))
            setattr(_thread, name, started)
            setattr(threading, f"_{name}", started)


def starts_threads(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return what starts a thread like `real`, and records that, and how long it lives."""

    def start(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        number = next(recorder.numbers)

        @functools.wraps(function)
        def observed(*args: Any, **options: Any) -> None:
            recorder.here.number = number
            with Call("thread", {"tid": threading.get_native_id()}, leaf=False):
                function(*args, **options)

        with Call("Thread.start", {"result": number}):
            return real(observed, *args, **options)

    return start


awaits: "weakref.WeakKeyDictionary[Any, tuple[Event, Event]]" = weakref.WeakKeyDictionary()
"""For each task that has begun the event that is its life, and that of what it awaits."""


def observe_tasks() -> None:
    """Have the steps of asyncio's tasks recorded, once that is loaded: a loop makes a poller.

    A step is a callback that is a method of its task; between two of them the task awaits.
    """
    events = sys.modules.get("asyncio.events")
    if not events or events.Handle._run.__module__ == __name__:
        return
    real = events.Handle._run

    def _run(self: Any) -> None:
        task: Any = getattr(self._callback, "__self__", None)
        if not hasattr(task, "get_coro") or not recorder.file:
            with Hidden():
                real(self)
            return
        life, before = awaits.pop(task, None) or (begun(task), None)
        if before:
            recorder.end(before)
        with Hidden():
            real(self)
        if task.done():
            recorder.end(life)
        else:
            awaits[task] = life, recorder.begin("await", task=life["task"], **awaited(task))

    events.Handle._run = _run


tasks = itertools.count(1)


def begun(task: Any) -> Event:
    """Begin with the life of a task."""
    name = getattr(task.get_coro(), "__qualname__", "")
    return recorder.begin("task", task=next(tasks), name=task.get_name(), function=name)


def awaited(task: Any) -> Event:
    """Return where a task awaits: the innermost line of the program's own on the way."""
    found, one = {}, task.get_coro()
    while one is not None:
        frame = getattr(one, "cr_frame", None) or getattr(one, "gi_frame", None)
        if frame and not is_library(frame.f_code.co_filename):
            found = place(frame)
        one = getattr(one, "cr_await", None) or getattr(one, "gi_yieldfrom", None)
    return found


# The beginning and the end


def replace_ends() -> None:
    """Have the record finished whatever ends the program."""
    really_exit = os._exit

    def observed_exit(status: int) -> None:
        recorder.finish()
        really_exit(status)

    def terminated(number: int, _: object) -> None:
        recorder.finish()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    os._exit = observed_exit  # type: ignore[assignment]
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, terminated)  # unless the program has a way of its own
    atexit.register(recorder.finish)
    os.register_at_fork(before=recorder.fork, after_in_child=recorder.abandon)


def make_room() -> None:
    """Leave the paths as they are without us, and import the module that we are in the way of."""
    sys.path.remove(FOLDER)
    others = os.environ.pop("PYTHONPATH").removeprefix(FOLDER).removeprefix(os.pathsep)
    if others:
        os.environ["PYTHONPATH"] = others
    spec = importlib.machinery.PathFinder.find_spec(__name__)
    if spec and spec.loader:
        sys.modules[__name__] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def main() -> None:
    """Record this process, unless another one is recorded there already."""
    file = os.environ.pop("LAB_RECORD")
    if os.path.exists(file) and stat.S_ISSOCK(os.stat(file).st_mode):  # noqa: PTH110, PTH116
        import gate  # type: ignore[import-not-found]

        recorder.file, recorder.gate = file, gate.Gate(file)
    make_room()
    with contextlib.suppress(FileExistsError), open(file, "x"):  # noqa: PTH123
        recorder.file = file
    if recorder.file:
        recorder.thread()  # the main one is 0
        replace_sockets()
        replace_waiting()
        replace_threads()
        replace_ends()


if "LAB_RECORD" in os.environ:
    main()
