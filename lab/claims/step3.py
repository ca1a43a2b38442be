"""C1 to C4: where a blocking server waits."""

import re
import time

from lab.claims import costs
from lab.claims.claim import Finding, claim, found, started
from lab.harness.clients import expect, greeted, those_ready
from lab.harness.deadline import soon
from lab.harness.servers import STEPS, Server, start


def wait_for(server: Server, pattern: str) -> str:
    """Return the server's log when `pattern` is in it, or when it has not been for two seconds."""
    soon(lambda: re.search(pattern, server.log()), 2)
    return server.log()


IN_RECV = r"Calling recv\.\.\.\n$"


@claim("C1")
def recv_sleeps(full: bool) -> Finding:
    """`recv` does not return until data comes: `Calling recv...` is logged, and when the client
    has typed something, `recv returned 6 bytes`.
    """
    pause = 1.0 if full else 0.2
    with start(STEPS[2]) as server, server.connect() as sock:
        waiting = wait_for(server, IN_RECV)
        time.sleep(pause)
        unchanged = server.log() == waiting
        sock.sendall(b"hello\n")
        log = wait_for(server, "recv returned.*\n")
    match = re.search(r"recv returned 6 bytes \(slept ([\d.]+) s", log)
    slept = float(match[1]) if match else 0.0
    measured = f"6 bytes sent after {pause:g} s: `recv` slept {slept:.2f} s and returned 6 bytes"
    return found(unchanged and slept > 0.9 * pause, measured)


@claim("C2")
def the_second_terminal(full: bool) -> Finding:
    """What a second client sends is not read until the first has left."""
    pause = 1.0 if full else 0.2
    with start(STEPS[2]) as server, server.connect() as first, server.connect() as second:
        expect(first, b"*")
        second.sendall(b"^asdf$")
        early = those_ready([second], pause)
        left = time.monotonic()
        first.close()
        expect(second, b"*bteg")
        after = time.monotonic() - left
    measured = f"nothing within {pause:g} s; all {after * 1e3:.1f} ms after the first had left"
    return found(not early, measured)


@claim("C3")
def zero_bytes_is_the_end(full: bool) -> Finding:
    """That the other side has left is seen by `recv` returning 0 bytes. The original program then
    ends; ours does so with `--once`.
    """
    with start(STEPS[2], "--once") as server:
        with greeted(server):
            pass
        status = server.wait(5)
        log = server.log()
    seen = "recv returned 0 bytes" in log
    said = "`recv returned 0 bytes`" if seen else "no such line"
    return found(seen and status == 0, f"{said}, and the server ended with status {status}")


@claim("C4")
def waiting_is_cheap(full: bool) -> Finding:
    """Waiting is cheap: the system puts the thread to sleep, and wakes it when there is data.

    Compared with a program that asks again and again instead.
    """
    seconds = 2.0 if full else 0.3
    both = started(3), started(4, "--interval", "0")
    waiting, asking = (costs.idle_share(server, seconds) for server in both)
    measured = f"{waiting:.2%} of a core in {seconds:g} s; asking all the time: {asking:.0%}"
    return found(waiting < 0.01 and asking > 10 * waiting, measured)
