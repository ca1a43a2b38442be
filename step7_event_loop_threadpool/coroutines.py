"""Coroutines on our loop: each runs until it has to wait, and goes on when that is over."""

import contextlib
import socket
import types
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Future
from functools import partial
from typing import Any

from common import serving
from step7_event_loop_threadpool.eventloop import READ, WRITE, Loop, Timer

LOOK = 0.1  # seconds between two looks whether a client that has work in the pool is still there


def start(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine, from wait to wait; what it raises is a line of log, and its end."""

    def go_on(result: object = None) -> None:
        try:
            with contextlib.suppress(StopIteration):
                while coroutine.send(result):  # it asks how it will go on
                    result = go_on
        except Exception as error:
            serving.log.error("a coroutine has failed: %s", serving.reason(error))

    go_on()


@types.coroutine
def wait(arrange: Callable[[Callable[..., object]], object]) -> Generator[bool, Any, Any]:
    """Wait until `go_on(result)` is called, which `arrange(go_on)` sees to; return the result."""
    arrange((yield True))
    return (yield False)


async def sleep(loop: Loop, seconds: float) -> None:
    """Wait for so many seconds, while others run."""
    await wait(partial(loop.call_later, seconds))


class Socket:
    """A socket whose calls are awaited. The coroutine that has it closes it (`with`)."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.loop, self.sock = loop, sock

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError), self.sock:
            self.loop.forget(self.sock)

    def on_ready(self, interest: int, go_on: Callable[..., object]) -> None:
        """Call `go_on()` once, when the socket is ready for `interest`, READ or WRITE."""

        def ready(loop: Loop, sock: socket.socket) -> None:
            loop.watch(sock, interest, Loop.forget)  # unless it is waited for again
            go_on()

        self.loop.watch(self.sock, interest, ready)

    async def read(self, call: Callable[..., Any], *args: object) -> Any:
        """Make a call when there is something to be had; return its result."""
        while True:
            await wait(partial(self.on_ready, READ))  # even if there is: others have a turn
            with contextlib.suppress(BlockingIOError):
                return call(*args)

    async def accept(self) -> Any:
        """Return a client's socket, and its address."""
        sock, address = await self.read(self.sock.accept)
        return Socket(self.loop, sock), address

    async def recv(self, size: int) -> Any:
        """Return what has arrived, at most `size` bytes; nothing if there will be no more."""
        return await self.read(self.sock.recv, size)

    async def sendall(self, data: bytes) -> None:
        """Send all of `data`."""
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                await wait(partial(self.on_ready, WRITE))

    async def in_pool(self, work: Callable[[], Any]) -> Any:
        """Return what `work()` returns, called by a worker; ConnectionError if the client left."""

        def arrange(go_on: Callable[..., object]) -> None:
            future = self.loop.queue_work(work, go_on)
            looks.append(self.loop.call_later(LOOK, partial(self.look, future), repeat=LOOK))

        looks: list[Timer] = []
        future = await wait(arrange)
        looks.pop().cancel()
        if future.cancelled():
            raise ConnectionResetError(0, "gone before its work had begun")
        return future.result()

    def look(self, future: "Future[Any]") -> None:
        """Cancel work of a client that is gone, unless a worker has begun with it."""
        if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            future.cancel()
