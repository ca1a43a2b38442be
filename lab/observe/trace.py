"""A recording as trace events, which Perfetto and Chrome's tracing page open.

The format is Google's "Trace Event Format": complete events (`"ph": "X"`), in microseconds.
"""

from typing import Any

from lab.observe.record import CLIENT, SERVER, Event, Recording

PROCESSES = {SERVER: 1, CLIENT: 2}

TASKS = 1_000_000
"""Lanes numbered from here on are tasks."""

KNOWN = ("client", "fd", "result", "ready", "error", "count", "file", "line", "function")


def trace(recording: Recording) -> dict[str, Any]:
    """Return the whole document."""
    names = [named(process, 0, "process_name", process) for process in PROCESSES]
    for event in recording.of(SERVER, "thread"):
        names.append(named(SERVER, event.thread, "thread_name", f"thread {event.thread}"))
    for event in recording.of(SERVER, "task"):
        title = f"{event.name}: {event.function}"
        names.append(named(SERVER, lane(event), "thread_name", title))
    first = min(event.start for event in recording.events)
    lives = ("thread", "task")
    slices = [one(event, first) for event in recording.events if event.call not in lives]
    return {"traceEvents": names + slices, "displayTimeUnit": "ms"}


def named(process: str, thread: int, kind: str, name: str) -> dict[str, Any]:
    """Return the event that names a process or a thread."""
    where = {"pid": PROCESSES[process], "tid": thread}
    return {"ph": "M", "name": kind, **where, "args": {"name": name}}


def lane(event: Event) -> int:
    """Return the number of its lane: its thread's, or one that its task has for itself."""
    return event.thread if event.task is None else TASKS + event.task


def one(event: Event, first: float) -> dict[str, Any]:
    """Return a call as an event, with what is known of it as its arguments."""
    known = {name: getattr(event, name) for name in KNOWN}
    return {
        "ph": "X",
        "name": event.name or event.call,
        "cat": "wasted" if event.wasted else "call",
        "pid": PROCESSES[event.process],
        "tid": lane(event),
        "ts": round((event.start - first) * 1e6, 1),
        "dur": round((event.end - event.start) * 1e6, 1),
        "args": {key: value for key, value in known.items() if value is not None},
    }
