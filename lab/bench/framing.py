"""The protocol alone, without a socket: `common/framing.py` beside a loop over the bytes."""

import time
from collections.abc import Callable

from common.framing import Framing
from lab.bench.workloads import KiB
from lab.harness.clients import owed

SIZE = 64 * KiB
LONG, TINY, GARBAGE, SINGLE = "one long frame", "4-byte frames", "garbage", "single bytes"
LOOP = owed.__wrapped__  # `owed` itself remembers what it was asked

HOSTILE = ("^$^$a^", "$$^a")
"""The slowest beside the loop, of all patterns of up to six of the bytes `^`, `$` and `a`."""

INPUTS = {
    LONG: [b"^" + b"a" * (SIZE - 2) + b"$"],
    TINY: [b"^ab$" * (SIZE // 4)],
    GARBAGE: [b"x" * SIZE],
    **{text: [text.encode() * (SIZE // len(text))] for text in HOSTILE},
    SINGLE: [b"^", b"a", b"b", b"$"],
}
"""The packets of each input."""


def compared(seconds: float) -> dict[str, tuple[float, float]]:
    """Return for each input how many bytes a second of CPU time ours takes, and the loop.

    In turns of a tenth of the time, each of both.
    """
    found = {}
    for name, packets in INPUTS.items():
        sums = [[0.0, 0.0], [0.0, 0.0]]
        for turn in range(20):
            feed = (Framing().feed, LOOP)[turn % 2]
            size, taken = bytes_taken(feed, packets, seconds / 20)
            sums[turn % 2][0] += size
            sums[turn % 2][1] += taken
        found[name] = (sums[0][0] / sums[0][1], sums[1][0] / sums[1][1])
    return found


def bytes_taken(
    feed: Callable[[bytes], bytes], packets: list[bytes], seconds: float
) -> tuple[int, float]:
    """Feed the packets again and again for so long; return how many bytes, and how long."""
    size = 0
    start = now = time.process_time()
    while now < start + seconds:
        for packet in packets:
            feed(packet)
            size += len(packet)
        now = time.process_time()
    return size, now - start
