"""Step 5, I/O multiplexing with select: ask the kernel once, about everybody.

`select` takes every socket and what each waits for, sleeps until one of them is
ready, and says which. One thread serves all, and no call is in vain. But the
whole set is handed over and searched at every call, and a descriptor numbered
FD_SETSIZE (usually 1024) or more does not fit in it.
"""

import contextlib
import select
import socket
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from common.framing import ACK, Framing

READ, WRITE = "read", "write"


class Select:
    """`select(2)`: the kernel remembers nothing, and is handed the whole set every time."""

    def __init__(self) -> None:
        self.sets: dict[str, set[int]] = {READ: set(), WRITE: set()}

    def change(self, fd: int, old: str | None, new: str | None) -> None:
        """Move `fd` from the `old` set to the `new`; ValueError if it is FD_SETSIZE or more."""
        if old is None:
            select.select([fd], (), (), 0)  # raises that now, and not in `ready` every time
        else:
            self.sets[old].remove(fd)
        if new is not None:
            self.sets[new].add(fd)

    def ready(self, timeout: float | None) -> list[int]:
        """Sleep until a descriptor is ready, at most `timeout` seconds; return which are."""
        readable, writable, _ = select.select(self.sets[READ], self.sets[WRITE], (), timeout)
        return readable + writable


Mechanism = Select


class Poller:
    """Who is watched, and for what."""

    def __init__(self, kernel: Mechanism) -> None:
        self.kernel = kernel
        self.watched: dict[Key, str] = {}
        self.keys: dict[int, Key] = {}

    def watch(self, key: "Key", interest: str) -> None:
        """Have `wait` say when `key` is ready; OSError or ValueError if that cannot be."""
        known = self.watched.get(key)
        if known != interest:
            fd = key.fileno()
            self.kernel.change(fd, known, interest)
            self.watched[key] = interest
            self.keys[fd] = key

    def forget(self, key: "Key") -> None:
        """Wait for `key` no more, if it was waited for; OSError if that cannot be."""
        if interest := self.watched.get(key):
            fd = key.fileno()
            self.kernel.change(fd, interest, None)
            del self.keys[fd], self.watched[key]

    def wait(self, timeout: float | None) -> list["Key"]:
        """Sleep until somebody is ready, at most `timeout` seconds; return who is."""
        return [self.keys[fd] for fd in self.kernel.ready(timeout)]


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
    except (BlockingIOError, ConnectionAbortedError):
        return  # whoever it was has left
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
            pass  # it was not ready after all
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
    args = serving.arguments(__doc__).parse_args()
    serving.run(args, serve, lambda: Poller(Select()))


if __name__ == "__main__":
    main()
