"""The client that drives every step: N conversations with a server at once.

Each follows the same script: wait for the server's `*`; send a piece, pause, send the
next; shut down sending, and read to the end. Every chunk of the answer is logged as it
arrives. The status is 1 if any answer was not what the protocol owes.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[0]))  # where "common" is
from common import connecting, descriptors

ACK = b"*"
# What is sent, and the pause after it in seconds. Frames are cut across the pieces.
SCRIPT = (b"^abc$de^abte$f", 1.0), (b"xyz^123", 1.0), (b"25$^ab0000$abab", 0.2)
OWED = b"bcdbcuf" + b"234" + b"36bc1111"
PATIENCE = 10.0  # seconds without an answer after which it counts as late

CONNECTING, WAITING, TALKING, DONE, FAILED = "connecting", "waiting", "talking", "done", "failed"

OnState = Callable[["Conversation"], object]
log = logging.getLogger("simple_client")


class Conversation:
    """One connection. `on_state(conversation)` is called whenever its state changes."""

    def __init__(self, name: str, on_state: OnState = bool) -> None:
        self.name = name
        self.on_state = on_state
        self.received = b""
        self.problem = ""  # what was wrong with that, if anything
        self.state = CONNECTING

    async def run(self, host: str, port: int, pace: float, patience: float) -> None:
        """Talk to the server; wait up to `patience` seconds for its `*`. Raises no OSError."""
        try:
            async with asyncio.timeout(patience) as limit:
                await self._talk(host, port, pace, limit)
        except* TimeoutError:
            late = {CONNECTING: "no connection", WAITING: f"no {ACK!r}", TALKING: "not closed"}
            self.problem = f"late: {late[self.state]}; {self._compared()}"
        except* (OSError, UnicodeError) as group:
            where = f"no connection to {host}:{port}"
            what = where if self.state == CONNECTING else "connection lost"
            self.problem = f"{what}: {connecting.reason(group.exceptions[0])}"
        self._enter(FAILED if self.problem else DONE)

    async def _talk(self, host: str, port: int, pace: float, limit: asyncio.Timeout) -> None:
        reader, writer = await connecting.open_connection(host, port)
        with contextlib.closing(writer):
            self._enter(WAITING)
            if (ack := await reader.read(1)) != ACK:
                self.problem = f"wrong greeting: {ack!r} instead of {ACK!r}"
                return
            log.info("%s connected...", self.name)
            self._enter(TALKING)
            limit.reschedule(asyncio.get_running_loop().time() + script(pace) + PATIENCE)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._send(writer, pace))
                both.create_task(self._receive(reader))
            log.info("%s disconnecting", self.name)
            if self.received != OWED:
                kind = "short" if OWED.startswith(self.received) else "wrong"
                self.problem = f"{kind}: {self._compared()}"

    async def _send(self, writer: asyncio.StreamWriter, pace: float) -> None:
        with contextlib.suppress(ConnectionError):  # the read says better what was wrong
            for piece, pause in SCRIPT:
                log.info("%s sending %r", self.name, piece)
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause * pace)
            writer.write_eof()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        """Receive until the server closes, or has sent more than it owes."""
        while len(self.received) <= len(OWED) and (chunk := await reader.read(1024)):
            log.info("%s received %r", self.name, chunk)
            self.received += chunk

    def _compared(self) -> str:
        if self.received == OWED:
            return "all that is owed has come"
        return f"got {self.received!r}, owed {OWED!r}"

    def _enter(self, state: str) -> None:
        self.state = state
        self.on_state(self)


async def run(
    host: str, port: int, count: int = 1, pace: float = 1.0, on_state: OnState = bool
) -> list[Conversation]:
    """Hold `count` conversations at once, and return them when all have ended.

    A server may serve one at a time: the wait for the `*` may take as long as all the others.
    """
    patience = PATIENCE + 1.5 * script(pace) * (count - 1)
    conversations = [Conversation(f"conn{i}", on_state) for i in range(count)]
    await asyncio.gather(*(each.run(host, port, pace, patience) for each in conversations))
    return conversations


def script(pace: float) -> float:
    """Return how many seconds of a conversation are the client's own pauses."""
    return pace * sum(pause for _, pause in SCRIPT)


def problems(conversations: list[Conversation]) -> list[str]:
    """Return a line for each different problem: the first who had it, and what it was."""
    names: dict[str, list[str]] = {}
    for each in conversations:
        if each.problem:
            names.setdefault(each.problem, []).append(each.name)
    shown = {what: who[:4] + ["..."] * (len(who) > 4) for what, who in names.items()}
    return [f"{', '.join(who)}: {what}" for what, who in shown.items()]


def main() -> int:
    """Run from the command line; return the status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host", metavar="HOST", help="where the server is: localhost")
    parser.add_argument("port", metavar="PORT", type=int, help="1 to 65535")
    parser.add_argument("-n", type=int, default=1, help="how many conversations at once (1)")
    parser.add_argument("--pace", type=float, default=1.0, help="scales the pauses (1.0)")
    args = parser.parse_args()
    if not (1 <= args.port <= 65535 and 1 <= args.n <= 50_000 and 0 <= args.pace <= 1000):
        parser.error("PORT is from 1 to 65535, -n from 1 to 50000, and --pace from 0 to 1000")
    logging.basicConfig(level="INFO", format="%(levelname)s:%(asctime)s:%(message)s")
    descriptors.raise_limit()  # each conversation takes one
    start = time.monotonic()
    try:
        conversations = asyncio.run(run(args.host, args.port, args.n, args.pace))
    except KeyboardInterrupt:
        return 130
    for line in problems(conversations):
        log.error(line)
    try:
        print(f"Elapsed: {time.monotonic() - start}", flush=True)
    except OSError as error:
        log.error("cannot say how long it took: %s", connecting.reason(error))
        os._exit(1)  # or it would be tried once more
    return 1 if any(each.problem for each in conversations) else 0


if __name__ == "__main__":
    sys.exit(main())
