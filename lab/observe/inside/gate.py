"""Where each thread of an observed program says what it is about to do, and waits for leave.

Each has a connection of its own to the Unix socket that LAB_RECORD names, so that nobody has
to look after them all in here. It writes a line of JSON before a call, reads a line, and writes
one after it; see lab/live/session.py. If nobody is there any more, it goes on by itself.
"""

import _socket  # what `socket` makes its class of, and nobody replaces
import contextlib
import fcntl
import json
import sys
import threading
import time
from typing import Any

ABOVE = 500
"""The least descriptor of a connection: below it all are as without us."""

NOT_HELD = ("thread", "task", "await")
"""What is no call."""

WAITS = ("select", "epoll.poll", "poll.poll", "kqueue.control")
"""The calls that wait for several."""

Event = dict[str, Any]


class Gate(threading.local):
    """The connection of each thread, made when that first says something."""

    connection: Any = None
    call: Event | None = None  # the one that it is in

    def __init__(self, path: str) -> None:
        self.path = path

    def before(self, event: Event) -> None:
        """Say which call comes next, and wait for leave; of a thread, say that it is there."""
        with contextlib.suppress(OSError):  # nobody listens any more
            if event["call"] == "thread":
                self.say("thread", time.monotonic(), event)
            elif event["call"] not in NOT_HELD and not self.call:
                self.call = event
                self.say("begin", time.monotonic(), {**event, **loop(event["call"])})
                self.connection.recv(1)

    def after(self, event: Event) -> None:
        """Say what came of a call; of a thread, that it is over."""
        with contextlib.suppress(OSError):
            if event["call"] == "thread":
                self.say("thread", event["end"], event, over=True)
                self.connection.close()
            elif event is self.call:
                self.call = None
                self.say("end", event["end"], event)

    def say(self, kind: str, t: float, event: Event, **more: Any) -> None:
        """Write a line; OSError if nobody reads it."""
        known = {key: value for key, value in event.items() if key not in ("start", "end", "cpu")}
        line = {"kind": kind, "t": t, **known, **more}
        if not self.connection:
            self.connection = connected(self.path)
            self.say("thread", t, known, system=threading.get_native_id())
        self.connection.sendall(json.dumps(line).encode() + b"\n")


def connected(path: str) -> Any:
    """Return a connection to the socket that is there."""
    made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    made.connect(path)
    with contextlib.suppress(OSError):  # so many descriptors may not be had
        above = fcntl.fcntl(made.fileno(), fcntl.F_DUPFD_CLOEXEC, ABOVE)
        made.close()
        return _socket.socket(fileno=above)
    return made


def loop(call: str) -> Event:
    """Return what the event loop that is about to wait has to do: its timers, its pool's queue."""
    frame: Any = sys._getframe(3) if call in WAITS else None
    for _ in range(9):
        this = frame and frame.f_locals.get("self")
        timers = getattr(this, "_timers", None) or getattr(this, "_scheduled", None)  # asyncio's
        if isinstance(timers, list) or hasattr(this, "_posted"):
            return {"loop": {"timers": due(timers or []), "queue": waiting(this)}}
        frame = frame and frame.f_back
    return {}


def due(timers: list[Any]) -> list[float]:
    """Return in how many seconds the next timers are due: ours are tuples, asyncio's handles."""
    whens = [one[0] if isinstance(one, tuple) else one._when for one in timers[:8]]
    return [max(0.0, when - time.monotonic()) for when in whens]


def waiting(this: Any) -> int | None:
    """Return how many jobs wait for a worker of a loop's pool; None if it has none."""
    pool: Any = getattr(this, "_pool", None) or getattr(this, "_default_executor", None)
    if hasattr(pool, "_work_queue"):
        return int(pool._work_queue.qsize())
    return len(pool._pending_work_items) if hasattr(pool, "_pending_work_items") else None
