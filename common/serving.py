"""Around a server: its arguments, its listening socket, its log and its clean stop."""

import argparse
import contextlib
import errno
import logging
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from common import descriptors

RECV_SIZE = 64 * 1024
"""Bytes to ask of one `recv`."""

RETRY = 0.1
"""Seconds until `accept` is tried again after the system had no room for a client."""

# A short backlog makes some of a burst of clients wait a second, until TCP sends
# their SYN again. The kernel cuts this down to what it allows.
BACKLOG = 1024


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line: the usage is in `--help`."""
        self.exit(2, f"{self.prog}: {message}\n")


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser for the arguments all servers share: PORT, --host and --quiet.

    `doc`, the server's own docstring, becomes the description in `--help`.
    """
    parser = _Parser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "port",
        metavar="PORT",
        nargs="?",
        type=port,
        default=8080,
        help="port to listen on; 0 takes a free one (%(default)s)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (%(default)s)")
    parser.add_argument("--quiet", action="store_true", help="log warnings and errors only")
    return parser


def seconds(text: str) -> float:
    """Parse an argument that is a number of seconds, from 0 to an hour."""
    value = float(text)
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 3600 seconds")
    return value


def port(text: str) -> int:
    """Parse an argument that is a port number."""
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 65535")
    return value


def run(
    args: argparse.Namespace,
    serve: Callable[..., object],
    *make: Callable[[], object],
    listening: Callable[[socket.socket], object] = bool,
) -> None:
    """Listen where `args` says, announce it, and call `serve` with the listening socket.

    What `make` makes, a poller or a loop, is handed to `serve` too. `listening` is called with the
    listening socket before that is announced. If it cannot serve there,
    the program ends with one line and status 1. From then on only Ctrl-C and SIGTERM end it:
    whatever `serve` raises is a line of log, and a moment later it is called again.
    """
    descriptors.take_the_first()
    level = "WARNING" if args.quiet else "INFO"
    logging.basicConfig(format="%(message)s", level=level, handlers=[_Handler()])
    _end_on_signals()
    try:
        before, after = descriptors.raise_limit()
        if before != after:
            log.info("descriptor limit raised from %d to %d", before, after)
        listener = _listen(args.host, args.port)
        made = [each() for each in make]
        where = peer_name(listener.getsockname())
        listening(listener)
    except Exception as error:
        log.error("Cannot serve on %s: %s", peer_name((args.host, args.port)), reason(error))
        os._exit(1)
    _say(1, f"Serving on {where}")
    while True:
        try:
            serve(listener, *made)
            return
        except ConnectionAbortedError:
            pass  # a client left while it waited to be accepted
        except Exception as error:
            log.error("cannot go on: %s; trying again until it works", reason(error))
            time.sleep(RETRY)


at_end: list[Callable[[], object]] = []
"""What is called when a signal ends the program, and again when another comes meanwhile."""


def _end(*_: object) -> None:
    try:
        for call in at_end:
            call()
    finally:
        os._exit(0)


def _end_on_signals() -> None:
    """Have Ctrl-C and SIGTERM end the program at once, whatever it is in the middle of.

    What the interpreter does on its way out is left out: it would wait for threads that wait for
    their clients, and write to a log that may be full. The kernel closes the sockets. A
    signal that whoever started the program has it ignore stays ignored (nohup(1)).
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    # A signal that comes after Python has looked for one, and before the system call in which it
    # then sleeps, is seen when that call returns. So every second one interrupts it.
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)


def _listen(host: str, port: int) -> socket.socket:
    """Listen on the first address of `host`, IPv4 or IPv6, that can be had."""
    *others, last = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, _, _, address in others:
        try:
            return listen_on(family, kind, address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise  # two servers would share the name, and clients find either
    family, kind, _, _, address = last
    return listen_on(family, kind, address)


def listen_on(family: int, kind: int, address: Any, reuseport: bool = False) -> socket.socket:
    """Listen on an address; with `reuseport` others may too, who say so (socket(7))."""
    listener = socket.socket(family, kind)
    try:
        # A server that has just ended leaves connections in TIME_WAIT; they do not matter.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuseport:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # The sockets accepted from it inherit this. Without it, an answer sent in two
        # pieces waits for the client's delayed ACK, some 40 ms (Nagle's algorithm). Ours are
        # sent in one, and wait only if one before them is still on its way.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def peer_name(address: Any) -> str:
    """Write a socket address as `host:port`, without asking the DNS."""
    if not address:
        return "(already gone)"  # macOS: reset while it waited to be accepted
    host, port = address[:2]
    if address[3:] and address[3]:
        host += f"%{address[3]}"  # of IPv6, good for one interface only
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason(error: BaseException) -> str:
    """Say what went wrong: in the system's own words, if it was a system call, or else where."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    *_, at = traceback.extract_tb(error.__traceback__) or [None]
    where = f" in {Path(at.filename).name}, line {at.lineno}" if at else ""
    return f"{type(error).__name__}{where}: {error}"


def _say(fd: int, line: str) -> None:
    """Write a line at once, or not at all: nothing stays in a buffer that could fail later."""
    with contextlib.suppress(OSError):  # the disk is full, or nobody reads it
        os.write(fd, line.encode(errors="backslashreplace") + b"\n")


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to standard error."""
        _say(2, self.format(record))


class _Repeats(logging.Filter):
    """Drops a line that says what the last one said, but tells now and then how often."""

    line, told, dropped = "", 0.0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        line, now = record.getMessage(), time.monotonic()
        if line == self.line and now - self.told < 5:
            self.dropped += 1
            return False
        if self.dropped:
            record.msg, record.args = f"... and {self.dropped} more like that\n{line}", None
        self.line, self.told, self.dropped = line, now, 0
        return True


log = logging.getLogger("server")
log.addFilter(_Repeats())


def log_connected(peer: str) -> None:
    """Log that a client came."""
    log.info("peer %s connected", peer)


def log_disconnected(
    peer: str, received: int, sent: int, error: BaseException | None = None
) -> None:
    """Log that a client left, with the bytes moved, and with why, if it did not just end."""
    why = "" if error is None or isinstance(error, EOFError) else f": {reason(error)}"
    log.info("peer %s disconnected%s (%d bytes in, %d bytes out)", peer, why, received, sent)


class Visit:
    """How many bytes a client has sent, and how many were sent to it."""

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0


@contextlib.contextmanager
def visit(peer: str) -> Iterator[Visit]:
    """Log that a client comes and, after the block, that it has left.

    Whatever the block raises ends this client, and nobody else: it is logged, not raised.
    """
    counts = Visit()
    log_connected(peer)
    try:
        yield counts
    except Exception as error:
        log_disconnected(peer, counts.received, counts.sent, error)
    else:
        log_disconnected(peer, counts.received, counts.sent)


def log_refused(peer: str, error: Exception) -> None:
    """Log that a client was sent away unserved."""
    log.warning("peer %s refused: %s", peer, reason(error))


def log_not_accepting(error: Exception) -> None:
    """Log that the system has no room for another client (EMFILE and the like).

    The client loses nothing: it waits in the backlog.
    """
    log.warning("cannot accept: %s; trying again until it works", reason(error))
