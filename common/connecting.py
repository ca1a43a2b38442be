"""Connecting to a host by its name, with asyncio."""

import asyncio
import functools
import socket
import threading
from concurrent.futures import Future


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
            found.set_result([str(address[0]) for *_, address in answers])
        except Exception as error:
            found.set_exception(error)

    threading.Thread(target=look, daemon=True).start()
    return found


async def open_connection(
    host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Do what asyncio's does, with one address after the other.

    If nobody can be reached it raises what the system said of the last of them.
    """
    *others, last = await asyncio.wrap_future(look_up(host, port))
    for address in others:
        try:
            return await asyncio.open_connection(address, port)
        except OSError:
            pass  # so the next one
    return await asyncio.open_connection(last, port)
