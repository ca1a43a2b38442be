"""The first rung: what is said. A server of one client at a time can do all of it."""

import random
import socket
import time

from lab.check.suite import check
from lab.harness.clients import (
    MiB,
    compare,
    conversation,
    exchange,
    expect,
    greeted,
    letters,
    owed,
    send_until_stuck,
    to_the_end,
)
from lab.harness.servers import Endpoint

LATE = 64
"""MiB for a reader that starts late."""


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
        sock.sendall(b"^a$")
        expect(sock, b"b", b"^a$")
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
    # Short frames, since their length is another check's.
    block = b"".join(b"^" + letters(32_000 + i) + b"$" for i in range(32))
    expected = owed(block)
    times = LATE * MiB // len(block)
    with server.unconnected() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        sock.settimeout(server.patience)
        sock.connect((server.host, server.port))
        stream = block * times
        stuck = send_until_stuck(sock, stream, 0.3)  # a machine may stand still for 0.1
        answer = exchange(sock, [stream[stuck:]], 1 + times * len(expected))
        compare(answer, b"*" + expected * times)
    return f"{len(answer):,} bytes; {stuck / MiB:.0f} MiB were taken before the first was read"


@check("step1_sequential")
def half_close(server: Endpoint) -> str:
    """A client that has shut down its sending side gets all it is owed, then the end.

    That `recv` returns nothing means only that the client sends no more; it may still
    read. Send what is owed, then close.
    """
    streams = (b"^abc$", b"", b"^unfinished", (b"^" + letters(1000) + b"$") * 1000)
    for stream in streams:
        with server.connect() as sock:
            sock.sendall(stream)
            sock.shutdown(socket.SHUT_WR)
            compare(to_the_end(sock), b"*" + owed(stream))
    return f"{len(streams)} streams, up to 1 MB"
