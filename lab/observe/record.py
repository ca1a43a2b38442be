"""What was recorded of a server and of its clients, on one time axis."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from lab.harness.servers import ServerError
from lab.observe.inside import gate
from lab.observe.inside.sitecustomize import ASLEEP

SERVER, CLIENT = "server", "client"

WAITS = (*gate.WAITS, "sleep")
"""The calls in which a server waits for nobody in particular."""

RECEIVES = ("recv", "recv_into", "read")
SENDS = ("send", "sendall", "sendmsg", "sendfile", "write")

SEEN = dict.fromkeys(RECEIVES, "send") | dict.fromkeys(SENDS, "recv")
"""What a call of the server is for its client."""

LASTING = (*gate.NOT_HELD, "exit")
"""Events that are no calls: the lives of threads and tasks, what tasks await, and the end."""


@dataclass(frozen=True)
class Event:
    """A call, with times in seconds from the start of the recording.

    `client` is the address of the client it is about, as both sides know it; `count` is how
    many calls it stands for, and `slept` the seconds in which its thread did not run.
    """

    process: str
    call: str
    thread: int
    start: float
    end: float
    ended: bool
    cpu: float
    cpu_at: float
    fd: int | None = None
    client: str | None = None
    result: int | None = None
    handed: int | None = None
    ready: tuple[int, ...] | None = None
    error: str | None = None
    file: str | None = None
    line: int | None = None
    function: str | None = None
    name: str | None = None
    task: int | None = None
    count: int = 1

    @property
    def slept(self) -> float:
        """Seconds of the call in which the thread did not run."""
        return max(0.0, self.end - self.start - self.cpu)

    @property
    def wasted(self) -> int:
        """How many of the calls came to nothing: it said so, or was followed by its like."""
        return self.count - (self.error != "EAGAIN")


@dataclass(frozen=True)
class Recording:
    """All events, in the order in which they began; `lines` are as they were written.

    `zero` is when that axis begins, in seconds of CLOCK_MONOTONIC.
    `cost` is the seconds that recording took in the server's process, and `exit` when it ended;
    None if it did not live to say so. `unseen` are the packages in it whose calls are not seen, and
    `others` is how many processes it had started. `problems` are what the client said of answers
    that were not as they should be.
    """

    events: list[Event]
    lines: list[dict[str, Any]]
    zero: float
    cost: float | None
    exit: Event | None = None
    unseen: tuple[str, ...] = ()
    others: int = 0
    problems: tuple[str, ...] = ()

    def of(self, process: str, *calls: str) -> list[Event]:
        """Return the events of the server or the client: of these calls, or of all."""
        mine = [event for event in self.events if event.process == process]
        return [event for event in mine if event.call in calls or not calls]

    def calls(self) -> list[Event]:
        """Return the server's calls while there were clients."""
        return [one for one in self.of(SERVER) if one.call not in LASTING and self.within(one)]

    def within(self, event: Event) -> bool:
        """Return whether an event lies, at least in part, in the time of the clients."""
        return event.end >= 0 and event.start <= self.end

    def threads(self) -> dict[int, list[Event]]:
        """Return the events of each thread of the server that made a call while there were clients.

        They are in the order of their numbers.
        """
        busy = sorted({event.thread for event in self.calls()})
        events = self.of(SERVER) + ([self.exit] if self.exit else [])
        return {thread: [one for one in events if one.thread == thread] for thread in busy}

    def tasks(self, thread: int) -> dict[int, list[Event]]:
        """Return for each task of a thread its life and then what it awaits: asyncio's own not."""
        found = defaultdict(list)
        for event in self.of(SERVER, "task", "await"):
            if event.task is not None and event.thread == thread and self.within(event):
                found[event.task].append(event)
        return {task: events for task, events in found.items() if any(one.line for one in events)}

    @cached_property
    def end(self) -> float:
        """When the last client was gone, or all was over if none came."""
        seen = [event for event in self.events if event.client in self.visitors]
        return max(event.end for event in self.of(CLIENT) or seen or self.events)

    @cached_property
    def visitors(self) -> set[str]:
        """The addresses from which somebody came; the server's own connections are not."""
        own = {event.client for event in self.of(SERVER, "connect")}
        own |= {line.get("local") for line in self.lines if line["process"] == SERVER}
        return {event.client for event in self.of(SERVER) if event.client} - own

    def clients(self) -> list[str]:
        """Return the addresses of the clients, in the order in which they connected."""
        came = self.of(CLIENT, "connect") + self.of(SERVER, "accept")
        return list(dict.fromkeys(event.client for event in came if event.client))

    def seen_of(self, client: str) -> list[Event]:
        """Return what a client did; of one that was not recorded, what the server saw of that."""
        if mine := [event for event in self.of(CLIENT) if event.client == client]:
            return mine
        mine = [event for event in self.of(SERVER) if event.client == client]
        return [replace(event, call=SEEN.get(event.call, ""), start=event.end) for event in mine]


def idle(events: list[Event]) -> Iterator[tuple[float, float]]:
    """Yield from when to when a thread neither ran nor was in a recorded call.

    It waited for a lock, a queue, a file; or for its turn, where there are more threads than cores.
    """
    known = []
    for event in events:
        begun, ended = (event.start, event.cpu_at), (event.end, event.cpu_at + event.cpu)
        if event.call == "thread":
            known += [(begun, begun)] + [(ended, ended)] * bool(event.ended or event.cpu)
        elif event.call not in ("task", "await"):
            known.append((begun, ended))
    for (_, (start, before)), ((end, after), _) in pairwise(sorted(known)):
        if end - start > max(ASLEEP, 2 * (after - before)):
            yield start, end


def read(files: dict[str, Path]) -> Recording:
    """Read the records of the server and the client; time begins with the first client.

    Raises ServerError if nothing was recorded.
    """
    lines = [
        {"process": process} | json.loads(line)
        for process, file in files.items()
        if file.exists()
        for line in file.read_text().splitlines()
    ]
    if not lines:
        raise ServerError("nothing was recorded: the server had to be killed")
    lines.sort(key=lambda line: float(line["start"]))
    last = max(line["end"] or line["start"] for line in lines)
    zero = came(lines)
    for line in lines:
        line["start"] = round(line["start"] - zero, 7)
        line["end"] = line["end"] and round(line["end"] - zero, 7)
    events = [event(line, last - zero) for line in lines if line["call"] != "exit"]
    for line in lines:
        if (line["process"], line["call"]) == (SERVER, "exit"):
            known = line["cost"], event(line, last - zero), tuple(line["unseen"]), line["forked"]
            return Recording(events, lines, zero, *known)
    return Recording(events, lines, zero, None)


def came(lines: list[dict[str, Any]]) -> float:
    """Return when the first client came, as it knows, or else the server; or the first moment."""
    called = [(line["process"], line["call"], line) for line in lines]
    connected = [one["start"] for who, call, one in called if (who, call) == (CLIENT, "connect")]
    accepted = [line["end"] for line in lines if line["call"] == "accept" and "result" in line]
    return float(min(connected or accepted or [lines[0]["start"]]))


def event(line: dict[str, Any], last: float) -> Event:
    """Return a line as an event; what did not end lasts until the `last` of all ended."""
    begun, ended = line["cpu"]
    known = {key: value for key, value in line.items() if key in Event.__dataclass_fields__}
    known |= {
        "client": line.get("local" if line["process"] == CLIENT else "peer"),
        "end": last if line["end"] is None else line["end"],
        "ended": line["end"] is not None,
        "cpu": (ended or begun) - begun,
        "cpu_at": begun,
        "ready": tuple(line["ready"]) if "ready" in line else None,
    }
    return Event(**known)
