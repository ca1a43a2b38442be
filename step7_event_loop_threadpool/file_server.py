"""A server of files: a line with a name in; `ok` and the file, or an error, out.

After that it closes, which is how the end of the file is seen. Reading goes through
`read_file`, in the pool: a slow disk holds up a worker, and none of the other clients. Only
files inside one folder can be had, and no link is followed.
"""

import os
import stat
import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from step7_event_loop_threadpool import files, pools
from step7_event_loop_threadpool.connection import MAX_LINE, Connection, serve
from step7_event_loop_threadpool.eventloop import Loop


def open_inside(folder: str, name: bytes) -> int:
    """Open the file `name` in `folder`, to be read; return its descriptor.

    Goes down from folder to folder by descriptors (openat(2)) and follows no link, so that
    there is no way out of `folder`, not even for somebody who moves things meanwhile. Raises
    OSError or ValueError.
    """
    *folders, last = name.split(b"/")
    if len(name) > MAX_LINE or not all(_is_plain(part) for part in (*folders, last)):
        raise ValueError("not a name inside the folder")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for part in folders:
        fd = _step(fd, part, os.O_DIRECTORY)
    fd = _step(fd, last, 0)
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise ValueError("a folder")


def _is_plain(part: bytes) -> bool:
    return part not in (b"", b".", b"..") and b"\0" not in part


def _step(fd: int, part: bytes, flags: int) -> int:
    """Open `part` in the folder `fd`, and close that."""
    try:
        return os.open(part, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=fd)
    finally:
        os.close(fd)


def on_line(folder: str, connection: Connection, line: bytes) -> None:
    """Start to read the file that is asked for."""
    open_it = partial(open_inside, folder, line)
    reader = files.read_file(connection.loop, open_it, partial(on_first_chunk, connection))
    connection.on_close = reader.close


def on_first_chunk(connection: Connection, reader: files.Reader, done: "Future[bytes]") -> None:
    """Say whether the file can be had, and send how it begins."""
    try:
        chunk = done.result()
    except (OSError, ValueError) as error:
        connection.send(b"error: %s\n" % serving.reason(error).encode(), connection.close)
        return
    reader.callback = partial(on_chunk, connection)
    connection.send(b"ok\n" + chunk, reader.next)


def on_chunk(connection: Connection, reader: files.Reader, done: "Future[bytes]") -> None:
    """Send a chunk, and have the next one read when it has gone."""
    try:
        chunk = done.result()
    except OSError as error:  # too late to say so
        connection.close(error)
        return
    if chunk:
        connection.send(chunk, reader.next)
    else:
        connection.close()


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    parser.add_argument(
        "--folder", default=str(Path(__file__).parent), help="whose files can be had (this one's)"
    )
    parser.add_argument("--pool-size", type=pools.size, default=pools.SIZE, help="(%(default)s)")
    args = parser.parse_args()
    make_loop = partial(Loop, partial(pools.thread_pool, args.pool_size))
    serving.run(args, partial(serve, partial(on_line, args.folder)), make_loop)


if __name__ == "__main__":
    main()
