"""A client that speaks in lines, for the servers of this step whose answers take time.

Each line is answered before the next is looked at. So the answers of a client keep their
order, and it has no more than one job in the pool.
"""

import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from common import serving
from step7_event_loop_threadpool.eventloop import READ, WRITE, Loop

MAX_LINE = 256
"""Bytes of a line that are kept. A longer one is cut, to this length and one more."""


class Connection:
    """A client's socket, the lines it has sent, and what it is still owed.

    `on_line(connection, line)` is called with each line, without its end. It must see to it
    that `send` is called with the answer, at once or later. `on_close`, if set, is called
    when the connection has ended.
    """

    def __init__(self, loop: Loop, sock: socket.socket, peer: str, on_line: "OnLine") -> None:
        self.loop = loop
        self.sock = sock
        self.peer = peer
        self.on_line = on_line
        self.on_close: Callable[[], object] | None = None
        self.closed = False
        self._lines: deque[bytes] = deque()
        self._begun = b""  # of a line whose end has not come yet
        self._ended = False  # the client has sent everything
        self._unsent = b""
        self._after_send: Callable[[], object] = self.next_line
        self._waits_for: int | None = None
        self._received = self._sent = 0

    def fileno(self) -> int:
        """Return the descriptor of the client's socket."""
        return self.sock.fileno()

    def next_line(self) -> None:
        """Hand on the next line; if there is none, wait for it, or end with the client."""
        if self._lines:
            self._wait_for(None)
            self.on_line(self, self._lines.popleft().removesuffix(b"\r"))
        elif self._ended:
            self.close()
        else:
            self._wait_for(READ)

    def send(self, data: bytes, then: Callable[[], object] | None = None) -> None:
        """Send `data`, then call `then()`, or go on with the next line.

        If the client has gone, the data is dropped and nothing called.
        """
        if not self.closed:
            self._unsent, self._after_send = data, then or self.next_line
            self._write()

    def close(self, error: Exception | None = None) -> None:
        """End the connection."""
        if self.closed:
            return
        self.closed = True
        with self.sock:
            self.loop.forget(self)
        serving.log_disconnected(self.peer, self._received, self._sent, error)
        if self.on_close:
            self.on_close()

    def _wait_for(self, interest: int | None) -> None:
        """Watch the socket for this; for None do not, as long as an answer is worked out."""
        if interest is not None:
            self.loop.watch(self, interest, Connection._on_ready)
        elif self._waits_for is not None:
            self.loop.forget(self)
        self._waits_for = interest

    @staticmethod
    def _on_ready(_: Loop, connection: "Connection") -> None:
        if connection._unsent:
            connection._write()
        else:
            connection._read()

    def _read(self) -> None:
        try:
            data = self.sock.recv(serving.RECV_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(error)
            return
        self._received += len(data)
        *lines, self._begun = (self._begun + data).split(b"\n")
        if not data:
            self._ended = True
            lines, self._begun = [self._begun] if self._begun else [], b""
        self._lines.extend(lines)
        self._begun = self._begun[: MAX_LINE + 1]
        self.next_line()

    def _write(self) -> None:
        try:
            sent = self.sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.close(error)
            return
        self._sent += sent
        self._unsent = self._unsent[sent:]
        if self._unsent:
            self._wait_for(WRITE)
        else:
            self._wait_for(None)
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self.closed:
            self._after_send()


OnLine: TypeAlias = Callable[[Connection, bytes], object]


def serve(on_line: OnLine, listener: socket.socket, loop: Loop) -> None:
    """Run the loop, with a `Connection` for each client."""
    listener.setblocking(False)
    loop.watch(listener, READ, partial(_accept, on_line))
    loop.run()


def _accept(on_line: OnLine, loop: Loop, listener: socket.socket) -> None:
    """Take a client in; if the system has no room for one, stop accepting for a while."""
    try:
        loop.watch(listener, READ, partial(_accept, on_line))  # again, if it was forgotten
        sock, address = listener.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return
    except OSError as error:
        serving.log_not_accepting(error)
        loop.forget(listener)
        loop.call_later(serving.RETRY, partial(_accept, on_line, loop, listener))
        return
    sock.setblocking(False)
    connection = Connection(loop, sock, serving.peer_name(address), on_line)
    serving.log_connected(connection.peer)
    connection.next_line()
