"""Starting servers as a reader would: each in a process of its own, on a free port."""

import contextlib
import math
import os
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self

from lab.harness import processes
from lab.harness.deadline import OutOfTime, connected, left
from lab.harness.processes import NotMeasured

ROOT = Path(__file__).resolve().parents[2]

STEPS = tuple(sorted(path.parent.name for path in ROOT.glob("step*/server.py")))
"""The names of the seven folders, in order."""

START_UP = 20.0
"""Seconds in which a server has to listen."""

END = 5
"""Seconds in which a server has to end once it was told to, before it is killed."""


class ServerError(Exception):
    """A server did not start, or ended when it should not have."""


class Connection(socket.socket):
    """A client's socket, which waits no longer than there is time, and leaves gently.

    At the end of a `with`; see `leave`.
    """

    def _wait(self, call: Callable[..., Any], *given: Any) -> Any:
        patience = self.gettimeout()
        if not patience or (seconds := left(patience)) == patience:
            return call(self, *given)
        self.settimeout(seconds)
        try:
            return call(self, *given)
        except TimeoutError:
            raise OutOfTime from None
        finally:
            self.settimeout(patience)

    def recv(self, *given: Any) -> bytes:
        """Receive; see socket(3)."""
        return bytes(self._wait(socket.socket.recv, *given))

    def sendall(self, *given: Any) -> None:
        """Send everything."""
        self._wait(socket.socket.sendall, *given)

    def __exit__(self, *_: object) -> None:
        leave([self])


def leave(socks: Iterable[socket.socket], seconds: float = 0.3) -> None:
    """Close these: send no more, read to the end for so long in all, and only then close.

    A socket that is closed with something unread, or to which more is sent, resets.
    """
    deadline = time.monotonic() + seconds
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
    for sock in socks:
        with contextlib.suppress(OSError):
            while (rest := deadline - time.monotonic()) > 0:
                sock.settimeout(rest)
                if not socket.socket.recv(sock, 1 << 20):
                    break
        sock.close()


class Endpoint:
    """A server that somebody else has started: all that is known is where it is.

    `patience` is how many seconds it has for each answer. A context manager, like the
    servers that are started here (`ours`).
    """

    ours = stopped = False

    def __init__(self, host: str, port: int, patience: float = 10.0) -> None:
        self.host = host
        self.port = port
        self.patience = patience

    def connect(self, patience: float | None = None) -> socket.socket:
        """Connect to it; no call on the socket waits for longer than `patience`, or its own."""
        patience = patience or self.patience
        start = time.monotonic()
        try:
            made = socket.create_connection((self.host, self.port), left(patience))
        except TimeoutError:
            left()
            raise
        finally:
            connected(time.monotonic() - start)
        sock = Connection(fileno=made.detach())
        sock.settimeout(patience)
        return sock

    def unconnected(self) -> socket.socket:
        """Return a socket that is not connected yet, of the family of its address."""
        return Connection(socket.AF_INET6 if ":" in self.host else socket.AF_INET)

    def tree(self, zombies: bool = False) -> list[int]:
        """Return the process, those it has started, and so on; see `processes.tree`."""
        raise NotMeasured(NOT_OURS)

    def cpu_seconds(self) -> float:
        """Return the CPU time that it and its children have used so far."""
        return sum(map(processes.cpu_seconds, self.tree()))

    def cpu_times(self) -> tuple[float, float]:
        """Return that, and the seconds for which they were ready and had no core (Linux)."""
        tree = self.tree()
        return sum(map(processes.cpu_seconds, tree)), sum(map(processes.cpu_awaited, tree))

    def runnable(self) -> bool:
        """Return whether one of its threads runs, or waits for a core; False where nobody says."""
        return any(map(processes.runnable, self.tree()))

    def memory(self) -> int:
        """Return how many bytes of memory it and its children have of their own."""
        return sum(map(processes.own_bytes, self.tree()))

    def descriptors(self) -> int:
        """Return how many descriptors it and its children have open."""
        return sum(len(processes.descriptors(pid)) for pid in self.tree())

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Have it stand still during the block (SIGSTOP), if it was started here."""
        yield

    def another(self, port: int = 0, limit: int = 0, taken: int = 0, free: int = 0) -> "Server":
        """Return one more of the kind, not started yet; see `Server` for the arguments."""
        raise NotMeasured(NOT_OURS)

    def ended(self, wait: float = 0) -> str:
        """Say how it ended; "" if it still runs after `wait` seconds."""
        return ""

    def log(self) -> str:
        """Return what it has logged so far, where that can be known."""
        return ""

    def wait_until_ready(self) -> None:
        """Look whether anybody is there, and at which address of the host."""
        try:
            with self.connect() as sock:
                self.host = sock.getpeername()[0]
        except OSError as error:
            raise ServerError(f"nobody answers at {self.host}:{self.port}: {error}") from None

    def stop(self) -> int:
        """Leave it alone."""
        return 0

    def __enter__(self) -> Self:
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


NOT_OURS = "the server was not started here"


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM, where we handle them, wait until the block has ended.

    One that comes while a process is being started would leave it to nobody.
    """
    came: list[int] = []
    ours = threading.current_thread() is threading.main_thread()  # to which they come
    numbers = [signal.SIGINT, signal.SIGTERM] if ours else []
    handlers = {one: handler for one in numbers if callable(handler := signal.getsignal(one))}
    for one in handlers:
        signal.signal(one, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
    if came:
        signal.raise_signal(came[0])


class Server(Endpoint):
    """A server in a process of its own, of which `pid` is the number.

    Entering waits until it serves, and after the block it has ended. In `command`,
    `{port}` stands for its port. `limit` is how many descriptors it may have, and
    `taken` the number below which all of them are open when it starts, but for those below
    `free`; 0 leaves either alone. `stdin` is as `Popen` takes it. What it logs goes to a file, so
    that no full pipe can hold it up; `log()` returns it.
    """

    ours = True
    own_group = False
    end = END

    def __init__(
        self,
        command: Sequence[str],
        patience: float = 10.0,
        port: int = 0,
        limit: int = 0,
        taken: int = 0,
        free: int = 0,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    ) -> None:
        super().__init__("", self.choose(port), patience)
        self.command = command
        words = [word.replace("{port}", str(self.port)) for word in command]
        if limit or taken:
            launch = str(ROOT / "lab/harness/launch.py")
            words = [sys.executable, launch, *map(str, (limit, taken, free)), *words]
        # Buffered, as a reader starts it, or nothing could be lost.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        self._looks = threading.Lock()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, closed by __exit__
        try:
            with uninterrupted():
                self.process = subprocess.Popen(
                    words,
                    env=env,
                    stdin=stdin,
                    stdout=self._log if self.own_group else subprocess.PIPE,
                    stderr=self._log,
                    start_new_session=self.own_group,
                )
                self.pid = self.process.pid
        except OSError as error:
            self._log.close()
            raise ServerError(f"cannot run {words[0]}: {error.strerror}") from None
        except KeyboardInterrupt:
            if hasattr(self, "pid"):
                self.__exit__()
            raise

    def choose(self, port: int) -> int:
        """Return the port to tell it: 0, which lets it take a free one, unless one is given."""
        return port

    def another(self, port: int = 0, limit: int = 0, taken: int = 0, free: int = 0) -> "Server":
        """Return one more of the kind, starting up."""
        if not any("{port}" in word for word in self.command):
            port = self.port  # it knows no other
        return type(self)(self.command, self.patience, port, limit, taken, free)

    def wait_until_ready(self) -> None:
        """Wait for the line `Serving on HOST:PORT`; ServerError if it does not come."""
        assert self.process.stdout
        line = b""
        deadline = time.monotonic() + START_UP
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(left(deadline - time.monotonic())):
                    raise ServerError(f"{self.name} does not say that it serves; {self.last()}")
                piece = os.read(self.process.stdout.fileno(), 4096)
                if not piece:
                    raise ServerError(f"{self.name} ended instead of serving; {self.last()}")
                line += piece
        match = re.fullmatch(rb"Serving on \[?([^\]\s]+)\]?:(\d+)\n", line)
        if not match:
            raise ServerError(f"{self.name} said {line!r} instead of where it serves")
        self.host, self.port = match[1].decode(), int(match[2])

    @property
    def name(self) -> str:
        """Return the command, as one would type it."""
        return " ".join(self.command).replace("{port}", str(self.port))

    def log(self) -> str:
        """Return what the server has logged so far; nothing after the block."""
        if self._log.closed:
            return ""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode(errors="replace")

    def last(self) -> str:
        """Say what it has logged last, a few lines at most."""
        lines = self.log()[-4096:].splitlines()
        # Java ends with many lines of where, and says before them what.
        lines = [f"\n    {line}" for line in lines if not line.startswith("\tat ")][-5:]
        return f"its last words:{''.join(lines)}" if lines else "it logged nothing"

    def ended(self, wait: float = 0) -> str:
        """Say how it ended, and what it logged last; "" if it still runs after `wait` seconds."""
        if (status := self.wait(wait)) is None:
            return ""
        how = f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
        return f"it ended {how}; {self.last()}"

    def wait(self, seconds: float = math.inf) -> int | None:
        """Wait for its end; return its status, None if it still runs after so many seconds.

        `Popen.wait` leaves its lock taken if Ctrl-C comes at a bad moment, and whoever waits next
        waits for ever.
        """
        deadline, pause = time.monotonic() + seconds, 0.0005
        while (status := self._status()) is None and (rest := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, rest))
            pause = min(2 * pause, 0.05)
        return status

    def _status(self) -> int | None:
        with self._looks:
            if self.process.returncode is None:
                try:
                    ended, status = os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:  # taken, and lost at a Ctrl-C
                    ended, status = self.pid, 0
                if ended:
                    self.process.returncode = os.waitstatus_to_exitcode(status)
            return self.process.returncode

    def tree(self, zombies: bool = False) -> list[int]:
        """Return the process, those it has started, and so on; see `processes.tree`."""
        return processes.tree(self.pid, zombies)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Have it, and all that it has started, stand still during the block."""
        still = self.tree()
        try:
            for pid in still:
                os.kill(pid, signal.SIGSTOP)
            _, status = os.waitpid(self.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):  # it was about to end
                self.process.returncode = os.waitstatus_to_exitcode(status)
            yield
        finally:
            for pid in still:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def terminate(self, seconds: int) -> int | None:
        """Send SIGTERM and wait; return the status, None if it is still there after so long.

        The signal is repeated every second: CPython does not see one that arrives
        between its own last look and a system call until that call returns.
        """
        for _ in range(seconds):
            self.send_signal(signal.SIGTERM)
            if (status := self.wait(1)) is not None:
                return status
        return None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there."""
        if self._status() is None:
            os.kill(self.pid, number)

    def stop(self) -> int:
        """Send SIGTERM, wait, kill what is left if it does not end in time; return the status."""
        self.stopped = True
        self.terminate(self.end)
        self.send_signal(signal.SIGKILL)
        return self.wait() or 0

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self.process.stdout:
            self.process.stdout.close()
        self._log.close()


class Foreign(Server):
    """A server that knows nothing of us: it takes `{port}` and listens there, on loopback.

    It gets a process group of its own, so that whatever it starts ends with it.
    """

    own_group = True
    end = 1

    def choose(self, port: int) -> int:
        """Return the port to tell it: a free one, unless it is to have a certain one."""
        if port and processes.listening(port):
            raise ServerError(f"somebody listens on port {port} already")
        return port or free_port()

    def wait_until_ready(self) -> None:
        """Wait until somebody listens on its port; ServerError if nobody does."""
        deadline = time.monotonic() + START_UP
        while not self._found():
            if ended := self.ended():
                raise ServerError(f"{self.name}: {ended}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} does not listen on that port; {self.last()}")
            time.sleep(left(0.01))

    def _found(self) -> bool:
        host = processes.listening(self.port)
        if host is not None:
            self.host = host
            return bool(host)
        for self.host in ("127.0.0.1", "::1"):  # nobody to ask but the server
            with contextlib.suppress(OSError):
                self.connect().close()
                return True
        return False

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to what it has started, if that is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def free_port() -> int:
    """Return a port that is free now, and that the system gives to nobody who does not ask for it.

    Those that it does give (from 32768 on Linux, from 49152 on macOS) may be a client's
    by the time a server has started.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def has_ipv6() -> bool:
    """Return whether one can listen on ::1 here."""
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


SERVER = "server.py"


def start(step: str, *arguments: str, patience: float = 10.0, script: str = SERVER) -> Server:
    """Start the server of a step on a free port, or another script of it."""
    path = str(ROOT / step / script)
    return Server([sys.executable, path, "{port}", *arguments], patience)
