"""A thread for each client, by the standard library's `socketserver`."""

import socketserver

from common import serving
from lab.bench.peers import HOST, announce, converse


class Handler(socketserver.StreamRequestHandler):
    """Serves one client, on a thread of its own."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Talk until the client has sent everything, or is gone."""
        converse(self.request)


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
