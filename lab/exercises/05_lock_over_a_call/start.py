"""A thread for each client; what was answered to all of them is counted."""

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

lock = threading.Lock()
total = 0  # bytes that were answered, to all clients together


def converse(sock: socket.socket) -> None:
    global total
    framing = Framing()
    with contextlib.suppress(OSError), sock:
        sock.sendall(ACK)
        while data := sock.recv(65536):
            with lock:
                answer = framing.feed(data)
                sock.sendall(answer)
                total += len(answer)
    with lock:
        print(f"a client has left, {total} bytes so far", flush=True)


while True:
    sock, address = listener.accept()
    threading.Thread(target=converse, args=[sock], daemon=True).start()
