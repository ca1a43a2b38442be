"""Step 4, non-blocking I/O with polling: one thread asks every socket in turn.

No call on a socket sleeps any more. A `recv` with nothing to receive returns at
once with EAGAIN, so that one thread can go round all its clients. But nobody tells
it when to: it goes round, sleeps for an interval, and goes round again. A short
interval wastes CPU, a long one makes clients wait, and most calls are in vain.
"""

import contextlib
import os
import socket
import sys
import time
from functools import partial

sys.path.insert(0, os.path.realpath(__file__ + "/../.."))  # where "common" is
from common import serving
from common.framing import ACK, Framing

READ, WRITE = "read", "write"


class Tally:
    """How many calls were made, and how many of them in vain."""

    def __init__(self) -> None:
        self.asked = 0
        self.wasted = 0


class Poller:
    """Nobody says who is ready: ask everybody in turn, sleep, ask again."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.watched: dict[Key, Tally] = {}
        self.round, self.total = Tally(), Tally()
        self.last_line = ""
        self.repeats = 0

    def watch(self, key: "Key", interest: str) -> None:
        """Ask `key` in every round from now on, whatever it waits for."""
        self.watched.setdefault(key, Tally())

    def forget(self, key: "Key") -> None:
        """Ask `key` no more, and log what it has cost."""
        tally = self.watched.pop(key)
        if isinstance(key, Client):
            told = f"was asked {tally.asked} times, {tally.wasted} in vain"
            serving.log.info(f"peer {key.peer} {told}")

    def wait(self, timeout: float | None) -> list["Key"]:
        """Return everybody; before that, sleep if the last round was all in vain.

        The interval is all there is to wait for: `timeout` changes nothing.
        """
        asked, wasted = self.round.asked, self.round.wasted
        if asked:
            self.say(f"round: {asked} asked, {wasted} EAGAIN, {asked - wasted} had something")
        if asked == wasted:
            time.sleep(self.interval)
        self.round = Tally()
        for tally in self.watched.values():
            for count in (tally, self.round, self.total):
                count.asked += 1
        return list(self.watched)

    def would_block(self, key: "Key") -> None:
        """Note that the call on `key` said EAGAIN."""
        for count in (self.watched[key], self.round, self.total):
            count.wasted += 1

    def say(self, line: str) -> None:
        """Log a line, unless it repeats the last; then count it, for the next to tell."""
        if line == self.last_line:
            self.repeats += 1
            return
        if self.repeats:
            serving.log.info(f"... and {self.repeats} more like that")
        serving.log.info(line)
        self.last_line, self.repeats = line, 0


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
        for ready in poller.wait(serving.RETRY if paused else None):
            if isinstance(ready, Client):
                attend(poller, ready)
            else:
                accept(poller, ready)
        if paused:
            with contextlib.suppress(OSError):  # still no room: next time
                poller.watch(listener, READ)


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
    sock.setblocking(False)
    client = Client(sock, serving.peer_name(address))
    try:
        poller.watch(client, READ)
    except (OSError, ValueError) as error:
        serving.log_refused(client.peer, error)
        sock.close()
        return
    serving.log_connected(client.peer)
    attend(poller, client)


def attend(poller: Poller, client: Client) -> None:
    """Do the next thing for a client, and say what it waits for; a failure ends only this one."""
    try:
        try:
            if client.unsent:
                write(client)
            else:
                read(client)
        except BlockingIOError:
            poller.would_block(client)
        poller.watch(client, WRITE if client.unsent else READ)
    except (EOFError, OSError) as error:
        drop(poller, client, error)


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
    """Close and forget a client that has left or failed."""
    poller.forget(client)
    client.sock.close()
    serving.log_disconnected(client.peer, client.received, client.sent, error)


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    parser.add_argument("--interval", type=serving.seconds, default=0.2, help="seconds (0.2)")
    args = parser.parse_args()
    poller = Poller(args.interval)
    serving.run(args, partial(serve, poller=poller))
    poller.say(f"in all: asked {poller.total.asked} times, {poller.total.wasted} in vain")


if __name__ == "__main__":
    main()
