"""Step 4: calls that never sleep, and a round past everybody, again and again."""

import contextlib
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where "common" is
from common.framing import ACK, Framing

listener = socket.socket()  # for TCP over IPv4; it belongs to no address yet
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart gets the port
listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8080))  # who may come, and where
listener.listen(1024)  # the kernel now takes connections in, and queues so many
print("Serving on {}:{}".format(*listener.getsockname()), flush=True)

listener.setblocking(False)  # its calls never sleep
clients: dict[socket.socket, Framing] = {}  # what is to be known of each in the next round
while True:
    time.sleep(0.0002)
    for ready in [listener, *clients]:
        with contextlib.suppress(BlockingIOError):  # EAGAIN: "not now"
            if ready is listener:
                sock, address = listener.accept()
                sock.setblocking(False)
                sock.send(ACK)
                clients[sock] = Framing()
            elif data := ready.recv(65536):
                ready.send(clients[ready].feed(data))
            else:
                del clients[ready]
                ready.close()
