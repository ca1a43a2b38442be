"""M8 to M11: what a balancer costs, and what a connection takes: ports, memory, TLS."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab.bench.load import Talk
from lab.bench.pairs import SLICE, Slice, figures
from lab.bench.workloads import KiB, requests
from lab.claims.claim import Finding, claim, found
from lab.fleet.balancer import NAMES, SHUT, Fleet, configuration, three_machines
from lab.fleet.experiments import FLEET, STILL
from lab.harness import clients, processes
from lab.harness.processes import NotMeasured
from lab.harness.servers import ROOT


def only_one(fleet: Fleet) -> None:
    """Have the balancer use the first machine only."""
    for name in NAMES[1:]:
        fleet.balancer.order(f"set server fleet/{name} state maint")


def turn(fleet: Fleet, talk: Talk) -> Slice:
    """Have clients talk; the CPU time is that of the machine's server and of the balancer."""
    both = fleet.servers[0], fleet.balancer
    cpu, start = sum(one.cpu_seconds() for one in both), time.perf_counter()
    answers = talk(SLICE)
    seconds = time.perf_counter() - start
    return Slice(sum(one.cpu_seconds() for one in both) - cpu, 0, answers, seconds)


def turns(count: int, pairs: int) -> tuple[list[Slice], list[Slice]]:
    """Return what so many clients got in their turns: over the balancer, and straight."""
    over: list[Slice] = []
    straight: list[Slice] = []
    with three_machines(6) as fleet:
        only_one(fleet)
        door, server = fleet.balancer, fleet.servers[0]
        with fleet.clients.inside(), requests(door, count) as one, requests(server, count) as other:
            sides = [(over, one), (straight, other)]
            for _ in range(pairs):
                for slices, talk in sides:
                    slices.append(turn(fleet, talk))
                sides.reverse()  # neither is always the first
    return over, straight


def compared(over: list[Slice], straight: list[Slice], name: str) -> tuple[float, str]:
    """Return how many times as much an answer takes, and that with the middle half of the turns.

    `name` is `cpu`, or `rate`, which is the inverse of time.
    """
    sign = 1 if name == "cpu" else -1
    both = [(figures([a])[name], figures([b])[name]) for a, b in zip(over, straight, strict=True)]
    low, _, high = statistics.quantiles([(a / b) ** sign for a, b in both], n=4)
    ratio = (figures(over)[name] / figures(straight)[name]) ** sign
    return ratio, f"{ratio:.2f} times ({low:.2f} to {high:.2f})"


@claim("M8", FLEET)
def the_balancer_costs(full: bool) -> Finding:
    """Over a balancer a request takes more CPU time, since it goes through one more program, and
    twice as often through TCP.

    Paired: to the same machine, in turns, over the balancer and straight.
    """
    said, ratios, kept = [], [], {}
    for count in (1, 50):
        both = turns(count, 20 if full else 4)
        ratio, times = compared(*both, "cpu")
        ratios.append(ratio)
        kept[f"cpu{count}"] = figures(both[0])["cpu"] - figures(both[1])["cpu"]
        more = f"{times} the CPU time, {kept[f'cpu{count}'] * 1e6:.0f} us more"
        if count == 1:
            more += f", and {compared(*both, 'rate')[1]} the time"
        said.append(f"with {count} at a time {more}")
    return found(min(ratios) > 1.3, "; ".join(said), figures=kept)  # itself, up to 1.1


def stay(ports: int, maxconn: int, down: str) -> tuple[int, int, str]:
    """Have a tenth more clients come than the balancer has ports for; return how many stay.

    And how many came, and whether the balancer has taken a machine for dead.
    """
    count = len(NAMES) * ports * 11 // 10
    with three_machines(6, configuration(maxconn=maxconn, down=down)) as fleet:
        with fleet.front.inside():
            Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"40000 {39999 + ports}")
        with fleet.clients.inside(), clients.clients(fleet.balancer, count) as socks:
            if maxconn < ports:
                fleet.balancer.until("qcur", str(count - len(NAMES) * maxconn), "BACKEND")
            else:
                fleet.balancer.until("chkdown", "[1-9].*", *NAMES)
            time.sleep(STILL)
            dead = fleet.balancer.seen()[NAMES[0]]["chkdown"] != "0"
            for sock in clients.those_ready(socks, 0):
                clients.exactly(sock, 1)  # the `*`, or nothing
            gone = sum(map(clients.ended, socks))
    return count - gone, count, "DOWN" if dead else "UP"


@claim("M9", FLEET)
def out_of_ports(full: bool) -> Finding:
    """A balancer takes a port for each connection to a machine. When there are no more, its health
    checks have none either: it takes all machines for dead. Told to end their connections then, it
    ends all. A `maxconn` below the number of ports lets the others wait instead.
    """
    ports = 100 if full else 40
    few = ports * 9 // 10
    some, count, dead = stay(ports, 1000, "")
    none, _, _ = stay(ports, 1000, SHUT)
    all_of_them, _, well = stay(ports, few, SHUT)
    measured = (
        f"{ports} ports, {count} clients: the machines go {dead}, and {some} clients stay; with"
        f" `{SHUT}` {none}; with `maxconn {few}` all {all_of_them}, some in the queue, and the"
        f" machines stay {well}"
    )
    holds = some == len(NAMES) * ports and none == 0 and all_of_them == count and well == "UP"
    return found(holds, measured)


def kernel_bytes() -> int:
    """Return what the kernel has of memory for objects of its own (proc(5), meminfo: Slab)."""
    return processes.number("meminfo", "Slab") * KiB


@claim("M10", FLEET)
def silent_connections(full: bool) -> Finding:
    """For a connection that says nothing the kernel keeps more memory than the server; and a
    balancer has two of them, and buffers of its own.
    """
    count = 4000 if full else 1000
    clients.room_for(count)
    with three_machines(6, configuration(maxconn=count)) as fleet:
        only_one(fleet)
        who = fleet.servers[0].memory, fleet.balancer.memory, kernel_bytes
        before = [one() for one in who]
        with fleet.clients.inside(), clients.greeted_clients(fleet.balancer, count):
            after = [one() for one in who]
    server, balancer, kernel = ((b - a) / count for a, b in zip(before, after, strict=True))
    kernel /= 4  # ends: the client's, two of the balancer's, the machine's
    measured = (
        f"{count:,} connections: {kernel:,.0f} bytes of the kernel's memory for each end;"
        f" the server keeps {server:,.0f} for one, HAProxy {balancer:,.0f}"
    )
    kept = {"kernel": kernel, "server": server, "balancer": balancer}
    return found(kernel > server, measured, figures=kept)


def certified(folder: str) -> None:
    """Make a key and a certificate there, with `openssl`."""
    files = f"-keyout {folder}/key -out {folder}/certificate -subj /CN=fleet"
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    try:
        words = f"openssl req -x509 {curve} {files}".split()
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise NotMeasured("wants openssl, to make a certificate") from None


@claim("M11", FLEET)
def tls(full: bool) -> Finding:
    """TLS takes kilobytes for a connection, also for a silent one, and its handshake as much CPU
    time as many messages.

    OpenSSL's part alone, from Python, without sockets; the key is on the curve P-256.
    """
    count = 500 if full else 100
    with tempfile.TemporaryDirectory() as folder:
        certified(folder)
        # Where something was there before, its memory is used again, and nothing is to be seen.
        words = [sys.executable, "-m", "lab.fleet.tls", folder, str(count)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
    memory, handshake, message = json.loads(done.stdout)
    measured = (
        f"{memory:,.0f} bytes for each end; a handshake {handshake * 1e6:.0f} us for the server,"
        f" as much as {handshake / message:.0f} messages of 64 bytes, written and read"
    )
    kept = {"tls": memory, "handshake": handshake}
    return found(memory > KiB and handshake > 5 * message, measured, figures=kept)
