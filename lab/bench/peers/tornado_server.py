"""A coroutine for each client, by tornado's streams."""

import asyncio

from tornado.iostream import IOStream, StreamClosedError
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
    server = Server()
    server.listen(port, HOST, backlog=serving.BACKLOG)
    (listener,) = server._sockets.values()  # there is no public way to ask for the port
    announce(listener.getsockname()[1])
    await asyncio.Event().wait()


def serve(port: int) -> None:
    """Serve until told to stop."""
    asyncio.run(main(port))
