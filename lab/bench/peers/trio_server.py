"""A task for each client, by trio."""

import trio

from common import serving
from common.framing import ACK, Framing
from lab.bench.peers import announce


async def converse(stream: trio.SocketStream) -> None:
    """Talk until the client has sent everything, or is gone; trio then closes."""
    framing = Framing()
    try:
        await stream.send_all(ACK)
        while data := await stream.receive_some(serving.RECV_SIZE):
            await stream.send_all(framing.feed(data))
    except trio.BrokenResourceError:
        pass  # it was reset


async def main() -> None:
    """Serve until told to stop."""
    port = announce.port()
    listeners = await trio.open_tcp_listeners(port, host=announce.HOST, backlog=serving.BACKLOG)
    announce.serving(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(converse, listeners)


if __name__ == "__main__":
    trio.run(main)
