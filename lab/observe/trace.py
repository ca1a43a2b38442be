"""A recording as trace events, which Perfetto and Chrome's tracing page open.

The format is Google's "Trace Event Format": complete events (`"ph": "X"`), in microseconds.
"""

from typing import Any

from lab.observe.record import CLIENT, SERVER, Event, Recording

PROCESSES = {SERVER: 1, CLIENT: 2}


def trace(recording: Recording) -> dict[str, Any]:
    """Return the whole document."""
    first = min(event.start for event in recording.events)
    named = [meta("process_name", number, 0, process) for process, number in PROCESSES.items()]
    for event in recording.events:
        if event.call == "thread":
            label = f"{event.thread}: {event.name}"
            named.append(meta("thread_name", PROCESSES[event.process], event.thread, label))
    slices = [one(event, first) for event in recording.events if event.call != "thread"]
    return {"traceEvents": named + slices, "displayTimeUnit": "ms"}


def meta(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    """Return the event that names a process or a thread."""
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}


def one(event: Event, first: float) -> dict[str, Any]:
    """Return a call as an event, with what is known of it as its arguments."""
    known = {name: getattr(event, name) for name in ("client", "fd", "result", "ready", "error")}
    known |= {
        "calls": event.count,
        "where": event.file and f"{event.file}:{event.line} {event.function}",
        "cpu_us": round(event.cpu * 1e6, 1),
    }
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
