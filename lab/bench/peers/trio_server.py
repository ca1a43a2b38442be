"""A task for each client, by trio."""

import trio

from common import serving
from common.framing import ACK, Framing
from lab.bench.peers import HOST, announce


async def converse(stream: trio.SocketStream) -> None:
    """Talk until the client has sent everything, or is gone; trio then closes."""
    framing = Framing()
    try:
        await stream.send_all(ACK)
        while data := await stream.receive_some(serving.RECV_SIZE):
            await stream.send_all(framing.feed(data))
    except trio.BrokenResourceError:
        pass  # it was reset


async def main(port: int) -> None:
    """Listen, and serve."""
    listeners = await trio.open_tcp_listeners(port, host=HOST, backlog=serving.BACKLOG)
    announce(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(converse, listeners)


def serve(port: int) -> None:
    """Serve until told to stop."""
    trio.run(main, port)
