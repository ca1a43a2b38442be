"""What the operating system says of a process: threads, CPU time, memory, descriptors.

From `/proc` on Linux (proc(5)), from `ps` elsewhere.
"""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from common.serving import peer_name

_LINUX = sys.platform == "linux"


class NotMeasured(Exception):  # noqa: N818, nothing is wrong
    """What was asked cannot be known here; the message says why."""


def threads(pid: int) -> int:
    """Return how many threads the process has; 0 if it has ended."""
    if _LINUX:
        return number(f"{pid}/status", "Threads")
    return max(0, len(_ps("-M", "-p", str(pid)).splitlines()) - 1)  # a heading, then a line each


def asleep(pid: int, thread: int) -> bool:
    """Return whether a thread, by the system's number, sleeps; False where nobody says."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "S"
    return False


def runnable(pid: int) -> bool:
    """Return whether one of its threads runs or waits for a core; False where nobody says."""
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            if path.read_text().rpartition(")")[2].split()[0] == "R":
                return True
    return False


def cpu_seconds(pid: int) -> float:
    """Return the CPU time it has used so far, user and system; 0 if it has ended.

    Elsewhere than on Linux the resolution is a hundredth of a second.
    """
    if _LINUX:
        try:
            # The clock that clock_getcpuclockid(3) gives for a process.
            return time.clock_gettime(~pid << 3 | 2)
        except OSError:
            return 0.0
    total = 0.0
    for part in _ps("-o", "time=", "-p", str(pid)).strip().split(":"):
        total = total * 60 + float(part or 0)
    return total


def cpu_awaited(pid: int) -> float:
    """Return for how long its threads could have run, and others did; 0 where nobody says.

    From sched-stats, in the kernel's documentation of the scheduler.
    """
    found = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            found += int(path.read_text().split()[1])
    return found / 1e9


def page_faults(pid: int) -> int:
    """Return how many pages the kernel has had to give it so far; 0 where only `ps` would know."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])
    return 0


def resident_bytes(pid: int) -> int:
    """Return how much memory it has resident; 0 if it has ended."""
    return 1024 * (number(f"{pid}/status", "VmRSS") if _LINUX else _listed(pid, "rss"))


def virtual_bytes(pid: int) -> int:
    """Return how much of its address space it has reserved; 0 if it has ended."""
    return 1024 * (number(f"{pid}/status", "VmSize") if _LINUX else _listed(pid, "vsz"))


def own_bytes(pid: int) -> int:
    """Return how much memory it has that it shares with nobody; 0 if it has ended.

    What a process has resident counts pages that it shares with the one it was forked from, and
    Linux brings that figure up to date only now and then.
    """
    kilobytes = number(f"{pid}/smaps_rollup", "Private_Dirty") if _LINUX else 0
    return kilobytes * 1024 or resident_bytes(pid)


def descriptors(pid: int) -> list[int]:
    """Return the descriptors that it has open; none if it has ended or is not ours."""
    if not _LINUX:
        raise NotMeasured("this system does not say which descriptors a process has")
    try:
        return [*map(int, os.listdir(f"/proc/{pid}/fd"))]  # noqa: PTH208, one may be gone by now
    except OSError:
        return []


ESTABLISHED, CLOSE_WAIT, LISTEN = 1, 8, 10
"""States of a connection as Linux numbers them."""

SOCK_DIAG, BY_FAMILY, DUMP, ERROR = 4, 20, 0x301, 2
"""As sock_diag(7) and netlink(7) number them; DUMP is NLM_F_REQUEST for all that fit."""

MAPPED = bytes(10) + b"\xff\xff"
"""How an IPv4 address begins that is written as one of IPv6."""


class Connection(NamedTuple):
    """One end of a TCP connection, or a listening socket: addresses as `peer_name` writes them.

    `unsent` are the bytes that the other end's kernel has not taken, `unread` those that this one's
    program has not. `inode` is 0 while no program has it.
    """

    local: str
    local_port: int
    peer: str
    peer_port: int
    state: int
    unsent: int
    unread: int
    inode: int


def connections(port: int) -> Iterator[Connection]:
    """Yield what has this port at either end; nothing where the system cannot be asked."""
    with contextlib.suppress(AttributeError, OSError):
        for ends in ((port, 0), (0, port)):
            yield from _sockets((1 << 12) - 1, *ends)


def listening(port: int) -> str | None:
    """Return the loopback address at which somebody listens on `port`; "" if nobody does.

    So no server takes the question for a client. None where the system cannot be asked.
    """
    with contextlib.suppress(AttributeError, OSError):
        found = [one.local for one in _sockets(1 << LISTEN, port)]
        if not found:
            return ""
        return "::1" if found == [f"[::1]:{port}"] else "127.0.0.1"
    return None


def _sockets(states: int, local: int = 0, peer: int = 0) -> Iterator[Connection]:
    """Yield the TCP sockets in these states that have these ports, if not 0; OSError.

    On Linux the kernel is asked for just these (sock_diag(7)): to read its whole table takes long
    where many connections were.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        wanted = struct.pack("=BBxxI", family, socket.IPPROTO_TCP, states)
        wanted += struct.pack("!HH44x", local, peer)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, SOCK_DIAG) as sock:
            sock.sendall(struct.pack("=IHHII", 16 + len(wanted), BY_FAMILY, DUMP, 0, 0) + wanted)
            yield from map(_socket, _answers(sock))


def _answers(sock: socket.socket) -> Iterator[bytes]:
    """Yield the content of each message that the kernel answers; OSError if it says that it cannot.

    A datagram has several messages in it, and the last says that there are no more.
    """
    while True:
        answer, at = sock.recv(1 << 16), 0
        while at < len(answer):
            size, kind = struct.unpack_from("=IH", answer, at)
            said, at = answer[at + 16 : at + size], at + size
            if kind == ERROR:
                raise OSError(-struct.unpack_from("=i", said)[0], "sock_diag")
            if kind != BY_FAMILY:
                return
            yield said


def _socket(said: bytes) -> Connection:
    """Return what an `inet_diag_msg` says."""
    family, state = said[:2]
    local, peer, *addresses = struct.unpack_from("!HH16s16s", said, 4)
    unread, unsent, _, inode = struct.unpack_from("=IIII", said, 56)
    hosts = (_host(family, address) for address in addresses)
    here, there = map(peer_name, zip(hosts, (local, peer), strict=True))
    return Connection(here, local, there, peer, state, unsent, unread, inode)


def _host(family: int, address: bytes) -> str:
    """Write an address, from the place where the kernel puts one of either family."""
    if family == socket.AF_INET:
        return socket.inet_ntop(family, address[:4])
    if address.startswith(MAPPED):
        return _host(socket.AF_INET, address[len(MAPPED) :])
    return socket.inet_ntop(family, address)


def number(file: str, name: str) -> int:
    """Return what a file of `/proc` says under a name; 0 if it is not there."""
    with contextlib.suppress(OSError):
        for line in Path("/proc", file).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0


def _listed(pid: int, column: str) -> int:
    """Return what `ps` lists of a process."""
    return int(_ps("-o", f"{column}=", "-p", str(pid)).strip() or 0)


def _ps(*options: str) -> str:
    done = subprocess.run(
        ["ps", *options],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LC_ALL": "C"},
    )
    return done.stdout


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started and that are still there."""
    return [own for own, parent in _parents().items() if parent == pid]


def tree(pid: int, zombies: bool = False) -> list[int]:
    """Return `pid`, the processes it has started, those that these have started, and so on.

    With `zombies` also those that have ended and that nobody has waited for.
    """
    parents = _parents(zombies)
    found = [pid]
    for member in found:  # which grows meanwhile
        found += [own for own, parent in parents.items() if parent == member]
    return found


def _parents(zombies: bool = False) -> dict[int, int]:
    """Return the parent of every process there is."""
    parents = {}
    if _LINUX:  # where there need be no `ps`
        for own in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208, as above
            with contextlib.suppress(OSError):
                state, parent, *_ = Path(f"/proc/{own}/stat").read_text().rpartition(")")[2].split()
                if zombies or state != "Z":
                    parents[int(own)] = int(parent)
        return parents
    for line in _ps("-A", "-o", "pid=", "-o", "ppid=", "-o", "stat=", "-o", "comm=").splitlines():
        own, parent, state, name = line.split(maxsplit=3)
        if name.rpartition("/")[2] != "ps" and (zombies or state[0] != "Z"):
            parents[int(own)] = int(parent)
    return parents
