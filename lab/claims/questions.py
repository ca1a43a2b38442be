"""Q1 to Q15: what people ask who write such servers, and what settles it."""

import contextlib
import re
import select
import socket
import statistics
import threading
import time
from functools import partial

from lab.bench.contestants import THREADS
from lab.broken import catalogue
from lab.check.prompt import BURST
from lab.check.suite import HELD
from lab.claims import costs
from lab.claims.claim import (
    HOLDS,
    WITHIN,
    Finding,
    checked,
    claim,
    found,
    started,
    told_apart,
    told_by,
)
from lab.claims.step6 import SILENCE
from lab.claims.step7 import computing, number_that_takes
from lab.harness import processes
from lab.harness.clients import (
    MiB,
    clients,
    exactly,
    expect,
    greeted,
    reset,
    send_until_stuck,
    those_ready,
)
from lab.harness.processes import NotMeasured
from lab.harness.servers import has_ipv6
from lab.harness.talks import at_once
from lab.show.about import has_gil
from step7_event_loop_threadpool.eventloop import Loop


@claim("Q1")
def the_number_counts(full: bool) -> Finding:
    """Why does `select` say "filedescriptor out of range", with three clients? It is the number of
    a descriptor that counts, not how many are watched.
    """
    return told_apart({f"step {i}": checked("high_descriptor", started(i)) for i in (5, 6)})


@claim("Q2")
def always_writable(full: bool) -> Finding:
    """Why does an idle server use all of a core? It waits for room to write while it has nothing
    to send.
    """
    both = map(catalogue.started, ("always_watches_for_writing", "right"))
    wrong, right = (costs.idle_share(server, 1 if full else 0.3) for server in both)
    otherwise = f"waiting for room only while something is unsent, {right:.1%}"
    measured = f"one idle client: {wrong:.0%} of a core; {otherwise}"
    return found(wrong > 10 * max(right, 0.01), measured)


@claim("Q3")
def one_accept_an_edge(full: bool) -> Finding:
    """Why does edge-triggered epoll lose clients? One `accept` for each edge is not enough."""
    once, drained = map(clients_greeted, ("once_per_edge", "until_eagain"))
    measured = f"of {BURST} at once {once} greeted; with `accept` until EAGAIN, {drained}"
    return found(once < drained == BURST, measured)


def clients_greeted(name: str) -> int:
    """Have many clients connect to a broken server at once; return how many are greeted."""
    with catalogue.started(name) as server, contextlib.ExitStack() as stack:
        with server.paused():  # so that what arrives meanwhile is one edge
            waiting = set(stack.enter_context(clients(server, BURST)))
        while done := those_ready(waiting, SILENCE):
            waiting.difference_update(done)
        return BURST - len(waiting)


@claim("Q4")
def partial_sends(full: bool) -> Finding:
    """Why do long answers lose bytes? `send` may take less than it is given, and says how much."""
    counts = []
    for name in ("careless_send", "right"):
        with catalogue.started(name) as server, greeted(server) as sock:
            owed = send_until_stuck(sock, b"^" + b"a" * (16 * MiB)) - 1
            sock.settimeout(1)  # it reads only now
            counts.append((owed - len(exactly(sock, owed)), owed))
    (wrong, owed), (right, _) = counts
    measured = f"a late reader misses {wrong:,} bytes of {owed:,}; where the rest is kept, {right}"
    return found(wrong > 0 == right, measured)


@claim("Q5")
def hang_up_spins(full: bool) -> Finding:
    """Why does a loop spin after a reset? Hang-ups are reported whatever one waits for, even for
    nothing: a socket of which one wants no events must be unregistered.
    """
    if not hasattr(select, "epoll"):
        raise NotMeasured("it is epoll that reports so")
    counts = []
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as one,
        select.epoll() as poll,
    ):
        poll.register(one, 0)
        reset(listener.accept()[0])
        for _ in range(2):
            end, wakes = time.monotonic() + 0.2, 0
            while (left := end - time.monotonic()) > 0:
                wakes += len(poll.poll(left))
            counts.append(wakes)
            if len(counts) == 1:
                poll.unregister(one)
    registered, gone = counts
    measured = f"registered for nothing {registered:,} wake-ups in 0.2 s, unregistered {gone}"
    return found(registered > 100 and gone == 0, measured)


@claim("Q6")
def accept_spins(full: bool) -> Finding:
    """Why does a server spin when it is out of descriptors? The client who cannot be accepted is
    still there: `accept` is called again at once, and fails again.
    """
    at_once, later = "asking again at once", "pausing before the next `accept`"
    return told_by("no_descriptors", {at_once: "spins_without_descriptors", later: "right"})


@claim("Q7")
def eight_megabytes(full: bool) -> Finding:
    """Does a thread cost 8 MB, and 10,000 of them 80 GB? That is what it may use, not what it
    uses.
    """
    count = 1000 if full else 200
    resident = costs.memory(THREADS, count)
    virtual = costs.memory(THREADS, count, lambda server: processes.virtual_bytes(server.pid))
    used = f"{resident / 1024:.0f} KiB of memory"
    measured = f"{virtual / MiB:.1f} MiB of addresses for each of {count} threads, and {used}"
    return found(virtual > MiB > 10 * resident, measured, WITHIN)


@claim("Q8")
def threads_for_computing(full: bool) -> Finding:
    """Is a pool of threads enough for computing? It makes the loop wait for the interpreter's
    lock: 5 ms for each thread that computes (`sys.getswitchinterval`).

    Without that lock one job is no matter.
    """
    number = number_that_takes(1.5 if full else 0.5)
    means = {
        f"{jobs} in {place}": loop_latency(place, jobs, number)
        for place, jobs in (("threads", 0), ("threads", 1), ("threads", 4), ("processes", 1))
    }
    measured = "an answer by the loop, beside jobs: " + ", ".join(
        f"{name} {mean * 1e3:.2f} ms" for name, mean in means.items()
    )
    return found(as_built(has_gil(), *means.values()), measured)


def as_built(gil: bool, none: float, one: float, four: float, process: float) -> bool:
    """Return whether an answer beside no job, one and four in threads, and one in a process, each
    in seconds, is as Q8 says of a build.
    """
    return (four > one > 3 * none and process < one) if gil else one < 3 * max(none, process)


def loop_latency(place: str, jobs: int, number: int) -> float:
    """Return the mean latency of an answer that the loop gives itself, beside so many jobs."""
    with computing(place, jobs + 1) as (_, (other, *workers)):
        for sock in workers:
            sock.sendall(b"%d\n" % number)
        time.sleep(0.05)
        took = costs.waits(other, b"no number\n", b"error: not a number\n", 0.01)
    return statistics.fmean(took)


@claim("Q9")
def a_stuck_loop(full: bool) -> Finding:
    """Why is my event loop stuck? One callback that takes long, and everybody waits as long."""
    number = number_that_takes(1.0 if full else 0.5)
    with computing("inline", 6) as (server, (worker, *others)):
        start = time.perf_counter()
        worker.sendall(b"%d\n" % number)
        time.sleep(0.05)  # it is at work
        waited = at_once([partial(costs.asked, other, b"7\n", b"prime\n") for other in others])
        expect(worker, b"composite\n")
        took = time.perf_counter() - start
        said = re.search(r"\S+ held everybody up for [\d.]+ s", server.log())
    loop = f"the loop says `{said[0] if said else 'nothing'}`"
    measured = f"a job of {took:.2f} s: five others waited {min(waited):.2f} s and more; {loop}"
    return found(min(waited) > 0.8 * took and said is not None, measured)


@claim("Q10")
def half_close(full: bool) -> Finding:
    """Does a client that has shut down its sending side lose its answer? It must not: it still
    reads. All seven steps.
    """
    verdicts = [checked("half_close", started(step)) for step in range(1, 8)]
    right = sum(one.outcome == HELD for one in verdicts)
    measured = f"{right} of 7 servers give what they owe, and then the end ({verdicts[-1].seen})"
    return found(right == 7, measured)


@claim("Q11")
def slow_reader(full: bool) -> Finding:
    """What does a client cost that sends and never reads? Its answers, unless the server stops
    reading from it: backpressure.
    """
    return told_by("never_reads", {"reading on": "no_backpressure", "stopping": "right"})


@claim("Q12")
def address_in_use(full: bool) -> Finding:
    """Why is the address already in use after a restart? Connections that the server closed first
    linger in TIME_WAIT; with `SO_REUSEADDR` they do not matter.
    """
    return told_by("restarts", {"without the option": "keeps_the_port", "with it": "right"})


@claim("Q13")
def which_localhost(full: bool) -> Finding:
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
        said = f"step 1 says `Serving on {server.host}:{server.port}`"
    measured = f"`localhost` is {' and '.join(names)} here; {said}, and a client at ::1 is {other}"
    return found(other == "refused", measured)


@claim("Q14")
def no_wake_up(full: bool) -> Finding:
    """Why does a callback from a worker's thread never run? The loop is asleep, and must be woken:
    by a byte in a socket that it watches.
    """
    timer = 0.5
    unwoken, woken = (posted(way, timer) for way in ("call_soon", "call_threadsafe"))
    without = f"{unwoken * 1e3:.0f} ms without the byte, when the next timer was due"
    measured = f"{without}; {woken * 1e3:.1f} ms with it"
    return found(unwoken > 0.5 * timer > 10 * woken, measured)


def posted(way: str, timer: float) -> float:
    """Return how long a callback waits that another thread hands to a sleeping loop."""
    loop = Loop()
    ran: list[float] = []
    loop.call_later(timer, loop.stop)

    def hand_in() -> None:
        start = time.perf_counter()
        getattr(loop, way)(lambda: ran.append(time.perf_counter() - start))

    thread = threading.Timer(0.05, hand_in)
    thread.start()
    loop.run()
    thread.join()
    loop.close()
    return ran[0]


@claim("Q15")
def forty_milliseconds(full: bool) -> Finding:
    """Where does a delay of 40 ms come from, or one of a second? From Nagle's algorithm, where an
    answer goes out in pieces; from a backlog too short for a burst of clients.
    """
    pieces = told_by("latency", {"in pieces": "nagle", "with `TCP_NODELAY`": "in_pieces"})
    burst = told_by("burst", {"at a backlog of 5": "short_backlog", "of 1024": "right"})
    holds = pieces.verdict == burst.verdict == HOLDS
    return found(holds, f"{pieces.measured}; {burst.measured}")
