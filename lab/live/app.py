"""What the page drives: servers side by side, the same clients for each, and what has happened."""

import asyncio
import contextlib
import json
import queue
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lab.harness.servers import ServerError
from lab.live.clients import KINDS, Client
from lab.live.session import Event, Session

FLUSH = 0.04
"""Seconds between two parcels of events to the browser."""

MOST = 16 << 20
"""Bytes of events that are kept for who comes late; after more, the programs are started anew."""

TEN = "ten at once"

Listener = queue.SimpleQueue[str]


class App:
    """All of it, on one asyncio loop. `programs` are the commands that may be opened, by titles."""

    def __init__(self, programs: Mapping[str, Sequence[str]]) -> None:
        self.programs = programs
        self.sessions: list[Session] = []
        self.events: list[Event] = []
        self.told = self.size = 0
        self.listeners: set[Listener] = set()
        self.whole = True  # whether `events` are all there were
        self.clients = 0
        self.opening = asyncio.Lock()

    def emit(self, session: int, event: Event) -> None:
        """Keep an event, for those who listen now or later."""
        self.events.append({"s": session, **event})

    async def flush(self) -> None:
        """Tell those who listen what is new, again and again."""
        while True:
            await asyncio.sleep(FLUSH)
            if new := self.events[self.told :]:
                self.told = len(self.events)
                parcel = json.dumps(new)
                self.size += len(parcel)
                for listener in self.listeners:
                    listener.put(parcel)
            if self.size > MOST:
                del self.events[: self.told]
                self.told, self.size, self.whole = 0, 0, False

    async def listen(self) -> Listener:
        """Return a queue of parcels: all that has happened, then what happens."""
        if not self.whole:
            await self.open([session.title for session in self.sessions])
        listener: Listener = queue.SimpleQueue()
        choices = {"kind": "hello", "programs": list(self.programs), "kinds": [*KINDS, TEN]}
        listener.put(json.dumps([choices, *self.events[: self.told]]))
        self.listeners.add(listener)
        return listener

    # What the browser may ask for

    async def do(self, wish: Mapping[str, Any]) -> None:
        """Do what the page asks for; ValueError or KeyError if there is no such thing."""
        given = dict(wish)
        name = given.pop("do")
        if name not in ("open", "add", "next", "play", "write", "remove", "mode", "step"):
            raise ValueError(f"{name!r} is nothing one can do")
        await getattr(self, name)(**given)

    async def open(self, titles: Sequence[str]) -> None:
        """Start these programs, and end those that ran."""
        commands = {title: self.programs[title] for title in titles}
        async with self.opening:
            await self.close()
            self.events.clear()
            self.told = self.size = self.clients = 0
            self.whole = True
            self.emit(0, {"kind": "reset", "count": len(commands)})
            self.sessions = [
                Session(title, command, partial(self.emit, number))
                for number, (title, command) in enumerate(commands.items())
            ]
            for session in self.sessions:
                try:
                    await session.start()
                except ServerError as error:
                    session.say("exit", how=str(error))

    async def close(self) -> None:
        """End them all."""
        sessions, self.sessions = self.sessions, []
        for session in sessions:
            await session.stop()

    async def add(self, kind: str) -> None:
        """Add a client to each server, and connect it; ten at once go on by themselves."""
        for _ in range(10 if kind == TEN else 1):
            self.clients += 1
            for session in self.sessions:
                client = session.add(f"c{self.clients}", "script" if kind == TEN else kind)
                client.start(client.play() if kind == TEN else client.next())

    def those(self, client: str) -> list[Client]:
        """Return a client's connections, one to each server; KeyError if there is no such one."""
        return [session.clients[client] for session in self.sessions]

    async def next(self, client: str) -> None:
        """Have a client do its next thing."""
        for one in self.those(client):
            one.start(one.next())

    async def play(self, client: str, pause: float = 0.5) -> None:
        """Have a client do the rest by itself, with so many seconds between two things."""
        for one in self.those(client):
            one.start(one.play(float(pause)))

    async def write(self, client: str, text: str) -> None:
        """Have a client send what was typed."""
        for one in self.those(client):
            one.things.append(("send", partial(one.send, text.encode())))
            one.start(one.next())

    async def remove(self, client: str) -> None:
        """Have a client leave."""
        for session in self.sessions:
            session.remove(client)

    async def mode(self, paused: bool, delay: float = 0.0) -> None:
        """Hold every thread before its next call, or let all go on, so many seconds each."""
        for session in self.sessions:
            session.paused, session.delay = bool(paused), min(max(float(delay), 0.0), 10.0)
            if not paused:
                session.go()
            session.emit({"kind": "mode", "paused": session.paused, "delay": session.delay})

    async def step(self, session: int | None = None, thread: int | None = None) -> None:
        """Let one thread make its call: of one server, or of each."""
        for one in self.sessions if session is None else [self.sessions[session]]:
            one.step(thread)


@contextlib.asynccontextmanager
async def running(app: App) -> Any:
    """Tell what is new during the block; after it no server is left."""
    flushing = asyncio.create_task(app.flush())
    try:
        yield app
    finally:
        flushing.cancel()
        await app.close()
