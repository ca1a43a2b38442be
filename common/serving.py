"""Around a server: its arguments, its listening socket, its log and its clean stop."""

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from common import descriptors

# Of the typing module, logging and pathlib there is nothing here: their import would take as
# long as that of everything else together, and a reader starts servers again and again.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

RECV_SIZE = 64 * 1024
"""Bytes to ask of one `recv`."""

RETRY = 0.1
"""Seconds until `accept` is tried again after the system had no room for a client."""

# A short backlog makes some of a burst of clients wait a second, until TCP sends
# their SYN again. The kernel cuts this down to what it allows.
BACKLOG = 1024


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> "NoReturn":
        """Exit with status 2 and one line: the usage is in `--help`."""
        self.exit(2, f"{self.prog}: {message}\n")


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)  # to ask the terminal takes modules, at every start


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every server takes: PORT, --host and --quiet.

    `doc`, the server's own docstring, becomes the description in `--help`.
    """
    parser = _Parser(description=doc, formatter_class=_Help)
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


def run(args: argparse.Namespace, serve: Callable[[socket.socket], object]) -> None:
    """Listen where `args` says, announce it, and call `serve` with the listening socket.

    Returns when `serve` does, or on Ctrl-C or SIGTERM: both interrupt the main thread,
    whatever call it sleeps in. If it cannot listen there, the program ends with one line
    and status 1.
    """
    log.quiet = args.quiet
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        before, after = descriptors.raise_limit()
        if before != after:
            log.info(f"descriptor limit raised from {before} to {after}")
        with _listener_or_exit(args.host, args.port) as listener:
            print(f"Serving on {peer_name(listener.getsockname())}", flush=True)
            serve(listener)
    except KeyboardInterrupt:
        pass
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)  # nothing disturbs the way out
    if threading.active_count() > 1:
        # Threads may be blocked in a call for as long as their client likes. The
        # interpreter's own way out would wait for them, or close the log while they
        # write to it. The kernel closes the sockets either way.
        os._exit(0)


def _stop(*_: object) -> None:
    """Interrupt the main thread; end at once if that is lost, or if asked a second time.

    It is lost where Python cannot raise: in the callback of a weak reference, say.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    raise KeyboardInterrupt


def _listener_or_exit(host: str, port: int) -> socket.socket:
    try:
        return _listener(host, port)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
        sys.exit(f"Cannot serve on {peer_name((host, port))}: {reason(error)}")


def _listener(host: str, port: int) -> socket.socket:
    """Bind to the first address that `host` has, IPv4 or IPv6, and listen."""
    name = host.encode("ascii")  # for a str Python loads its tables of international names
    family, kind, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind)
    try:
        # A server that has just ended leaves connections in TIME_WAIT; they do not matter.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The sockets accepted from it inherit this. Without it, an answer sent in two
        # pieces waits for the client's delayed ACK, some 40 ms (Nagle's algorithm).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def peer_name(address: "Any") -> str:
    """Write a socket address as `host:port`, without asking the DNS."""
    if not address:
        return "(already gone)"  # macOS: reset while it waited to be accepted
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reason(error: Exception) -> str:
    """Say what went wrong, without the number of the error."""
    return str(getattr(error, "strerror", None) or error)


class Log:
    """Lines on standard error, each written in one piece, so that those of threads do not mix."""

    def __init__(self) -> None:
        self.quiet = False
        self.warned, self.when = "", 0.0

    def info(self, line: str) -> None:
        """Write a line, unless asked to be quiet."""
        if not self.quiet:
            self._write(line)

    def warning(self, line: str) -> None:
        """Write a line, but only once in five seconds if it is repeated."""
        now = time.monotonic()
        if line != self.warned or now - self.when >= 5:
            self.warned, self.when = line, now
            self._write(line)

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it
            sys.stderr.write(f"{line}\n")


log = Log()


def log_connected(peer: str) -> None:
    """Log that a client came."""
    log.info(f"peer {peer} connected")


def log_disconnected(peer: str, received: int, sent: int, error: Exception | None = None) -> None:
    """Log that a client left, with the error if there was one, and the bytes moved."""
    why = f": {reason(error)}" if isinstance(error, OSError) else ""
    log.info(f"peer {peer} disconnected{why} ({received} bytes in, {sent} bytes out)")


def log_refused(peer: str, error: Exception) -> None:
    """Log that a client was sent away unserved."""
    log.warning(f"peer {peer} refused: {reason(error)}")


def log_not_accepting(error: OSError) -> None:
    """Log that the system has no room for another client (EMFILE and the like).

    The client loses nothing: it waits in the backlog.
    """
    log.warning(f"cannot accept: {reason(error)}; trying again until it works")


def pause_accepting(error: OSError) -> None:
    """Let a blocking server wait before it tries `accept` again, so that it does not spin."""
    if isinstance(error, ConnectionAbortedError):
        return  # that client left while it waited; the next may be there
    log_not_accepting(error)
    time.sleep(RETRY)
