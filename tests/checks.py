"""The contract, as checks: each takes a running server and fails with AssertionError.

They know nothing of a server but the protocol, its port and its process. Those
named in `CONTRACT` hold for any good server that serves its clients side by side;
what a step cannot do is declared in `tests/limits.py`.
"""

import contextlib
import errno
import random
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from lab import processes
from lab.servers import END, ROOT, Server
from tests.oracle import owed

PATIENCE = 10.0
"""Seconds after which an answer counts as missing; less where it is meant to be missing."""

MiB = 1 << 20

IDLE = 0.1
"""The share of a core below which a server counts as idle; on a busy machine one that spins
may get but a fifth."""

# How many may connect at once. Beyond Linux a backlog holds but 128, however long
# it was asked to be, and a server that serves one client at a time fills it.
BURST = 300 if sys.platform == "linux" else 100


def connect(server: Server) -> socket.socket:
    """Connect, without waiting for the `*`."""
    return server.connect(PATIENCE)


def lab_prints(*words: str) -> str:
    """Run a command of the lab to its end, which has to be good; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "lab", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return done.stdout


def exactly(sock: socket.socket, size: int) -> bytes:
    """Receive `size` bytes; fewer only if the server closes or is silent for too long."""
    received = bytearray()
    with contextlib.suppress(TimeoutError):
        while len(received) < size and (data := sock.recv(size - len(received))):
            received += data
    return bytes(received)


def to_the_end(sock: socket.socket) -> bytes:
    """Receive until the server closes."""
    received = bytearray()
    try:
        while data := sock.recv(MiB):
            received += data
    except TimeoutError:
        raise AssertionError(f"not closed; got {bytes(received[-40:])!r} so far") from None
    return bytes(received)


def reset(sock: socket.socket) -> None:
    """Close with a reset (RST) instead of in order (FIN)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def conversation(server: Server, *pieces: bytes) -> None:
    """Send the pieces, say that this was all, and compare the whole answer."""
    with connect(server) as sock:
        for piece in pieces:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        expected = b"*" + owed(b"".join(pieces))
        answer = to_the_end(sock)
        assert answer == expected, f"got {answer[:80]!r}, owed {expected[:80]!r}"


def serves(server: Server) -> None:
    """Check that a new client is served."""
    with connect(server) as sock:
        sock.sendall(b"^serves$")
        assert exactly(sock, 7) == b"*tfswft"


@contextlib.contextmanager
def clients(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Hold `count` connections, made one after the other."""
    with contextlib.ExitStack() as stack:
        socks: list[socket.socket] = []
        while len(socks) < count:
            try:
                socks.append(stack.enter_context(connect(server)))
            except TimeoutError:
                raise AssertionError(f"no room in the backlog after {len(socks)}") from None
        yield socks


# What is said


def ack(server: Server) -> None:
    """One `*` comes at once and unasked, and no second."""
    with connect(server) as sock:
        assert exactly(sock, 1) == b"*"
        sock.sendall(b"^a$")
        assert exactly(sock, 1) == b"b"


def framing(server: Server) -> None:
    """The notes' own script is answered as they say."""
    conversation(server, b"^abc$de^abte$f", b"xyz^123", b"25$^ab0000$abab")


def fragmentation(server: Server) -> None:
    """A byte a packet makes no difference."""
    with connect(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert exactly(sock, 1) == b"*"
        for byte in b"x^a$y^^b$":
            sock.sendall(bytes([byte]))
            time.sleep(0.001)
        assert exactly(sock, 3) == b"b_c"


def frames_in_a_packet(server: Server) -> None:
    """Each of several frames in a packet is answered."""
    conversation(server, b"^a$^b$-^c$--^dd$^e$")


def frame_over_packets(server: Server) -> None:
    """A frame that goes on in later packets is answered piece by piece."""
    with connect(server) as sock:
        assert exactly(sock, 1) == b"*"
        for sent, back in ((b"^ab", b"bc"), (b"cd", b"de"), (b"e$x^f", b"fg"), (b"g", b"h")):
            sock.sendall(sent)
            answer = exactly(sock, len(back))
            assert answer == back, f"got {answer!r} for {sent!r}, owed {back!r}"


def all_values(server: Server) -> None:
    """Every byte value comes back plus one; 0xff wraps to 0x00; `^` in a frame is data."""
    values = bytes(byte for byte in range(256) if byte != ord("$"))
    conversation(server, b"^" + values + b"$^\xff\xff$")


def garbage(server: Server) -> None:
    """What is outside frames gets no answer, however much it is."""
    noise = random.Random(2).randbytes(MiB).replace(b"^", b"")
    conversation(server, noise, b"^a$", b"$$$" + noise, b"^b$")


def half_close(server: Server) -> None:
    """A client that has shut down its sending side gets all it is owed, then the end."""
    conversation(server, b"^abc$")
    conversation(server)
    conversation(server, b"^unfinished")


def slow_reader(server: Server) -> None:
    """A long frame comes back whole to a reader that only starts when nothing moves.

    It is longer than what the kernel keeps for a socket (4 MiB and more on Linux), so
    that a server meets a `send` that takes less than it was given.
    """
    piece = random.Random(3).randbytes(MiB).replace(b"$", b"")
    frame = b"^" + 16 * piece + b"$"
    expected = b"*" + 16 * owed(b"^" + piece)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        sock.settimeout(PATIENCE)
        sock.connect((server.host, server.port))
        sent = send_until_stuck(sock, frame)
        answer = bytearray()
        sender = threading.Thread(target=send_the_rest, args=(sock, frame[sent:]))
        sender.start()
        try:
            answer += to_the_end(sock)
        finally:
            sender.join()
    assert len(answer) == len(expected), f"{len(answer)} of {len(expected)} bytes came back"
    assert answer == expected


def send_until_stuck(sock: socket.socket, data: bytes, quiet: float = 0.1) -> int:
    """Send until nothing has moved for `quiet` seconds; return how much was taken."""
    sent = 0
    while sent < len(data):
        _, writable, _ = select.select([], [sock], [], quiet)
        if not writable:
            break
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sent += sock.send(memoryview(data)[sent : sent + 64 * 1024])
        sock.settimeout(PATIENCE)
    return sent


def send_the_rest(sock: socket.socket, data: bytes) -> None:
    """Send the data and say that this was all; the other side sees what is missing."""
    with contextlib.suppress(OSError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


# Clients that misbehave


def connect_and_close(server: Server) -> None:
    """Health checks, which connect and say nothing, harm nobody."""
    for _ in range(20):
        connect(server).close()
    settle(server)  # it has noticed
    serves(server)


def resets(server: Server) -> None:
    """Clients that reset, with and without something unread, harm nobody."""
    for said in (b"", b"^abc", b"^abc$" * 1000):
        for wait in (False, True):
            with connect(server) as sock:
                if wait:
                    assert exactly(sock, 1) == b"*"
                sock.sendall(said)
                reset(sock)
    settle(server)  # it has noticed
    serves(server)


def reset_while_owed(server: Server) -> None:
    """A client that resets while much is still owed to it harms nobody."""
    with connect(server) as sock:
        send_until_stuck(sock, b"^" + b"a" * (32 * MiB))
        reset(sock)
    settle(server)  # it has noticed
    serves(server)


def never_reads(server: Server) -> None:
    """A client that sends and never reads is not read from for ever: memory is bounded.

    The kernel's own buffers take some 20 MiB.
    """
    offered = b"^" + b"a" * (64 * MiB)
    with connect(server) as sock:
        taken = send_until_stuck(sock, offered)
        assert taken < 48 * MiB, f"{taken // MiB} of 64 MiB were taken from one that never reads"


def stuck_reader(server: Server) -> None:
    """A client that never reads holds nobody else up."""
    with connect(server) as sock:
        send_until_stuck(sock, b"^" + b"a" * (32 * MiB))
        with connect(server) as other:
            other.sendall(b"^a$")
            assert exactly(other, 2) == b"*b", "held up by a client that does not read"


# Many at once


def fifty_at_once(server: Server) -> None:
    """Fifty clients are all greeted, and all answered, while all are there."""
    with clients(server, 50) as socks:
        for sock in socks:
            assert exactly(sock, 1) == b"*", "a client waits while others are served"
        for i, sock in enumerate(socks):
            sock.sendall(b"^%d" % i)
        for i, sock in enumerate(socks):
            assert exactly(sock, len(str(i))) == owed(b"^%d" % i)


def silence(server: Server) -> None:
    """Clients that connect and say nothing hold nobody up."""
    with clients(server, 5), connect(server) as sock:
        sock.sendall(b"^a$")
        assert exactly(sock, 2) == b"*b", "held up by clients that say nothing"


def eleven_hundred_at_once(server: Server) -> None:
    """Eleven hundred clients are served at once, one of them on a descriptor above 1024."""
    with clients(server, 1100) as socks:
        for i, sock in enumerate(socks, 1):
            try:
                sock.sendall(b"^a")
                answer = exactly(sock, 2)
            except ConnectionError:
                answer = b""
            assert answer == b"*b", f"client {i} of 1100 is not served"


def burst(server: Server) -> None:
    """A burst of clients gets into the backlog; none has to send its SYN again.

    That is what happens when the backlog is full, and takes a second.
    """
    waiting = set()
    with contextlib.ExitStack() as stack:
        start = time.monotonic()
        for _ in range(BURST):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            code = sock.connect_ex((server.host, server.port))
            assert code in (0, errno.EINPROGRESS)
            waiting.add(sock)
        while waiting and time.monotonic() - start < 0.9:
            _, connected, _ = select.select([], waiting, [], 0.1)
            waiting.difference_update(connected)
    assert not waiting, f"{len(waiting)} of {BURST} clients were left out of the backlog"


# Cost


def answers_at_once(server: Server) -> None:
    """An answer takes about as long as from a bare echo in another thread of ours.

    The client thinks a little before each question, so that the server has gone to
    sleep. Two hundred times as long is the allowance: a Python server takes some
    five times as long, one that looks only now and then some thousand times.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        echo = threading.Thread(target=echo_once, args=(listener,))
        echo.start()
        with socket.create_connection(listener.getsockname()) as sock:
            bare = latency(sock)
        echo.join()
    with connect(server) as sock:
        assert exactly(sock, 1) == b"*"
        sock.sendall(b"^")
        ours = latency(sock)
    assert ours < 200 * bare, f"an answer takes {ours * 1e3:.2f} ms, a bare echo {bare * 1e3:.2f}"


def echo_once(listener: socket.socket) -> None:
    """Echo what one client says until it leaves."""
    sock, _ = listener.accept()
    with sock:
        while data := sock.recv(4096):
            sock.sendall(data)


def latency(sock: socket.socket) -> float:
    """Return the median time in seconds from a byte to its answer."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken = []
    for _ in range(7):
        time.sleep(0.01)
        start = time.perf_counter()
        sock.sendall(b"a")
        assert len(exactly(sock, 1)) == 1
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def idle_is_cheap(server: Server) -> None:
    """With nothing to do, a server does not keep a core busy."""
    with clients(server, 3) as socks:
        assert exactly(socks[0], 1) == b"*"
        assert busy(server, 0.5) < IDLE, "busy while there is nothing to do"


def busy(server: Server, seconds: float) -> float:
    """Return the share of a core that the server uses over so many seconds."""
    cpu, start = processes.cpu_seconds(server.pid), time.monotonic()
    time.sleep(seconds)
    return (processes.cpu_seconds(server.pid) - cpu) / (time.monotonic() - start)


def no_descriptors(server: Server) -> None:
    """Out of descriptors: no spinning, the first clients served, all others later, none lost.

    For a server that was started with at most 24 descriptors.
    """
    with clients(server, 30) as socks:
        waiting, served = set(socks), []
        while greeted := select.select(waiting, [], [], 0.3)[0]:
            served += receive_greetings(greeted)
            waiting.difference_update(greeted)
        assert served, "nobody is served"
        assert busy(server, 0.5) < IDLE, "spins while it has no descriptors"
        served[0].sendall(b"^a$")
        assert exactly(served[0], 1) == b"b", "a client that was there is no longer served"
        served.pop().close()  # that makes room for one; the others leave when it has come
        while waiting:
            greeted = select.select(waiting, [], [], PATIENCE)[0]
            assert greeted, f"{len(waiting)} of 30 clients were not served when there was room"
            waiting.difference_update(greeted)
            for sock in served + receive_greetings(greeted):
                sock.close()
            served = []


def receive_greetings(socks: list[socket.socket]) -> list[socket.socket]:
    """Receive a `*` from each."""
    for sock in socks:
        assert exactly(sock, 1) == b"*", "a client was sent away"
    return socks


def settle(server: Server) -> None:
    """Wait until the server has done what there was to do, and hardly uses the CPU."""
    deadline = time.monotonic() + PATIENCE
    while busy(server, 0.03) > 2 * IDLE and time.monotonic() < deadline:
        pass


# The end


def ends(server: Server, number: signal.Signals) -> None:
    """A signal ends it at once, whatever its clients are doing; the status is 0."""
    with clients(server, 3) as socks:
        assert exactly(socks[0], 1) == b"*"
        socks[0].sendall(b"^in the middle of")
        settle(server)
        server.process.send_signal(number)
        try:
            status = server.process.wait(END)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{number.name} does not end it") from None
        assert status == 0, f"ended with status {status}"
    assert "Traceback" not in server.log()


def ends_on_sigterm(server: Server) -> None:
    """SIGTERM ends it."""
    ends(server, signal.SIGTERM)


def ends_on_ctrl_c(server: Server) -> None:
    """Ctrl-C, which is SIGINT, ends it."""
    ends(server, signal.SIGINT)


Check = Callable[..., None]

CORE: tuple[Check, ...] = (
    ack,
    framing,
    fragmentation,
    frames_in_a_packet,
    frame_over_packets,
    all_values,
    garbage,
    half_close,
    slow_reader,
    connect_and_close,
    resets,
    reset_while_owed,
    never_reads,
    stuck_reader,
    silence,
)

CONTRACT: tuple[Check, ...] = (
    *CORE,
    fifty_at_once,
    eleven_hundred_at_once,
    burst,
    answers_at_once,
    idle_is_cheap,
)

ENDS: tuple[Check, ...] = (ends_on_sigterm, ends_on_ctrl_c)
