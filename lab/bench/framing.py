"""The protocol alone, without a socket: `common/framing.py` beside a loop over the bytes."""

import statistics
import time
from collections.abc import Callable

from common.framing import Framing
from lab.bench.workloads import KiB

SIZE = 64 * KiB

HOSTILE = ("^^$", "$^a")
"""The slowest beside the loop, of all patterns of up to six of the bytes `^`, `$` and `a`."""

INPUTS = {
    "one long frame": [b"^" + b"a" * (SIZE - 2) + b"$"],
    "4-byte frames": [b"^ab$" * (SIZE // 4)],
    "garbage": [b"x" * SIZE],
    **{text: [text.encode() * (SIZE // len(text))] for text in HOSTILE},
    "single bytes": [b"^", b"a", b"b", b"$"],
}
"""The packets of each input."""


def loop(stream: bytes) -> bytes:
    """Return what is owed for a whole stream, a byte at a time, as the protocol is told."""
    reply, in_frame = bytearray(), False
    for byte in stream:
        if in_frame and byte == ord("$"):
            in_frame = False
        elif in_frame:
            reply.append(0 if byte == 0xFF else byte + 1)
        elif byte == ord("^"):
            in_frame = True
    return bytes(reply)


def compared(seconds: float) -> dict[str, tuple[float, float]]:
    """Return for each input how many bytes a second of CPU time ours takes, and the loop.

    In ten turns, each of both.
    """
    found = {}
    for name, packets in INPUTS.items():
        turns = [
            [rate(feed, packets, seconds / 20) for feed in (Framing().feed, loop)]
            for _ in range(10)
        ]
        ours, other = map(statistics.fmean, zip(*turns, strict=True))
        found[name] = ours, other
    return found


def rate(feed: Callable[[bytes], bytes], packets: list[bytes], seconds: float) -> float:
    """Feed the packets again and again for so long; return how many bytes that was a second."""
    size = 0
    start = now = time.process_time()
    while now < start + seconds:
        for packet in packets:
            feed(packet)
            size += len(packet)
        now = time.process_time()
    return size / (now - start)
