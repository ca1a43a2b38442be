"""A recording as trace events, which Perfetto and Chrome's tracing page open.

The format is Google's "Trace Event Format": complete events (`"ph": "X"`), in microseconds.
"""

from typing import Any

from lab.observe.record import CLIENT, SERVER, Event, Recording

PROCESSES = {SERVER: 1, CLIENT: 2}

KNOWN = ("client", "fd", "result", "ready", "error", "count", "file", "line", "function")


def trace(recording: Recording) -> dict[str, Any]:
    """Return the whole document."""
    names = [named(process, 0, "process_name", process) for process in PROCESSES]
    for event in recording.of(SERVER, "thread"):
        names.append(named(SERVER, event.thread, "thread_name", f"{event.thread}: {event.name}"))
    first = min(event.start for event in recording.events)
    slices = [one(event, first) for event in recording.events if event.call != "thread"]
    return {"traceEvents": names + slices, "displayTimeUnit": "ms"}


def named(process: str, thread: int, kind: str, name: str) -> dict[str, Any]:
    """Return the event that names a process or a thread."""
    where = {"pid": PROCESSES[process], "tid": thread}
    return {"ph": "M", "name": kind, **where, "args": {"name": name}}


def one(event: Event, first: float) -> dict[str, Any]:
    """Return a call as an event, with what is known of it as its arguments."""
    known = {name: getattr(event, name) for name in KNOWN}
    return {
        "ph": "X",
        "name": event.name or event.call,
        "cat": "wasted" if event.wasted else "call",
        "pid": PROCESSES[event.process],
        "tid": event.thread,
        "ts": round((event.start - first) * 1e6, 1),
        "dur": round((event.end - event.start) * 1e6, 1),
        "args": {key: value for key, value in known.items() if value is not None},
    }
