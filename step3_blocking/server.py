"""Step 3, blocking I/O: step 1 again, saying where it waits.

`accept`, `recv` and `send` do not return until there is something to return: the
operating system puts the thread to sleep and wakes it up. Each call is logged as
it is made and as it returns, with how long the thread slept in it and how little
CPU it used. Sleeping is cheap; but a thread that sleeps for one client is there
for nobody else.
"""

import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

sys.path.insert(0, os.path.realpath(__file__ + "/../.."))  # where "common" is
from common import serving
from common.framing import ACK, Framing

T = TypeVar("T")


def narrated(call: Callable[..., T], *args: Any) -> T:
    """Make a blocking call, and log how long it slept and how long it ran."""
    serving.log.info(f"Calling {call.__name__}...")
    start, cpu = time.perf_counter(), time.thread_time()
    result = call(*args)
    ran = time.thread_time() - cpu
    slept = max(0.0, time.perf_counter() - start - ran)
    what = f"{call.__name__} returned {described(result)}"
    serving.log.info(f"{what} (slept {slept:.6f} s, ran {ran:.6f} s)")
    return result


def described(result: Any) -> str:
    """Say what `recv`, `send` or `accept` returned."""
    if isinstance(result, tuple):
        return "a connection"
    return f"{result if isinstance(result, int) else len(result)} bytes"


class Client:
    """What the server knows of one client."""

    __slots__ = ("framing", "peer", "received", "sent", "sock", "unsent")

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.peer = peer
        self.framing = Framing()
        self.unsent = ACK
        self.received = 0
        self.sent = 0


def serve(listener: socket.socket, once: bool) -> None:
    """Serve one client after another, for ever or only `once`."""
    while True:
        client = accept(listener)
        attend(client)
        if once:
            return


def accept(listener: socket.socket) -> Client:
    """Sleep until there is a client, and take it in."""
    while True:
        try:
            sock, address = narrated(listener.accept)
        except OSError as error:
            serving.pause_accepting(error)
        else:
            client = Client(sock, serving.peer_name(address))
            serving.log_connected(client.peer)
            return client


def attend(client: Client) -> None:
    """Send what the client is owed, or read what it says next, until it has left."""
    try:
        while True:
            if client.unsent:
                write(client)
            else:
                read(client)
    except (EOFError, OSError) as error:
        drop(client, error)


def read(client: Client) -> None:
    """Receive what has arrived, and answer it at once; EOFError if there will be no more."""
    data = narrated(client.sock.recv, serving.RECV_SIZE)
    if not data:
        raise EOFError
    client.received += len(data)
    client.unsent = client.framing.feed(data)
    if client.unsent:
        write(client)


def write(client: Client) -> None:
    """Send what the kernel takes; the rest stays unsent."""
    sent = narrated(client.sock.send, client.unsent)
    client.sent += sent
    client.unsent = client.unsent[sent:]


def drop(client: Client, error: Exception) -> None:
    """Close a client that has left or failed."""
    client.sock.close()
    serving.log_disconnected(client.peer, client.received, client.sent, error)


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    parser.add_argument("--once", action="store_true", help="end when the first client has left")
    args = parser.parse_args()
    serving.run(args, partial(serve, once=args.once))


if __name__ == "__main__":
    main()
