"""Lines, for the servers of this step whose answers take time."""

from collections.abc import AsyncIterator

from common import serving
from step7_event_loop_threadpool.coroutines import Socket, sleep

MAX_LINE = 256
"""Bytes of the longest line that is taken, without its end."""


async def lines(sock: Socket, visit: serving.Visit) -> AsyncIterator[bytes]:
    """Yield the lines that a client sends, without their ends; the last one may have none.

    Of one that is too long, no more is kept than shows that. Where many came at once, others
    have their turn between two of them.
    """
    begun = b""
    while data := await sock.recv(serving.RECV_SIZE):
        visit.received += len(data)
        *ended, begun = (begun + data).split(b"\n")
        begun = begun[: MAX_LINE + 2]  # with a CR, which may be part of the end
        for line in ended:
            yield line.removesuffix(b"\r")
            await sleep(sock.loop, 0)
    if begun:
        yield begun


async def reply(sock: Socket, visit: serving.Visit, answer: bytes) -> None:
    """Send an answer, and count it."""
    await sock.sendall(answer)
    visit.sent += len(answer)


def trouble(error: Exception) -> bytes:
    """Return the line that says what went wrong, in the system's words if it was a system call."""
    said = error.strerror if isinstance(error, OSError) else None
    if isinstance(error, ValueError):
        said = str(error)
    return b"error: %s\n" % (said or type(error).__name__).encode()
