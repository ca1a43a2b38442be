"""Run a Python program unmodified, and record the calls in which it can wait.

    python lab/observe/inside.py RECORD (SCRIPT | -m MODULE) [ARGUMENT ...]

Before the program is loaded, what it would import is replaced: sockets, `select` and its
kin, `time.sleep`, threads. Each call is made as it would be, and becomes
a line of JSON in the file RECORD, which is written when the program ends, be it by `os._exit` or
by SIGTERM. What is in a line is in docs/observe.md; only that here times are seconds of
CLOCK_MONOTONIC, which all processes of a machine share. A `thread` is a line too. The last one has
`cost`: the seconds that all this took. Nothing here imports the rest of the lab.
"""

import atexit
import contextlib
import errno
import functools
import itertools
import json
import os
import runpy
import select
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

LIBRARY = os.path.dirname(os.__file__)  # noqa: PTH120, few modules are to be loaded here
HERE = os.path.realpath(__file__)
ROOT = os.path.realpath(HERE + "/../../..")

Event = dict[str, Any]


class Recorder:
    """What has been recorded, and what is under way."""

    def __init__(self) -> None:
        self.file = ""
        self.here = threading.local()
        self.numbers = itertools.count()
        self.under_way: dict[int, Event] = {}  # by the identity of the event
        self.ended: list[Event] = []
        self.last: dict[int, Event] = {}  # by thread
        self.cost = 0.0

    def thread(self) -> int:
        """Return this thread's number. The system's own are used again when a thread ends."""
        if not hasattr(self.here, "number"):
            self.here.number = next(self.numbers)
        number: int = self.here.number
        return number

    @contextlib.contextmanager
    def call(self, call: str, /, **known: Any) -> Iterator[Event]:
        """Record the call that is made in the block; what is seen of its result is added there.

        A call that is made by another one is part of that, and not recorded.
        """
        if getattr(self.here, "inside", False):
            yield {}
            return
        began = time.monotonic()
        self.here.inside = True
        try:
            with self.event(call, **known, **place(sys._getframe())) as event:
                yield event
        finally:
            self.here.inside = False
            self.cost += time.monotonic() - began - (event["end"] - event["start"])

    @contextlib.contextmanager
    def event(self, call: str, /, **known: Any) -> Iterator[Event]:
        """Record what is done in the block as one event; it is under way until then."""
        event = {"call": call, "thread": self.thread(), **known, "count": 1}
        event["cpu"] = [time.thread_time(), None]
        event["start"] = time.monotonic()
        self.under_way[id(event)] = event  # last, for a signal may come at any moment
        try:
            yield event
        except BaseException as error:
            code = getattr(error, "errno", None) or 0
            event["error"] = errno.errorcode.get(code, type(error).__name__)
            raise
        finally:
            event["end"] = time.monotonic()
            event["cpu"][1] = time.thread_time()
            self.under_way.pop(id(event), None)
            self.keep(event)

    def keep(self, event: Event) -> None:
        """Keep an event, or fold it into the one before it: the same call in vain."""
        before = self.last.get(event["thread"])
        if before and before.get("error") == "EAGAIN" and alike(before, event):
            before["count"] += 1
            before["end"] = event["end"]
            before["cpu"][1] = event["cpu"][1]
            if before.get("fd") != event.get("fd"):
                before.update(fd=None, peer=None)  # several
        else:
            self.ended.append(event)
            self.last[event["thread"]] = event

    def finish(self) -> None:
        """Write what has ended, and what is under way and will never end; then no more."""
        unended = [{**event, "end": None} for event in list(self.under_way.values())]
        last = {"call": "exit", "thread": self.thread(), "start": time.monotonic()}
        last |= {"end": last["start"], "cost": self.cost, "cpu": [time.process_time()] * 2}
        lines = [json.dumps(event) + "\n" for event in (*self.ended, *unended, last)]
        with open(self.file, "w") as file:  # noqa: PTH123
            file.writelines(lines)
        self.abandon()

    def abandon(self) -> None:
        """Write nothing any more: this is the end, or a forked child."""
        self.file = os.devnull
        self.ended.clear()
        self.under_way.clear()


recorder = Recorder()


def alike(one: Event, other: Event) -> bool:
    """Return whether both are the same call in vain."""
    return all(one.get(key) == other.get(key) for key in ("error", "call", "file", "line"))


def place(frame: FrameType | None) -> Event:
    """Return where in the program's own code a call is made: the innermost line of it."""
    while frame and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    if not frame:
        return {}
    code = frame.f_code
    return {"file": shown(code.co_filename), "line": frame.f_lineno, "function": code.co_qualname}


@functools.cache
def is_library(file: str) -> bool:
    """Return whether a file belongs to Python, to a package, or to the observer."""
    inside = file.startswith(("<", LIBRARY)) or os.path.realpath(file) == HERE
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
    """Return the descriptor of a socket, or of a descriptor."""
    return of if isinstance(of, int) else int(of.fileno())


# Sockets


class ObservedSocket(socket.socket):
    """A socket whose calls are recorded."""

    peer: str | None = None
    local: str | None = None

    def called(self, name: str) -> contextlib.AbstractContextManager[Event]:
        """Record the call on this socket that is made in the block."""
        return recorder.call(name, fd=self.fileno(), peer=self.peer, local=self.local)

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept, and know from now on who the new socket's peer is."""
        with self.called("accept") as event:
            sock, came_from = super().accept()
            sock.peer = address(came_from)  # type: ignore[attr-defined]
            event |= {"result": sock.fileno(), "peer": address(came_from)}
        return sock, came_from

    def connect(self, to: Any) -> None:
        """Connect, and know from now on whence and whither."""
        self.peer = address(to)
        with self.called("connect") as event:
            try:
                super().connect(to)
            finally:
                with contextlib.suppress(OSError):
                    event["local"] = self.local = address(self.getsockname())

    def _real_close(self, *args: Any) -> None:  # `close`, when no file is made of it any more
        with self.called("close"):
            super()._real_close(*args)  # type: ignore[misc]


def observed_method(name: str) -> Any:
    """Return a method that makes the call `name` of `socket.socket` and records it."""
    real = getattr(socket.socket, name)

    @functools.wraps(real, assigned=("__name__", "__doc__"))
    def method(self: ObservedSocket, *args: Any, **options: Any) -> Any:
        with self.called(name) as event:
            result = real(self, *args, **options)
            moved = args[0] if name == "sendall" else result
            if isinstance(moved, int):
                event["result"] = moved
            elif moved is not None:
                event["result"] = memoryview(moved).nbytes
        return result

    return method


def replace_sockets() -> None:
    """Replace `socket.socket`, which the library looks up by this name also for its own use."""
    for name in (
        *("bind", "listen", "setblocking", "settimeout", "shutdown"),
        *("recv", "recv_into", "send", "sendall", "sendmsg", "sendfile"),
    ):
        setattr(ObservedSocket, name, observed_method(name))
    ObservedSocket.__name__ = ObservedSocket.__qualname__ = "socket"
    socket.socket = ObservedSocket  # type: ignore[misc]
    socket.SocketType = ObservedSocket  # type: ignore[assignment]


# Waiting for several


def observed_select(r: Any, w: Any, x: Any, timeout: float | None = None) -> Any:
    """Call `select.select` and record it."""
    with recorder.call("select", handed=len(r) + len(w) + len(x)) as event:
        found = real_select(r, w, x, timeout)
        event["ready"] = [descriptor(one) for group in found for one in group]
    return found


class ObservedKernel:
    """A stand-in for `select.epoll`, `poll` and `kqueue`, which cannot be subclassed."""

    kind = ""
    real: Any = None

    def __init__(self, *args: Any, **options: Any) -> None:
        self._kernel = type(self).real(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._kernel.close()

    def _change(self, name: str, fd: Any, *args: Any, **options: Any) -> None:
        with recorder.call(f"{self.kind}.{name}", fd=descriptor(fd)):
            getattr(self._kernel, name)(fd, *args, **options)

    register = functools.partialmethod(_change, "register")
    modify = functools.partialmethod(_change, "modify")
    unregister = functools.partialmethod(_change, "unregister")

    def poll(self, *args: Any, **options: Any) -> Any:
        """Wait, with epoll or with the older call."""
        with recorder.call(f"{self.kind}.poll", handed=0) as event:
            found = self._kernel.poll(*args, **options)
            event["ready"] = [fd for fd, _ in found]
        return found

    def control(self, changes: Any, most: int, *args: Any) -> Any:
        """Change what is watched, or wait, as kqueue does."""
        changes = list(changes or ())
        name, known = "control", {"handed": len(changes)}
        if not most:
            name, known = "change", {"fd": changes[0].ident}
        with recorder.call(f"{self.kind}.{name}", **known) as event:
            found = self._kernel.control(changes, most, *args)
            if most:
                event["ready"] = [one.ident for one in found]
        return found


real_select = select.select


def replace_waiting() -> None:
    """Replace `select` and its kin, also where `selectors` has taken them already."""
    select.select = observed_select
    selectors.SelectSelector._select = staticmethod(observed_select)  # type: ignore[attr-defined]
    for kind in ("epoll", "poll", "kqueue"):
        if hasattr(select, kind):
            known = {"kind": kind, "real": getattr(select, kind)}
            observed = type(kind, (ObservedKernel,), known)
            setattr(select, kind, observed)
            user = getattr(selectors, f"{kind.capitalize()}Selector")
            user._selector_cls = observed  # kqueue's looks it up by name


# Sleep, and threads


def replace_threads() -> None:
    """Replace `time.sleep`, and what starts threads."""
    real_sleep, real_start = time.sleep, threading.Thread.start

    def sleep(seconds: float) -> None:
        with recorder.call("sleep"):
            real_sleep(seconds)

    def start(self: threading.Thread) -> None:
        run, thread = self.run, next(recorder.numbers)

        def observed_run() -> None:
            recorder.here.number = thread
            with recorder.event("thread"):
                run()

        self.run = observed_run  # type: ignore[method-assign]
        with recorder.call("Thread.start", result=thread):
            real_start(self)

    time.sleep = sleep  # type: ignore[assignment]
    threading.Thread.start = start  # type: ignore[method-assign]


# The end


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
    signal.signal(signal.SIGTERM, terminated)  # unless the program has a way of its own


# The program


def run(command: list[str]) -> None:
    """Become the program: `-m MODULE` or SCRIPT, and its arguments."""
    if command[0] == "-m":
        sys.argv = command[1:]
        sys.path[0] = os.getcwd()  # noqa: PTH109
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.path[0] = os.path.realpath(command[0] + "/..")
        runpy.run_path(command[0], run_name="__main__")


def main() -> None:
    """Record the program on the command line."""
    recorder.file, *command = sys.argv[1:]
    recorder.thread()  # the main one is 0
    replace_sockets()
    replace_waiting()
    replace_threads()
    atexit.register(recorder.finish)
    os.register_at_fork(after_in_child=recorder.abandon)
    replace_ends()
    run(command)


if __name__ == "__main__":
    main()
