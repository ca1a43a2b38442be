"""One client after the other; whether a frame is open outlives each `recv`."""

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
    in_frame = False
    with contextlib.suppress(OSError), sock:
        sock.sendall(b"*")
        while data := sock.recv(65536):  # which ends anywhere in a frame, or in between
            answer = bytearray()
            for byte in data:
                if in_frame and byte != ord("$"):
                    answer.append((byte + 1) % 256)
                else:
                    in_frame = byte == ord("^")
            sock.sendall(answer)
