"""A greenlet for each client, by gevent: reads like threads, and switches where it would block."""

import contextlib
import socket

import gevent.socket
from gevent.server import StreamServer

from common import serving
from common.framing import ACK, Framing
from lab.bench.peers import HOST, announce


def converse(sock: gevent.socket.socket, _: object) -> None:
    """Talk until the client has sent everything, or is gone; the server then closes."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    framing = Framing()
    with contextlib.suppress(OSError):
        sock.sendall(ACK)
        while data := sock.recv(serving.RECV_SIZE):
            sock.sendall(framing.feed(data))


def serve(port: int) -> None:
    """Serve until told to stop."""
    server = StreamServer((HOST, port), converse, backlog=serving.BACKLOG)
    server.start()
    announce(server.server_port)
    server.serve_forever()
