"""A server that computes: a line with a number in, a line `prime` or `composite` out.

Small numbers take no time, large ones seconds: it is trial division, the naive slow way.
With --work inline the loop itself does it, and everybody waits. With threads, the others
are answered meanwhile, if slowly: in CPython only one thread computes at a time. With
processes they do not notice. Try 999999999999989, and 7 in another terminal.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from step7_event_loop_threadpool import pools
from step7_event_loop_threadpool.coroutine_server import serve
from step7_event_loop_threadpool.coroutines import Socket
from step7_event_loop_threadpool.eventloop import Loop
from step7_event_loop_threadpool.lines import MAX_LINE, lines, reply, trouble

MAX_DIGITS = 18


def is_prime(number: int) -> bool:
    """Return whether `number` is prime, by trial division up to its square root."""
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 1
    return number > 1


def parse(line: bytes) -> int:
    """Return the number in a line; ValueError, with what is wrong with it, if there is none."""
    if len(line) > MAX_LINE:
        raise ValueError(f"longer than {MAX_LINE} bytes")
    text = line.strip()
    if text.startswith(b"-") and text[1:].isdigit():
        raise ValueError("the number is negative")
    if len(text) > MAX_DIGITS:
        raise ValueError(f"longer than {MAX_DIGITS} digits")
    if not text.isdigit():
        raise ValueError("not a number")
    return int(text)


async def converse(inline: bool, sock: Socket, peer: str) -> None:
    """Answer the lines of one client, each before the next; then close its socket."""
    with serving.visit(peer) as visit, sock:
        async for line in lines(sock, visit):
            await reply(sock, visit, await answer(inline, sock, line))


async def answer(inline: bool, sock: Socket, line: bytes) -> bytes:
    """Work out the answer to a line, here or in the pool; if that cannot be, it says why."""
    try:
        work = partial(is_prime, parse(line))
        prime = work() if inline else await sock.in_pool(work)
    except ConnectionError:
        raise  # nobody is there to be answered
    except Exception as error:
        return trouble(error)
    return b"prime\n" if prime else b"composite\n"


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    where = "in the callback, or in a pool (%(default)s)"
    kinds = "inline", "threads", "processes"
    parser.add_argument("--work", choices=kinds, default="threads", help=where)
    pools.add_size(parser)
    args = parser.parse_args()
    serving.at_end.append(pools.kill_processes)
    make_pool = pools.process_pool if args.work == "processes" else pools.thread_pool
    make_loop = partial(Loop, partial(make_pool, args.pool_size))
    serving.run(args, partial(serve, partial(converse, args.work == "inline")), make_loop)


if __name__ == "__main__":
    main()
