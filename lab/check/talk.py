"""The first rung: what is said. A server of one client at a time can do all of it."""

import contextlib
import functools
import itertools
import random
import socket
import time
from collections.abc import Iterator

from lab.check.suite import check
from lab.harness.clients import (
    MiB,
    ask,
    compare,
    conversation,
    exchange,
    expect,
    greeted,
    letters,
    owed,
    send_until_stuck,
    settle,
    those_ready,
    to_the_end,
    until_read,
)
from lab.harness.deadline import left
from lab.harness.servers import Endpoint

LATE = 64
"""MiB for a reader that starts late."""

ENOUGH = 24
"""MiB that fill all buffers of the kernel, most often."""

THINKS = 3.0
"""Seconds for which a client is silent."""

SIZES = (512, 1024, 4096, 8192, 16384, 65536)
"""Bytes, as buffers have them."""


@check("step1_sequential")
def ack(server: Endpoint) -> str:
    """One `*` comes unasked, and `^a$` is answered by `b`.

    Send one `*` as soon as you have accepted a client, before you read; then, inside
    `^` and `$`, every byte plus one. All other checks begin with this.
    """
    start = time.monotonic()
    with server.connect() as sock:
        expect(sock, b"*")
        taken = time.monotonic() - start
        ask(sock, b"^a$", b"b")
    return f"`*` after {taken * 1000:.1f} ms"


@check("step1_sequential")
def cuts(server: Endpoint) -> str:
    """Cut at any place into two packets, the stream is answered the same, piece by piece.

    TCP is a stream: a `recv` may end anywhere in a frame. Keep what state a client is in
    (inside a frame or not) from one `recv` to the next, and answer what is there already.
    """
    stream = b"-^ab$x$^c^$--^d$"
    with greeted(server) as sock:
        for cut in range(len(stream) + 1):
            before, after = owed(stream[:cut]), owed(stream)
            for sent, answer in ((stream[:cut], before), (stream[cut:], after[len(before) :])):
                sock.sendall(sent)
                if answer:
                    expect(sock, answer, sent)
                else:
                    time.sleep(0.001)  # so that the next piece is a packet of its own
    return f"{len(stream) + 1} places"


@check("step1_sequential")
def all_values(server: Endpoint) -> str:
    """Every byte value comes back plus one, and 0xff as 0x00.

    Work on bytes, not on text: no value is special inside a frame but `$`, a zero ends
    nothing, and 255 plus one wraps to 0.
    """
    values = bytes(byte for byte in range(256) if byte != ord("$"))
    conversation(server, b"^" + values + b"$^\xff\xff$")
    return f"{len(values)} values"


@check("step1_sequential")
def many_frames(server: Endpoint) -> str:
    """Each of many frames in a packet is answered.

    One `recv` may bring any number of frames. Go on after the first `$` until all
    that you have received is used up.
    """
    back = conversation(server, b"^a$^b$-^c$--^dd$^e$", b"^xyz$" * 2000)
    return f"2,005 frames, {back:,} bytes back"


@check("step1_sequential")
def garbage(server: Endpoint) -> str:
    """What is outside frames gets no answer, however much it is.

    Drop what comes before a `^`. You need not keep it, and a `$` there closes nothing.
    """
    noise = random.Random(2).randbytes(MiB).replace(b"^", b"")
    conversation(server, noise, b"^a$", b"$$$" + noise, b"^b$")
    return f"{2 * len(noise):,} bytes dropped"


@check("step1_sequential")
def odd_places(server: Endpoint) -> str:
    """`^` inside a frame is data, `$` outside is nothing, and a frame may be empty.

    A `^` opens a frame only where none is open; inside one it is a byte like others, and
    comes back as `_`.
    """
    streams = (b"$^a$", b"^$", b"^^$", b"^^^a^$", b"^a$$$^b$", b"^$^$^c$", b"$$^$$^^$")
    for stream in streams:
        conversation(server, stream)
    return f"{len(streams)} streams"


@check("step1_sequential")
def long_frame(server: Endpoint) -> str:
    """A frame may be as long as it likes: 1 MiB comes back whole.

    Answer what you have received and forget it. A buffer of fixed size that has to hold
    a whole frame is too small one day.
    """
    start = time.monotonic()
    conversation(server, b"^" + letters(MiB) + b"$")
    return f"1 MiB in {time.monotonic() - start:.2f} s"


@check("step4_nonblocking_polling")
def late_reader(server: Endpoint) -> str:
    """Much data comes back byte for byte to a reader that starts only when nothing moves.

    `send` may take less than you give it, and says how much: keep the rest and send it
    when there is room, before anything else.
    """
    said = much()
    due = b"*" + owed(said)
    stuck = read_late(server, said, due)
    return f"{len(due):,} bytes; {stuck / MiB:.0f} MiB were taken before the first was read"


def read_late(server: Endpoint, said: bytes, due: bytes, pause: float = 0) -> int:
    """Say all this, and read only when nothing moves; return how many bytes were taken by then.

    And after a `pause`, in seconds. Failed unless what is due comes back.
    """
    most = min(ENOUGH * MiB, len(said) - 1000)  # after a loss comes more, and shows where it is
    with reads_late(server) as sock:
        # A machine may stand still for 0.1.
        stuck = send_until_stuck(sock, said[:most], 0.3)
        until_read(sock)  # all of it may be in the kernel, before a slow server has read any
        time.sleep(left(pause))
        compare(exchange(sock, [said[stuck:]], due), due, sock)
    return stuck


def block() -> bytes:
    """Return about a MiB to say, in short frames, since their length is another check's."""
    return b"".join(b"^" + letters(32_000 + i) + b"$" for i in range(32))


@functools.cache
def much() -> bytes:
    """Return `LATE` MiB to say, a `block` after the other; 26 of them are different."""
    said, a_to_z = block(), bytes(range(ord("a"), ord("z") + 1))
    turned = (a_to_z[i:] + a_to_z[:i] for i in range(26))
    blocks = [said.translate(bytes.maketrans(a_to_z, others)) for others in turned]
    return b"".join(itertools.islice(itertools.cycle(blocks), LATE * MiB // len(said)))


@contextlib.contextmanager
def reads_late(server: Endpoint, room: int = 64 * 1024) -> Iterator[socket.socket]:
    """Hold a client for which the kernel keeps little, so that the server must."""
    with server.unconnected() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.settimeout(server.patience)
        sock.connect((server.host, server.port))
        yield sock


def send_and_shut_down(sock: socket.socket) -> bytes:
    """Send what is taken while nothing is read, and then no more; return what is owed for it.

    The server has then read all of it, or is stuck: whoever reads at once would let it go on.
    """
    said = much()[: ENOUGH * MiB]
    taken = send_until_stuck(sock, said)
    sock.shutdown(socket.SHUT_WR)
    until_read(sock)
    return b"*" + owed(said[:taken])


@check("docs/check.md")
def half_close(server: Endpoint) -> str:
    """A client that has shut down its sending side gets all it is owed, then the end.

    That `recv` returns nothing means only that the client sends no more; it may still
    read, and late. Send what is owed, however long that takes, then close.
    """
    streams = (b"^abc$", b"", b"^unfinished", (b"^" + letters(1000) + b"$") * 1000)
    for stream in streams:
        with server.connect() as sock:
            sock.sendall(stream)
            sock.shutdown(socket.SHUT_WR)
            compare(to_the_end(sock), b"*" + owed(stream))
    with reads_late(server) as sock:
        due = send_and_shut_down(sock)
        settle(server)
        compare(to_the_end(sock), due)
    return f"{len(streams)} streams, and {len(due) / MiB:.0f} MiB to one that reads only then"


@check("docs/check.md")
def exact(server: Endpoint) -> str:
    """Pieces just as long as a usual buffer are each answered before more is sent.

    That a `recv` fills your buffer does not say that there is more: answer what you have, and
    wait for the rest as you wait for all else.
    """
    with greeted(server) as sock:
        for size in SIZES:
            piece = letters(size)
            ask(sock, b"^a", b"b")  # it has read that, and so the piece comes with nothing else
            ask(sock, piece, owed(b"^" + piece))
            sock.sendall(b"$")
    return f"{len(SIZES)} pieces of {SIZES[0]} to {SIZES[-1]:,} bytes"


@check("docs/check.md")
def thinks(server: Endpoint) -> str:
    """A client may be silent for some seconds in the middle, and then go on.

    There is no time limit in the protocol. If you want one, have `--deadline` see to it, and leave
    this out (`--skip thinks`).
    """
    with greeted(server) as sock:
        ask(sock, b"^ab", b"bc")
        those_ready([sock], THINKS)  # it might be sent away
        ask(sock, b"c$", b"d")
    return f"silent for {THINKS:g} s"
