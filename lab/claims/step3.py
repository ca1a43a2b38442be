"""C1 to C4: where a blocking server waits."""

import re
import sys
import time

from lab.claims.claim import Finding, Sizes, claim, found
from lab.harness import servers
from lab.harness.clients import busy, expect
from lab.harness.servers import ROOT, STEPS, Server


def narrating(*arguments: str) -> Server:
    """Start step 3, which logs every call."""
    return servers.start(STEPS[2], *arguments)


def wait_for(server: Server, pattern: str) -> str:
    """Return the server's log when `pattern` is in it, or when it has not been for two seconds."""
    deadline = time.monotonic() + 2
    while not re.search(pattern, server.log()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return server.log()


IN_RECV = r"Calling recv\.\.\.\n$"


@claim("C1", step=3)
def recv_sleeps(sizes: Sizes) -> Finding:
    """`recv` does not return until data comes: `Calling recv...` is logged, and when the client
    has typed something, `recv returned 6 bytes`.
    """
    pause = sizes.pick(0.2, 1.0)
    with narrating() as server, server.connect() as sock:
        waiting = wait_for(server, IN_RECV)
        time.sleep(pause)
        unchanged = server.log() == waiting
        sock.sendall(b"hello\n")
        log = wait_for(server, "recv returned.*\n")
    match = re.search(r"recv returned 6 bytes \(slept ([\d.]+) s", log)
    slept = float(match[1]) if match else 0.0
    measured = f"6 bytes sent after {pause:g} s: `recv` slept {slept:.2f} s and returned 6 bytes"
    return found(unchanged and slept > 0.9 * pause, measured, slept=slept)


@claim("C2", step=3)
def the_second_terminal(sizes: Sizes) -> Finding:
    """What a second client sends is not read until the first has left."""
    pause = sizes.pick(0.2, 1.0)
    with narrating() as server, server.connect() as first, server.connect() as second:
        expect(first, b"*")
        second.sendall(b"^asdf$")
        second.settimeout(pause)
        try:
            early = second.recv(1)
        except TimeoutError:
            early = b""
        second.settimeout(5)
        left = time.monotonic()
        first.close()
        expect(second, b"*bteg")
        after = time.monotonic() - left
    measured = (
        f"nothing within {pause:g} s; all of it {after * 1e3:.1f} ms after the first had left"
    )
    return found(early == b"", measured, after=after)


@claim("C3", step=3)
def zero_bytes_is_the_end(sizes: Sizes) -> Finding:
    """That the other side has left is seen by `recv` returning 0 bytes. The original program then
    ends; ours does so with `--once`.
    """
    with narrating("--once") as server:
        with server.connect() as sock:
            expect(sock, b"*")
        status = server.process.wait(5)
        log = server.log()
    seen = "recv returned 0 bytes" in log
    said = "`recv returned 0 bytes`" if seen else "no such line"
    return found(seen and status == 0, f"{said}, and the server ended with status {status}")


@claim("C4", step=3)
def waiting_is_cheap(sizes: Sizes) -> Finding:
    """Waiting is cheap: the system puts the thread to sleep, and wakes it when there is data.

    Compared with a program that asks again and again instead.
    """
    seconds = sizes.pick(0.3, 2.0)
    with narrating() as server, server.connect() as sock:
        expect(sock, b"*")
        wait_for(server, IN_RECV)
        waiting = busy(server, seconds)
    polling = [sys.executable, str(ROOT / STEPS[3] / "server.py"), "0", "--quiet"]
    with Server([*polling, "--interval", "0"]) as server, server.connect() as sock:
        expect(sock, b"*")
        asking = busy(server, seconds)
    measured = f"{waiting:.2%} of a core in {seconds:g} s; asking all the time: {asking:.0%}"
    return found(waiting < 0.01 and asking > 10 * waiting, measured, waiting=waiting, asking=asking)
