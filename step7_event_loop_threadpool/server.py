"""Step 7, an event loop with a thread pool: register callbacks and run the loop.

The loop has left the server: it waits, keeps timers and has a pool of threads, and
is in `eventloop.py`. What remains here are callbacks, called when their socket is
ready. While one of them runs nobody else is served, so none may make a call that
blocks. These have none to make; a server that has hands it to the pool.
"""

import contextlib
import os
import socket
import sys
from functools import partial

sys.path.insert(0, os.path.realpath(__file__ + "/../.."))  # where "common" is
from common import serving
from common.framing import ACK, Framing
from step7_event_loop_threadpool.eventloop import READ, WRITE, Loop


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


def serve(listener: socket.socket) -> None:
    """Register the callback from which everything else follows, and run the loop."""
    listener.setblocking(False)
    loop = Loop()
    loop.watch(listener, READ, accept)
    loop.run()


def accept(loop: Loop, listener: socket.socket) -> None:
    """Take a client in; if the system has no room for one, stop accepting for a while."""
    try:
        loop.watch(listener, READ, accept)  # again, if it was forgotten
        sock, address = listener.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return
    except OSError as error:
        serving.log_not_accepting(error)
        loop.forget(listener)  # it would be ready, and fail, again and again
        loop.call_later(serving.RETRY, partial(accept, loop, listener))
        return
    sock.setblocking(False)
    client = Client(sock, serving.peer_name(address))
    try:
        loop.watch(client, READ, attend)
    except (OSError, ValueError) as error:
        serving.log_refused(client.peer, error)
        sock.close()
        return
    serving.log_connected(client.peer)
    attend(loop, client)


def attend(loop: Loop, client: Client) -> None:
    """Do the next thing for a client, and say what it waits for; a failure ends only this one."""
    try:
        with contextlib.suppress(BlockingIOError):
            if client.unsent:
                write(client)
            else:
                read(client)
        loop.watch(client, WRITE if client.unsent else READ, attend)
    except (EOFError, OSError) as error:
        drop(loop, client, error)


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


def drop(loop: Loop, client: Client, error: Exception) -> None:
    """Close and forget a client that has left or failed."""
    loop.retire(client, client.sock.close)
    serving.log_disconnected(client.peer, client.received, client.sent, error)


def main() -> None:
    """Serve until told to stop."""
    args = serving.arguments(__doc__).parse_args()
    serving.run(args, serve)


if __name__ == "__main__":
    main()
