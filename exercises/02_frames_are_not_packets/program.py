"""One client after the other; each `recv` brings a frame."""

import contextlib
import socket
import sys

listener = socket.socket()  # for TCP over IPv4; it belongs to no address yet
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart gets the port
listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8080))  # who may come, and where
listener.listen(1024)  # the kernel now takes connections in, and queues so many
print("Serving on {}:{}".format(*listener.getsockname()), flush=True)

while True:
    sock, address = listener.accept()
    with contextlib.suppress(OSError), sock:
        sock.sendall(b"*")
        while data := sock.recv(65536):
            if data.startswith(b"^") and data.endswith(b"$"):  # a frame
                sock.sendall(bytes((byte + 1) % 256 for byte in data[1:-1]))
