"""What can go wrong with a system call, from its man page, and the cases that this makes."""

import random
import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from lab.harness.strace import Call


class Fault(NamedTuple):
    """What to call it, which calls are meant (by name and by arguments), and their errnos.

    Where it is `harmless` the client is not touched, and has to be served in full. `lasting` may
    also happen for a while, every time; and to all calls of that name with it.
    """

    label: str
    names: str
    arguments: str
    errnos: str
    harmless: bool = False
    lasting: str = ""


FAULTS = (
    # The client is still in the backlog, whatever accept(2) says.
    Fault(
        "accept",
        "accept accept4",
        "",
        "EMFILE ENFILE ENOBUFS ENOMEM ECONNABORTED EPROTO EPERM EINTR",
        harmless=True,
        lasting="EMFILE",
    ),
    Fault("recv", "recvfrom recvmsg", "", "ECONNRESET ETIMEDOUT ENOMEM EINTR 0"),
    Fault("send", "sendto sendmsg", "", "ECONNRESET EPIPE ENOBUFS ENOMEM EINTR 0"),
    Fault("epoll_ctl ADD", "epoll_ctl", "EPOLL_CTL_ADD", "ENOSPC ENOMEM", lasting="ENOMEM"),
    Fault("epoll_ctl MOD", "epoll_ctl", "EPOLL_CTL_MOD", "ENOMEM"),
    Fault("epoll_ctl DEL", "epoll_ctl", "EPOLL_CTL_DEL", "ENOMEM"),
    Fault("epoll_wait", "epoll_wait epoll_pwait", "", "EINTR", harmless=True),
    Fault("select", "select pselect6", "", "EINTR ENOMEM"),
    Fault("poll", "poll ppoll", "", "EINTR ENOMEM"),
    Fault("close", "close", "", "EIO EINTR"),
    Fault("shutdown", "shutdown", "", "ENOTCONN"),
    Fault("socket", "socket", "", "EMFILE ENFILE ENOBUFS ENOMEM EACCES EAFNOSUPPORT"),
    Fault("bind", "bind", "", "EADDRINUSE EACCES"),
    Fault("listen", "listen", "", "EADDRINUSE"),
    Fault("setsockopt", "setsockopt", "", "ENOBUFS ENOPROTOOPT"),
    Fault("getsockopt", "getsockopt", "", "ENOPROTOOPT"),
    Fault("getpeername", "getpeername", "", "ENOTCONN ENOBUFS"),
    Fault("getsockname", "getsockname", "", "ENOBUFS"),
    Fault("ioctl FIONBIO", "ioctl", "FIONBIO", "ENOTTY EPERM"),  # EPERM: seccomp(2)
    Fault("fcntl O_NONBLOCK", "fcntl", "F_SETFL", "EPERM"),
    Fault("setrlimit", "prlimit64", "RLIMIT_NOFILE, {", "EPERM"),
    Fault("start of a thread", "clone3 clone", "CLONE_THREAD", "EAGAIN ENOMEM", lasting="EAGAIN"),
    Fault(
        "start of a process", "clone3 clone vfork fork", "CLONE_VFORK|^\\)|SIGCHLD", "EAGAIN ENOMEM"
    ),
    Fault("mmap of a stack", "mmap", "MAP_STACK", "ENOMEM"),
    Fault("epoll_create", "epoll_create1", "", "EMFILE ENFILE ENOMEM"),
    Fault("socketpair", "socketpair", "", "EMFILE ENFILE", lasting="EMFILE"),
    Fault("eventfd", "eventfd2", "", "EMFILE ENFILE ENOMEM"),
    Fault("pipe", "pipe2", "", "EMFILE ENFILE", lasting="EMFILE"),
    Fault("open", "openat", "", "EMFILE ENFILE ENOMEM EACCES EINTR", lasting="EMFILE"),
    Fault("fstat", "fstat newfstatat", r"^\d+<", "ENOMEM EACCES"),
    Fault("read of a file", "read", r"^\d+</", "EIO EINTR 0"),
    Fault("read", "read", r"^\d+<[^/]", "EINTR"),
    Fault("write to 1", "write", "^1<", "ENOSPC EIO EPIPE EINTR 1", harmless=True),
    Fault(
        "write to 2", "write", "^2<", "ENOSPC EIO EPIPE EINTR 1", harmless=True, lasting="ENOSPC"
    ),
)
"""A number in place of an errno is what the call returns instead: less than there was."""

NAMES = sorted({name for fault in FAULTS for name in fault.names.split()})

OWN = {"setrlimit", "socket"}
"""What a server calls first, when the interpreter has started."""

WAITS = {"epoll_wait", "select", "poll"}
"""What is no later if it is held up."""

SERVING = {"accept", *WAITS}
"""What a server calls when it serves."""

NOT_OURS = re.compile(r"/lib/python|/pyvenv|\.pyc?\b|__pycache__|/etc/|/proc/|/usr/lib|locale")
"""In the arguments of a call that the interpreter, or the C library, makes for itself."""

FIRST = 6
"""How often a call is made to fail in a thread: this first one, or that."""

SAMPLE = 4
"""Cases that are drawn, unless all are to be tried."""

LATE = "late"
"""In place of an errno: the call does what it should, but is held up for so many seconds:"""

DELAY = 0.15

SIGNAL = "SIGTERM"
"""In place of an errno: this comes in the middle of the call."""


@dataclass(frozen=True)
class Case:
    """A call that is to fail: the `number`th of its name in a thread, and how (for strace)."""

    fault: Fault
    name: str
    number: int
    rank: int
    what: str
    lasting: bool = False

    @property
    def to_the_end(self) -> bool:
        """Whether it lasts until the server has ended, as a full disk may."""
        return self.lasting and self.fault.label.startswith("write")

    @property
    def inject(self) -> str:
        """Return it in the words of strace."""
        if self.what == LATE:
            how = f"delay_enter={DELAY * 1e6:.0f}"
        elif self.what == SIGNAL:
            how = f"signal={SIGNAL}"
        else:
            how = f"retval={self.what}" if self.what.isdigit() else f"error={self.what}"
        return f"{self.name}:{how}:when={self.number}{'+' * self.lasting}"

    def __str__(self) -> str:
        how = f"returns {self.what}" if self.what.isdigit() else self.what
        more = " and after" if self.lasting else ""
        return f"{self.fault.label:18} {how:13} {self.rank}{more}"


def cases(calls: list[Call]) -> list[Case]:
    """Return all that can go wrong with these calls, a signal in the middle of them too."""
    found: dict[Case, None] = {}
    ranks: Counter[tuple[int, str]] = Counter()
    nonblocking = any("FIONBIO, [1]" in call.text or "NONBLOCK" in call.text for call in calls)
    # The kernel gives a signal to the main thread, unless that does not want it.
    main = next((call.thread for call in calls if call.name.startswith("accept")), 0)
    for call in calls:
        fault = fault_of(call)
        if fault is None:
            continue
        ranks[call.thread, fault.label] += 1
        rank = ranks[call.thread, fault.label]
        if rank > FIRST:
            continue
        errnos = fault.errnos.split()
        if nonblocking and fault.label in ("recv", "send"):
            errnos.append("EAGAIN")
        if rank <= 2:
            errnos += [SIGNAL] * (call.thread == main) + [LATE] * (fault.label not in WAITS)
        case = partial(Case, fault, call.name, call.number, rank)
        found |= dict.fromkeys(case(errno) for errno in errnos)
        if rank == 1 and fault.lasting:
            found[case(fault.lasting, lasting=True)] = None
    return list(found)


def of_the_start(calls: list[Call]) -> list[Call]:
    """Return those from the first that is a server's own to the first of one that serves.

    Of the same thread: others count their calls from when they start themselves.
    """
    labels = [fault.label if (fault := fault_of(call)) else "" for call in calls]
    begin = next((i for i, label in enumerate(labels) if label in OWN), 0)
    end = next((i for i, label in enumerate(labels) if label in SERVING and i > begin), len(calls))
    return [call for call in calls[begin:end] if call.thread == calls[begin].thread]


def fault_of(call: Call) -> Fault | None:
    """Return what can go wrong with a call; None if nothing that is looked at."""
    if not NOT_OURS.search(call.text):
        for fault in FAULTS:
            if call.name in fault.names.split() and re.search(fault.arguments, call.text):
                return fault
    return None


def drawn(found: list[Case], seed: int) -> list[Case]:
    """Draw some cases: of each kind one, then of each another, as far as it goes."""
    shuffled = random.Random(seed).sample(found, len(found))
    turns: Counter[str] = Counter()
    turn = {}
    for case in shuffled:
        turns[case.fault.label] += 1
        turn[case] = turns[case.fault.label]
    return sorted(shuffled, key=lambda case: turn[case])[:SAMPLE]
