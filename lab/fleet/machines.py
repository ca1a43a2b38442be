"""Machines of our own: network namespaces, each with an address, on one bridge. Linux only.

They have no names: a namespace is there as long as a process is in it, or holds its descriptor
(network_namespaces(7)). We hold the descriptors, and what runs in one is ended by the kernel when
we end (`DIES_WITH_US`). So nothing is left behind, whatever ends us, and there is nothing to sweep
up after an earlier run. What is on this machine's own network is not touched.
"""

import ctypes
import os
import shutil
import subprocess
import threading
from typing import Self

from lab.harness.processes import NotMeasured

NEW_NET = 0x40000000
"""CLONE_NEWNET, of unshare(2) and setns(2)."""

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""What is put before a command (util-linux); see PR_SET_PDEATHSIG in prctl(2)."""

OURS = "/proc/thread-self/ns/net"

PROGRAMS = {"haproxy": "haproxy", "ip": "iproute2", "setpriv": "util-linux"}
"""What is wanted, and the package of Debian that has it."""


def want() -> None:
    """Raise NotMeasured where there can be no machines, or no balancer before them."""
    for program, package in PROGRAMS.items():
        if not shutil.which(program):
            raise NotMeasured(f"wants {program} (Linux; Debian: apt-get install {package})")
    Namespace().close()


class _Left(threading.local):
    """The networks that this thread has left, the last one last."""

    def __init__(self) -> None:
        self.fds: list[int] = []


class Namespace:
    """A network of its own. In a `with` block this thread is in it, and what it starts there.

    A socket stays where it was made. Raises NotMeasured if we may not make one.
    """

    def __init__(self) -> None:
        self._left = _Left()
        ours = os.open(OURS, os.O_RDONLY)
        try:
            _call("unshare", NEW_NET)
            self.fd = os.open(OURS, os.O_RDONLY)
            _call("setns", ours, NEW_NET)
        finally:
            os.close(ours)

    def __enter__(self) -> Self:
        self._left.fds.append(os.open(OURS, os.O_RDONLY))
        _call("setns", self.fd, NEW_NET)
        return self

    def __exit__(self, *_: object) -> None:
        fd = self._left.fds.pop()
        _call("setns", fd, NEW_NET)
        os.close(fd)

    def ip(self, *commands: str) -> None:
        """Have these commands carried out by iproute2, as `link set lo up`."""
        with self:
            subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)


def _call(name: str, *arguments: int) -> None:
    """Call a function of the C library that Python has from 3.12 on only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        why = os.strerror(ctypes.get_errno())
        raise NotMeasured(f"may not make network namespaces ({name}: {why}); root may")


class Machine(Namespace):
    """A namespace with a network card at the bridge: `address` is its own, `port` the bridge's."""

    def __init__(self, bridge: Namespace, number: int) -> None:
        super().__init__()
        self.bridge = bridge
        self.address = f"10.77.0.{number}"
        self.port = f"port{number}"
        ours = f"/proc/{os.getpid()}/fd/{self.fd}"
        bridge.ip(
            f"link add {self.port} type veth peer name eth0 netns {ours}",
            f"link set {self.port} master bridge up",
        )
        self.ip("link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up")

    def cut_off(self) -> None:
        """Pull the plug: what is sent to it, or by it, is lost from now on."""
        self.bridge.ip(f"link set {self.port} down")


class Network:
    """A bridge, and so many machines at it; a context manager that takes them away again."""

    def __init__(self, count: int) -> None:
        self.bridge = Namespace()
        self.machines: list[Machine] = []
        try:
            self.bridge.ip("link add bridge type bridge", "link set bridge up")
            while len(self.machines) < count:
                self.machines.append(Machine(self.bridge, len(self.machines) + 1))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (*self.machines, self.bridge):
            one.close()
