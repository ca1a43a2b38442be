"""A greenlet for each client, by gevent: reads like threads, and switches where it would block."""

import socket

import gevent.socket
from gevent.server import StreamServer

from common import serving
from lab.bench.peers import HOST, announce, converse


def greenlet(sock: gevent.socket.socket, _: object) -> None:
    """Serve a client; the server then closes."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    converse(sock)


def serve(port: int) -> None:
    """Serve until told to stop."""
    server = StreamServer((HOST, port), greenlet, backlog=serving.BACKLOG)
    server.start()
    announce(server.server_port)
    server.serve_forever()
