"""The protocol on socketserver's threads, as their documentation would have it.

python lab/tests/outsiders/socketserver_threads.py PORT
"""

import contextlib
import socketserver
import sys


class Handler(socketserver.BaseRequestHandler):
    """Serve one client to its end."""

    def handle(self) -> None:
        """Answer until the client has sent everything."""
        with contextlib.suppress(ConnectionError):
            self.request.sendall(b"*")
            in_frame = False
            while data := self.request.recv(65536):
                reply = bytearray()
                for byte in data:
                    if not in_frame:
                        in_frame = byte == ord("^")
                    elif byte == ord("$"):
                        in_frame = False
                    else:
                        reply.append((byte + 1) % 256)
                self.request.sendall(reply)


class Server(socketserver.ThreadingTCPServer):
    """With the options that a server with many clients needs."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024


with Server(("127.0.0.1", int(sys.argv[1])), Handler) as server:
    server.serve_forever()
