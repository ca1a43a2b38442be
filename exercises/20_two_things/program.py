"""A coroutine for each client, which waits for what comes."""

import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # where "common" is
from common.framing import ACK, Framing
from step7_event_loop_threadpool.coroutine_server import serve
from step7_event_loop_threadpool.coroutines import Socket
from step7_event_loop_threadpool.eventloop import Loop

listener = socket.socket()  # for TCP over IPv4; it belongs to no address yet
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a restart gets the port
listener.bind(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8080))  # who may come, and where
listener.listen(1024)  # the kernel now takes connections in, and queues so many
print("Serving on {}:{}".format(*listener.getsockname()), flush=True)

limit = float(sys.argv[2]) if sys.argv[2:] else 60.0  # seconds until one has to speak


async def converse(sock: Socket, peer: str) -> None:
    framing = Framing()
    with sock:
        await sock.sendall(ACK)
        while data := await sock.recv(65536):
            await sock.sendall(framing.feed(data))
        print(f"{peer} has left", flush=True)


serve(converse, listener, Loop())
