"""Step 6, epoll and kqueue: tell the kernel once, and hear of the ready ones only.

The kernel keeps the set of sockets: each is registered once, and a wait returns those that
are ready and no others. There is no limit on descriptors but that of the process, and idle
clients cost memory but no time. Linux calls it epoll; macOS and the BSDs call it kqueue.
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
MAX_EVENTS = 1024  # that kqueue returns at once; the rest come next time


class Epoll:
    """`epoll(7)`, Linux: the kernel keeps the set, and is told only what changes."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.events = {READ: select.EPOLLIN, WRITE: select.EPOLLOUT}

    def change(self, fd: int, old: str | None, new: str | None) -> None:
        """Have the kernel watch `fd` for what is `new` instead of what is `old`."""
        if new is None:
            self.epoll.unregister(fd)
        elif old is None:
            self.epoll.register(fd, self.events[new])
        else:
            self.epoll.modify(fd, self.events[new])

    def ready(self, timeout: float | None) -> list[int]:
        """Sleep until a descriptor is ready, at most `timeout` seconds; return which are."""
        return [fd for fd, _ in self.epoll.poll(timeout)]


class Kqueue:
    """`kqueue(2)`, macOS and the BSDs: the same, under other names."""

    def __init__(self) -> None:
        self.kqueue = select.kqueue()
        self.filters = {READ: select.KQ_FILTER_READ, WRITE: select.KQ_FILTER_WRITE}

    def change(self, fd: int, old: str | None, new: str | None) -> None:
        """Have the kernel watch `fd` for what is `new` instead of what is `old`."""
        changes = []
        if new is not None:  # first, as it may fail
            changes.append(select.kevent(fd, self.filters[new], select.KQ_EV_ADD))
        if old is not None:
            changes.append(select.kevent(fd, self.filters[old], select.KQ_EV_DELETE))
        self.kqueue.control(changes, 0)

    def ready(self, timeout: float | None) -> list[int]:
        """Sleep until a descriptor is ready, at most `timeout` seconds; return which are."""
        return [event.ident for event in self.kqueue.control(None, MAX_EVENTS, timeout)]


Mechanism = Epoll | Kqueue
NATIVE: type[Mechanism] = Epoll if hasattr(select, "epoll") else Kqueue  # this system's


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
    serving.run(args, serve, lambda: Poller(NATIVE()))


if __name__ == "__main__":
    main()
