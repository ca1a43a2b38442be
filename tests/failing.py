"""Run a server whose calls fail now and then, at first, and later no more.

    python tests/failing.py step5_select/server.py 0

Each call that can be replaced in Python has a schedule of its own: it fails every fourth time, in
turn with each errno that its man page allows, and out of memory, until all have been met. A
`close` that fails has closed all the same (close(2)).
"""

import errno
import os
import runpy
import select
import selectors
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

EVERY = 4

ERRNOS = {
    "accept": "EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTO ECONNABORTED",
    "recv": "ECONNREFUSED ENOMEM ETIMEDOUT ECONNRESET",
    "send": "ENOBUFS ENOMEM EPIPE ECONNRESET",
    "shutdown": "ENOTCONN ENOBUFS",
    "setblocking": "EINVAL ENOMEM",
    "close": "EIO EDQUOT ENOSPC",
    "register": "ENOMEM ENOSPC",
    "modify": "ENOMEM ENOSPC",
    "unregister": "ENOMEM ENOENT",
    "poll": "ENOMEM",
    "select": "ENOMEM",
    "open": "EMFILE ENFILE ENOMEM EACCES",
    "read": "EIO ENOMEM",
    "fstat": "ENOMEM EOVERFLOW",
}

SCHEDULE: dict[str, list[Exception]] = {
    call: [*(OSError(getattr(errno, name), f"scheduled {name}") for name in names.split())]
    for call, names in ERRNOS.items()
}
SCHEDULE["start"] = [RuntimeError("scheduled: can't start new thread")]
for call in ("accept", "recv", "send", "poll", "start"):
    SCHEDULE[call].append(MemoryError("scheduled"))

calls = dict.fromkeys(SCHEDULE, 0)


def due(call: str) -> None:
    """Fail, if it is time to."""
    calls[call] += 1
    if SCHEDULE[call] and calls[call] % EVERY == 0:
        os.write(2, f"made to fail: {call}, {SCHEDULE[call][0]!r}\n".encode())
        raise SCHEDULE[call].pop(0)  # with no name, by which it would hold its own frame


def failing(call: str, really: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that fails as scheduled, and else makes the call."""

    def made(*args: Any, **kwargs: Any) -> Any:
        if call == "close":
            really(*args)
            due(call)
            return None
        due(call)
        return really(*args, **kwargs)

    return made


SOCKET = ("accept", "recv", "send", "sendall", "shutdown", "setblocking", "close")

FailingSocket = type(
    "FailingSocket",
    (socket.socket,),
    {
        call: failing("send" if call == "sendall" else call, getattr(socket.socket, call))
        for call in SOCKET
    },
)


class FailingEpoll:
    """What `select.epoll()` returns, but for its failures."""

    make = select.epoll if hasattr(select, "epoll") else None

    def __init__(self) -> None:
        assert self.make
        self.epoll = self.make()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.epoll, name)
        return failing(name, method) if name in SCHEDULE and name != "close" else method


def main() -> None:
    """Run the server named on the command line, with the arguments after it."""
    socket.socket = FailingSocket  # type: ignore[assignment, misc]
    if FailingEpoll.make:
        select.epoll = FailingEpoll  # type: ignore[assignment, misc]
        selectors.EpollSelector._selector_cls = FailingEpoll  # type: ignore[attr-defined]
    select.select = failing("select", select.select)
    threading.Thread.start = failing("start", threading.Thread.start)  # type: ignore[method-assign]
    del sys.argv[0]
    if "file_server" in sys.argv[0]:  # others read files to be started
        for name in ("open", "read", "fstat"):
            setattr(os, name, failing(name, getattr(os, name)))
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
