"""The other programs of step 7: timer, primes, files, and the same server on asyncio."""

import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from lab.check.rungs import MATRIX
from lab.check.suite import Check
from lab.harness import clients, processes, servers
from lab.harness.servers import ROOT, Server
from lab.harness.talks import at_once
from step7_event_loop_threadpool.prime_server import MAX_DIGITS, is_prime
from tests import contract
from tests.programs import command, complaint, patched, program, run, started
from tests.summary import Broken
from tests.waiting import alive, answer, wait_until

STEP = "step7_event_loop_threadpool"
FOLDER = ROOT / STEP
LONG = 100_000_000_000_031  # a prime that takes about a second
PERIOD = 0.06
PLACES = ("inline", "threads", "processes")
OWED = b"ok\n" + (FOLDER / "lines.py").read_bytes()
"""What the server of files owes to who asks for `lines.py`."""

start_primes = partial(servers.start, STEP, script="prime_server.py", patience=30)
start_files = partial(servers.start, STEP, script="file_server.py", patience=30)


# The timer


def ticks(*options: str) -> tuple[list[float], list[int]]:
    """Run the demo; return how late each tick was, and after which there was a sleep."""
    done = run(*command(f"{STEP}/timer_demo.py --period {PERIOD}", *options))
    assert done.returncode == 0
    late, sleeps = [], []
    for line in done.stdout.splitlines():
        if match := re.fullmatch(r"tick +\d+ at +\d+\.\d\d s, +(\d+\.\d\d) s late", line):
            late.append(float(match[1]))
        elif "sleeping" in line:
            sleeps.append(len(late))
    return late, sleeps


@pytest.mark.in_turn
def test_ticks_stall_when_the_callback_blocks_and_not_when_the_pool_does() -> None:
    (blocked, sleeps), (offloaded, same) = at_once([ticks, lambda: ticks("--offload")])
    assert len(blocked) == len(offloaded) == 12
    assert sleeps == same
    assert len(sleeps) >= 2
    for i in sleeps:  # the tick after a sleep is two periods later than the one before it
        assert blocked[i] - blocked[i - 1] > 1.5 * PERIOD
    assert offloaded[-1] < blocked[-1] / 2


# Primes


@pytest.fixture(scope="module", params=PLACES)
def primes(request: pytest.FixtureRequest) -> Iterator[Server]:
    with start_primes("--work", request.param) as server:
        yield server
        assert server.process.poll() is None
        assert "Traceback" not in server.log()


def test_is_prime() -> None:
    sieve = [number for number in range(2, 2000) if all(number % each for each in range(2, number))]
    assert [number for number in range(-5, 2000) if is_prime(number)] == sieve


def test_a_line_in_a_line_out(primes: Server) -> None:
    assert answer(primes, b"7\n", b"8\n") == b"prime\ncomposite\n"
    assert answer(primes, b"0\n1\n2\n3\n4\n") == b"composite\ncomposite\nprime\nprime\ncomposite\n"
    assert answer(primes, b"1000", b"0000", b"07\n") == b"prime\n"
    assert answer(primes, b"13\r\n  15  \n") == b"prime\ncomposite\n"
    assert answer(primes, b"11") == b"prime\n"  # the end is the end of a line, too
    assert answer(primes) == b""


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"seven", "not a number"),
        (b"", "not a number"),
        (b"1.5", "not a number"),
        (b"+7", "not a number"),
        (b"0x7", "not a number"),
        ("\u0667".encode(), "not a number"),
        (b"-7", "the number is negative"),
        (b"9" * (MAX_DIGITS + 1), "longer than 18 digits"),
        (b" " * 256 + b"75", "longer than 256 bytes"),
        (b"9" * 1_000_000, "longer than 256 bytes"),
        (b"\xff\x00", "not a number"),
    ],
)
def test_a_line_that_is_no_number(primes: Server, line: bytes, error: str) -> None:
    assert answer(primes, line + b"\n7\n") == f"error: {error}\nprime\n".encode()


def test_answers_keep_their_order(primes: Server) -> None:
    numbers = [1_000_000_000_039, 4, 1_000_000_007, 9] * 2
    answers = b"".join(b"prime\n" if is_prime(each) else b"composite\n" for each in numbers)
    assert answer(primes, b"".join(b"%d\n" % each for each in numbers)) == answers


def test_a_client_that_leaves_mid_work_harms_nobody(primes: Server) -> None:
    for _ in range(3):
        with primes.connect() as sock:
            sock.sendall(b"1000000000039\n" * 2)
            clients.reset(sock)
    assert answer(primes, b"7\n") == b"prime\n"


@pytest.mark.aside
def test_others_are_answered_meanwhile_unless_it_is_inline() -> None:
    """Beside a job that takes a while."""
    meanwhile = {}
    for place in PLACES:
        with (
            start_primes("--work", place) as server,
            server.connect() as worker,
            server.connect() as other,
        ):
            clients.ask(other, b"7\n", b"prime\n")
            worker.sendall(b"%d\n" % LONG)
            time.sleep(0.2)  # it is at work
            worker.setblocking(False)
            clients.ask(other, b"7\n", b"prime\n")
            try:
                meanwhile[place] = not worker.recv(10)
            except BlockingIOError:
                meanwhile[place] = True
            assert server.stop() == 0  # at once, whatever is at work
            held_up = "held everybody up" in server.log()
            assert held_up or place != "inline"
    assert meanwhile == {"inline": False, "threads": True, "processes": True}


@pytest.mark.aside
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_server_or_keeps_its_port(number: signal.Signals) -> None:
    with start_primes("--work", "processes") as server:
        with server.connect() as sock:
            sock.sendall(b"%d\n" % LONG)
            wait_until(lambda: len(processes.children(server.pid)) >= 2, "workers")
            started = processes.children(server.pid)
            server.process.send_signal(number)
            status = server.wait(servers.END)
        assert status == (0 if number == signal.SIGINT else -signal.SIGKILL)
        with socket.create_server((server.host, server.port)):
            pass  # the port is free, at once
        wait_until(lambda: not any(map(alive, started)), "no worker is there")
        assert "Traceback" not in server.log()


@pytest.mark.aside
def test_a_worker_that_dies_costs_its_job_and_no_more() -> None:
    one = ("--work", "processes", "--pool-size", "1")
    with start_primes(*one) as server, server.connect() as sock:
        clients.ask(sock, b"7\n", b"prime\n")
        sock.sendall(b"%d\n" % LONG)
        time.sleep(0.1)  # it is at work
        for pid in processes.children(server.pid):
            os.kill(pid, signal.SIGKILL)
        assert clients.exactly(sock, 25) == b"error: BrokenProcessPool\n"
        clients.ask(sock, b"7\n", b"prime\n")


# Files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be served, with a secret beside it and ways that lead there."""
    top = tmp_path_factory.mktemp("files")
    (top / "secret").write_text("secret")
    inside = top / "inside"
    (inside / "below").mkdir(parents=True)
    (inside / "empty").write_bytes(b"")
    (inside / "short").write_bytes(b"short\n")
    (inside / "below" / "deep").write_bytes(b"deep\n")
    (inside / "with space").write_bytes(b"space\n")
    (inside / "big").write_bytes(bytes(range(256)) * 4096 * 64)  # 64 MiB
    (inside / "link").symlink_to(top / "secret")
    (inside / "way").symlink_to(top)
    (inside / "inner").symlink_to(inside / "short")
    os.mkfifo(inside / "pipe")
    return inside


@pytest.fixture(scope="module")
def file_server(folder: Path) -> Iterator[Server]:
    with start_files("--folder", str(folder)) as server:
        yield server
        assert server.process.poll() is None
        assert "Traceback" not in server.log()


@pytest.mark.parametrize("name", ["short", "below/deep", "empty", "with space"])
def test_a_file_is_sent(file_server: Server, folder: Path, name: str) -> None:
    assert answer(file_server, name.encode() + b"\n") == b"ok\n" + (folder / name).read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../secret", "..", ".", "", "/etc/passwd", "below/../../secret", "below/../short", "link",
        "way/secret", "inner", "below", "below/", "nothing", "short/deep", "short\0", "./short",
        "below//deep", "a" * 255, "a" * 5000, "~", "pipe", "pipe/x", "\xff\xfe",
    ],
)  # fmt: skip
def test_nothing_else_can_be_had(file_server: Server, name: str) -> None:
    said = answer(file_server, name.encode("latin-1") + b"\n")  # the last one is no text then
    assert re.fullmatch(rb"error: [^\n]+\n", said), said
    assert b"secret" not in said


def test_a_big_file_is_not_in_memory_whole(file_server: Server, folder: Path) -> None:
    """Not even while its client does not read."""
    whole = (folder / "big").read_bytes()
    before = processes.resident_bytes(file_server.pid)
    with file_server.connect() as sock:
        clients.ask(sock, b"big\n", b"ok\n")
        clients.settle(file_server)
        middle = processes.resident_bytes(file_server.pid)
        assert clients.to_the_end(sock) == whole
    after = processes.resident_bytes(file_server.pid)
    assert max(middle, after) - before < len(whole) / 4


@pytest.mark.aside
def test_others_are_served_while_a_slow_disk_holds_a_worker() -> None:
    with start_files("--slow", "pools.py") as server, server.connect() as waiting:
        waiting.sendall(b"pools.py\n")
        for _ in range(20):
            assert answer(server, b"lines.py\n") == OWED
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)
        waiting.settimeout(server.patience)
        assert clients.to_the_end(waiting) == b"ok\n" + (FOLDER / "pools.py").read_bytes()


def test_a_client_that_leaves_while_its_file_is_read(file_server: Server, folder: Path) -> None:
    for _ in range(5):
        with file_server.connect() as sock:
            clients.ask(sock, b"big\n", b"ok\n")
            clients.reset(sock)
    assert answer(file_server, b"short\n") == b"ok\nshort\n"
    if sys.platform == "linux":
        clients.settle(file_server)
        descriptors = Path(f"/proc/{file_server.pid}/fd").iterdir()
        assert folder / "big" not in [path.readlink() for path in descriptors]


def test_the_tail_of_a_file_is_not_lost(file_server: Server, folder: Path) -> None:
    """To a client that has said more than it is asked for, and reads late."""
    whole = b"ok\n" + (folder / "big").read_bytes()
    for more in (b"\n", b"x" * 100_000):
        with file_server.connect() as sock:
            sock.sendall(b"big\n" + more)
            time.sleep(0.1)
            assert clients.to_the_end(sock) == whole


@pytest.mark.aside
def test_a_client_that_never_ends_is_given_up_on() -> None:
    with start_files() as server, server.connect() as sock:
        sock.sendall(b"lines.py\n")
        assert clients.to_the_end(sock) == OWED
        late = time.monotonic() + 20
        with pytest.raises(ConnectionError):
            while time.monotonic() < late:
                sock.sendall(b"x" * 1000)
                time.sleep(0.01)


CUT = """
import io, os

class FileIO(io.FileIO):
    def read(self, size=-1, count=[0]):
        count[0] += 1
        if count[0] < 3:
            return super().read(size)
        if {how!r} == "fails":
            raise OSError(5, "Input/output error")
        os.truncate(self.fileno(), 70000)
        return super().read(size)

io.FileIO = FileIO
"""


@pytest.mark.aside
@pytest.mark.parametrize("how", ["fails", "shrinks"])
def test_a_file_that_is_cut_short_ends_in_a_reset(how: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 300_000)
    words = patched(CUT.format(how=how), f"{STEP}/file_server.py", "0", "--folder", str(tmp_path))
    with Server(words) as server, server.connect() as sock:
        sock.sendall(b"file\n")
        with pytest.raises(ConnectionResetError):
            while sock.recv(65536):
                pass
        assert "Traceback" not in server.log()


@pytest.mark.full
@pytest.mark.parametrize("place", ["threads", "processes"])
def test_the_work_of_those_who_left_is_cancelled(place: str) -> None:
    """What waits, not what has begun: who comes then does not wait for all that."""
    one = ("--work", place, "--pool-size", "1")
    with start_primes(*one) as server, server.connect() as other:
        began = time.monotonic()
        clients.ask(other, b"%d\n" % LONG, b"prime\n")
        once = time.monotonic() - began
        for _ in range(12):
            with server.connect() as sock:
                sock.sendall(b"%d\n" % LONG)
                time.sleep(0.02)
                clients.reset(sock)
        began = time.monotonic()
        clients.ask(other, b"7\n", b"prime\n")
        assert time.monotonic() - began < 6 * once


@pytest.mark.aside
def test_the_timer_ends_when_nobody_reads_it_and_at_once_at_ctrl_c() -> None:
    with started(*command(f"{STEP}/timer_demo.py --period 0.05")) as read_once:
        assert read_once.stdout
        read_once.stdout.readline()
        read_once.stdout.close()
        assert read_once.wait(10) == 1
    with started(*command(f"{STEP}/timer_demo.py --offload --period 1")) as sleeps:
        assert sleeps.stdout
        assert sleeps.stderr
        while "sleeping" not in sleeps.stdout.readline():
            pass
        start = time.monotonic()
        sleeps.send_signal(signal.SIGINT)
        assert sleeps.wait(10) == 130
        assert time.monotonic() - start < 2  # its worker sleeps for three
        assert sleeps.stderr.read() == ""


@pytest.mark.parametrize("words", ["--period=0", "--period=-1", "--ticks=0", "--ticks=-3"])
def test_a_timer_that_makes_no_sense(words: str) -> None:
    done = run(*command(f"{STEP}/timer_demo.py", words))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


# The pool of processes


IN_PROCESSES = """
import functools, os, threading
from step7_event_loop_threadpool.eventloop import Loop
from step7_event_loop_threadpool.pools import process_pool

def after_work(done):
    assert threading.current_thread() is threading.main_thread()
    print(type(done.exception() or done.result()).__name__, done.exception() or "")
    loop.stop()

loop = Loop(functools.partial(process_pool, 1))
for work in (os.getpid, functools.partial(int, "x")):
    loop.queue_work(work, after_work)
    loop.run()
loop.close()
"""


@pytest.mark.aside
def test_processes_give_results_and_exceptions() -> None:
    done = run(*program(IN_PROCESSES))
    said = "int \nValueError invalid literal for int() with base 10: 'x'\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


DIES = """
import multiprocessing.connection as connection, os, threading

def wait(*args, really=connection.wait):
    ready = really(*args)
    if threading.current_thread() != threading.main_thread() and os.path.exists({now!r}):
        os.unlink({now!r})
        raise OSError(12, "planted")
    return ready

connection.wait = wait
"""


@pytest.mark.aside
def test_a_pool_of_processes_whose_own_thread_dies_is_replaced(tmp_path: Path) -> None:
    """It hands out the work, and says what came of it: without it nobody would be answered."""
    now = tmp_path / "now"
    patch = DIES.format(now=str(now))
    with Server(patched(patch, f"{STEP}/prime_server.py --work processes", "0")) as server:
        now.touch()
        assert answer(server, b"7\n") == b"error: BrokenProcessPool\n"
        assert answer(server, b"7\n") == b"prime\n"
        assert "Traceback" not in server.log()


# Coroutines


@pytest.mark.aside
@contract.each(MATRIX, full=("costs", "many", "ending"))
def test_coroutines_hold_what_callbacks_hold(check: Check) -> None:
    contract.as_declared(check, STEP, command(f"{STEP}/coroutine_server.py", "0"), "coroutines")


# On asyncio


STYLES = [[style, *extra] for style in ("streams", "protocol") for extra in ([], ["--uvloop"])]


@pytest.mark.aside
@contract.each(check for check in MATRIX if check.rung in ("talk", "leaving", "together"))
@pytest.mark.parametrize("style", STYLES, ids=" ".join)
def test_contract(style: list[str], check: Check) -> None:
    if "--uvloop" in style and not find_spec("uvloop"):
        pytest.skip("uvloop is not installed: it is an extra")
    words = command(f"{STEP}/asyncio_server.py", "0", "--style", *style)
    breaks: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if (style, check.name) == (["protocol", "--uvloop"], "fair"):
        # libuv reads up to 32 times from one before it looks at the next.
        breaks = pytest.raises(Broken, match=r"\(fair\)(.|\n)* ms beside a flood")
    with breaks:
        contract.as_declared(check, STEP, words, " ".join(style))


@pytest.mark.aside
@pytest.mark.parametrize("call", ["pause_reading", "resume_reading"])
def test_a_client_that_cannot_be_watched_again_is_closed(call: str) -> None:
    """What `pause_writing` or `resume_writing` raises asyncio only logs."""
    patch = (
        "import asyncio.selector_events as events\n"
        "def fails(self): raise OSError(12, 'planted')\n"
        f"events._SelectorTransport.{call} = events._SelectorSocketTransport.{call} = fails"
    )
    words = patched(patch, f"{STEP}/asyncio_server.py --style protocol", "0")
    with Server(words, 5) as server, server.connect() as sock:
        with contextlib.suppress(ConnectionResetError):
            clients.send_until_stuck(sock, b"^" + b"a" * (16 * clients.MiB), 0.5)
            clients.until_read(sock, 0.5)  # it is slow, on a busy machine
            while sock.recv(clients.MiB):
                pass
        assert "planted" in server.log()


@pytest.mark.aside
def test_without_uvloop_it_says_what_to_install() -> None:
    without = "sys.modules['uvloop'] = None"
    line = complaint(1, *patched(without, f"{STEP}/asyncio_server.py --uvloop", "0"))
    assert "pip install '.[uvloop]'" in line
