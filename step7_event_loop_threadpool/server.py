"""Step 7, an event loop with a thread pool: register callbacks and run the loop.

The loop has left the server: it waits, keeps timers and has a pool of threads, and
is in `eventloop.py`. What remains here are callbacks, called when their socket is
ready. While one of them runs nobody else is served, so none may make a call that
blocks. This server never blocks; one that must hands that call to the pool.
"""

import contextlib
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from common.framing import ACK, Framing
from step7_event_loop_threadpool.eventloop import READ, WRITE, Loop


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


def serve(listener: socket.socket, loop: Loop) -> None:
    """Register the callback from which everything else follows, and run the loop."""
    listener.setblocking(False)
    loop.watch(listener, READ, accept)
    loop.run()


def accept(loop: Loop, listener: socket.socket) -> None:
    """Take a client in; if the system has no room for one, stop accepting for a while."""
    try:
        loop.watch(listener, READ, accept)  # again, if it was forgotten
        sock, address = listener.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return  # whoever it was has left
    except Exception as error:
        serving.log_not_accepting(error)
        loop.forget(listener)  # it would be ready, and fail, again and again
        loop.call_later(serving.RETRY, partial(accept, loop, listener))
        return
    attend(loop, Client(sock, serving.peer_name(address)), greet)


def on_ready(loop: Loop, client: Client) -> None:
    """Go on with a client that can be read from, or written to."""
    attend(loop, client, write if client.unsent else read)


def attend(loop: Loop, client: Client, step: Callable[[Client], object]) -> None:
    """Take a step with a client, then watch for what it waits for; a failure ends only this one."""
    try:
        try:
            step(client)
        except BlockingIOError:
            pass  # it was not ready after all
        loop.watch(client, WRITE if client.unsent else READ, on_ready)
    except Exception as error:
        drop(loop, client, error)


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


def drop(loop: Loop, client: Client, error: Exception) -> None:
    """Forget and close a client that has left or failed."""
    with contextlib.suppress(OSError), client.sock:  # it is closed, whatever the kernel says
        loop.forget(client)
    serving.log_disconnected(client.peer, client.received, client.sent, error)


def main() -> None:
    """Serve until told to stop."""
    args = serving.arguments(__doc__).parse_args()
    serving.run(args, serve, Loop)


if __name__ == "__main__":
    main()
