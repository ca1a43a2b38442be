"""A right server, and the same with one bug planted: what the checks are checked with.

    python tests/planted.py BUG

Each bug is a subclass that overrides what it spoils. The right one, `Right`, has a
thread for each client, as little code as possible, and none in common with the
seven steps but the line that says where it serves.
"""

import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback


class Right:
    """A server that passes every check. Its bugs are its subclasses."""

    backlog = 1024
    begins_in_frame = False

    def main(self) -> None:
        """Listen on a free port and serve."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.on_signal)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(self.backlog)
        self.listening(listener)
        host, port = listener.getsockname()
        print(f"Serving on {host}:{port}", flush=True)
        while True:
            self.serve(listener)

    def listening(self, listener: socket.socket) -> None:
        """Do something else with the listening socket."""

    def on_signal(self, *_: object) -> None:
        """End at once."""
        os._exit(0)

    def serve(self, listener: socket.socket) -> None:
        """Accept a client and start its thread."""
        try:
            sock, _ = listener.accept()
        except OSError as error:
            self.cannot_accept(listener, error)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.start(sock)

    def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        """Try again later."""
        time.sleep(0.05)

    def start(self, sock: socket.socket) -> None:
        """Start the thread of a client."""
        threading.Thread(target=self.converse, args=(sock,), daemon=True).start()

    def converse(self, sock: socket.socket) -> None:
        """Talk to a client until it has sent everything."""
        with sock, contextlib.suppress(OSError):
            self.greet(sock)
            state = self.begins_in_frame
            while data := sock.recv(65536):
                owed, state = self.answer(data, state)
                self.send(sock, owed)
            self.at_end(sock)

    def greet(self, sock: socket.socket) -> None:
        """Send the `*`."""
        sock.sendall(b"*")

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        """Return what is owed for `data`, and whether a frame is open after it."""
        reply = []
        for part in re.split(rb"(\$)", data):
            if part == b"$":
                in_frame = False
                continue
            if not in_frame:
                _, caret, part = part.partition(b"^")
                in_frame = bool(caret)
            reply.append(part.translate(self.table))
        return b"".join(reply), in_frame

    table = bytes((byte + 1) % 256 for byte in range(256))

    def send(self, sock: socket.socket, owed: bytes) -> None:
        """Send all that is owed."""
        sock.sendall(owed)

    def at_end(self, sock: socket.socket) -> None:
        """Do something more when the client has sent everything."""


class NoGreeting(Right):
    def greet(self, sock: socket.socket) -> None:
        pass


class TwoGreetings(Right):
    def greet(self, sock: socket.socket) -> None:
        sock.sendall(b"**")


class GreetsWhenSpokenTo(Right):
    def greet(self, sock: socket.socket) -> None:
        sock.recv(1, socket.MSG_PEEK)
        sock.sendall(b"*")


class SaturatesAt255(Right):
    table = bytes(min(byte + 1, 255) for byte in range(256))


class EchoesUnchanged(Right):
    table = bytes(range(256))


class ForgetsTheFrame(Right):
    """It takes every packet for a fresh start."""

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        return super().answer(data, False)


class OneFrameAPacket(Right):
    """It looks for one frame in what it has received, and drops the rest."""

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        if not in_frame and b"$" in data:
            data = data[: data.index(b"$", data.find(b"^") + 1) + 1]
        return super().answer(data, in_frame)


class WholeFramesOnly(Right):
    """It answers a frame only when it has seen the end of it."""

    def __init__(self) -> None:
        self.kept: dict[int, bytes] = {}

    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        me = threading.get_ident()
        data = self.kept.pop(me, b"") + data
        end = data.rfind(b"$") + 1
        self.kept[me] = data[end:]
        return super().answer(data[:end], False)


class CaretOpensAgain(Right):
    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        reply, state = super().answer(data, in_frame)
        return reply.replace(b"_", b""), state


class EchoesGarbage(Right):
    """It takes a frame to be open before the first `^`."""

    begins_in_frame = True


class DropsTheReplyAtHalfClose(Right):
    """It sends an answer only when it has read again, and at the end never."""

    def converse(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self.greet(sock)
            state, owed = False, b""
            while data := sock.recv(65536):
                self.send(sock, owed)
                owed, state = self.answer(data, state)
                sock.settimeout(0.01)
                with contextlib.suppress(TimeoutError):
                    if not sock.recv(1, socket.MSG_PEEK):
                        return
                sock.settimeout(None)
                self.send(sock, owed)
                owed = b""


class NeverCloses(Right):
    def at_end(self, sock: socket.socket) -> None:
        time.sleep(3600)


class CarelessSend(Right):
    """It takes for granted that `send` sends everything."""

    def send(self, sock: socket.socket, owed: bytes) -> None:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.send(owed)
        sock.setblocking(True)


class NoBackpressure(Right):
    """It reads whatever comes, and keeps what it cannot send."""

    def converse(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self.greet(sock)
            state, kept = False, bytearray()
            while data := sock.recv(65536):
                owed, state = self.answer(data, state)
                kept += owed
                with contextlib.suppress(BlockingIOError):
                    sock.setblocking(False)
                    while kept:
                        del kept[: sock.send(kept)]
                sock.setblocking(True)
            sock.sendall(kept)


class DiesOfAReset(Right):
    def converse(self, sock: socket.socket) -> None:
        with sock:
            try:
                self.greet(sock)
                state = False
                while data := sock.recv(65536):
                    owed, state = self.answer(data, state)
                    self.send(sock, owed)
            except ConnectionError:
                os._exit(1)


class DiesOfAHealthCheck(Right):
    """Its first `recv` has to return something."""

    def converse(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if not sock.recv(1, socket.MSG_PEEK):
                os._exit(1)
        super().converse(sock)


class OneAtATime(Right):
    def start(self, sock: socket.socket) -> None:
        self.converse(sock)


class AtMostAThousand(Right):
    """It sends away whoever has a descriptor that select could not watch."""

    def start(self, sock: socket.socket) -> None:
        if sock.fileno() < 1024:
            super().start(sock)
        else:
            sock.close()


class ShortBacklog(Right):
    """Its backlog is 5, and it takes its time."""

    backlog = 5

    def serve(self, listener: socket.socket) -> None:
        time.sleep(0.01)
        super().serve(listener)


class LooksNowAndThen(Right):
    def answer(self, data: bytes, in_frame: bool) -> tuple[bytes, bool]:
        time.sleep(0.1)
        return super().answer(data, in_frame)


class Spins(Right):
    """It waits by asking again and again."""

    def listening(self, listener: socket.socket) -> None:
        listener.setblocking(False)

    def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        pass


class SpinsWithoutDescriptors(Right):
    def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        pass


class SendsAwayWithoutDescriptors(Right):
    """It keeps a descriptor in reserve, to accept whom it cannot serve, and close."""

    def listening(self, listener: socket.socket) -> None:
        self.spare = os.open(os.devnull, os.O_RDONLY)

    def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        os.close(self.spare)
        listener.accept()[0].close()
        self.spare = os.open(os.devnull, os.O_RDONLY)


class DiesWithoutDescriptors(Right):
    def cannot_accept(self, listener: socket.socket, error: OSError) -> None:
        raise error


class IgnoresSigterm(Right):
    def listening(self, listener: socket.socket) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class IgnoresCtrlC(Right):
    def listening(self, listener: socket.socket) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class EndsWithATraceback(Right):
    def on_signal(self, *_: object) -> None:
        traceback.print_stack()
        sys.stderr.write("Traceback (most recent call last):\n")
        os._exit(0)


class EndsWithAnotherStatus(Right):
    def on_signal(self, *_: object) -> None:
        os._exit(1)


BUGS = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", bug.__name__).lower(): bug for bug in Right.__subclasses__()
}
"""The bugs, by their names in lower case: `no_greeting` for `NoGreeting`."""


if __name__ == "__main__":
    (Right if sys.argv[1] == "right" else BUGS[sys.argv[1]])().main()
