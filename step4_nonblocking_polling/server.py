"""Step 4, non-blocking I/O with polling: one thread asks every socket in turn.

No call on a socket sleeps any more. A `recv` with nothing to receive returns at once
with EAGAIN, so that one thread can go round all its clients. A conversation is no longer
one function: what it would know has to be kept, from one round to the next, in a record.
But nobody says when to go round. A short interval wastes CPU, a long one makes clients
wait, and most calls are in vain.
"""

import contextlib
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from common.framing import ACK, Framing

READ, WRITE = "read", "write"


class Poller:
    """Nobody says who is ready: ask everybody in turn, sleep, ask again."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.watched: dict[Key, str] = {}
        self.asked = self.wasted = 0  # in this round
        self.total_asked = self.total_wasted = 0  # in those before it

    def watch(self, key: "Key", interest: str) -> None:
        """Ask `key` in every round from now on, whatever it waits for."""
        self.watched[key] = interest

    def forget(self, key: "Key") -> None:
        """Ask `key` no more."""
        self.watched.pop(key, None)

    def wait(self, timeout: float | None) -> list["Key"]:
        """Return everybody; before that, sleep if the last round was all in vain.

        The interval is all there is to wait for: `timeout` changes nothing.
        """
        asked, wasted = self.asked, self.wasted
        self.total_asked += asked
        self.total_wasted += wasted
        if asked:
            had = asked - wasted
            serving.log.info("round: %d asked, %d EAGAIN, %d had something", asked, wasted, had)
        if asked > len(self.watched):  # somebody has left
            total = self.total_asked, self.total_wasted
            serving.log.info("in all: asked %d times, %d in vain", *total)
        if asked == wasted and self.interval:
            time.sleep(self.interval)
        self.asked, self.wasted = len(self.watched), 0
        return list(self.watched)

    def would_block(self, key: "Key") -> None:
        """Count that the call on `key` said EAGAIN."""
        self.wasted += 1


class Client:
    """What the server has to know of one client from one call to the next."""

    __slots__ = ("framing", "peer", "received", "sent", "sock", "unsent")

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.peer = peer
        self.framing = Framing()
        self.unsent = ACK
        self.received = 0
        self.sent = 0

    def fileno(self) -> int:
        """Return the descriptor of the client's socket."""
        return self.sock.fileno()


Key = Client | socket.socket  # a client, or the listening socket


def serve(listener: socket.socket, poller: Poller) -> None:
    """Wait until somebody is ready, and attend to them, for ever."""
    listener.setblocking(False)
    poller.watch(listener, READ)
    while True:
        paused = listener not in poller.watched
        batch = poller.wait(serving.RETRY if paused else None)
        if paused:
            with contextlib.suppress(OSError):  # still no room: next time
                poller.watch(listener, READ)
        for ready in batch:
            if isinstance(ready, Client):
                attend(poller, ready, write if ready.unsent else read)
            else:
                accept(poller, ready)


def accept(poller: Poller, listener: socket.socket) -> None:
    """Take a client in; if the system has no room for one, stop accepting for a while."""
    try:
        sock, address = listener.accept()
    except BlockingIOError:
        poller.would_block(listener)
        return
    except ConnectionAbortedError:
        return  # that client left while it waited
    except OSError as error:
        serving.log_not_accepting(error)
        poller.forget(listener)  # it would be ready, and fail, again and again
        return
    attend(poller, Client(sock, serving.peer_name(address)), greet)


def attend(poller: Poller, client: Client, step: Callable[[Client], object]) -> None:
    """Take a step with a client, then watch for what it waits for; a failure ends only this one."""
    try:
        try:
            step(client)
        except BlockingIOError:
            poller.would_block(client)
        poller.watch(client, WRITE if client.unsent else READ)
    except Exception as error:
        drop(poller, client, error)


def greet(client: Client) -> None:
    """Send the `*` to a client that has just come."""
    client.sock.setblocking(False)
    serving.log_connected(client.peer)
    write(client)


def read(client: Client) -> None:
    """Receive what has arrived, and answer it at once; EOFError if there will be no more."""
    data = client.sock.recv(serving.RECV_SIZE)
    if not data:
        raise EOFError
    client.received += len(data)
    client.unsent = client.framing.feed(data)
    if client.unsent:
        write(client)


def write(client: Client) -> None:
    """Send what the kernel takes; the rest stays unsent."""
    sent = client.sock.send(client.unsent)
    client.sent += sent
    client.unsent = client.unsent[sent:]


def drop(poller: Poller, client: Client, error: Exception) -> None:
    """Forget and close a client that has left or failed."""
    with contextlib.suppress(OSError), client.sock:  # it is closed, whatever the kernel says
        poller.forget(client)
    serving.log_disconnected(client.peer, client.received, client.sent, error)


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    sleep = "seconds to sleep after a round that was all in vain (0.2)"
    parser.add_argument("--interval", type=serving.seconds, default=0.2, help=sleep)
    args = parser.parse_args()
    serving.run(args, serve, partial(Poller, args.interval))


if __name__ == "__main__":
    main()
