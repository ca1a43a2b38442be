"""What was recorded of a server and of its clients, on one time axis."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER, CLIENT = "server", "client"

WAITS = ("select", "epoll.poll", "poll.poll", "kqueue.control", "sleep")
"""The calls in which a server waits for nobody in particular."""


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
    count: int = 1

    @property
    def slept(self) -> float:
        """Seconds of the call in which the thread did not run."""
        return max(0.0, self.end - self.start - self.cpu)

    @property
    def wasted(self) -> bool:
        """Whether it only said that there is nothing."""
        return self.error == "EAGAIN"


@dataclass(frozen=True)
class Recording:
    """All events, in the order in which they began; `lines` are as they were written.

    `zero` is when that axis begins, in seconds of CLOCK_MONOTONIC.
    `cost` is the seconds that recording took in the server's process, None if it did not
    live to say so. `problems` are what the client said of answers that were not as they should be.
    """

    events: list[Event]
    lines: list[dict[str, Any]]
    zero: float
    cost: float | None
    problems: tuple[str, ...] = ()

    def of(self, process: str, *calls: str) -> list[Event]:
        """Return the events of the server or the client: of these calls, or of all."""
        mine = [event for event in self.events if event.process == process]
        return [event for event in mine if not calls or event.call in calls]

    def threads(self) -> dict[int, list[Event]]:
        """Return the events of each of the server's threads, in the order of their numbers."""
        found = defaultdict(list)
        for event in self.of(SERVER):
            found[event.thread].append(event)
        return dict(sorted(found.items()))

    @property
    def end(self) -> float:
        """When the last client was gone, or all was over if none came."""
        return max(event.end for event in self.of(CLIENT) or self.events)

    def clients(self) -> list[str]:
        """Return the addresses of the clients, in the order in which they connected."""
        found = (event.client for event in self.of(CLIENT, "connect"))
        return list(dict.fromkeys(client for client in found if client))


def read(files: dict[str, Path]) -> Recording:
    """Read the records of the server and the client; time begins with the first client."""
    lines = [
        {"process": process} | json.loads(line)
        for process, file in files.items()
        for line in file.read_text().splitlines()
    ]
    lines.sort(key=lambda line: float(line["start"]))
    last = max(line["end"] or line["start"] for line in lines)
    came = [line["start"] for line in lines if line["call"] == "connect"]
    zero = min(came, default=lines[0]["start"])
    costs = [line["cost"] for line in lines if line["process"] == SERVER and "cost" in line]
    for line in lines:
        line["start"] = round(line["start"] - zero, 7)
        line["end"] = line["end"] and round(line["end"] - zero, 7)
    events = [event(line, last - zero) for line in lines if line["call"] != "exit"]
    return Recording(events, lines, zero, costs[0] if costs else None)


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
