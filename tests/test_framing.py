"""`common.framing` against the oracle, fed in every way a network may."""

import itertools
import random
import time
from collections.abc import Iterable

import pytest

from common.framing import Framing
from lab.bench.framing import loop
from lab.harness.clients import owed

CASES = [
    b"",
    b"^",
    b"$",
    b"^$",
    b"^abc$",
    b"^abc$de^abte$f",
    b"xyz^123",
    b"^abc$de^abte$fxyz^12325$^ab0000$abab",
    b"garbage only",
    b"$$$^a$$$^b$$$",
    b"^^$",
    b"^^^^a^b$^",
    b"^a$^b$^c$",
    b"^a$^$^$^b$",
    b"^$$^a$",
    b"^a$$^b$",
    b"^a$^^$^$",
    b"$^$^",
    b"x$^a$^",
    b"^\xff\x00\xfe$\xff",
    b"^" + bytes(byte for byte in range(256) if byte != ord("$")) + b"$",
    bytes(range(256)),
]


def answer(pieces: Iterable[bytes]) -> bytes:
    """Feed the pieces to one connection; return all that it owes."""
    framing = Framing()
    return b"".join([framing.feed(piece) for piece in pieces])


def bytewise(stream: bytes) -> Iterable[bytes]:
    """Cut a stream into single bytes."""
    return (stream[i : i + 1] for i in range(len(stream)))


@pytest.mark.parametrize("stream", CASES)
def test_whole_and_byte_by_byte(stream: bytes) -> None:
    assert answer([stream]) == owed(stream)
    assert answer(bytewise(stream)) == owed(stream)


@pytest.mark.parametrize("stream", CASES)
def test_cut_at_every_place(stream: bytes) -> None:
    for i in range(len(stream) + 1):
        assert answer([stream[:i], stream[i:]]) == owed(stream)
        for j in range(i, len(stream) + 1, 3):
            assert answer([stream[:i], b"", stream[i:j], stream[j:]]) == owed(stream)


def test_with_trailing_data() -> None:
    for stream in CASES:
        for tail in (b"$", b"^", b"$^z$", b"tail", b"$$^"):
            assert answer([stream, tail]) == owed(stream + tail)


def test_every_byte_value_inside_and_outside() -> None:
    for byte in range(256):
        stream = b"a%b^b%bc$d%be" % ((bytes([byte]),) * 3)
        assert owed(stream) == loop(stream)
        assert answer([stream]) == owed(stream)
        assert answer(bytewise(stream)) == owed(stream)


def test_random_streams() -> None:
    rng = random.Random(20250326)
    for _ in range(4000):
        stream = bytes(rng.choices(b"^$^$ab\xff", k=rng.randrange(40)))
        pieces = []
        rest = stream
        while rest:
            cut = rng.randrange(1, 8)
            pieces.append(rest[:cut])
            rest = rest[cut:]
        assert answer(pieces) == owed(stream), stream
        assert answer([stream]) == owed(stream), stream


def test_all_short_streams() -> None:
    """Every stream of up to six bytes over an alphabet that has everything in it."""
    for size in range(1, 7):
        for stream in map(bytes, itertools.product(b"^$a", repeat=size)):
            assert owed(stream) == loop(stream), stream
            assert answer([stream]) == owed(stream), stream
            assert answer([stream[:2], stream[2:]]) == owed(stream), stream


def test_a_connection_does_not_share_its_state() -> None:
    one, other = Framing(), Framing()
    assert one.feed(b"^a") == b"b"
    assert other.feed(b"a") == b""
    assert one.feed(b"a") == b"b"


HOSTILE = [b"x", b"^", b"$", b"^a", b"^$", b"^a$", b"^a$x", b"^$$", b"^a$$", b"$^^", b"^ab$"]


@pytest.mark.in_turn
@pytest.mark.parametrize("unit", HOSTILE)
def test_time_is_linear_in_the_input(unit: bytes) -> None:
    """Eight times the input may take some eight times as long, not sixty-four."""

    def seconds(size: int) -> float:
        stream = unit * (size // len(unit))
        best = float("inf")
        for _ in range(5):
            start = time.thread_time()
            Framing().feed(stream)
            best = min(best, time.thread_time() - start)
        return best

    assert seconds(1 << 19) < 30 * seconds(1 << 16)
