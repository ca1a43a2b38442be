"""A model of `select.kqueue` and `select.kevent` for Linux, over epoll. Not the real thing.

    python tests/kqueue_model.py step6_epoll_kqueue/server.py 0

It takes epoll away and puts the model in its place, then runs the program: so the half of
step 6 that is for macOS and the BSDs is run by tests on Linux too. It passes CPython's
own tests of kqueue; the macOS job of the workflow runs the real one.

kqueue(2) knows a *knote* for each pair of descriptor and filter, where epoll has one entry
for each descriptor. So there is an epoll for each filter, and one around them that is
waited on. `EV_CLEAR` is `EPOLLET`, and a hang-up is `EV_EOF`.
"""

import contextlib
import errno
import fcntl
import os
import runpy
import select
import struct
import sys
import termios
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

KQ_FILTER_READ, KQ_FILTER_WRITE = -1, -2
KQ_EV_ADD, KQ_EV_DELETE, KQ_EV_ENABLE, KQ_EV_DISABLE = 0x1, 0x2, 0x4, 0x8
KQ_EV_ONESHOT, KQ_EV_CLEAR = 0x10, 0x20
KQ_EV_ERROR, KQ_EV_EOF = 0x4000, 0x8000

_EPOLL = select.epoll
_INTEREST = {
    KQ_FILTER_READ: select.EPOLLIN | select.EPOLLRDHUP,
    KQ_FILTER_WRITE: select.EPOLLOUT,
}
_HANG_UP = {
    KQ_FILTER_READ: select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR,
    KQ_FILTER_WRITE: select.EPOLLHUP | select.EPOLLERR,
}


@dataclass(order=True)
class kevent:  # noqa: N801, the name is select's
    """A change to be made, or an event that came."""

    ident: Any
    filter: int = KQ_FILTER_READ
    flags: int = KQ_EV_ADD
    fflags: int = 0
    data: int = 0
    udata: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.ident, int):
            self.ident = self.ident.fileno()


class kqueue:  # noqa: N801, the name is select's
    """A queue of events: changes go in by `control`, events come out of it."""

    _all: ClassVar[dict[int, "kqueue"]] = {}

    def __init__(self) -> None:
        self._outer = _EPOLL()
        self._inner = {each: _EPOLL() for each in _INTEREST}
        self._knotes: dict[tuple[int, int], kevent] = {}
        for epoll in self._inner.values():
            self._outer.register(epoll, select.EPOLLIN)
        self._all[self.fileno()] = self

    @classmethod
    def fromfd(cls, fd: int) -> "kqueue":
        """Return the queue that has this descriptor."""
        return cls._all[fd]

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._outer.closed

    def fileno(self) -> int:
        """Return the descriptor; ValueError if it is closed."""
        if self.closed:
            raise ValueError("I/O operation on closed kqueue object")
        return self._outer.fileno()

    def close(self) -> None:
        """Close it, and forget every knote."""
        if not self.closed:
            self._all.pop(self.fileno(), None)
            self._outer.close()
            for epoll in self._inner.values():
                epoll.close()

    def control(
        self,
        changelist: Iterable[kevent] | None,
        max_events: int,
        timeout: float | None = None,
    ) -> list[kevent]:
        """Make the changes, then wait for events and return them, as kevent(2) does."""
        self.fileno()  # it is not closed
        events: list[kevent] = []
        for change in changelist or ():
            try:
                self._change(change)
            except OSError as error:
                if len(events) >= max_events:
                    raise
                failed = error.errno or 0
                events.append(replace(change, flags=KQ_EV_ERROR, fflags=0, data=failed))
        if events or max_events == 0:
            return events
        if self._outer.poll(timeout):
            for filter_, epoll in self._inner.items():
                room = max_events - len(events)
                for fd, found in epoll.poll(0, room) if room else ():
                    events.append(self._event(fd, filter_, found))
        return events

    def _change(self, change: kevent) -> None:
        if change.filter not in self._inner:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        epoll = self._inner[change.filter]
        key = change.ident, change.filter
        if change.flags & KQ_EV_DELETE:
            if self._knotes.pop(key, None) is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            epoll.unregister(change.ident)  # ENOENT too if it was closed meanwhile
            return
        mask = _INTEREST[change.filter]
        if change.flags & KQ_EV_CLEAR:
            mask |= select.EPOLLET
        if change.flags & KQ_EV_ONESHOT:
            mask |= select.EPOLLONESHOT
        if change.flags & KQ_EV_DISABLE:
            mask = 0
        try:
            epoll.modify(change.ident, mask)
        except FileNotFoundError:
            if not change.flags & KQ_EV_ADD:
                raise
            epoll.register(change.ident, mask)
        self._knotes[key] = change

    def _event(self, fd: int, filter_: int, found: int) -> kevent:
        knote = self._knotes[fd, filter_]
        flags = knote.flags & (KQ_EV_CLEAR | KQ_EV_ONESHOT)
        if found & _HANG_UP[filter_]:
            flags |= KQ_EV_EOF
        if knote.flags & KQ_EV_ONESHOT:
            self._change(kevent(fd, filter_, KQ_EV_DELETE))
        data = 1  # so many wait to be accepted, or fit in, at least
        if filter_ == KQ_FILTER_READ:
            with contextlib.suppress(OSError):  # a listening socket
                (data,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
        return kevent(fd, filter_, flags, 0, data, knote.udata)


def _close_all() -> None:
    for queue in list(kqueue._all.values()):
        queue.close()


os.register_at_fork(after_in_child=_close_all)  # a queue is not inherited


NAMES = ["kqueue", "kevent", *(name for name in globals() if name.startswith("KQ_"))]
"""What `select` has of it where it is real."""


def install() -> None:
    """Take epoll out of the `select` module, and put the model in."""
    for name in ("epoll", "epoll_create"):
        vars(select).pop(name, None)
    for name in NAMES:
        setattr(select, name, globals()[name])


def main() -> None:
    """Run the program named on the command line, with the arguments after it."""
    install()
    del sys.argv[0]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
