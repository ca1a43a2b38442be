"""`python -m lab timeline`: draw what a server and its clients did, from a recording of both.

A lane for each client over a lane for each of the server's threads, and each of a thread's tasks;
several servers are drawn under one another, on one axis of time. Wants matplotlib.

  python -m lab timeline 1 2 5 -o flow.svg
  python -m lab timeline step7_event_loop_threadpool/asyncio_server.py -o tasks.svg
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from lab.observe import command, summary
from lab.observe.inside.sitecustomize import ASLEEP
from lab.observe.record import LASTING, RECEIVES, SENDS, WAITS, Event, Recording, idle
from lab.show import arguments

WAITING, SILENT, ASKING = "waits for its *", "silent", "waits for its answer"
ACCEPT, RECEIVE, SEND = "sleeps in accept", "sleeps in recv", "sleeps in send"
MANY, SLEEP, RUN = "sleeps in select/epoll", "sleeps in sleep", "runs"
AWAIT, ELSEWHERE = "awaits", "in none of these calls"

LEAST = 0.002
"""The share of the axis that a bar has at least, so that what is short can be seen."""

LABEL = 0.12
"""The share of the axis from which a bar has room for a label."""


class Bar(NamedTuple):
    """Something that lasts from `start` to `end`, in seconds, and what is written on it."""

    kind: str
    start: float
    end: float
    label: str = ""


class Lane(NamedTuple):
    """A client, or a thread of the server: its name, its bars, and the moments to mark."""

    name: str
    bars: list[Bar]
    marks: Sequence[tuple[str, float]] = ()


def lanes(recording: Recording) -> list[Lane]:
    """Return the clients' lanes, in the order of their coming, and below them the threads'."""
    names = {client: f"conn{number}" for number, client in enumerate(recording.clients())}
    rows = [client_lane(recording, client, name) for client, name in names.items()]
    for thread, events in recording.threads().items():
        rows.append(thread_lane(thread, events, names, recording.end))
        tasks = recording.tasks(thread).values()
        rows += [task_lane(events, recording.end) for events in tasks]
    return rows


def client_lane(recording: Recording, client: str, name: str) -> Lane:
    """Return what a client did: waited for its `*`, was silent, sent, and waited for the answer."""
    mine = recording.seen_of(client)
    came, left = min(event.start for event in mine), max(event.end for event in mine)
    heard = [event.end for event in mine if event.call in RECEIVES and event.result]
    sent = [event.start for event in mine if event.call in SENDS and event.result]
    if not heard and not sent:
        return Lane(name, [Bar(WAITING, came, left, "never greeted")])
    greeted = heard.pop(0) if heard and heard[0] < min(sent, default=left) else came
    bars = [Bar(WAITING, came, greeted, WAITING), Bar(SILENT, greeted, left)]
    for start in sent:
        bars.append(Bar(ASKING, start, next((at for at in heard if at > start), left)))
    return Lane(name, bars, [("sent", at) for at in sent] + [("answered", at) for at in heard])


def thread_lane(thread: int, events: list[Event], names: dict[str, str], until: float) -> Lane:
    """Return what a thread did: in which call it slept, and when it ran."""
    begun, ended = summary.lifetime(events, until)
    bars = [Bar(ELSEWHERE, start, end, ELSEWHERE) for start, end in idle(events)]
    for event in events:
        if event.slept > ASLEEP and event.call not in LASTING:
            client = "" if event.call == "accept" else names.get(event.client or "", "")
            label = f"{event.call} {client}".strip() + f", line {event.line}"
            bars.append(Bar(kind(event.call), event.start, event.end, label))
    share = summary.ran(events, begun, ended) / max(ended - begun, 1e-9)
    title = "main thread" if thread == 0 else f"thread {thread}"
    return Lane(f"{title}: runs {share:.2%}", running(begun, ended, bars))


def task_lane(events: list[Event], until: float) -> Lane:
    """Return what a task did: at which line it awaited, and when it ran."""
    life, *awaits = events
    bars = []
    for event in awaits:
        function = str(event.function).rpartition(".")[2]
        bars.append(Bar(AWAIT, event.start, event.end, f"{function}, line {event.line}"))
    begun, ended = max(0.0, life.start), min(life.end, until)
    return Lane(f"{life.name}: {life.function}", running(begun, ended, bars))


def running(begun: float, ended: float, others: Sequence[Bar]) -> list[Bar]:
    """Return that somebody ran between two times, and over that as much of the others as fits."""
    cut = (one._replace(start=max(one.start, begun), end=min(one.end, ended)) for one in others)
    return [Bar(RUN, begun, ended), *(one for one in cut if one.end > one.start)]


def kind(call: str) -> str:
    """Return what kind of call it slept in."""
    known = dict.fromkeys(WAITS, MANY) | {"sleep": SLEEP, "accept": ACCEPT}
    return known.get(call, SEND if "send" in call else RECEIVE)


def draw(recordings: dict[str, Recording]) -> Any:
    """Draw each recording, one under the other, all on the same axis of time."""
    import matplotlib.pyplot as plt

    drawn = {title: lanes(recording) for title, recording in recordings.items()}
    until = max(recording.end for recording in recordings.values())
    heights = [len(rows) + 0.9 for rows in drawn.values()]
    picture, panels = plt.subplots(
        len(drawn),
        figsize=(9, 0.28 * sum(heights) + 0.85),
        sharex=True,
        squeeze=False,
        height_ratios=heights,
    )
    for (title, rows), (axes,) in zip(drawn.items(), panels, strict=True):
        panel(axes, title, rows, until)
    panels[-1][0].set_xlabel("seconds since the first client came", fontsize=8)
    entries = legend(drawn, LEAST * until)
    picture.legend(handles=entries, loc="outside upper center", ncols=6, **SMALL)
    return picture


WRITTEN: dict[str, Any] = {
    "ha": "center",
    "va": "center",
    "fontsize": 7,
    "clip_on": True,
    "bbox": {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
}
SMALL: dict[str, Any] = {"fontsize": 8, "frameon": False, "handlelength": 1.4}


def panel(axes: Any, title: str, rows: list[Lane], until: float) -> None:
    """Draw the lanes of one recording."""
    for row, lane in enumerate(rows):
        for bar in lane.bars:
            width = max(bar.end - bar.start, LEAST * until if bar.kind == ASKING else 0)
            look = LOOKS[bar.kind]
            axes.barh(row, width, left=bar.start, height=0.72, linewidth=0, **look)
            if bar.label and width > LABEL * until:
                place = bar.start + width / 2
                axes.text(place, row, bar.label, **WRITTEN)
        for mark, at in lane.marks:
            axes.plot(at, row, **MARKS[mark])
    clients = sum(lane.bars[0].kind == WAITING for lane in rows)
    axes.axhline(clients - 0.5, color="#999999", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [lane.name for lane in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_xlim(0, until)
    axes.tick_params("x", labelsize=8)
    axes.grid(False, axis="y")
    axes.set_title(title, loc="left", fontsize=9, fontweight="bold", pad=3)


LOOKS: dict[str, dict[str, Any]] = {
    WAITING: {"facecolor": "#f6c9b3", "hatch": "///", "edgecolor": "#D55E00"},
    SILENT: {"facecolor": "#e4e4e4"},
    ASKING: {"facecolor": "#0072B2"},
    AWAIT: {"facecolor": "#d9cdf0"},
    ELSEWHERE: {"facecolor": "#c4c4c4", "hatch": "...", "edgecolor": "#666666"},
    ACCEPT: {"facecolor": "#a9d8f5"},
    RECEIVE: {"facecolor": "#f3c6de"},
    SEND: {"facecolor": "#0072B2"},
    MANY: {"facecolor": "#a5dccb"},
    SLEEP: {"facecolor": "#f7dc8f"},
    RUN: {"facecolor": "#222222"},
}
"""The colour, and the hatch, of each kind of bar."""

MARKS: dict[str, dict[str, Any]] = {
    "sent": {"marker": "^", "color": "#0072B2", "markersize": 5, "linestyle": "none"},
    "answered": {"marker": "v", "color": "#009E73", "markersize": 5, "linestyle": "none"},
}


def legend(drawn: dict[str, list[Lane]], least: float) -> list[Any]:
    """Return an entry for each kind of mark, and of bar of which one is `least` wide."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = [lane for lanes in drawn.values() for lane in lanes]
    kinds = {bar.kind for lane in rows for bar in lane.bars if bar.end - bar.start >= least}
    kinds.add(ASKING)  # drawn wider than it is
    bars = [Patch(label=name, linewidth=0, **LOOKS[name]) for name in LOOKS if name in kinds]
    return [*bars, *(Line2D([], [], label=name, **mark) for name, mark in MARKS.items())]


def run(args: argparse.Namespace) -> int:
    """Record the servers one after the other, and draw them."""
    arguments.want_matplotlib()
    from lab.show import pictures

    recordings = command.recordings(args)
    pictures.save(args.out, lambda: draw(recordings))
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    command.add_recorded(parser)
    add, file = parser.add_argument, arguments.file
    add("-o", "--out", metavar="FILE", type=file, required=True, help="the picture, an SVG")
