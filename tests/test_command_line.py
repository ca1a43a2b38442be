"""How a server is started, what it says, and how it ends."""

import itertools
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from common import serving
from lab.harness import clients, servers
from lab.harness.servers import ROOT, STEPS, Server, has_ipv6
from step4_nonblocking_polling import server as step4
from tests.contract import each_step
from tests.programs import ANYWHERE, command, complaint, patched, program, run
from tests.waiting import logged

pytestmark = pytest.mark.aside


def server_of(step: str, *more: str) -> list[str]:
    """Return the command that runs the server of a step."""
    return command(f"{step}/server.py", *more)


def trouble(server: Server) -> list[str]:
    """Return the lines that the server has logged, but those of a machine that was busy."""
    return [line for line in server.log().splitlines() if "held everybody up" not in line]


PROGRAMS = [
    name.relative_to(ROOT).as_posix()
    for name in (*ROOT.glob("step*/*.py"), ROOT / "simple_client.py")
    if "main()" in name.read_text()
]


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_says_what_it_shows_and_what_each_option_is_and_is_without(name: str) -> None:
    done = run(*command(name, "--help"))
    assert done.returncode == 0
    usage, _, said = done.stdout.partition("\noptions:\n")
    step, _, script = name.partition("/")
    if script == "server.py":
        paragraph = usage.partition("\n\n")[2].partition("\n\npositional")[0]
        assert paragraph.startswith(f"Step {step[4]}, ")
        assert len(paragraph.split()) > 30
        assert "[PORT]" in usage
        assert "--host" in said
    options = re.findall(r"^  (-.*(?:\n {5}.*)*)", said, re.MULTILINE)
    assert len(options) > 2
    for option in options:
        what = re.search(r"(?:  |\n) *(\w.*)", option, re.DOTALL)
        assert what, option
        takes_a_value = re.match(r"-\S+ [A-Z{]", option)
        assert what[1].endswith(")") or not takes_a_value, option


@each_step
def test_runs_from_anywhere_isolated_and_uninstalled(step: str) -> None:
    isolated = command(f"{step}/server.py", "0", python=["-I"])
    with Server([*ANYWHERE, *isolated]) as server:
        assert server.host == "127.0.0.1"  # unless told otherwise
        clients.serves(server)


@each_step
@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_serves_on_ipv6(step: str) -> None:
    with servers.start(step, "--host", "::1") as server:
        assert server.host == "::1"
        clients.serves(server)


@each_step
def test_a_port_that_is_taken(step: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = complaint(1, *server_of(step, str(port)))
    assert line == f"Cannot serve on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "1.2.3.4.5"])
def test_an_unknown_host(host: str) -> None:
    line = complaint(1, *server_of(STEPS[0], "0", "--host", host))
    assert line.startswith(f"Cannot serve on {host}:0: ")


def test_no_permission() -> None:
    first: list[str] = []
    if sys.platform == "linux":
        lowest = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        if lowest < 2:
            pytest.skip("every port is free for all here")
    if os.geteuid() == 0:
        if sys.platform != "linux":
            pytest.skip("root may bind every port")
        without = "-net_bind_service"
        first = ["setpriv", "--inh-caps", without, "--bounding-set", without]
    line = complaint(1, *first, *server_of(STEPS[0], "1"))
    assert line == "Cannot serve on 127.0.0.1:1: Permission denied\n"


SENSELESS = {
    **{f"{step}/server.py": ["--nonsense"] for step in STEPS},
    f"{STEPS[0]}/server.py --": ["65536", "-1", "http", "1.5"],
    f"{STEPS[3]}/server.py --interval": ["-1", "nan", "soon", "1e9"],
    f"{STEPS[6]}/prime_server.py --pool-size": ["0", "x"],
    f"{STEPS[6]}/prime_server.py --work": ["elsewhere"],
    f"{STEPS[6]}/workers.py --workers": ["0", "x"],
    f"{STEPS[6]}/workers.py --share": ["it"],
    f"{STEPS[6]}/workers.py --drain": ["-1"],
}
"""Arguments that the programs do not take."""


@pytest.mark.parametrize(
    ("program", "word"), [(program, word) for program, words in SENSELESS.items() for word in words]
)
def test_an_argument_that_makes_no_sense(program: str, word: str) -> None:
    assert word in complaint(2, *command(program, word))


@each_step
def test_the_port_is_free_at_once_after_the_end(step: str) -> None:
    with servers.start(step) as server, clients.greeted(server) as sock:
        assert server.stop() == 0  # its side of the connection is left in TIME_WAIT
        assert clients.to_the_end(sock) == b""
    with Server(server_of(step, str(server.port))) as again:
        clients.serves(again)


@each_step
def test_ends_while_it_is_busy(step: str) -> None:
    """A server that does not get rid of what it owes ends all the same."""
    with servers.start(step, "--quiet") as server, server.connect() as sock:
        clients.send_until_stuck(sock, b"^" + b"a" * (32 * clients.MiB))
        server.process.send_signal(signal.SIGTERM)
        assert server.wait(servers.END) == 0
        assert trouble(server) == []


@each_step
@pytest.mark.parametrize("gap", [0, 0.0005, 0.003])
def test_two_signals_right_after_the_start(step: str, gap: float) -> None:
    with servers.start(step) as server:
        server.process.send_signal(signal.SIGINT)
        time.sleep(gap)
        server.process.send_signal(signal.SIGTERM)
        assert server.wait(servers.END) == 0
        assert "Traceback" not in server.log()


LOST_INTERRUPT = """
import signal, weakref
from common import serving

class Thing: ...

def lose(_):
    signal.raise_signal(signal.SIGTERM)
    for _ in range(1000): pass

def serve(listener):
    thing = Thing()
    ref = weakref.ref(thing, lose)
    del thing  # the interrupt comes in a callback of a weak reference, where Python drops it
    listener.accept()

serving.run(serving.arguments("").parse_args(["0"]), serve)
"""


def test_an_interrupt_that_gets_lost_does_not_keep_it_alive() -> None:
    with Server(program(LOST_INTERRUPT)) as server:
        assert server.wait(servers.END) == 0
        assert "Exception" not in server.log()


@each_step
def test_logs_who_comes_and_goes(step: str) -> None:
    with servers.start(step) as server:
        with server.connect() as sock:
            peer = serving.peer_name(sock.getsockname())
            sock.sendall(b"^abc$de")
            sock.shutdown(socket.SHUT_WR)
            assert clients.to_the_end(sock) == b"*bcd"
        lines = logged(server, "disconnected").splitlines()
    came = lines.index(f"peer {peer} connected")
    went = lines.index(f"peer {peer} disconnected (7 bytes in, 4 bytes out)")
    assert came < went


@each_step
def test_logs_why_a_client_failed(step: str) -> None:
    with servers.start(step) as server, clients.greeted(server) as sock:
        sock.sendall(b"x")
        clients.settle(server)
        clients.reset(sock)
        log = logged(server, "disconnected")
    assert "disconnected: Connection reset by peer (1 bytes in, 1 bytes out)\n" in log


@each_step
def test_quiet_logs_nothing_but_trouble(step: str) -> None:
    with servers.start(step, "--quiet") as server:
        clients.serves(server)
        assert server.stop() == 0
        assert trouble(server) == []


def test_raises_its_limit_on_descriptors_and_says_so() -> None:
    limited = ["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh"]
    with (
        Server([*limited, *server_of(STEPS[5], "0")]) as server,
        clients.greeted_clients(server, 100),
    ):
        assert server.log().startswith("descriptor limit raised from 64 to ")


def test_accepted_sockets_send_at_once_and_do_not_linger() -> None:
    """TCP_NODELAY is inherited from the listening socket."""
    with (
        serving._listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        sock, _ = listener.accept()
        with sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_repeated_line_is_folded(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(24, "Too many open files")
    said = "cannot accept: Too many open files; trying again until it works"
    for _ in range(100):
        serving.log_not_accepting(full)
    serving.log_refused("127.0.0.1:1", OSError(12, "Cannot allocate memory"))
    serving.log_not_accepting(full)  # another came between
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    serving.log_not_accepting(full)  # that was some seconds ago
    assert caplog.messages == [
        said,
        "... and 99 more like that\npeer 127.0.0.1:1 refused: Cannot allocate memory",
        said,
        said,
    ]


# What single steps say


def log_of(step: str, *arguments: str, until: str) -> list[str]:
    """Have one client pause, send six bytes and leave; return the log, `until` and all."""
    with servers.start(step, *arguments) as server:
        with clients.greeted(server) as sock:
            time.sleep(0.1)  # the client thinks, so that the server has to wait
            clients.ask(sock, b"^what$", b"xibu")
        logged(server, until)
        server.stop()
        return server.log().splitlines()


FEW_THREADS = """
import threading

def start(self, really=threading.Thread.start):
    if threading.active_count() > 2:
        raise RuntimeError("can't start new thread")
    print("thread", self.name, file=sys.stderr, flush=True)
    really(self)

threading.Thread.start = start
"""


def test_step2_refuses_whom_it_has_no_thread_for() -> None:
    """The threads are named after their clients."""
    with Server(patched(FEW_THREADS, f"{STEPS[1]}/server.py", "0")) as server:
        with clients.clients(server, 3) as socks:
            peers = [serving.peer_name(sock.getsockname()) for sock in socks]
            assert [clients.exactly(sock, 1) for sock in socks] == [b"*", b"*", b""]
            clients.ask(socks[0], b"^a$", b"b")
            log = logged(
                server, f"peer {peers[2]} refused: RuntimeError in <string>, line 8: can't"
            )
            assert [f"thread {peer}\n" in log for peer in peers] == [True, True, False]
        logged(server, f"peer {peers[0]} disconnected")
        logged(server, f"peer {peers[1]} disconnected")
        clients.settle(server)
        clients.serves(server)


def test_step3_narrates_each_call() -> None:
    lines = log_of("step3_blocking", until="out)\nCalling accept")
    said = [line.partition(" (")[0] for line in lines]
    peer = said[2]
    assert peer.startswith("peer 127.0.0.1:")
    assert said == [
        "Calling accept...",
        "accept returned",
        peer,
        "Calling sendall...",
        "sendall returned",
        "Calling recv...",
        "recv returned 6 bytes",
        "Calling sendall...",
        "sendall returned",
        "Calling recv...",
        "recv returned 0 bytes",
        peer.replace("connected", "disconnected"),
        "Calling accept...",
    ]
    slept, ran = (re.findall(rf"\b{word} ([\d.]+)", "\n".join(lines)) for word in ("slept", "ran"))
    assert sum(map(float, slept)) > sum(map(float, ran))


def test_step3_once_ends_when_the_first_client_has_left() -> None:
    with servers.start("step3_blocking", "--once") as server:
        clients.conversation(server, b"^abc$")
        assert server.wait(server.patience) == 0


def test_step4_folds_rounds_that_repeat() -> None:
    lines = log_of("step4_nonblocking_polling", "--interval", "0.01", until="disconnected")
    rounds = [line for line in lines if line.startswith(("round:", "..."))]
    assert "round: 2 asked, 1 EAGAIN, 1 had something" in rounds
    assert any(line.endswith(" more like that") for line in rounds)
    assert len(rounds) < 15
    assert all(one != other for one, other in itertools.pairwise(lines))


def test_step4_tells_how_many_calls_were_in_vain() -> None:
    lines = log_of("step4_nonblocking_polling", "--interval", "0.01", until="in all")
    total = next(line for line in lines if line.startswith("in all: asked")).split()
    asked, wasted = int(total[3]), int(total[5])
    assert 3 <= asked - wasted <= 4  # the client, its six bytes in one or two pieces, its end
    assert wasted > asked / 2


@pytest.mark.parametrize(
    ("interval", "wasted", "sleeps"), [(0, 2, []), (0.2, 2, [0.2]), (0.2, 1, [])]
)
def test_step4_sleeps_after_a_round_that_was_all_in_vain(
    interval: float, wasted: int, sleeps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an interval not even for 0 s, which would leave most of the core to others."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    poller = step4.Poller(interval)
    poller.asked, poller.wasted = 2, wasted
    poller.wait(None)
    assert slept == sleeps


def test_step5_closes_whom_select_cannot_watch() -> None:
    with servers.start("step5_select") as server:
        with clients.greeted_clients(server, 1100) as socks:
            clients.settle(server)
            closed = sum(map(clients.ended, socks))
            clients.ask(socks[0], b"^a$", b"b")  # the others do not notice
        clients.serves(server)
        server.stop()
        said = server.log().count("disconnected: ValueError in server.py, line ")
    assert closed == said
    assert 70 <= closed <= 90
