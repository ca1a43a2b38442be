"""A thread for each client, by the standard library's `socketserver`."""

import contextlib
import socketserver

from common import serving
from common.framing import ACK, Framing
from lab.bench.peers import HOST, announce


class Handler(socketserver.StreamRequestHandler):
    """Serves one client, on a thread of its own."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Talk until the client has sent everything, or is gone."""
        framing = Framing()
        with contextlib.suppress(OSError):
            self.request.sendall(ACK)
            while data := self.request.recv(serving.RECV_SIZE):
                self.request.sendall(framing.feed(data))


class Server(socketserver.ThreadingTCPServer):
    """With what its documentation tells you to set."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # or it keeps a list of all threads
    request_queue_size = serving.BACKLOG


def serve(port: int) -> None:
    """Serve until told to stop."""
    with Server((HOST, port), Handler) as server:
        announce(server.server_address[1])
        server.serve_forever()
