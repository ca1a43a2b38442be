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
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from common.framing import ACK, Framing


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Talk to one client until it has sent everything, or is gone; then close."""
    framing = Framing()
    with (
        serving.visit(serving.peer_name(writer.get_extra_info("peername"))) as visit,
        contextlib.closing(writer),
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


def talk_in_streams() -> asyncio.StreamReaderProtocol:
    """Return what runs `converse` for a client."""
    return asyncio.StreamReaderProtocol(asyncio.StreamReader(), converse)


STYLES = {"streams": talk_in_streams, "protocol": Conversation}


async def serve(listener: socket.socket, style: str) -> None:
    """Take clients in, for ever.

    By hand: when there is no descriptor for another client, asyncio's own server asks again at
    once, a thousand times, and logs each; and uvloop's sends that client away.
    """
    listener.setblocking(False)
    while True:
        try:
            listener = await readable(listener)
            sock, _ = listener.accept()
            await take_in(sock, style)
        except (BlockingIOError, ConnectionAbortedError):
            pass  # whoever it was has left
        except Exception as error:
            serving.log_not_accepting(error)
            await asyncio.sleep(serving.RETRY)


async def readable(listener: socket.socket) -> socket.socket:
    """Wait until there is somebody to be accepted; return the listening socket."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(listener, ready.set_result, None)
    except FileExistsError:  # the kernel would not forget this descriptor: take another for it
        fresh = listener.dup()
        listener.close()
        listener = fresh
        loop.add_reader(listener, ready.set_result, None)
    try:
        await ready
    finally:
        loop.remove_reader(listener)
    return listener


async def take_in(sock: socket.socket, style: str) -> None:
    """Begin with a client that has come; if that cannot be, close its socket."""
    try:
        await asyncio.get_running_loop().connect_accepted_socket(STYLES[style], sock)
    except BaseException:
        sock.close()
        raise


def on_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a callback that failed, and close its client; asyncio leaves that one hanging."""
    error = context.get("exception")
    serving.log.error("%s: %s", context["message"], serving.reason(error) if error else "")
    called = getattr(context.get("handle"), "_callback", None)
    owner = context.get("transport", getattr(called, "__self__", None))
    if isinstance(owner, asyncio.Transport):
        owner.abort()


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
    style = "in coroutines, or in callbacks (%(default)s)"
    parser.add_argument("--style", choices=STYLES, default="streams", help=style)
    parser.add_argument(
        "--uvloop", action="store_true", help="on uvloop instead of asyncio's own loop; an extra"
    )
    args = parser.parse_args()
    accepting: list[asyncio.Task[None]] = []

    def run(listener: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        if not accepting:
            loop.set_exception_handler(on_failure)
            accepting.append(loop.create_task(serve(listener, args.style)))
        loop.run_forever()  # if the wait fails, this raises, and is called again

    serving.run(args, run, uvloop_factory() if args.uvloop else asyncio.new_event_loop)


if __name__ == "__main__":
    main()
