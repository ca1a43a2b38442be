"""A thread for each client, and a number for each."""

import contextlib
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where "common" is
from common.framing import ACK, Framing

listener = socket.socket()  # for TCP over IPv4; it belongs to no address yet
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart gets the port
listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8080))  # who may come, and where
listener.listen(1024)  # the kernel now takes connections in, and queues so many
print("Serving on {}:{}".format(*listener.getsockname()), flush=True)

numbers = 0  # how many clients have come
framings: dict[int, Framing] = {}  # what is known of each that is there


def converse(sock: socket.socket) -> None:
    global numbers
    number = numbers + 1
    with contextlib.suppress(OSError), sock:
        sock.sendall(ACK)
        numbers = number
        framings[number] = Framing()
        while data := sock.recv(65536):
            sock.sendall(framings[number].feed(data))
    framings.pop(number, None)
    sys.stderr.write(f"client {number} has left\n")


while True:
    sock, address = listener.accept()
    threading.Thread(target=converse, args=[sock], daemon=True).start()
