"""What a client does to a server: talk, be slow, leave, come in numbers."""

import contextlib
import fcntl
import functools
import itertools
import random
import resource
import select
import socket
import struct
import sys
import termios
import time
from collections.abc import Iterable, Iterator

from common.serving import peer_name
from lab.harness.deadline import OutOfTime, left, over
from lab.harness.processes import NotMeasured, connections
from lab.harness.servers import Endpoint, leave

MiB = 1 << 20

PLUS_ONE = bytes([*range(1, 256), 0])
"""What is owed for each byte inside a frame."""

WINDOW = 32
"""Bytes by which a piece of an answer is known again."""

FULL = (
    "It did not come to that: the backlog was full, so that clients had to try again, which TCP"
    " does after a second. Give `listen` a larger number, see `burst`."
)
SLOW = (
    "It is too slow to be judged by this, which is not to say that it is wrong: `latency` says"
    " more. `--patience` gives it more time."
)
UNREAD = (
    "It does not read all that is there, and then waits for what does not come. Edge-triggered"
    " notification tells once: go on until EAGAIN. And a `recv` that filled your buffer does not"
    " say that there is more: answer what you have."
)
REPEATED = (
    "Something was sent twice. `send` says how much it took: go on after that. What failed may"
    " have been sent in part, so do not send it again."
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


def owed(stream: bytes) -> bytes:
    """Return what a server owes for everything a client sent, without the `*`.

    The protocol once more, from its description: between two `$` there is one frame, or none.
    """
    frames = [piece.partition(b"^")[2] for piece in stream.split(b"$")]
    return b"".join(frames).translate(PLUS_ONE)


def exactly(sock: socket.socket, size: int) -> bytes:
    """Receive `size` bytes; fewer only if the server closes or is silent for too long."""
    received = bytearray()
    with contextlib.suppress(TimeoutError, OutOfTime):
        while len(received) < size and (data := sock.recv(min(MiB, size - len(received)))):
            received += data
    return bytes(received)


def expect(sock: socket.socket, answer: bytes, sent: bytes = b"") -> None:
    """Receive as many bytes as `answer` has; Failed if they differ."""
    got = exactly(sock, len(answer))
    if got != answer:
        after = f" for {shown(sent)}" if sent else ""
        rest, advice = short(sock, got, answer)
        raise Failed(f"got {shown(got)}{after}{rest}, owed {shown(answer)}", advice)


def ask(sock: socket.socket, said: bytes, answer: bytes) -> None:
    """Send this and receive the answer; Failed if it differs."""
    sock.sendall(said)
    expect(sock, answer, said)


def short(sock: socket.socket, got: bytes, due: bytes) -> tuple[str, str]:
    """Say how an answer ends that is not all, and what is to be done then.

    OutOfTime if there is no time to see that, and what came is right so far.
    """
    if not due.startswith(got):
        return "", ""
    if over():
        raise OutOfTime(f"{len(got):,} of {len(due):,} bytes had come back by then")
    if ended(sock):
        return " and then the end", ""
    patience, unread = sock.gettimeout() or 0, queued(sock)
    if comes(sock, due[len(got)], patience / 4) or queued(sock) < unread:
        return f" in {patience:g} s, and more later", SLOW
    if unread:
        return f" in {patience:g} s, and it reads no more", UNREAD
    if (got or due[:1] != b"*") and nudged(sock, due[len(got)], patience / 4):
        return f" in {patience:g} s, and more when more was sent", UNREAD
    return f" in {patience:g} s", ""


def queued(sock: socket.socket) -> int:
    """Return how many bytes the server has no room for (tcp(7), SIOCOUTQ); elsewhere 1 if any."""
    if sys.platform == "linux":
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return not those_ready([sock], 0, select.POLLOUT)


def until_read(sock: socket.socket, quiet: float = 0.2) -> None:
    """Wait until the server has read all that was sent, or nothing of it has moved for so long."""
    address = sock.getsockname()
    here, port = peer_name(address), address[1]
    before, since = -1, time.monotonic()
    while before and time.monotonic() - since < min(quiet, left(quiet)):
        at = queued(sock) + sum(one.unread for one in connections(port) if one.peer == here)
        if at != before:
            before, since = at, time.monotonic()
        time.sleep(0.01)


def nudged(sock: socket.socket, byte: int, seconds: float) -> bool:
    """Return whether this comes when more is sent, of which nothing is owed outside a frame."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            sock.send(b"-", socket.MSG_DONTWAIT)
        if those_ready([sock], 0.001):
            return comes(sock, byte, 0)
    return False


def comes(sock: socket.socket, byte: int, seconds: float) -> bool:
    """Return whether this comes next, in so many seconds."""
    return bool(those_ready([sock], seconds)) and exactly(sock, 1) == bytes([byte])


def ended(sock: socket.socket) -> bool:
    """Return whether the server has closed its side."""
    patience = sock.gettimeout()
    sock.setblocking(False)
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        sock.settimeout(patience)


def shown(data: bytes) -> str:
    """Write bytes so that a line holds them."""
    if not data:
        return "nothing"
    return repr(data)[1:] if len(data) <= 30 else f"{data[:30]!r}... ({len(data)} bytes)"[1:]


def to_the_end(sock: socket.socket) -> bytes:
    """Receive until the server closes; Failed if it does not."""
    received = exactly(sock, sys.maxsize)
    if not ended(sock):
        if over():
            raise OutOfTime(f"{len(received):,} bytes had come back, and no end")
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
        compare(exchange(sock, pieces, expected), expected, sock)
        ask(sock, b"^.$", b"/")  # that there was no more before it
    return len(expected)


@functools.lru_cache(128)
def letters(size: int) -> bytes:
    """Return so many bytes that are like no others, and nothing special inside a frame."""
    table = bytes(ord("a") + byte % 26 for byte in range(256))
    return random.Random(size).randbytes(size).translate(table)


def exchange(sock: socket.socket, pieces: Iterable[bytes], due: bytes) -> bytes:
    """Send the pieces, and meanwhile receive what is due; less if it ends or is wrong."""
    patience = sock.gettimeout() or 0
    unsent, rest = memoryview(b""), iter(pieces)
    answer = bytearray()
    poll = select.poll()  # beside a thousand clients our descriptors are too high for `select`
    sock.setblocking(False)
    wrong = False
    while len(answer) < len(due):
        if not unsent:
            unsent = memoryview(next(rest, b""))
        poll.register(sock, select.POLLIN | (select.POLLOUT if unsent else 0))
        events = {} if over() else dict(poll.poll(left(patience) * 1000))
        if not events:
            break
        if events[sock.fileno()] & ~select.POLLOUT:
            data = sock.recv(min(MiB, len(due) - len(answer)))
            if not data or wrong:  # some more of it may tell what it is
                answer += data
                break
            wrong = data != due[len(answer) : len(answer) + len(data)]
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
    return [numbered[number] for number, _ in poll.poll(left(seconds) * 1000)]


def compare(answer: bytes, expected: bytes, sock: socket.socket | None = None) -> None:
    """Fail, saying where and how, if an answer is not what was owed; it came from `sock`."""
    if answer == expected:
        return
    common = min(len(answer), len(expected))
    if answer[:common] == expected[:common]:
        rest, advice = short(sock, answer, expected) if sock else ("", "")
        seen = f"{len(answer):,} bytes came back{rest}, {len(expected):,} were owed"
        raise Failed(seen, advice)
    pairs = enumerate(zip(answer, expected, strict=False))
    at = next(i for i, (got, due) in pairs if got != due)
    got, due = shown(answer[at : at + 8]), shown(expected[at : at + 8])
    how, advice = "wrong", ""
    window = answer[at : at + WINDOW]
    before = expected.rfind(window, 0, at + len(window) - 1)
    after = expected.find(window, at)
    if len(window) == WINDOW and before >= 0 and (after < 0 or at - before < after - at):
        how, advice = f"one that came {at - before:,} bytes before", REPEATED
    elif len(window) == WINDOW and after >= 0:
        how = f"one that is owed {after - at:,} bytes later"
    raise Failed(f"byte {at:,} of {len(expected):,} is {how}: {got}, owed {due}", advice)


def serves(server: Endpoint) -> None:
    """Check that a new client is served."""
    with server.connect() as sock:
        ask(sock, b"^serves$", b"*tfswft")


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


AT_ONCE = 4
"""Clients that no backlog is too short for; one that looks once an interval greets all of them."""


@contextlib.contextmanager
def idle_clients(server: Endpoint, count: int, seconds: float = 0) -> Iterator[list[socket.socket]]:
    """Hold up to `count` clients that were greeted and say nothing: as many as it takes and keeps.

    It has a second or two for each, and its patience for all, unless `seconds` says more; but
    there is to be some time left.
    """
    deadline = time.monotonic() + min(max(5, seconds or server.patience), 0.8 * left())
    socks: list[socket.socket] = []
    try:
        while len(socks) < count and time.monotonic() < deadline:
            before = len(socks)
            with contextlib.suppress(OSError):
                for _ in range(min(AT_ONCE, count - before)):
                    socks.append(server.connect(min(2, server.patience)))
            served = itertools.takewhile(lambda sock: exactly(sock, 1) == b"*", socks[before:])
            after = before + len(list(served))
            leave(socks[after:])
            del socks[after:]
            if after < before + AT_ONCE:
                break
        must(bool(socks), "no client is served")
        those_ready(socks[-1:], 0.05)  # it may greet one and close it at once, the last one too
        kept = [sock for sock in socks if not ended(sock)]
        for sock in kept:
            sock.settimeout(server.patience)
        yield kept
    finally:
        leave(socks)


FILLS = 4.0
"""Seconds, in half of which all buffers are full, on a busy machine too."""


def send_until_stuck(sock: socket.socket, data: bytes | memoryview, quiet: float = 0.1) -> int:
    """Send until nothing has moved for `quiet` seconds; return how much was taken.

    If there is always room for some more, it is a slow one: half its patience is enough, or two
    seconds.
    """
    patience, sent = sock.gettimeout() or 0, 0
    deadline = time.monotonic() + min(left(), max(patience, FILLS)) / 2
    sock.setblocking(False)
    while sent < len(data) and time.monotonic() < deadline:
        if not those_ready([sock], quiet, select.POLLOUT):
            break
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
    """Return the share of a core that the server uses over so many seconds.

    Of those in which it did not wait for one (Linux), and all of it if it never sleeps: on a busy
    machine one that spins is given little, and the kernel tells of a wait only when it is over.
    """
    start, before, sleepless = time.monotonic(), server.cpu_times(), True
    for rest in reversed(range(LOOKS)):
        time.sleep(seconds / LOOKS)
        if not server.runnable():
            sleepless = False
            time.sleep(rest * seconds / LOOKS)
            break
    used, awaited = (now - then for now, then in zip(server.cpu_times(), before, strict=True))
    elapsed = time.monotonic() - start
    return max(0.0, float(sleepless), used / elapsed, used / max(elapsed - awaited, used, 1e-9))


LOOKS = 10
"""How often it is looked whether a server sleeps, before it is said not to."""


SPINS = 0.1
"""Of a core, above which a server spins; where nobody says that it waits, it may get a fifth."""


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
    deadline = time.monotonic() + left(server.patience)
    with contextlib.suppress(NotMeasured):
        while busy(server, 0.03) > 0.2 and time.monotonic() < deadline:
            pass
