"""A recording in figures: what the server's calls were, and how its time went."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lab.observe.inside.sitecustomize import ASLEEP
from lab.observe.record import RECEIVES, SERVER, Event, Recording, idle
from lab.show.tables import aligned

SPIN, ROUNDS = 0.1, 100
"""From which share of the time on, or how often in a row on one descriptor, calls in vain spin."""

WHY = {
    "eventlet": "has sockets and pollers made before any of Python's could be replaced",
    "gevent": "has sockets and a loop of its own",
    "uvloop": "does all in libuv, in C",
}


@dataclass
class Kind:
    """All calls of a name: how many, how many came to nothing, and the seconds slept in them."""

    calls: int = 0
    wasted: int = 0
    slept: float = 0.0


@dataclass
class Summary:
    """What a server did from the coming of the first client to the leaving of the last.

    `seconds` is how long that was, and `lived` the same added up for each thread that made a call
    in it. `calls` is how many there were in all, `wasted` how many of them came to nothing,
    `requests` how many packets with bytes came in, `woken` how often a thread had slept in a call,
    `ran` the seconds of CPU time, and `elsewhere` those in which a thread neither ran nor was in a
    call.
    """

    seconds: float
    kinds: dict[str, Kind] = field(default_factory=dict)
    calls: int = 0
    wasted: int = 0
    threads: int = 0
    lived: float = 0.0
    requests: int = 0
    woken: int = 0
    ran: float = 0.0
    elsewhere: float = 0.0


def summary(recording: Recording) -> Summary:
    """Summarize what the server did while there were clients."""
    until = recording.end
    found = Summary(until)
    kinds: dict[str, Kind] = defaultdict(Kind)
    for event in recording.calls():
        kind = kinds[event.call]
        kind.calls += event.count
        kind.wasted += event.wasted
        slept = event.slept * within(event, until)
        kind.slept += slept
        found.woken += slept > ASLEEP
        came_in = event.call in RECEIVES and event.client in recording.visitors
        found.requests += came_in and bool(event.result)
    found.calls = sum(kind.calls for kind in kinds.values())
    found.wasted = sum(kind.wasted for kind in kinds.values())
    # What it slept in comes first, the rest in the order of the alphabet.
    found.kinds = dict(sorted(kinds.items(), key=lambda one: (-round(one[1].slept, 2), one[0])))
    for events in recording.threads().values():
        begun, ended = lifetime(events, until)
        found.threads += 1
        found.lived += ended - begun
        found.ran += ran(events, begun, ended)
        gaps = ((max(start, begun), min(end, ended)) for start, end in idle(events))
        found.elsewhere += sum(max(0.0, end - start) for start, end in gaps)
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


def spins(events: Iterable[Event], seconds: float) -> str:
    """Say in which call it spins: it comes back at once, has something each time, and to no end."""
    found: dict[tuple[str, str | None, int | None], list[Event]] = defaultdict(list)
    for event in events:
        ended = event.call in RECEIVES and event.result == 0
        if event.wasted > 1 and (event.ready or event.error or ended):
            found[event.call, event.file, event.line].append(event)
    for (call, file, line), those in found.items():
        took = sum(event.end - event.start for event in those)
        known = (event for event in those if event.ready or event.fd is not None)
        rounds = max((event.wasted for event in known), default=0)
        if took > SPIN * seconds or rounds > ROUNDS:
            count = sum(event.wasted for event in those)
            what = those[0].error or ("nothing" if those[0].result == 0 else "something at once")
            place = f" at {file}, line {line}," if file else ""
            return (
                f"it spins: `{call}`{place} had {what} {count} times in"
                f" {took:.2f} s, and nothing came of it"
            )
    return ""


def text(recording: Recording) -> str:
    """Write the summary for a terminal."""
    found = summary(recording)
    table = [["", "calls", "in vain", "slept in it", "of the time"]]
    for name, kind in found.kinds.items():
        slept = f"{kind.slept:.3f} s", f"{kind.slept / (found.lived or 1):.1%}"
        table.append([name, f"{kind.calls}", f"{kind.wasted or ''}", *slept])
    return "\n".join([aligned(table), "", *sentences(recording, found)])


def sentences(recording: Recording, found: Summary) -> Iterator[str]:
    """Say what the table does not."""
    each = [number / (found.requests or 1) for number in (found.calls, found.wasted, found.woken)]
    yield (
        f"{found.requests} packets came in; for each of them there were {each[0]:.1f} calls,"
        f" {each[1]:.1f} of them in vain, and a sleeping thread was woken {each[2]:.1f} times"
        if found.requests
        else "no packet came in, as far as is seen"
    )
    share = found.elsewhere / (found.lived or 1)
    yield (
        f"threads: {found.threads}, which ran for {found.ran * 1e3:.1f} ms of CPU time in"
        f" {found.seconds:.2f} s, and for {share:.1%} of the time waited in none of these calls"
    )
    if spinning := spins(recording.calls(), found.seconds):
        yield spinning
    for package in recording.unseen:
        yield f"{package} is loaded: it {WHY[package]}, and what it calls is not seen"
    if recording.others:
        yield f"processes that it started: {recording.others}; what they did is not seen"
    if recording.cost is not None:
        made = sum(event.count for event in recording.of(SERVER)) or 1
        yield f"recording took {recording.cost / made * 1e6:.0f} us for each call"
