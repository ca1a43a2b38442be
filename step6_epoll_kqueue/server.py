"""Step 6, epoll and kqueue: tell the kernel once, and hear of the ready ones only.

The set of sockets lives in the kernel: each is registered once, and waiting
returns those that are ready and no others. There is no limit on descriptors but
that of the process, and idle clients cost memory but no time. Linux calls it epoll;
macOS and the BSDs call it kqueue.
"""

import contextlib
import os
import select
import socket
import sys
from functools import partial

sys.path.insert(0, os.path.realpath(__file__ + "/../.."))  # where "common" is
from common import serving
from common.framing import ACK, Framing

READ, WRITE = "read", "write"
MAX_EVENTS = 1024  # that kqueue returns at once; the rest come next time


class Epoll:
    """`epoll(7)`, Linux: the kernel keeps the set, and is told only what changes."""

    def __init__(self, edge_triggered: bool = False) -> None:
        self.epoll = select.epoll()
        edge = select.EPOLLET if edge_triggered else 0
        self.events = {READ: select.EPOLLIN | edge, WRITE: select.EPOLLOUT | edge}

    def change(self, fd: int, old: str | None, new: str | None) -> None:
        """Have the kernel watch `fd` for what is `new` instead of what is `old`."""
        if old is None and new is not None:
            self.epoll.register(fd, self.events[new])
        elif new is not None:
            self.epoll.modify(fd, self.events[new])
        else:
            self.epoll.unregister(fd)

    def ready(self, timeout: float | None) -> list[int]:
        """Sleep until a descriptor is ready, at most `timeout` seconds; return which are."""
        return [fd for fd, _ in self.epoll.poll(timeout)]


class Kqueue:
    """`kqueue(2)`, macOS and the BSDs: the same, under other names."""

    def __init__(self, edge_triggered: bool = False) -> None:
        self.kqueue = select.kqueue()
        self.filters = {READ: select.KQ_FILTER_READ, WRITE: select.KQ_FILTER_WRITE}
        self.add = select.KQ_EV_ADD | (select.KQ_EV_CLEAR if edge_triggered else 0)

    def change(self, fd: int, old: str | None, new: str | None) -> None:
        """Have the kernel watch `fd` for what is `new` instead of what is `old`."""
        changes = []
        if new is not None:  # first, as it may fail
            changes.append(select.kevent(fd, self.filters[new], self.add))
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
        """Wait for `key` no more."""
        fd = key.fileno()
        self.kernel.change(fd, self.watched.pop(key), None)
        del self.keys[fd]

    def wait(self, timeout: float | None) -> list["Key"]:
        """Sleep until somebody is ready, at most `timeout` seconds; return who is."""
        return [self.keys[fd] for fd in self.kernel.ready(timeout)]

    def would_block(self, key: "Key") -> None:
        """Nothing to do when a call said EAGAIN: the kernel will say when to try again."""


class EdgePoller(Poller):
    """Edge-triggered: the kernel says once that a key has become ready, so it is kept in mind.

    A key stays ready until a call on it says EAGAIN. In every round each that is ready gets
    one call, so that a client with much to say cannot keep the others from having theirs.
    """

    def __init__(self, kernel: Mechanism) -> None:
        super().__init__(kernel)
        self.ready: dict[Key, None] = {}  # in the order in which they became so

    def forget(self, key: "Key") -> None:
        """Wait for `key` no more."""
        super().forget(key)
        self.ready.pop(key, None)

    def wait(self, timeout: float | None) -> list["Key"]:
        """Sleep until somebody is ready, but not if somebody still is; return who is."""
        self.ready.update(dict.fromkeys(super().wait(0 if self.ready else timeout)))
        return list(self.ready)

    def would_block(self, key: "Key") -> None:
        """Note that the call on `key` said EAGAIN: only from now on will the kernel speak up."""
        self.ready.pop(key, None)


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
    parser.add_argument("--edge-triggered", action="store_true", help="hear of changes only")
    args = parser.parse_args()
    kind = EdgePoller if args.edge_triggered else Poller
    poller = kind(NATIVE(args.edge_triggered))
    serving.run(args, partial(serve, poller=poller))


if __name__ == "__main__":
    main()
