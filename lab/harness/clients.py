"""What a client does to a server: talk, be slow, leave, come in numbers."""

import contextlib
import functools
import random
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator

from lab.harness.processes import NotMeasured
from lab.harness.servers import Endpoint, leave

MiB = 1 << 20

FULL = (
    "It did not come to that: so many clients could not even connect. Give `listen` a larger"
    " number, see `burst`."
)


class Failed(Exception):  # noqa: N818, it is a verdict
    """What a check is about does not hold; the message says what was seen.

    `advice` says what to do, where that is not what the check is about.
    """

    def __init__(self, seen: str, advice: str = "") -> None:
        super().__init__(seen)
        self.advice = advice


def must(holds: bool, seen: str) -> str:
    """Return what was seen; Failed, with that, unless it holds."""
    if not holds:
        raise Failed(seen)
    return seen


@functools.lru_cache(32)  # the same megabytes are sent to one server after the other
def owed(stream: bytes) -> bytes:
    """Return what a server owes for everything a client sent, without the `*`.

    The protocol once more, a byte at a time, from its description and nothing else.
    """
    reply = bytearray()
    in_frame = False
    for byte in stream:
        if in_frame and byte == ord("$"):
            in_frame = False
        elif in_frame:
            reply.append(0 if byte == 0xFF else byte + 1)
        elif byte == ord("^"):
            in_frame = True
    return bytes(reply)


def exactly(sock: socket.socket, size: int) -> bytes:
    """Receive `size` bytes; fewer only if the server closes or is silent for too long."""
    received = bytearray()
    with contextlib.suppress(TimeoutError):
        while len(received) < size and (data := sock.recv(min(MiB, size - len(received)))):
            received += data
    return bytes(received)


def expect(sock: socket.socket, answer: bytes, sent: bytes = b"") -> None:
    """Receive as many bytes as `answer` has; Failed if they differ."""
    patience, got = sock.gettimeout(), exactly(sock, len(answer))
    if got != answer:
        after = f" for {shown(sent)}" if sent else ""
        if len(got) < len(answer):
            after += " and then the end" if ended(sock) else f" in {patience:g} s"
        raise Failed(f"got {shown(got)}{after}, owed {shown(answer)}")


def ended(sock: socket.socket) -> bool:
    """Return whether the server has closed its side."""
    sock.setblocking(False)
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def shown(data: bytes) -> str:
    """Write bytes so that a line holds them."""
    if not data:
        return "nothing"
    return repr(data)[1:] if len(data) <= 30 else f"{data[:30]!r}... ({len(data)} bytes)"[1:]


def to_the_end(sock: socket.socket) -> bytes:
    """Receive until the server closes; Failed if it does not."""
    received = exactly(sock, sys.maxsize)
    if not ended(sock):
        raise Failed(f"not closed after {shown(received)}")
    return received


def reset(sock: socket.socket) -> None:
    """Close with a reset (RST) instead of in order (FIN)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def conversation(server: Endpoint, *pieces: bytes) -> int:
    """Send the pieces, compare the whole answer, and return its length.

    The pieces must not leave a frame open. They are sent while the answer is read, so
    that neither side has to keep much.
    """
    expected = b"*" + owed(b"".join(pieces))
    with server.connect() as sock:
        compare(exchange(sock, pieces, len(expected)), expected)
        sock.sendall(b"^.$")
        expect(sock, b"/", b"^.$")  # that there was no more before it
    return len(expected)


@functools.lru_cache(128)
def letters(size: int) -> bytes:
    """Return so many bytes that are like no others, and nothing special inside a frame."""
    table = bytes(ord("a") + byte % 26 for byte in range(256))
    return random.Random(size).randbytes(size).translate(table)


def exchange(sock: socket.socket, pieces: Iterable[bytes], size: int) -> bytes:
    """Send the pieces, and meanwhile receive `size` bytes; fewer if no more come."""
    patience = sock.gettimeout() or 0
    unsent, rest = memoryview(b""), iter(pieces)
    answer = bytearray()
    poll = select.poll()  # beside a thousand clients our descriptors are too high for `select`
    sock.setblocking(False)
    while len(answer) < size:
        if not unsent:
            unsent = memoryview(next(rest, b""))
        poll.register(sock, select.POLLIN | (select.POLLOUT if unsent else 0))
        events = dict(poll.poll(patience * 1000))
        if not events:
            break
        if events[sock.fileno()] & ~select.POLLOUT:
            data = sock.recv(min(MiB, size - len(answer)))
            if not data:
                break
            answer += data
        if unsent and events[sock.fileno()] & ~select.POLLIN:
            unsent = unsent[sock.send(unsent) :]
    sock.settimeout(patience)
    return bytes(answer)


def those_ready(
    socks: Iterable[socket.socket], seconds: float, event: int = select.POLLIN
) -> list[socket.socket]:
    """Wait until there is something to read (or another event) at some of them; return those."""
    poll, numbered = select.poll(), {sock.fileno(): sock for sock in socks}
    for number in numbered:
        poll.register(number, event)
    return [numbered[number] for number, _ in poll.poll(seconds * 1000)]


def compare(answer: bytes, expected: bytes) -> None:
    """Fail, saying where, if an answer is not what was owed."""
    if answer == expected:
        return
    common = min(len(answer), len(expected))
    if answer[:common] == expected[:common]:
        raise Failed(f"{len(answer):,} bytes came back, {len(expected):,} were owed")
    pairs = enumerate(zip(answer, expected, strict=False))
    at = next(i for i, (got, due) in pairs if got != due)
    got, due = shown(answer[at : at + 8]), shown(expected[at : at + 8])
    raise Failed(f"byte {at:,} of {len(expected):,} is wrong: {got}, owed {due}")


def serves(server: Endpoint) -> None:
    """Check that a new client is served."""
    with server.connect() as sock:
        sock.sendall(b"^serves$")
        expect(sock, b"*tfswft")


@contextlib.contextmanager
def clients(server: Endpoint, count: int) -> Iterator[list[socket.socket]]:
    """Hold `count` connections, made one after the other; none need be greeted yet."""
    socks: list[socket.socket] = []
    try:
        while len(socks) < count:
            try:
                socks.append(server.connect())
            except TimeoutError:
                raise Failed(f"no room in the backlog after {len(socks)} clients", FULL) from None
        yield socks
    finally:
        leave(socks)


@contextlib.contextmanager
def greeted_clients(server: Endpoint, count: int) -> Iterator[list[socket.socket]]:
    """Hold `count` clients that have had their `*`: all connect, and then all wait for it."""
    with clients(server, count) as socks:
        for sock in socks:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for sock in socks:
            expect(sock, b"*")
        yield socks


@contextlib.contextmanager
def greeted(server: Endpoint) -> Iterator[socket.socket]:
    """Hold one such client."""
    with greeted_clients(server, 1) as (sock,):
        yield sock


@contextlib.contextmanager
def idle_clients(server: Endpoint, count: int) -> Iterator[list[socket.socket]]:
    """Hold up to `count` clients that were greeted and say nothing: as many as it takes and keeps.

    It has a second or two for each, and ten for all, or more if it is given much time.
    """
    deadline = time.monotonic() + max(10, 6 * server.patience)
    socks: list[socket.socket] = []
    try:
        while len(socks) < count and time.monotonic() < deadline:
            try:
                socks.append(server.connect(min(2, server.patience)))
            except OSError:
                break
            if exactly(socks[-1], 1) != b"*":
                leave([socks.pop()])
                break
        must(bool(socks), "no client is served")
        those_ready(socks[-1:], 0.05)  # it may greet one and close it at once, the last one too
        kept = [sock for sock in socks if not ended(sock)]
        for sock in kept:
            sock.settimeout(server.patience)
        yield kept
    finally:
        leave(socks)


def send_until_stuck(sock: socket.socket, data: bytes, quiet: float = 0.1) -> int:
    """Send until nothing has moved for `quiet` seconds; return how much was taken."""
    patience, sent = sock.gettimeout(), 0
    sock.setblocking(False)
    while sent < len(data) and those_ready([sock], quiet, select.POLLOUT):
        with contextlib.suppress(BlockingIOError):
            sent += sock.send(memoryview(data)[sent : sent + 64 * 1024])
    sock.settimeout(patience)
    return sent


def room_for(count: int) -> None:
    """Raise NotMeasured if this process may not have so many descriptors, and some more."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < count + 100:
        raise NotMeasured(f"a process may have but {limit:,} descriptors here (ulimit -n)")


def busy(server: Endpoint, seconds: float) -> float:
    """Return the share of a core that the server uses over so many seconds."""
    cpu, start = server.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    return (server.cpu_seconds() - cpu) / (time.monotonic() - start)


SPINS = 0.1
"""Of a core, above which a server spins; on a busy machine it may get but a fifth."""


def at_rest(server: Endpoint, most: float) -> float:
    """Return the share of a core that it uses over half a second, the first below `most` of four.

    It may have had something left to do, but not every time.
    """
    for _ in range(4):
        if (share := busy(server, 0.5)) < most:
            break
    return share


def settle(server: Endpoint) -> None:
    """Wait until the server has done what there was to do, and hardly uses the CPU."""
    deadline = time.monotonic() + server.patience
    with contextlib.suppress(NotMeasured):
        while busy(server, 0.03) > 0.2 and time.monotonic() < deadline:
            pass
