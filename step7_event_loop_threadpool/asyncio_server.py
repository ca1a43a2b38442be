"""The same server on what people use: asyncio, and with --uvloop libuv itself.

Two ways to write it. `streams` reads like step 2: a coroutine for each client, which awaits
where the thread slept. `protocol` reads like this step: callbacks, called by the loop.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from common.framing import ACK, Framing


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Talk to one client until it has sent everything, or is gone; then close."""
    framing = Framing()
    with (
        serving.visit(serving.peer_name(writer.get_extra_info("peername"))) as visit,
        contextlib.closing(writer),
        # The server ends; asyncio.streams would log this as an error.
        contextlib.suppress(asyncio.CancelledError),
    ):
        writer.write(ACK)
        visit.sent += len(ACK)
        while data := await reader.read(serving.RECV_SIZE):
            visit.received += len(data)
            owed = framing.feed(data)
            writer.write(owed)
            await writer.drain()  # do not read while what is unsent piles up
            visit.sent += len(owed)


class Conversation(asyncio.Protocol):
    """The callbacks for one client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet a client that has come."""
        self.transport = cast(asyncio.Transport, transport)
        self.peer = serving.peer_name(transport.get_extra_info("peername"))
        self.framing = Framing()
        self.received, self.sent = 0, len(ACK)
        serving.log_connected(self.peer)
        self.transport.write(ACK)

    def data_received(self, data: bytes) -> None:
        """Answer what has arrived."""
        self.received += len(data)
        owed = self.framing.feed(data)
        self.sent += len(owed)
        self.transport.write(owed)

    def pause_writing(self) -> None:
        """Do not read while what is unsent piles up."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again."""
        self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Log that the client has left or failed."""
        serving.log_disconnected(self.peer, self.received, self.sent, error)


async def serve(listener: socket.socket, style: str) -> None:
    """Serve until cancelled."""
    backlog = serving.BACKLOG  # it listens again, and its own is 100
    if style == "streams":
        server = await asyncio.start_server(converse, sock=listener, backlog=backlog)
    else:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Conversation, sock=listener, backlog=backlog)
    async with server:
        await server.serve_forever()


def uvloop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes a loop of uvloop; exit with a line if that is not installed."""
    try:
        import uvloop
    except ImportError:
        sys.exit("--uvloop wants uvloop, which is not installed: pip install '.[uvloop]'")
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    parser.add_argument("--style", choices=("streams", "protocol"), default="streams")
    parser.add_argument("--uvloop", action="store_true", help="on libuv; an extra")
    args = parser.parse_args()
    factory = uvloop_factory() if args.uvloop else None

    def run(listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(serve(listener, args.style))

    serving.run(args, run)


if __name__ == "__main__":
    main()
