"""Step 7 on all cores: several processes, each with this step's server on a loop of its own.

A loop runs on one core at a time. So the parent forks workers, which have in common that they
serve one port, and nothing else. With --share inherit all accept from the same queue; with
--share reuseport each has a queue, and the kernel says for each client which. A worker that
dies is replaced. When the parent is told to end, or has died, nobody is accepted any more, and
those who are served have --drain seconds.
"""

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where "common" is
from common import serving
from step7_event_loop_threadpool import pools, server
from step7_event_loop_threadpool.eventloop import READ, Loop

LOOK = 0.05
"""Seconds between two looks whether somebody is left."""

YOUNG = 1.0
"""Seconds: a worker that has not lived so long is replaced only after so long."""

LATE = 1.0
"""Seconds that a worker may take longer than it is given, before it is killed."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Crew:
    """The workers, as their parent knows them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.listeners: list[socket.socket] = []  # for each place the one to accept from
        self.workers: dict[int, tuple[int, float]] = {}  # by pid: its place, and since when
        self.ending = False

    def listening(self, listener: socket.socket) -> None:
        """Start the workers; return when all of them accept."""
        self.listeners = [listener] * self.args.workers
        if self.args.share == "reuseport":
            where = listener.family, listener.type, listener.getsockname()
            listener.close()  # it has shown that nobody else has the port
            self.listeners = [serving.listen_on(*where, reuseport=True) for _ in self.listeners]
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would hide who has died
        # The workers have one end, and say there that they accept. Only the parent has the other:
        # the kernel closes it when the parent dies, whatever of, and that is what they watch for.
        self.theirs, self.line = socket.socketpair()
        self.theirs.setblocking(False)
        for place in range(self.args.workers):
            self.start(place)
        self.line.settimeout(LOOK)
        accepting = 0
        while accepting < self.args.workers:
            try:
                accepting += len(self.line.recv(self.args.workers))
            except TimeoutError:
                if not all(map(alive, self.workers)):
                    raise ChildProcessError(0, "a worker died before it could accept") from None

    def start(self, place: int) -> None:
        """Start a worker."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # not before it is one
        try:
            if pid := os.fork():
                self.workers[pid] = place, time.monotonic()
            else:
                work(self, place)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def keep(self, listener: socket.socket) -> None:
        """Replace each worker that dies, for ever."""
        places = {*range(self.args.workers)}
        while True:
            for place in places - {place for place, _ in self.workers.values()}:
                self.start(place)
            pid, status = os.wait()
            if pid not in self.workers:
                continue  # a child of whoever this process was before exec(2)
            _, since = self.workers.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
            serving.log.warning("worker %d has ended %s; another takes its place", pid, how)
            if time.monotonic() - since < YOUNG:
                time.sleep(YOUNG)

    def end(self) -> None:
        """Have the workers end, in the time that they are given; told again, kill them."""
        deadline = time.monotonic() + (0 if self.ending else self.args.drain + LATE)
        self.ending = True
        for one in (*self.listeners, self.line):
            one.close()
        while any(map(alive, self.workers)) and time.monotonic() < deadline:
            time.sleep(LOOK / 10)
        for pid in filter(alive, self.workers):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def alive(pid: int) -> bool:
    """Return whether a worker has not ended yet."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:  # it has been waited for already
        return False


def work(crew: Crew, place: int) -> NoReturn:
    """Be a worker: serve until the other end of the line is closed."""
    try:
        crew.line.close()
        listener, line = crew.listeners[place], crew.theirs
        for other in {*crew.listeners} - {listener}:
            other.close()
        handlers = logging.getLogger().handlers
        handlers[0].setFormatter(logging.Formatter("%(process)d: %(message)s"))
        loop = Loop()
        end = partial(leave, listener, crew.args.drain)
        loop.watch(line, READ, end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for all, and the parent tells us
        signal.signal(signal.SIGTERM, lambda *_: loop.call_threadsafe(partial(end, loop, line)))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # the parent has heard enough
            line.send(b".")
        server.serve(listener, loop)
        os._exit(0)
    except BaseException as error:
        serving.log.error("a worker cannot go on: %s", serving.reason(error))
        os._exit(1)


def leave(listener: socket.socket, drain: float, loop: Loop, line: socket.socket) -> None:
    """Accept nobody any more; end when all have left, or `drain` seconds are over."""
    loop.call_later(drain, loop.stop)
    loop.call_later(0, partial(look, loop), repeat=LOOK)
    for one in (line, listener):
        loop.forget(one)
    listener.close()


def look(loop: Loop) -> None:
    """End if nobody is left."""
    if not loop.watched():
        loop.stop()


def main() -> None:
    """Serve until told to stop."""
    parser = serving.arguments(__doc__)
    cores, add = os.cpu_count() or 1, parser.add_argument
    many = "how many (%(default)s: the cores)"
    add("--workers", type=pools.size, default=cores, metavar="N", help=many)
    share = "one queue for all workers, or one each (%(default)s)"
    add("--share", choices=("inherit", "reuseport"), default="inherit", help=share)
    drain = "time for those who are served when it is told to end (%(default)s)"
    add("--drain", type=serving.seconds, default=1.0, metavar="SECONDS", help=drain)
    args = parser.parse_args()
    if args.share == "reuseport" and not hasattr(socket, "SO_REUSEPORT"):
        parser.error("this system has no SO_REUSEPORT; --share inherit does without")
    crew = Crew(args)
    serving.at_end.append(crew.end)
    serving.run(args, crew.keep, listening=crew.listening)


if __name__ == "__main__":
    main()
