"""A timer that ticks, and a callback that sometimes blocks for three times its period.

Each tick says how late it is. In the callback, the sleep stops the loop, and the ticks with
it. With --offload it goes to the pool, and they go on. Which ticks sleep is drawn from a
fixed seed, so that two runs agree.
"""

import argparse
import os
import random
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from step7_event_loop_threadpool.eventloop import Loop, Timer

SEED = 5
ODDS = 5
"""One tick in so many sleeps, on the average."""


class Demo:
    """The timer, and what its callback has to know."""

    def __init__(self, loop: Loop, period: float, ticks: int, offload: bool) -> None:
        self.loop = loop
        self.period = period
        self.ticks = ticks
        self.offload = offload
        self.random = random.Random(SEED)
        self.count = 0
        self.start = time.monotonic()
        self.timer: Timer = loop.call_later(period, self.on_timer, repeat=period)

    def on_timer(self) -> None:
        """Say how late this tick is, and sometimes sleep."""
        self.count += 1
        now = time.monotonic() - self.start
        late = now - self.count * self.period
        say(f"tick {self.count:2} at {now:6.2f} s, {late:5.2f} s late")
        if self.count == self.ticks:
            self.timer.cancel()
            self.loop.stop()
        elif self.random.randrange(ODDS) == 0:
            self.sleep()

    def sleep(self) -> None:
        """Block for three periods: here, or on a worker of the pool."""
        blocking = partial(time.sleep, 3 * self.period)
        say(f"        sleeping, {'in the pool' if self.offload else 'in the callback'}")
        if self.offload:
            self.loop.queue_work(blocking, lambda _: say("        slept"))
        else:
            blocking()


def say(line: str) -> None:
    """Print a line; end if nobody reads it."""
    try:
        print(line, flush=True)
    except OSError:
        os._exit(1)


def main() -> None:
    """Tick so many times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--offload", action="store_true", help="sleep in the pool")
    parser.add_argument(
        "--period", type=serving.seconds, default=1.0, help="seconds from tick to tick (1.0)"
    )
    parser.add_argument("--ticks", type=int, default=12, help="how many ticks (12)")
    args = parser.parse_args()
    if not args.period or args.ticks < 1:
        parser.error("--period is more than 0, and --ticks at least 1")
    loop = Loop(slow=float("inf"))  # that it blocks is the point
    Demo(loop, args.period, args.ticks, args.offload)
    try:
        loop.run()
    except KeyboardInterrupt:
        os._exit(130)  # at once, though a worker may sleep
    loop.close()


if __name__ == "__main__":
    main()
