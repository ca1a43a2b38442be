"""Step 7 with coroutines: the conversation of step 1, with `await` in it, on the loop of this step.

`converse` is step 1's to the letter, but for `async` and `await`. Where the thread slept
there, the coroutine waits here, and the loop runs others.
"""

import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from common.framing import ACK, Framing
from step7_event_loop_threadpool.coroutines import Socket, sleep, start
from step7_event_loop_threadpool.eventloop import Loop

Converse = Callable[[Socket, str], Coroutine[Any, Any, object]]


def serve(converse: Converse, listener: socket.socket, loop: Loop) -> None:
    """Start the coroutine from which all others follow, and run the loop."""
    start(accept(converse, Socket(loop, listener)))
    loop.run()


async def accept(converse: Converse, listener: Socket) -> None:
    """Start a conversation with each client that comes, for ever."""
    while True:
        try:
            sock, address = await listener.accept()
        except ConnectionAbortedError:
            pass  # that client left while it waited
        except Exception as error:  # no room for one
            serving.log_not_accepting(error)
            await sleep(listener.loop, serving.RETRY)
        else:
            start(converse(sock, serving.peer_name(address)))


async def converse(sock: Socket, peer: str) -> None:
    """Talk to one client until it has sent everything, or is gone; then close its socket."""
    framing = Framing()
    with serving.visit(peer) as visit, sock:
        await sock.sendall(ACK)
        visit.sent += len(ACK)
        while data := await sock.recv(serving.RECV_SIZE):
            visit.received += len(data)
            owed = framing.feed(data)
            await sock.sendall(owed)
            visit.sent += len(owed)


def main() -> None:
    """Serve until told to stop."""
    args = serving.arguments(__doc__).parse_args()
    serving.run(args, partial(serve, converse), Loop)


if __name__ == "__main__":
    main()
