"""Run a server on sockets that give as little as they may.

    python tests/stingy.py step5_select/server.py 0

POSIX lets `send` take a single byte, and a call on a non-blocking socket say
EAGAIN although a moment ago it was ready; `accept` may find the system full. Such
things are rare, and here they are the rule: met on purpose, in an unmodified server.
The standard library looks `socket.socket` up when it makes a socket, in `accept` too,
so that replacing it is enough.
"""

import errno
import itertools
import runpy
import socket
import sys
from typing import Any


class StingySocket(socket.socket):
    """A socket that sends and receives a few bytes at a time, and often does not at all."""

    honest = False  # it takes and gives a few bytes, but says EAGAIN only when it is so
    _calls = itertools.count(1)
    _accepts = itertools.count(1)
    _failures = itertools.cycle(
        (errno.EMFILE, errno.ECONNABORTED, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
    )

    def _not_now(self) -> None:
        """Say EAGAIN in every third call, if the socket may."""
        if self.gettimeout() == 0 and not self.honest and next(self._calls) % 3 == 0:
            raise OSError(errno.EAGAIN, "stingy")

    def send(self, data: Any, flags: int = 0) -> int:
        """Send one byte, or none."""
        self._not_now()
        return super().send(data[:1], flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive up to five bytes, or none."""
        self._not_now()
        return super().recv(min(size, 5), flags)

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept, or say that there is nobody, or in every third call that there is no room."""
        self._not_now()
        if not self.honest and next(self._accepts) % 3 == 0:
            raise OSError(next(self._failures), "stingy")
        return super().accept()


def _forbidden(*_: object) -> None:
    raise AssertionError("a server that asks the DNS waits for the answer")


def main() -> None:
    """Run the server named on the command line, with the arguments after it."""
    socket.socket = StingySocket  # type: ignore[misc]
    for name in ("getfqdn", "gethostbyaddr", "getnameinfo"):
        setattr(socket, name, _forbidden)
    del sys.argv[0]
    if sys.argv[0] == "--honest":
        StingySocket.honest = True
        del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
