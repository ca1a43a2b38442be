"""The client that drives every step: N conversations with a server at once.

Each follows the same script: wait for the server's `*`, send a piece, pause, send
the next, and log every chunk of the answer as it arrives. The status is 1 if any
answer was not what the protocol owes.
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

sys.path.insert(0, str(Path(__file__).resolve().parent))  # where "common" is
from common import descriptors

ACK = b"*"
# What is sent, and the pause after it in seconds. Frames are cut across the pieces.
SCRIPT = (
    (b"^abc$de^abte$f", 1.0),
    (b"xyz^123", 1.0),
    (b"25$^ab0000$abab", 0.2),
)
OWED = b"bcdbcuf" + b"234" + b"36bc1111"
LAST = b"1111"  # the answer to 0000: nothing is owed after it

PATIENCE = 10.0
"""Seconds without an answer after which it counts as late."""

WAITING, TALKING, DONE, FAILED = "waiting", "talking", "done", "failed"

log = logging.getLogger("simple_client")


class Conversation:
    """One connection: where it stands, what came back, and what was wrong with that.

    `state` is WAITING (for the server's `*`), TALKING, DONE or FAILED; `on_state`
    is called with the conversation whenever that changes. `problem` is None, or
    a line that says why it failed.
    """

    def __init__(
        self, name: str, on_state: Callable[["Conversation"], object] | None = None
    ) -> None:
        self.name = name
        self.received = b""
        self.problem: str | None = None
        self.state = WAITING
        self._on_state = on_state

    async def run(self, host: str, port: int, pace: float, patience: float) -> None:
        """Talk to the server at `host` and `port`, with the pauses scaled by `pace`.

        Waits up to `patience` seconds for the `*`. Sets `state` and `problem`, and
        raises nothing that has to do with the server.
        """
        try:
            await self._connect_and_talk(host, port, pace, patience)
        except _ProblemError as problem:
            self.problem = str(problem)
        self._enter(FAILED if self.problem else DONE)

    async def _connect_and_talk(self, host: str, port: int, pace: float, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                reader, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            raise _ProblemError(f"late: no connection within {patience:.1f} s") from None
        except (OSError, UnicodeError) as error:
            raise _ProblemError(f"cannot connect to {host}:{port}: {_reason(error)}") from None
        try:
            await self._wait_for_ack(reader, patience)
            await self._talk(reader, writer, pace)
        except OSError as error:
            raise _ProblemError(f"connection lost: {_reason(error)}") from None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _wait_for_ack(self, reader: asyncio.StreamReader, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                ack = await reader.read(1)
        except TimeoutError:
            raise _ProblemError(f"late: no {ACK!r} within {patience:.1f} s") from None
        if ack != ACK:
            raise _ProblemError(f"wrong greeting: {ack!r} instead of {ACK!r}")
        log.info("%s connected...", self.name)
        self._enter(TALKING)

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: float
    ) -> None:
        reading = asyncio.create_task(self._read(reader))
        try:
            for piece, pause in SCRIPT:
                log.info("%s sending %r", self.name, piece)
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause * pace)
            async with asyncio.timeout(PATIENCE):
                await reading
        except TimeoutError:
            raise _ProblemError(f"late: {self._compared()}, after {PATIENCE:.1f} s") from None
        finally:
            reading.cancel()
        log.info("%s disconnecting", self.name)
        await self._expect_no_more(reader, writer)
        if self.received != OWED:
            kind = "short" if OWED.startswith(self.received) else "wrong"
            raise _ProblemError(f"{kind}: {self._compared()}")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while LAST not in self.received and len(self.received) < len(OWED):
            chunk = await reader.read(4096)
            if not chunk:
                break
            log.info("%s received %r", self.name, chunk)
            self.received += chunk

    async def _expect_no_more(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Say that this was all, and add to the answer what comes until the server closes."""
        writer.write_eof()
        try:
            async with asyncio.timeout(PATIENCE):
                self.received += await reader.read(-1)
        except TimeoutError:
            raise _ProblemError(f"late: not closed within {PATIENCE:.1f} s") from None

    def _compared(self) -> str:
        return f"got {self.received!r}, owed {OWED!r}"

    def _enter(self, state: str) -> None:
        self.state = state
        if self._on_state:
            self._on_state(self)


class _ProblemError(Exception):
    """The server did not do what it should."""


async def run(
    host: str,
    port: int,
    count: int = 1,
    pace: float = 1.0,
    on_state: Callable[[Conversation], object] | None = None,
) -> list[Conversation]:
    """Hold `count` conversations at once, and return them when all have ended.

    A server that serves one client at a time is in order: the wait for the `*` may
    take as long as all the other conversations, and `PATIENCE` seconds more.
    """
    script = sum(pause for _, pause in SCRIPT) * pace
    patience = PATIENCE + 1.5 * script * (count - 1)
    conversations = [Conversation(f"conn{i}", on_state) for i in range(count)]
    await asyncio.gather(*(each.run(host, port, pace, patience) for each in conversations))
    return conversations


def problems(conversations: list[Conversation]) -> list[str]:
    """Return a line for each different problem, naming the conversations that had it."""
    names: dict[str, list[str]] = {}
    for each in conversations:
        if each.problem:
            names.setdefault(each.problem, []).append(each.name)
    return [f"{_listed(who)}: {problem}" for problem, who in names.items()]


def _reason(error: Exception) -> str:
    """Say what went wrong in the system's own words; asyncio has others for a refusal."""
    number = getattr(error, "errno", None) or 0
    return os.strerror(number) if number > 0 else str(error)


def _listed(names: list[str]) -> str:
    if len(names) <= 5:
        return ", ".join(names)
    return f"{', '.join(names[:4])} and {len(names) - 4} more"


def port(text: str) -> int:
    """Parse an argument that is a port number."""
    value = int(text)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 65535")
    return value


def positive(text: str) -> int:
    """Parse an argument that is a number of clients."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def pace(text: str) -> float:
    """Parse an argument that scales the pauses."""
    value = float(text)
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1000")
    return value


def main() -> int:
    """Run from the command line; return the status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("host", metavar="HOST")
    parser.add_argument("port", metavar="PORT", type=port)
    parser.add_argument("-n", type=positive, default=1, help="how many conversations (1)")
    parser.add_argument("--pace", type=pace, default=1.0, help="scales the pauses (1.0)")
    args = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(levelname)s:%(asctime)s:%(message)s")
    descriptors.raise_limit()  # each conversation takes one
    start = time.time()
    try:
        conversations = asyncio.run(run(args.host, args.port, args.n, args.pace))
    except KeyboardInterrupt:
        return 130
    for line in problems(conversations):
        log.error(line)
    with contextlib.suppress(BrokenPipeError):
        print(f"Elapsed: {time.time() - start}", flush=True)
    return 1 if any(each.problem for each in conversations) else 0


if __name__ == "__main__":
    sys.exit(main())
