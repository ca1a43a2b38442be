"""Checks that only exercises have, beside those of `lab check`."""

import random

from lab.check.suite import check
from lab.harness.clients import Failed, expect, greeted, owed
from lab.harness.servers import Endpoint

PARTS = 40
"""Frames, and what is between them, in what is drawn."""

PIECES = 60
"""Packets into which that is cut."""


@check("docs/check.md")
def drawn(server: Endpoint) -> str:
    """Frames that nobody has seen before, cut at random places, are answered piece by piece.

    What holds for one stream holds for every one: a byte inside a frame comes back plus one, be
    the frame long or short, in one packet or in many.
    """
    seed = random.randrange(1_000_000)
    stream, cuts = drawn_stream(random.Random(seed))
    sent, due = 0, 0
    try:
        with greeted(server) as sock:
            for cut in cuts:
                sock.sendall(stream[sent:cut])
                answer = owed(stream[:cut])[due:]
                expect(sock, answer, stream[sent:cut])
                sent, due = cut, due + len(answer)
    except Failed as error:
        raise Failed(f"{error} (drawn with {seed})", error.advice) from None
    return f"{len(stream):,} bytes in {len(cuts)} pieces, drawn with {seed}"


def drawn_stream(draw: random.Random) -> tuple[bytes, list[int]]:
    """Return frames with noise between them, all closed, and where they are cut, to the end."""
    stream = b""
    for _ in range(PARTS):
        inside = draw.randbytes(draw.choice((0, 1, 2, 9, 40, 300))).replace(b"$", b"")
        noise = draw.randbytes(draw.randrange(5)).replace(b"^", b"")
        stream += noise + b"^" + inside + b"$"
    return stream, sorted({*draw.sample(range(1, len(stream)), PIECES - 1), len(stream)})
