"""A server that passes every check. Its bugs are its subclasses."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import traceback


class Right:
    """A coroutine for each client, on the plain sockets of asyncio's loop."""

    backlog = 1024
    begins_in_frame = False
    table = bytes((byte + 1) % 256 for byte in range(256))

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
        await self.start(sock)

    async def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        """Try again later."""
        await asyncio.sleep(0.05)

    async def start(self, sock: socket.socket) -> None:
        """Talk to a client while others are served."""
        task = asyncio.create_task(self.converse(sock))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def converse(self, sock: socket.socket) -> None:
        """Talk to a client until it has sent everything."""
        with contextlib.suppress(OSError), sock:
            await self.greet(sock)
            state = self.begins_in_frame
            while data := await self.receive(sock):
                owed, state = self.answer(data, state)
                await self.send(sock, owed)
            await self.at_end(sock)

    async def greet(self, sock: socket.socket) -> None:
        """Send the `*`."""
        await self.loop.sock_sendall(sock, b"*")

    async def receive(self, sock: socket.socket) -> bytes:
        """Wait for what comes next; asyncio would let nobody else have a turn if it is there."""
        await asyncio.sleep(0)
        return await self.loop.sock_recv(sock, 65536)

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        """Return what is owed for `data`, and whether a frame is open after it."""
        reply = []
        for part in re.split(rb"(\$)", data):
            if part == b"$":
                in_frame = False
                continue
            if not in_frame:
                _, caret, part = part.partition(b"^")
                in_frame = bool(caret)
            reply.append(part.translate(self.table))
        return b"".join(reply), in_frame

    async def send(self, sock: socket.socket, owed: bytes) -> None:
        """Send all that is owed."""
        await self.loop.sock_sendall(sock, owed)

    async def at_end(self, sock: socket.socket) -> None:
        """Do something more when the client has sent everything."""
