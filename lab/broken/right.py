"""A server that passes every check. Its bugs are its subclasses."""

import asyncio
import contextlib
import copy
import os
import re
import signal
import socket
import sys
import traceback


class Right:
    """A coroutine for each client, on the plain sockets of asyncio's loop.

    Each client has a copy of the server, with its `sock` and what else is its own.
    """

    backlog = 1024
    in_frame = False
    table = bytes((byte + 1) % 256 for byte in range(256))
    sock: socket.socket

    @classmethod
    def run(cls, port: int) -> None:
        """Serve on a port of loopback, 0 for a free one."""
        try:
            asyncio.run(cls().main(port))
        except OSError as error:
            sys.stderr.write(f"cannot serve: {error}\n")
            os._exit(1)  # a loop that is half made would complain on the way out

    async def main(self, port: int) -> None:
        """Listen, say so, and serve."""
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.on_signal)
        listener = socket.socket()
        listener.setblocking(False)
        self.options(listener)
        listener.bind(("127.0.0.1", port))
        listener.listen(self.backlog)
        await self.listening()
        print(f"Serving on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            await self.serve(listener)

    def options(self, listener: socket.socket) -> None:
        """Set the options of the listening socket."""
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    async def listening(self) -> None:
        """Do something more before it serves."""

    def on_signal(self, *_: object) -> None:
        """End at once."""
        os._exit(0)

    async def serve(self, listener: socket.socket) -> None:
        """Accept a client and start talking to it."""
        try:
            sock, _ = await self.loop.sock_accept(listener)
        except OSError as error:
            traceback.clear_frames(error.__traceback__)  # or a socket may stay open in them
            await self.cannot_accept(listener, error)
            return
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = copy.copy(self)
        client.sock = sock
        await client.start()

    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        """Try again later."""
        await asyncio.sleep(0.05)

    async def start(self) -> None:
        """Talk to the client while others are served."""
        task = asyncio.create_task(self.converse())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def converse(self) -> None:
        """Talk to the client until it has sent everything, or a call fails."""
        with contextlib.suppress(OSError), self.sock:
            try:
                await self.greet()
                await self.talk()
                await self.at_end()
            except OSError as error:
                await self.failed(error)

    async def greet(self) -> None:
        """Send the `*`."""
        await self.loop.sock_sendall(self.sock, b"*")

    async def talk(self) -> None:
        """Answer what comes until there is no more."""
        while data := await self.receive():
            await self.send(self.answer(data))

    async def receive(self) -> bytes:
        """Wait for what comes next; asyncio would let nobody else have a turn if it is there."""
        await asyncio.sleep(0)
        return await self.loop.sock_recv(self.sock, 65536)

    def answer(self, data: bytes) -> bytes:
        """Return what is owed for `data`."""
        reply = []
        for part in re.split(rb"(\$)", data):
            if part == b"$":
                self.in_frame = False
                continue
            if not self.in_frame:
                _, caret, part = part.partition(b"^")
                self.in_frame = bool(caret)
            reply.append(part.translate(self.table))
        return b"".join(reply)

    async def send(self, owed: bytes) -> None:
        """Send all that is owed."""
        await self.loop.sock_sendall(self.sock, owed)

    async def at_end(self) -> None:
        """Do something more when the client has sent everything."""

    async def failed(self, error: OSError) -> None:
        """Do something more when a call has failed, which is the end of this client."""
