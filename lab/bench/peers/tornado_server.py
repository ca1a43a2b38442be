"""A coroutine for each client, by tornado's streams."""

import asyncio

from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.tcpserver import TCPServer

from common import serving
from common.framing import ACK, Framing
from lab.bench.peers import HOST, announce


class Server(TCPServer):
    """Serves each client in a coroutine of its own."""

    async def handle_stream(self, stream: IOStream, address: tuple[object, ...]) -> None:
        """Talk until the client is gone."""
        stream.set_nodelay(True)
        framing = Framing()
        try:
            await stream.write(ACK)
            while True:
                data = await stream.read_bytes(serving.RECV_SIZE, partial=True)
                if owed := framing.feed(data):
                    await stream.write(owed)
        except StreamClosedError:
            pass


async def main(port: int) -> None:
    """Listen, and serve."""
    listeners = bind_sockets(port, HOST, backlog=serving.BACKLOG)
    Server().add_sockets(listeners)
    announce(listeners[0].getsockname()[1])
    await asyncio.Event().wait()


def serve(port: int) -> None:
    """Serve until told to stop."""
    asyncio.run(main(port))
