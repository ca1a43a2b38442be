"""A server that computes: a line with a number in, a line `prime` or `composite` out.

Small numbers take no time, large ones seconds: it is trial division, the naive slow way.
With --work inline the loop itself does it, and everybody waits. With threads, the others
are answered meanwhile, if slowly: in CPython only one thread computes at a time. With
processes they do not notice. Try 999999999999989, and 7 in another terminal.
"""

import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from step7_event_loop_threadpool import pools
from step7_event_loop_threadpool.connection import Connection, serve
from step7_event_loop_threadpool.eventloop import Loop

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
    text = line.strip()
    if text.startswith(b"-") and text[1:].isdigit():
        raise ValueError("the number is negative")
    if len(text) > MAX_DIGITS:
        raise ValueError(f"longer than {MAX_DIGITS} digits")
    if not text.isdigit():
        raise ValueError("not a number")
    return int(text)


def on_line(inline: bool, connection: Connection, line: bytes) -> None:
    """Work out the answer to a line, here or in the pool."""
    try:
        number = parse(line)
    except ValueError as error:
        connection.send(b"error: %s\n" % str(error).encode())
        return
    if inline:
        connection.send(answer(is_prime(number)))
    else:
        connection.loop.queue_work(partial(is_prime, number), partial(on_answer, connection))


def on_answer(connection: Connection, done: "Future[bool]") -> None:
    """Send what the pool has worked out; if its worker died, say so."""
    if error := done.exception():
        connection.send(b"error: %s\n" % type(error).__name__.encode())
    else:
        connection.send(answer(done.result()))


def answer(prime: bool) -> bytes:
    """Return the line that is sent back."""
    return b"prime\n" if prime else b"composite\n"


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    parser.add_argument("--work", choices=("inline", "threads", "processes"), default="threads")
    parser.add_argument("--pool-size", type=pools.size, default=pools.SIZE, help="(%(default)s)")
    args = parser.parse_args()
    make_pool = pools.process_pool if args.work == "processes" else pools.thread_pool
    make_loop = partial(Loop, partial(make_pool, args.pool_size))
    serving.run(args, partial(serve, partial(on_line, args.work == "inline")), make_loop)


if __name__ == "__main__":
    main()
