"""What the page drives: servers side by side, the same clients for each, and what has happened."""

import asyncio
import contextlib
import json
import queue
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from lab.harness.servers import ServerError
from lab.live.clients import KINDS
from lab.live.session import Event, Session

FLUSH = 0.04
"""Seconds between two parcels of events to the browser."""

MOST = 16 << 20
"""Bytes of events that are kept for who comes late; after more, the programs are started anew."""

TEN = "ten at once"

Listener = queue.SimpleQueue[str]


class App:
    """All of it. `programs` are the commands that may be opened, by their titles.

    What the browser sends is `do`; all but `tell` and `listen` belongs to the asyncio loop.
    """

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
        listener.put(json.dumps([self.hello(), *self.events[: self.told]]))
        self.listeners.add(listener)
        return listener

    def hello(self) -> Event:
        """Return the first event of all: what there is to choose from."""
        return {"kind": "hello", "programs": list(self.programs), "kinds": [*KINDS, TEN]}

    # What the browser may ask for

    async def do(self, wish: Mapping[str, Any]) -> None:
        """Do what the page asks for; ValueError or KeyError if there is no such thing."""
        name = wish["do"]
        if name not in ("open", "add", "next", "play", "write", "remove", "mode", "step"):
            raise ValueError(f"{name!r} is nothing one can do")
        done = getattr(self, name)(**{key: value for key, value in wish.items() if key != "do"})
        if isinstance(done, Coroutine):
            await done

    async def open(self, titles: Sequence[str]) -> None:
        """Start these programs, and end those that ran."""
        commands = {title: self.programs[title] for title in titles}
        async with self.opening:
            await self.start(commands)

    async def start(self, commands: Mapping[str, Sequence[str]]) -> None:
        """Start these, by their titles."""
        await self.close()
        self.events.clear()
        self.told = self.size = self.clients = 0
        self.whole = True
        self.events.append({"s": 0, "kind": "reset", "count": len(commands)})
        for number, (title, command) in enumerate(commands.items()):

            def emit(event: Event, number: int = number) -> None:
                self.emit(number, event)

            self.sessions.append(Session(title, command, emit))
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

    def add(self, kind: str) -> None:
        """Add a client to each server, and connect it; ten at once go on by themselves."""
        for _ in range(10 if kind == TEN else 1):
            self.clients += 1
            for session in self.sessions:
                client = session.add(f"c{self.clients}", "script" if kind == TEN else kind)
                client.start(client.play() if kind == TEN else client.next())

    def next(self, client: str) -> None:
        """Have a client do its next thing."""
        for session in self.sessions:
            session.clients[client].start(session.clients[client].next())

    def play(self, client: str, pause: float = 0.5) -> None:
        """Have a client do the rest by itself, with so many seconds between two things."""
        for session in self.sessions:
            session.clients[client].start(session.clients[client].play(float(pause)))

    def write(self, client: str, text: str) -> None:
        """Have a client send what was typed."""
        for session in self.sessions:
            one = session.clients[client]
            one.things.append(("send", partial(one.send, text.encode())))
            one.start(one.next())

    def remove(self, client: str) -> None:
        """Have a client leave."""
        for session in self.sessions:
            session.remove(client)

    def mode(self, paused: bool, delay: float = 0.0) -> None:
        """Hold every thread before its next call, or let all go on, so many seconds each."""
        for number, session in enumerate(self.sessions):
            session.paused, session.delay = bool(paused), min(max(float(delay), 0.0), 10.0)
            if not paused:
                session.go()
            self.emit(number, {"kind": "mode", "paused": session.paused, "delay": session.delay})

    def step(self, session: int | None = None, thread: int | None = None) -> None:
        """Let one thread make its call: of one server, or of each."""
        for number, one in enumerate(self.sessions):
            if session in (None, number):
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
