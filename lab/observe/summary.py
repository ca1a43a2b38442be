"""A recording in figures: what the server's calls were, and how its time went."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from lab.observe.record import SERVER, Event, Recording
from lab.show.tables import aligned

ASLEEP = 1e-4
"""Seconds from which a thread is said to have slept in a call; below it is the call's own work."""


@dataclass
class Kind:
    """All calls of a name: how many, how many said EAGAIN, and the seconds slept in them."""

    calls: int = 0
    wasted: int = 0
    slept: float = 0.0


@dataclass
class Summary:
    """What a server did from the coming of the first client to the leaving of the last.

    `seconds` is how long that was, and `lived` the same for each thread added up. `requests` is
    how many packets with bytes came in, `woken` how often a thread had slept in a call, and
    `ran` the seconds of CPU time.
    """

    seconds: float
    kinds: dict[str, Kind] = field(default_factory=dict)
    threads: int = 0
    lived: float = 0.0
    requests: int = 0
    woken: int = 0
    ran: float = 0.0

    @property
    def calls(self) -> int:
        """How many there were in all."""
        return sum(kind.calls for kind in self.kinds.values())

    @property
    def wasted(self) -> int:
        """How many of them said EAGAIN."""
        return sum(kind.wasted for kind in self.kinds.values())


def summary(recording: Recording) -> Summary:
    """Summarize what the server did while there were clients."""
    until = recording.end
    found = Summary(until)
    kinds: dict[str, Kind] = defaultdict(Kind)
    for event in recording.of(SERVER):
        if event.call == "thread" or event.end < 0 or event.start > until:
            continue
        kind = kinds[event.call]
        kind.calls += event.count
        kind.wasted += event.count * event.wasted
        slept = event.slept * within(event, until)
        kind.slept += slept
        found.woken += slept > ASLEEP
        found.requests += event.call in ("recv", "recv_into") and bool(event.result)
    # What it slept in comes first, the rest in the order of the alphabet.
    found.kinds = dict(sorted(kinds.items(), key=lambda one: (-round(one[1].slept, 2), one[0])))
    for events in recording.threads().values():
        begun, ended = lifetime(events, until)
        found.threads += 1
        found.lived += ended - begun
        found.ran += ran(events, begun, ended)
    return found


def within(event: Event, until: float) -> float:
    """Return which share of an event lies between the first client's coming and `until`."""
    whole = event.end - event.start
    return (min(event.end, until) - max(event.start, 0.0)) / whole if whole else 1.0


def lifetime(events: Sequence[Event], until: float) -> tuple[float, float]:
    """Return from when to when a thread lived, while there were clients."""
    for event in events:
        if event.call == "thread":
            return max(0.0, event.start), min(event.end, until)
    return 0.0, until


def ran(events: Sequence[Event], begun: float, ended: float) -> float:
    """Return the seconds of CPU time that a thread used between two times, by its calls."""
    mine = [event for event in events if event.end >= begun and event.start <= ended]
    used = (event.cpu_at + event.cpu for event in mine)
    return max(used, default=0.0) - min((event.cpu_at for event in mine), default=0.0)


def text(recording: Recording) -> str:
    """Write the summary for a terminal."""
    found = summary(recording)
    table = [["", "calls", "EAGAIN", "slept in it", "of the time"]]
    for name, kind in found.kinds.items():
        share = kind.slept / found.lived if found.lived else 0.0
        table.append(
            [name, f"{kind.calls}", f"{kind.wasted or ''}", f"{kind.slept:.3f} s", f"{share:.1%}"]
        )
    each = [number / (found.requests or 1) for number in (found.calls, found.wasted, found.woken)]
    lines = [
        aligned(table),
        "",
        f"{found.requests} packets came in; for each of them there were {each[0]:.1f} calls,"
        f" {each[1]:.1f} of them in vain (EAGAIN), and a sleeping thread was woken {each[2]:.1f}"
        " times"
        if found.requests
        else "no packet came in, as far as is seen: what other processes do is not",
        f"threads: {found.threads}, which ran for {found.ran * 1e3:.1f} ms of CPU time in"
        f" {found.seconds:.2f} s",
    ]
    if recording.cost is not None:
        made = sum(event.count for event in recording.of(SERVER)) or 1
        lines.append(f"recording took {recording.cost / made * 1e6:.0f} us for each call")
    return "\n".join(lines)
