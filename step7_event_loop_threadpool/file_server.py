"""A server of files: a line with a name in; `ok` and the file, or an error, out.

After that it closes, which is how the end of the file is seen; a file that could not be
sent whole ends in a reset. The system has only blocking calls for files, so they are made in
the pool: a slow disk holds up a worker, and none of the other clients. Only files inside one
folder can be had, and no link is followed.
"""

import contextlib
import io
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from step7_event_loop_threadpool import pools
from step7_event_loop_threadpool.coroutine_server import serve
from step7_event_loop_threadpool.coroutines import Socket
from step7_event_loop_threadpool.eventloop import Loop
from step7_event_loop_threadpool.lines import MAX_LINE, lines, reply, trouble

CHUNK = 64 * 1024
"""Bytes of a file that are in memory at once."""

SLOW = 3.0
"""Seconds that the file of `--slow` takes."""

OpenFile = Callable[[bytes], tuple[io.FileIO, int]]

LINGER = 2.0
"""Seconds in which a client may still send, when it has been answered."""


def open_inside(folder: str, name: bytes) -> tuple[io.FileIO, int]:
    """Open the file `name` in `folder`, to be read; return it, and its size in bytes.

    Goes down from folder to folder by descriptors (openat(2)) and follows no link, so that
    there is no way out of `folder`, not even for somebody who moves things meanwhile. A pipe or
    a terminal is not waited for, but refused. Raises OSError or ValueError.
    """
    *folders, last = name.split(b"/")
    if len(name) > MAX_LINE or not all(_is_plain(part) for part in (*folders, last)):
        raise ValueError("not a name inside the folder")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for part in folders:
        fd = _step(fd, part, os.O_DIRECTORY)
    fd = _step(fd, last, os.O_NONBLOCK | os.O_NOCTTY)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a file")
        return io.FileIO(fd), found.st_size
    except BaseException:
        os.close(fd)
        raise


def _is_plain(part: bytes) -> bool:
    return part not in (b"", b".", b"..") and b"\0" not in part


def _step(fd: int, part: bytes, flags: int) -> int:
    """Open `part` in the folder `fd`, and close that."""
    try:
        return os.open(part, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=fd)
    finally:
        with contextlib.suppress(OSError):  # or what has just been opened would be nobody's
            os.close(fd)


async def converse(open_file: OpenFile, sock: Socket, peer: str) -> None:
    """Send one client the file that it asks for, or why it cannot be had; then close its socket."""
    with serving.visit(peer) as visit, sock:
        async for name in lines(sock, visit):
            try:
                file, size = await sock.in_pool(partial(open_file, name))
            except ConnectionError:
                raise  # nobody is there to be answered
            except Exception as error:
                await reply(sock, visit, trouble(error))
            else:
                await send_file(sock, visit, file, size)
            await read_to_the_end(sock)
            return


async def send_file(sock: Socket, visit: serving.Visit, file: io.FileIO, size: int) -> None:
    """Send `ok` and a file, no more than a chunk of it in memory, and close it."""
    try:
        with file:
            left = size
            await reply(sock, visit, b"ok\n")
            while chunk := await sock.in_pool(partial(file.read, CHUNK)):
                await reply(sock, visit, chunk)
                left -= len(chunk)
        if left > 0:
            raise OSError(0, f"the file is {left} bytes shorter than it was")
    except Exception:  # what was sent is not to be taken for the whole: it ends in a reset
        sock.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise


async def read_to_the_end(sock: Socket) -> None:
    """Say that this was all, and wait until the client has closed too, or has had time to.

    Closed with something unread, or with more to come, the socket would be reset by the kernel,
    and what the client has not read yet would be lost.
    """

    def give_up() -> None:
        with contextlib.suppress(OSError):
            sock.sock.shutdown(socket.SHUT_RD)

    sock.sock.shutdown(socket.SHUT_WR)
    late = time.monotonic() + LINGER
    timer = sock.loop.call_later(LINGER, give_up)
    try:
        while await sock.recv(serving.RECV_SIZE) and time.monotonic() < late:
            pass
    finally:
        timer.cancel()


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    here = str(Path(__file__).parent)
    parser.add_argument(
        "--folder", default=here, help="the folder whose files can be had (the server's own)"
    )
    parser.add_argument(
        "--slow", help="a file that takes three seconds, as from a slow disk (none)"
    )
    pools.add_size(parser)
    args = parser.parse_args()

    def open_file(name: bytes) -> tuple[io.FileIO, int]:
        if args.slow and name == os.fsencode(args.slow):
            time.sleep(SLOW)
        return open_inside(args.folder, name)

    make_loop = partial(Loop, partial(pools.thread_pool, args.pool_size))
    serving.run(args, partial(serve, partial(converse, open_file)), make_loop)


if __name__ == "__main__":
    main()
