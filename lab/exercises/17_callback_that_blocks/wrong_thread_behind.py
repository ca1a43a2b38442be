"""Wrong: a thread for each question behind the loop, which also answers it."""

import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where "common" is
from common.framing import ACK, Framing
from step7_event_loop_threadpool.eventloop import READ, Loop

listener = socket.socket()  # for TCP over IPv4; it belongs to no address yet
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart gets the port
listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8080))  # who may come, and where
listener.listen(1024)  # the kernel now takes connections in, and queues so many
print("Serving on {}:{}".format(*listener.getsockname()), flush=True)


def ask(question: bytes) -> bytes:
    if b"SLOW" in question:
        time.sleep(0.3)  # a disk, a database, a name server
    return question


def accept(loop: Loop, listener: socket.socket) -> None:
    sock, _ = listener.accept()
    sock.sendall(ACK)
    loop.watch(sock, READ, partial(read, Framing()))  # call this whenever it can be read from


def read(framing: Framing, loop: Loop, sock: socket.socket) -> None:
    data = sock.recv(65536)
    loop.forget(sock)  # no more from this one until it is answered
    if data:
        threading.Thread(target=answer, args=[framing, loop, sock, data], daemon=True).start()
    else:
        sock.close()


def answer(framing: Framing, loop: Loop, sock: socket.socket, data: bytes) -> None:
    sock.sendall(framing.feed(ask(data)))
    loop.call_threadsafe(partial(loop.watch, sock, READ, partial(read, framing)))


loop = Loop()
loop.watch(listener, READ, accept)
loop.run()
