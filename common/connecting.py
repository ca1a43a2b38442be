"""Connecting to a host by its name, with asyncio."""

import asyncio
import contextlib
import functools
import os
import socket
import threading
from concurrent.futures import Future

ATTEMPT = 2.0
"""Seconds until the next address is tried."""


@functools.cache
def look_up(host: str, port: int) -> "Future[list[str]]":
    """Begin to look up the addresses of a host; return a future of them, or of an OSError.

    A name server may be silent for long, and getaddrinfo(3) cannot be interrupted. So it is
    called in a thread for which nobody waits, not even the interpreter when it ends.
    """
    found: Future[list[str]] = Future()
    found.set_running_or_notify_cancel()  # whoever gives up does so for itself only

    def look() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
            found.set_result([socket.getnameinfo(each[4], numeric)[0] for each in answers])
        except Exception as error:
            found.set_exception(error)

    try:
        threading.Thread(target=look, daemon=True).start()
    except RuntimeError:  # no more threads
        look()
    return found


async def open_connection(
    host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Do what asyncio's does, with one address after the other, `ATTEMPT` seconds for each.

    If nobody can be reached it raises what the system said of the last of them.
    """
    *others, last = await asyncio.wrap_future(look_up(host, port))
    for address in others:
        with contextlib.suppress(OSError):  # of which TimeoutError is one
            async with asyncio.timeout(ATTEMPT):
                return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(last, port)


def reason(error: BaseException) -> str:
    """Say what went wrong in the system's own words; asyncio has others for a refusal."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error)
