"""A server that runs under the observer, held by a gate before each call, and what is seen of it.

Everything here happens on one asyncio loop. Each thread of the server has a connection of its own
to the gate: it says which call it is about to make, waits there for a line, makes the call, and
says what came of it; see `lab/observe/inside/gate.py`. What happens becomes events; docs/live.md
says what is in each.
"""

import asyncio
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lab.harness import processes
from lab.harness.servers import ROOT, Server, ServerError
from lab.live.clients import Client
from lab.observe.run import starting

Event = dict[str, Any]

LOOK = 0.05
"""Seconds between two looks at what the kernel holds."""

SHOWN = 200
"""Connections that are told of, at most."""

SOURCE = 400_000
"""Bytes of a program's file that are shown, at most."""


class Session:
    """One server. `emit` is called with each event."""

    def __init__(self, title: str, command: Sequence[str], emit: Callable[[Event], object]) -> None:
        self.title = title
        self.command = command
        self.emit = emit
        self.paused = False
        self.delay = 0.0
        self.held: dict[int, asyncio.Future[None]] = {}  # by thread, the oldest first
        self.clients: dict[str, Client] = {}
        self.server: Server | None = None
        self.shown: set[str] = set()
        self.kernel: Event = {}
        self.threads: dict[int, int] = {}  # the system's number of each
        self.idle: set[int] = set()
        self.ends = contextlib.AsyncExitStack()

    def say(self, kind: str, **what: Any) -> None:
        """Emit an event that happens now."""
        self.emit({"kind": kind, "t": time.monotonic(), **what})

    # The server

    async def start(self) -> None:
        """Start it and wait until it serves; ServerError if it does not."""
        folder = self.ends.enter_context(tempfile.TemporaryDirectory())
        gate = str(Path(folder, "gate"))
        listening = await asyncio.start_unix_server(self.thread, gate, limit=1 << 20)
        self.ends.callback(self.go)
        self.ends.callback(listening.close)
        self.say("start", title=self.title)
        self.server = starting(self.command, Path(gate), stdin=subprocess.DEVNULL)
        self.ends.push_async_callback(asyncio.to_thread, self.server.__exit__)
        await asyncio.to_thread(self.server.wait_until_ready)
        self.say("serves", seen=bool(self.shown))
        looking = asyncio.create_task(self.look())
        self.ends.callback(looking.cancel)

    async def stop(self) -> None:
        """End it, and its clients; nothing more is heard of it."""
        self.emit = bool
        for client in self.clients.values():
            client.leave()
        self.clients.clear()
        await self.ends.aclose()

    async def look(self) -> None:
        """Say what the kernel holds, whenever that has changed, and how the server ended."""
        assert self.server
        while not (how := self.server.ended()):
            self.look_once()
            await asyncio.sleep(LOOK)
        self.say("exit", how=how)

    def look_once(self) -> None:
        """Say what the kernel holds, if that has changed."""
        assert self.server
        seen = kernel(self.server.port)
        if seen != self.kernel:
            self.kernel = seen
            self.say("kernel", **seen)
        for thread, system in self.threads.items():
            if (idle := processes.asleep(self.server.pid, system)) != (thread in self.idle):
                self.idle ^= {thread}
                self.say("idle", thread=thread, idle=idle)

    # The gate

    async def thread(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Attend to one thread of the server, from its first call to its end."""
        with (
            contextlib.closing(writer),
            contextlib.suppress(ConnectionError, asyncio.CancelledError),
        ):
            while line := await reader.readline():
                event: Event = json.loads(line)
                if "system" in event:
                    self.threads[event["thread"]] = event["system"]
                elif event.get("over"):
                    self.threads.pop(event["thread"], None)
                if event["kind"] != "begin":
                    self.emit(event)
                    continue
                self.source(event.get("file"))
                event["held"] = self.paused or self.delay > 0
                self.emit(event)
                if event["held"]:
                    await self.leave(event["thread"])
                writer.write(b"\n")

    async def leave(self, thread: int) -> None:
        """Wait until the thread may go on: for the chosen delay, and for as long as it is held."""
        self.held[thread] = future = asyncio.get_running_loop().create_future()
        if not self.paused:
            await asyncio.wait([future], timeout=self.delay)
        if self.paused:
            await future
        self.held.pop(thread, None)
        self.say("leave", thread=thread)

    def step(self, thread: int | None = None) -> None:
        """Let one thread make its call: this one, or whoever waits longest."""
        one = next(iter(self.held), -1) if thread is None else thread
        if future := self.held.pop(one, None):
            future.set_result(None)

    def go(self) -> None:
        """Let all go on."""
        self.paused = False
        while self.held:
            self.step()

    def source(self, name: str | None) -> None:
        """Say the text of a file of the program, when it first comes up."""
        if not name or name in self.shown:
            return
        self.shown.add(name)
        folders = [ROOT, *(Path(word).parent for word in self.command if word.endswith(".py"))]
        for folder in folders:
            with contextlib.suppress(OSError, UnicodeError):
                text = (folder / name).read_text()[:SOURCE]
                self.say("source", file=name, text=text)
                return

    # The clients

    def add(self, name: str, kind: str) -> Client:
        """Add a client, which has not done anything yet; ServerError if nobody serves."""
        how = self.server.ended() if self.server else ""
        if not self.server or not self.server.host or how:
            raise ServerError(how or "the program does not serve")
        say = partial(self.say, "client", name=name)
        self.clients[name] = client = Client(kind, self.server.host, self.server.port, say)
        say(did="added", what=kind, next=client.things[0][0])
        return client

    def remove(self, name: str) -> None:
        """Have a client leave."""
        if client := self.clients.pop(name, None):
            client.leave()
            self.say("client", name=name, did="left")


def kernel(port: int) -> Event:
    """Return what the kernel holds for a server: who waits in its backlog, and what is on its way.

    Of each connection the bytes that: have arrived and are not read; are sent and have not arrived;
    have arrived at the client and are not read there; of `more` it is not told. Empty where the
    system does not say.
    """
    if not (every := list(processes.connections(port))):
        return {}
    there = {one.local: one.unread for one in every if one.peer_port == port}
    known = (processes.ESTABLISHED, processes.CLOSE_WAIT)
    ours = [one for one in every if one.local_port == port and one.state in known]
    backlog = [one.peer for one in ours if not one.inode]
    sizes = [(one.peer, [one.unread, one.unsent, there.get(one.peer, 0)]) for one in ours]
    shown = dict(sorted(sizes)[:SHOWN])
    return {"backlog": backlog, "connections": shown, "more": len(sizes) - len(shown)}
