"""Q1 to Q15: what people ask who write such servers, and what settles it."""

import contextlib
import random
import re
import select
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from lab import edges, primes
from lab.bench.contestants import THREADS
from lab.broken import variants
from lab.claims.claim import WITHIN, Finding, Sizes, claim, found, started
from lab.harness import processes, servers
from lab.harness.clients import (
    busy,
    clients,
    exactly,
    expect,
    greeted_clients,
    letters,
    owed,
    reset,
    send_until_stuck,
    to_the_end,
)
from lab.harness.servers import NotMeasured, Server, ServerError, has_ipv6
from step7_event_loop_threadpool.eventloop import Loop

MiB = 1 << 20


@claim("Q1", step=5)
def the_number_counts(sizes: Sizes) -> Finding:
    """Why does `select` say "filedescriptor out of range", with three clients? It is the number of
    a descriptor that counts, not how many are watched.
    """
    said = {}
    for step in (5, 6):
        command = [sys.executable, str(servers.ROOT / servers.STEPS[step - 1] / "server.py"), "0"]
        with Server([*command, "--quiet"], taken=1100) as server:
            try:
                with clients(server, 3) as socks:
                    served = sum(exactly(sock, 1) == b"*" for sock in socks)
                said[step] = f"serves {served} of 3"
            except OSError:
                what = re.search(r"filedescriptor out of range in select\(\)", server.ended(2))
                said[step] = f"ends with `{what[0]}`" if what else "serves none"
    measured = f"with 1,100 files open step 5 {said[5]}, step 6 {said[6]}"
    return found("out of range" in said[5] and "3 of 3" in said[6], measured)


@claim("Q2", step=5)
def always_writable(sizes: Sizes) -> Finding:
    """Why does an idle server use all of a core? It waits for room to write while it has nothing
    to send.
    """
    shares: dict[str, Any] = {}
    with started(5) as right, variants.started("always_writable") as wrong:
        for name, server in (("right", right), ("wrong", wrong)):
            with clients(server, 1) as (sock,):
                expect(sock, b"*")
                shares[name] = busy(server, sizes.pick(0.3, 1))
    measured = (
        f"one idle client: {shares['wrong']:.0%} of a core; where room is waited for only while"
        f" something is unsent, {shares['right']:.1%}"
    )
    return found(shares["wrong"] > 0.5 and shares["right"] < 0.05, measured, **shares)


@claim("Q3", step=6)
def one_accept_an_edge(sizes: Sizes) -> Finding:
    """Why does edge-triggered epoll lose clients? One `accept` for each edge is not enough."""
    drained, once = (edges.clients_greeted(poller) for poller in edges.POLLERS)
    measured = f"of {edges.CLIENTS} at once {once} greeted; with `accept` until EAGAIN, {drained}"
    return found(once < drained == edges.CLIENTS, measured, once=once, drained=drained)


@claim("Q4", step=4)
def partial_sends(sizes: Sizes) -> Finding:
    """Why do long answers lose bytes? `send` may take less than it is given, and says how much."""
    offered = b"^" + letters(sizes.pick(16, 64) * MiB)
    lost: dict[str, Any] = {}
    with started(6) as right, variants.started("forgets_the_rest") as wrong:
        for name, server in (("right", right), ("wrong", wrong)):
            with server.connect() as sock:
                expect(sock, b"*")
                sent = send_until_stuck(sock, offered)  # a reader that starts late
                sock.settimeout(1)
                got = exactly(sock, sent - 1)
            lost[name] = sent - 1 - len(got)
            assert got == owed(offered[:sent]) or name == "wrong"
    measured = (
        f"a late reader misses {lost['wrong']:,} bytes of {sent:,}; where the rest is kept,"
        f" {lost['right']}"
    )
    return found(lost["wrong"] > 0 == lost["right"], measured, **lost)


@claim("Q5", step=6)
def hang_up_spins(sizes: Sizes) -> Finding:
    """Why does a loop spin after a reset? Hang-ups are reported whatever one waits for, even for
    nothing: a socket of which one wants no events must be unregistered.
    """
    if not hasattr(select, "epoll"):
        raise NotMeasured("it is epoll that reports so")
    counts = {}
    for kept in (True, False):
        with connected() as (one, other), select.epoll() as poll:
            poll.register(one, 0)
            reset(other)
            if not kept:
                poll.unregister(one)
            counts[kept] = 0
            end = time.monotonic() + 0.2
            while (left := end - time.monotonic()) > 0:
                counts[kept] += len(poll.poll(left))
    measured = (
        f"registered for nothing: {counts[True]:,} wake-ups in 0.2 s after a reset; unregistered,"
        f" {counts[False]}"
    )
    return found(counts[True] > 100 and counts[False] == 0, measured, wakes=counts[True])


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a TCP connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as one,
        listener.accept()[0] as other,
    ):
        yield one, other


@claim("Q6", step=4)
def accept_spins(sizes: Sizes) -> Finding:
    """Why does a server spin when it is out of descriptors? The client who cannot be accepted is
    still there: `accept` is called again at once, and fails again.
    """
    shares: dict[str, Any] = {}
    command = [sys.executable, str(servers.ROOT / servers.STEPS[5] / "server.py"), "0", "--quiet"]
    with Server(command, limit=64) as right:
        shares["right"], served = without_descriptors(right)
    with variants.started("spins_without_descriptors", limit=64) as wrong:
        shares["wrong"], _ = without_descriptors(wrong)
    measured = (
        f"80 clients for 64 descriptors: {shares['wrong']:.0%} of a core; with a pause before the"
        f" next `accept`, {shares['right']:.1%}, and all {served} are served when some have left"
    )
    return found(shares["wrong"] > 0.5 and shares["right"] < 0.1, measured, **shares)


def without_descriptors(server: Server) -> tuple[float, int]:
    """Bring 80 clients; return the share of a core it uses, and how many it serves in the end."""
    with clients(server, 80) as socks:
        served = select.select(socks, [], [], 1)[0]
        share = busy(server, 0.5)
        served[0].sendall(b"^a")  # whoever is there is still served
        expect(served[0], b"*b")
        count, waiting = len(served), set(socks) - set(served)
        for sock in served:
            sock.close()
        while waiting and (ready := select.select(waiting, [], [], 5)[0]):
            count += len(ready)
            waiting.difference_update(ready)
            for sock in ready:
                sock.close()
        return share, count


@claim("Q7", step=2)
def eight_megabytes(sizes: Sizes) -> Finding:
    """Does a thread cost 8 MB, and 10,000 of them 80 GB? That is what it may use, not what it
    uses.
    """
    count = sizes.pick(200, 1000)
    with THREADS.start() as server, greeted_clients(server, 1):
        resident, virtual = server.memory(), processes.virtual_bytes(server.pid)
        with greeted_clients(server, count):
            resident = (server.memory() - resident) / count
            virtual = (processes.virtual_bytes(server.pid) - virtual) / count
            server.stop()
    measured = (
        f"{virtual / MiB:.1f} MiB of addresses for each of {count} threads, and"
        f" {resident / 1024:.0f} KiB of memory"
    )
    return found(virtual > MiB > 10 * resident, measured, WITHIN, resident=resident)


@claim("Q8", step=7)
def threads_for_computing(sizes: Sizes) -> Finding:
    """Is a pool of threads enough for computing? It makes the loop wait for the interpreter's
    lock: 5 ms for each thread that computes (`sys.getswitchinterval`).
    """
    number = primes.prime_that_takes(sizes.pick(0.5, 1.5))
    means: dict[str, Any] = {
        f"{jobs} in {place}": loop_latency(place, jobs, number)
        for place, jobs in (("threads", 0), ("threads", 1), ("threads", 4), ("processes", 1))
    }
    measured = "an answer by the loop, beside jobs: " + ", ".join(
        f"{name} {mean * 1e3:.2f} ms" for name, mean in means.items()
    )
    none, one, four, process = means.values()
    return found(four > one > 3 * none and process < one, measured, **means)


def loop_latency(place: str, jobs: int, number: int) -> float:
    """Return the mean latency of an answer that the loop gives itself, beside so many jobs."""
    dice = random.Random(jobs)
    command = [sys.executable, str(primes.SERVER), "0", "--quiet", "--work", place]
    with (
        Server(command) as server,
        clients(server, jobs) as workers,
        server.connect() as other,
    ):
        for sock in workers:
            primes.ask(sock, 7)  # which starts the workers
            assert primes.answer(sock) == b"prime\n"
        for sock in workers:
            primes.ask(sock, number)
        time.sleep(0.05)
        found = []
        for _ in range(30):
            time.sleep(dice.uniform(0, 0.01))  # out of step with the interpreter
            start = time.perf_counter()
            other.sendall(b"no number\n")
            assert primes.answer(other) == b"error: not a number\n"
            found.append(time.perf_counter() - start)
        server.stop()
        return statistics.fmean(found)


@claim("Q9", step=7)
def a_stuck_loop(sizes: Sizes) -> Finding:
    """Why is my event loop stuck? One callback that takes long, and everybody waits as long."""
    number = primes.prime_that_takes(sizes.pick(0.5, 1.0))
    command = [sys.executable, str(primes.SERVER), "0", "--work", "inline"]
    with Server(command) as server, server.connect(60) as worker, clients(server, 5) as others:
        for sock in (worker, *others):
            primes.ask(sock, 7)
            assert primes.answer(sock) == b"prime\n"
        start = time.perf_counter()
        primes.ask(worker, number)
        time.sleep(0.05)
        for sock in others:
            primes.ask(sock, 7)
        waits = []
        for sock in others:
            assert primes.answer(sock) == b"prime\n"
            waits.append(time.perf_counter() - start)
        assert primes.answer(worker) == b"prime\n"
        took = time.perf_counter() - start
        said = re.search(r"\S+ held everybody up for [\d.]+ s", server.log())
    measured = (
        f"a job of {took:.2f} s: five others had waited {min(waits):.2f} s, all of them; the loop"
        f" says `{said[0] if said else 'nothing'}`"
    )
    return found(min(waits) > 0.8 * took and said is not None, measured, took=took)


@claim("Q10", step=1)
def half_close(sizes: Sizes) -> Finding:
    """Does a client that has shut down its sending side lose its answer? It must not: it still
    reads. All seven steps.
    """
    right = 0
    for step in range(1, 8):
        with started(step) as server, server.connect() as sock:
            sock.sendall(b"^abc$")
            sock.shutdown(socket.SHUT_WR)
            right += to_the_end(sock) == b"*bcd"
    measured = f"`printf '^abc$' | nc -N` gets `*bcd`, and then the end, of {right} of 7 servers"
    return found(right == 7, measured, right=right)


@claim("Q11", step=4)
def slow_reader(sizes: Sizes) -> Finding:
    """What does a client cost that sends and never reads? Its answers, unless the server stops
    reading from it: backpressure.
    """
    offered = b"^" + letters(sizes.pick(16, 64) * MiB)
    grown: dict[str, Any] = {}
    with started(6) as right, variants.started("keeps_reading") as wrong:
        for name, server in (("right", right), ("wrong", wrong)):
            with server.connect() as sock:
                expect(sock, b"*")
                before = server.memory()
                send_until_stuck(sock, offered)
                grown[name] = (server.memory() - before) / MiB
                reset(sock)
    measured = (
        f"{len(offered) // MiB} MiB offered: the server grows by {grown['wrong']:.0f} MiB; one that"
        f" does not read while it has something unsent, by {grown['right']:.1f} MiB"
    )
    return found(grown["wrong"] > 10 * max(grown["right"], 0.1), measured, **grown)


@claim("Q12", step=1)
def address_in_use(sizes: Sizes) -> Finding:
    """Why is the address already in use after a restart? Connections that the server closed first
    linger in TIME_WAIT; with `SO_REUSEADDR` they do not matter.
    """
    said = {}
    for name, start in (("with", started_again), ("without", partial(started_again, "no_reuse"))):
        said[name] = start()
    measured = f"started again at once: {said['with']}; without the option: {said['without']}"
    right = said["with"] == "it serves" and "already in use" in said["without"]
    return found(right, measured)


def started_again(name: str = "") -> str:
    """Run a server, end it while a client is there, and say what the next one on its port does."""
    step = str(servers.ROOT / servers.STEPS[0] / "server.py")
    words = ["-m", "lab.broken.variants", name] if name else [step]
    with Server([sys.executable, *words, "0"]) as first, first.connect() as sock:
        expect(sock, b"*")
        port = first.port
        first.stop()
        to_the_end(sock)
    try:
        with Server([sys.executable, *words, str(port)]):
            return "it serves"
    except ServerError as error:
        return f"`{str(error).splitlines()[-1].strip()}`"


@claim("Q13", step=1)
def which_localhost(sizes: Sizes) -> Finding:
    """Is `localhost` 127.0.0.1 or ::1? Either: a server that is bound to the one is not found at
    the other.
    """
    if not has_ipv6():
        raise NotMeasured("there is no IPv6 on this machine")
    names = dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo("localhost", 80))
    with started(1) as server:
        try:
            socket.create_connection(("::1", server.port), 5).close()
            other = "accepted"
        except ConnectionRefusedError:
            other = "refused"
        said = f"Serving on {server.host}:{server.port}"
    measured = (
        f"`localhost` is {' and '.join(names)} here; step 1 says `{said}`, and a client at ::1 is"
        f" {other}"
    )
    return found(other == "refused", measured)


@claim("Q14", step=7)
def no_wake_up(sizes: Sizes) -> Finding:
    """Why does a callback from a worker's thread never run? The loop is asleep, and must be woken:
    by a byte in a socket that it watches.
    """
    timer = 0.5
    delays = {way: posted(way, timer) for way in ("call_soon", "call_threadsafe")}
    unwoken, woken = delays.values()
    measured = (
        f"{unwoken * 1e3:.0f} ms without the byte, which is when the next timer was due;"
        f" {woken * 1e3:.1f} ms with it"
    )
    return found(unwoken > 0.5 * timer > 10 * woken, measured, unwoken=unwoken, woken=woken)


def posted(way: str, timer: float) -> float:
    """Return how long a callback waits that another thread hands to a sleeping loop."""
    loop = Loop()
    ran: list[float] = []
    loop.call_later(timer, loop.stop)

    def hand_in() -> None:
        time.sleep(0.05)
        start = time.perf_counter()
        getattr(loop, way)(lambda: ran.append(time.perf_counter() - start))

    thread = threading.Thread(target=hand_in)
    thread.start()
    loop.run()
    thread.join()
    loop.close()
    return ran[0]


@claim("Q15", step=1)
def forty_milliseconds(sizes: Sizes) -> Finding:
    """Where does a delay of 40 ms come from, or one of a second? From Nagle's algorithm, where an
    answer goes out in pieces; from a backlog too short for a burst of clients.
    """
    slow, fast = map(in_pieces, ("nagle", "a_byte_at_a_time"))
    count = 300 if sys.platform == "linux" else 100  # no backlog of macOS holds more than 128
    late, none = (connects_late(name, count) for name in ("short_backlog", ""))
    measured = (
        f"an answer in pieces takes {slow * 1e3:.1f} ms, with `TCP_NODELAY` {fast * 1e3:.2f} ms; of"
        f" {count} clients at once {late} wait for a second at a backlog of 5, {none} at ours"
    )
    return found(slow > 5 * fast and late > none == 0, measured, slow=slow, fast=fast, late=late)


def in_pieces(name: str) -> float:
    """Return the median latency of an answer of four bytes that are sent one by one."""
    with variants.started(name) as server, server.connect() as sock:
        expect(sock, b"*")
        latencies = []
        for _ in range(30):  # the kernel delays no acknowledgement at first
            start = time.perf_counter()
            sock.sendall(b"^abcd$")
            expect(sock, b"bcde")
            latencies.append(time.perf_counter() - start)
        return statistics.median(latencies[15:])


def connects_late(name: str, count: int) -> int:
    """Have so many clients connect while the server is busy; return how many take over 0.8 s."""
    with variants.started(name) if name else started(6) as server, contextlib.ExitStack() as stack:
        poll = select.poll()
        with edges.held(server):
            start = time.monotonic()
            for _ in range(count):
                sock = stack.enter_context(server.unconnected())
                sock.setblocking(False)
                sock.connect_ex((server.host, server.port))
                poll.register(sock, select.POLLOUT)
            time.sleep(0.1)
        waiting = count
        while waiting and time.monotonic() < start + 0.8:
            for fd, _ in poll.poll(50):
                poll.unregister(fd)
                waiting -= 1
        return waiting
