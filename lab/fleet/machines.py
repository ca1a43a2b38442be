"""Machines of our own: network namespaces, each with an address, on one bridge. Linux only.

They have no names: a namespace is there as long as a process is in it, or holds its descriptor
(network_namespaces(7)). We hold the descriptors, and what runs in one is ended by the kernel when
we end (`DIES_WITH_US`). So nothing is left behind, whatever ends us, and there is nothing to sweep
up after an earlier run. What is on this machine's own network is not touched.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from lab.harness.processes import NotMeasured

NEW_NET = 0x40000000
"""CLONE_NEWNET, of unshare(2) and setns(2)."""

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""What is put before a command (util-linux); see PR_SET_PDEATHSIG in prctl(2)."""

OURS = Path("/proc/thread-self/ns/net")

PROGRAMS = {"haproxy": "haproxy", "ip": "iproute2", "setpriv": "util-linux"}
"""What is wanted, and the package of Debian that has it."""


def want() -> None:
    """Raise NotMeasured where there can be no machines, or no balancer before them."""
    for program, package in PROGRAMS.items():
        if not shutil.which(program):
            raise NotMeasured(f"wants {program} (Linux; Debian: apt-get install {package})")
    with Namespace():
        pass


class Namespace:
    """A network of its own; a context manager that lets go of it.

    Raises NotMeasured if we may not make one.
    """

    def __init__(self) -> None:
        with OURS.open("rb", buffering=0) as before:
            _call("unshare", NEW_NET)
            self.file = OURS.open("rb", buffering=0)
            _call("setns", before.fileno(), NEW_NET)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Have this thread be in it during the block, and what it starts there.

        A socket stays where it was made.
        """
        with OURS.open("rb", buffering=0) as before:
            _call("setns", self.file.fileno(), NEW_NET)
            try:
                yield
            finally:
                _call("setns", before.fileno(), NEW_NET)

    def ip(self, *commands: str) -> None:
        """Have these commands carried out by iproute2, as `link set lo up`."""
        with self.inside():
            subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


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
        ours = f"/proc/{os.getpid()}/fd/{self.file.fileno()}"
        bridge.ip(
            f"link add {self.port} type veth peer name eth0 netns {ours}",
            f"link set {self.port} master bridge up",
        )
        self.ip("link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up")

    def cut_off(self) -> None:
        """Pull the plug: what is sent to it, or by it, is lost from now on."""
        self.bridge.ip(f"link set {self.port} down")


@contextlib.contextmanager
def network(count: int) -> Iterator[list[Machine]]:
    """Have a bridge, and so many machines at it, during the block."""
    with contextlib.ExitStack() as stack:
        bridge = stack.enter_context(Namespace())
        bridge.ip("link add bridge type bridge", "link set bridge up")
        yield [stack.enter_context(Machine(bridge, number)) for number in range(1, count + 1)]
