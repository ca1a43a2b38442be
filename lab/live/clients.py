"""The clients that a reader adds: each has a list of things to do, one after the other."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from common.serving import peer_name
from lab.harness.clients import MiB, letters, reset
from simple_client import SCRIPT

Say = Callable[..., None]
"""Called with what a client did, as an event of the page."""

PATIENCE = 20.0
"""Seconds for the server to close, when all has been said."""

SMALL = 16 * 1024
"""Bytes of the receive buffer of one that never reads: so it is soon full."""


class Client:
    """One connection to one server. `next` does its next thing; what it hears is said at once."""

    def __init__(self, kind: str, host: str, port: int, say: Say) -> None:
        self.kind = kind
        self.address = (host, port)
        self.say = say
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.setblocking(False)
        if kind == DEAF:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        self.things = [("connect", self.connect), *KINDS[kind](self)]
        self.tasks: set[asyncio.Task[None]] = set()
        self.turn = asyncio.Lock()

    def start(self, thing: Coroutine[Any, Any, None]) -> None:
        """Do something in the background, until the client leaves."""
        task = asyncio.create_task(thing)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def next(self) -> None:
        """Do the next thing when that before it is done; what the system says of it is said."""
        async with self.turn:
            if not self.things:
                return
            name, thing = self.things.pop(0)
            try:
                await thing()
            except OSError as error:
                self.say(did="failed", what=name, error=error.strerror or str(error))
                self.things.clear()
            self.say(did="next", next=self.things[0][0] if self.things else "")

    async def play(self, pause: float = 0.5) -> None:
        """Do one thing after the other, with so many seconds between two of them."""
        while self.things:
            await self.next()
            await asyncio.sleep(pause)

    async def talk(self, pace: float) -> None:
        """Do all that there is to do, and wait until the server has closed."""
        await self.play(pace)
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=PATIENCE)

    async def connect(self) -> None:
        """Connect, and listen from now on, unless it is one that never reads."""
        self.say(did="connect")
        await asyncio.get_running_loop().sock_connect(self.sock, self.address)
        self.say(did="connected", address=peer_name(self.sock.getsockname()))
        if self.kind != DEAF:
            self.start(self.hear())

    async def hear(self) -> None:
        """Say all that comes, until the server closes."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(self.sock, 64 * 1024):
                self.say(did="received", **shown(data))
        self.say(did="end")

    async def send(self, data: bytes) -> None:
        """Send all of it; that may take until the server reads."""
        self.say(did="send", **shown(data))
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def ask(self, size: int) -> None:
        """Send a frame of so many bytes, for which as many are owed."""
        await self.send(b"^" + letters(size) + b"$")

    async def finish(self) -> None:
        """Send no more, and go on reading."""
        self.say(did="finish")
        self.sock.shutdown(socket.SHUT_WR)

    async def reset(self) -> None:
        """Leave without a good-bye, and have the server told so."""
        self.say(did="reset")
        self.leave(reset)

    def leave(self, close: Callable[[socket.socket], Any] = socket.socket.close) -> None:
        """Close the connection, once nothing waits for it any more."""
        self.things.clear()
        for task in self.tasks - {asyncio.current_task()}:
            task.cancel()
        asyncio.get_running_loop().call_soon(close, self.sock)


def shown(data: bytes) -> dict[str, Any]:
    """Return what the page shows of bytes: how many, and the first."""
    return {"size": len(data), "data": data[:40].decode("latin-1")}


Thing = tuple[str, Callable[[], Awaitable[None]]]

DEAF = "never reads"


def sends(client: Client, *pieces: bytes) -> list[Thing]:
    """Return things that send these, one after the other."""
    return [(f"send {piece.decode()}", partial(client.send, piece)) for piece in pieces]


def ends(client: Client, *pieces: bytes) -> list[Thing]:
    """Return things that send these, and then no more."""
    return [*sends(client, *pieces), ("send no more", client.finish)]


KINDS: dict[str, Callable[[Client], Sequence[Thing]]] = {
    "script": lambda client: ends(client, *(piece for piece, _ in SCRIPT)),
    "by hand": lambda client: [],
    "silent": lambda client: [],
    DEAF: lambda client: [("ask for 1 MiB", partial(client.ask, MiB))] * 16,
    "half-close": lambda client: ends(client, b"^abc$"),
    "reset": lambda client: [*sends(client, b"^abc"), ("reset", client.reset)],
    "flood": lambda client: [("send 4 MiB", partial(client.ask, 4 * MiB))] * 4,
}
"""The kinds, and what each does once it is connected."""
