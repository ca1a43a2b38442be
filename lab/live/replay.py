"""`python -m lab replay`: a recording to look at, in one file: forwards, backwards, to any call.

It is the page of `lab live`, with what happened in it instead of a server. The address keeps the
place: `run.html#call=17` is just before the 17th call comes back.

  python -m lab replay 5/minimal -o run.html
  python -m lab replay --cmd 'python my_server.py {port}' -o run.html
  python -m lab replay --from calls.jsonl -o run.html
"""

import argparse
import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.harness.servers import ROOT, ServerError
from lab.live import command, page
from lab.live.app import App, running
from lab.live.session import Event
from lab.show import arguments

MOST = 1 << 20
"""Bytes that the file has at most."""

TOO_MUCH = "more has happened than a page can hold: take fewer clients, or a quicker pace"

APART = 0.3
"""Seconds, times the pace, between the coming of two clients."""


def run(args: argparse.Namespace) -> int:
    """Record, unless there is a recording already, and write the page."""
    if bool(args.programs) + bool(args.cmd) + bool(args.recording) != 1:
        raise arguments.Wrong("name one program, or give --cmd or --from")
    if args.recording:
        events = recorded(args.recording)
    else:
        programs, (first, *_) = command.wanted(args)
        events = asyncio.run(record(App(programs), first, args.n, args.pace))
    text = page.whole(events)
    if len(text.encode()) > MOST:
        raise arguments.Wrong(TOO_MUCH)
    args.out.write_text(text)
    return 0


async def record(app: App, title: str, count: int, pace: float) -> list[Event]:
    """Run a program with so many clients of the script to their end; return what happened."""
    async with running(app):
        await app.open([title])
        if app.events[-1]["kind"] == "exit":
            raise ServerError(app.events[-1]["how"])
        (session,) = app.sessions
        async with asyncio.TaskGroup() as talks:
            for number in range(1, count + 1):
                talks.create_task(session.add(f"c{number}", "script").talk(pace))
                await asyncio.sleep(APART * pace)
        session.look_once()
        if not app.whole:
            raise arguments.Wrong(TOO_MUCH)
        return list(app.events)


def recorded(file: Path) -> list[Event]:
    """Return what `lab observe --out` has written, as events of the page."""
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        came = (line["local"] for line in lines if line["call"] == "connect" and line["local"])
        names = {local: f"c{number}" for number, local in enumerate(dict.fromkeys(came), 1)}
        sets: dict[object, dict[int, str]] = {}
        events = [event for line in lines for event in of_line(whole_set(line, sets), names)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise arguments.Wrong(f"{file} is no recording of `lab observe --out`: {error}") from None
    events.sort(key=lambda event: float(event["t"]))
    files = dict.fromkeys(event["file"] for event in events if event.get("file"))
    start: list[Event] = [{"kind": "reset", "count": 1}, {"kind": "start", "title": file.name}]
    for name in files:
        with contextlib.suppress(OSError):
            start.append({"kind": "source", "file": name, "text": (ROOT / name).read_text()})
    return [{"s": 0, **event} for event in start + events]


def whole_set(line: dict[str, Any], sets: dict[object, dict[int, str]]) -> dict[str, Any]:
    """Return a line with all that was handed over in it, not only what was new at that place."""
    if line["call"] not in ("select", "poll.poll"):
        return line
    place = line["thread"], line["call"], line["call"] == "select" and line["line"]
    there = sets.setdefault(place, {})
    there.update(line.get("fds", ()))
    sets[place] = {fd: way for fd, way in there.items() if way}
    return line | {"fds": [*sets[place].items()]}


def of_line(line: dict[str, Any], names: dict[str, str]) -> Sequence[Event]:
    """Return the events of one recorded call: that it begins, and that it ends, if it does."""
    known = {key: value for key, value in line.items() if key not in ("start", "end", "cpu")}
    if line["process"] == "client":
        return of_client(line, names[line["local"]]) if line.get("local") else []
    if line["call"] in ("task", "await", "exit"):
        return []
    begun = {"kind": "begin", "t": line["start"], **known}
    ended = {"kind": "end", "t": line["end"], **known}
    if line["call"] == "thread":
        begun |= {"kind": "thread"}
        ended |= {"kind": "thread", "over": True}
    return [begun, ended] if line["end"] is not None else [begun]


def of_client(line: dict[str, Any], name: str) -> Sequence[Event]:
    """Return what a client did, as the page says it."""
    one = {"kind": "client", "name": name, "t": line["end"] or line["start"]}
    size = {"size": line.get("result") or 0, "data": ""}
    match line["call"]:
        case "connect":
            return [one | {"did": "added"}, one | {"did": "connected", "address": line["local"]}]
        case "send" | "sendall":
            return [one | {"did": "send"} | size]
        case "recv" | "recv_into" if line.get("result"):
            return [one | {"did": "received"} | size]
        case "recv" | "recv_into" if line.get("result") == 0:
            return [one | {"did": "end"}]
        case "close":
            return [one | {"did": "left"}]
    return []


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add, file = parser.add_argument, arguments.file
    add("programs", metavar="STEP", nargs="?", type=command.program, help="as in `lab live`")
    add("--cmd", metavar="COMMAND", help="start the server so; {port} stands for its port")
    add("--from", dest="recording", metavar="FILE", type=Path, help="what `observe --out` wrote")
    arguments.add_clients(parser, 3)
    add("-o", "--out", metavar="FILE", type=file, required=True, help="the page, in one file")
