"""Step 7 in several processes: what a single server holds, and what becomes of the workers."""

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from lab.check.rungs import CHECKS, MATRIX
from lab.check.suite import HELD, Check, judge
from lab.harness import clients, processes
from lab.harness.clients import busy, serves, settle, to_the_end
from lab.harness.servers import END, Server
from tests import contract
from tests.programs import ANYWHERE, command, complaint, patched
from tests.waiting import alive, logged, wait_until

pytestmark = pytest.mark.aside

STEP = "step7_event_loop_threadpool"
SCRIPT = f"{STEP}/workers.py"
SHARES = ["inherit", "reuseport"]

each_share = pytest.mark.parametrize("share", SHARES)
each_signal = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def two(share: str) -> str:
    """Return what starts two workers, for `command`; later options win."""
    return f"{SCRIPT} --workers 2 --share {share}"


def start(share: str, *options: str) -> Server:
    """Start two workers, or as many as the options say."""
    return Server(command(two(share), "{port}", *options))


def workers(server: Server) -> list[int]:
    """Return the processes of the workers that are there."""
    return processes.children(server.pid)


def whose(server: Server, sock: socket.socket) -> int:
    """Return the worker that serves a client, who has been greeted."""
    port = sock.getsockname()[1]
    found = re.search(rf"^(\d+): peer 127\.0\.0\.1:{port} connected$", server.log(), re.MULTILINE)
    assert found
    return int(found[1])


# What it holds


@contract.each(MATRIX, full={check.rung for check in MATRIX})
@each_share
def test_contract(share: str, check: Check) -> None:
    contract.as_declared(check, STEP, command(two(share), "{port}"), f"workers, {share}")


@pytest.mark.full
@pytest.mark.in_turn
def test_one_worker_can_run_out_of_descriptors() -> None:
    alone = command(SCRIPT, "{port}", "--workers", "1")
    contract.as_declared(CHECKS["no_descriptors"], STEP, alone, "one worker")


@each_share
def test_those_who_are_served_get_what_they_are_owed(share: str) -> None:
    with start(share, "--drain", "20") as server:
        verdict = judge(CHECKS["drains"], server)
    assert verdict.outcome == HELD, verdict.seen


@each_share
def test_each_worker_takes_clients(share: str) -> None:
    """In its log a worker says who it is."""
    if share == "reuseport" and sys.platform != "linux":
        pytest.skip("only Linux draws lots")
    with start(share, "--workers", "3") as server:
        seen: set[int] = set()

        def all_seen() -> bool:
            with clients.greeted_clients(server, 20) as socks:
                seen.update(whose(server, sock) for sock in socks)
            return seen == {*workers(server)}

        wait_until(all_seen, "clients at each worker")


def test_runs_from_anywhere_isolated_and_uninstalled() -> None:
    with Server([*ANYWHERE, *command(SCRIPT, "0", python=["-I"])]) as server:
        assert len(workers(server)) == os.cpu_count()
        serves(server)


@pytest.mark.full
@each_share
def test_developers_warnings_find_nothing(share: str) -> None:
    strict = ["-X", "dev", "-W", "error", "-bb"]
    with Server(command(two(share), "0", python=strict)) as server, clients.greeted(server):
        os.kill(workers(server)[0], signal.SIGKILL)
        logged(server, "takes its place")
        assert server.stop() == 0
        log = server.log()
    assert "Warning" not in log
    assert "Traceback" not in log


# What makes no start


@each_share
@pytest.mark.parametrize("who", ["a server", *SHARES])
def test_a_port_that_is_taken(share: str, who: str) -> None:
    """Also by workers who would share it."""
    taken = f"{STEP}/server.py" if who == "a server" else two(who)
    with Server(command(taken, "0")) as server:
        line = complaint(1, *command(two(share), str(server.port)))
    assert line == f"Cannot serve on 127.0.0.1:{server.port}: Address already in use\n"


def test_a_system_without_reuseport() -> None:
    patch = "import socket; del socket.SO_REUSEPORT"
    line = complaint(2, *patched(patch, two("reuseport"), "0"))
    assert "this system has no SO_REUSEPORT" in line
    with Server(patched(patch, two("inherit"), "0")) as server:
        serves(server)


SERVER = f"import os; from {STEP} import server"


@each_share
def test_a_worker_that_cannot_start(share: str) -> None:
    patch = f"{SERVER}; server.Loop.watch = lambda *_: os.kill(os.getpid(), 9)"
    line = complaint(1, *patched(patch, two(share), "0"))
    assert line == "Cannot serve on 127.0.0.1:0: a worker died before it could accept\n"


# A worker that dies


@each_share
def test_a_worker_that_dies_is_replaced_and_costs_its_own_clients_only(share: str) -> None:
    with start(share) as server, clients.greeted_clients(server, 30) as socks:
        before = workers(server)
        hit = whose(server, socks[0])
        os.kill(hit, signal.SIGKILL)
        logged(server, f"worker {hit} has ended by SIGKILL; another takes its place\n")
        for sock in socks:
            if whose(server, sock) == hit:
                assert clients.ended(sock)
            else:
                clients.ask(sock, b"^a$", b"b")
        with clients.greeted_clients(server, 30):  # who has the place, or the queue, of the old
            pass
        wait_until(lambda: len(workers(server)) == 2, "two workers")
        assert len({*before} & {*workers(server)}) == 1
        assert server.stop() == 0


@each_share
def test_workers_who_are_replaced_leave_no_descriptors(share: str) -> None:
    def held() -> list[int]:
        return [len(processes.descriptors(pid)) for pid in (server.pid, *workers(server))]

    if sys.platform != "linux":
        pytest.skip("this system does not say")
    with start(share) as server:
        files = held()
        for number in range(1, 3):
            for pid in workers(server):
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: server.log().count("takes its") == 2 * number, "two deaths")  # noqa: B023
            wait_until(lambda: len(workers(server)) == 2, "two workers")
            for _ in range(20):
                serves(server)
        settle(server)
        assert held() == files
        assert len(server.tree(zombies=True)) == 3


def test_workers_who_die_at_once_are_not_replaced_at_once(tmp_path: Path) -> None:
    now = tmp_path / "now"
    patch = (
        f"{SERVER}\n"
        f"def serve(*given, really=server.serve):\n"
        f"    if os.path.exists({str(now)!r}):\n        raise OSError(12, 'planted')\n"
        f"    really(*given)\n"
        f"server.serve = serve"
    )
    with Server(patched(patch, two("inherit"), "0")) as server:
        now.touch()
        for pid in workers(server):
            os.kill(pid, signal.SIGKILL)
        logged(server, "a worker cannot go on: planted")
        before = len(server.log())
        assert busy(server, 2.5) < clients.SPINS
        assert server.log()[before:].count("takes its place") < 12
        now.unlink()
        serves(server)
        assert "Traceback" not in server.log()


def test_a_worker_that_is_told_to_end_drains() -> None:
    with start("inherit", "--drain", "20") as server, clients.greeted(server) as sock:
        hit = whose(server, sock)
        os.kill(hit, signal.SIGTERM)
        for _ in range(20):
            serves(server)  # by the other
        clients.ask(sock, b"^a$", b"b")
        sock.shutdown(socket.SHUT_WR)
        assert to_the_end(sock) == b""
        logged(server, f"worker {hit} has ended with status 0; another takes its place\n")


def test_who_died_is_known_though_that_signal_was_ignored() -> None:
    ignored = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    with Server([sys.executable, "-c", ignored, *command(two("inherit"), "0")]) as server:
        os.kill(workers(server)[0], signal.SIGKILL)
        logged(server, "takes its place")


# The end


def until_refused(server: Server) -> None:
    """Wait until nobody listens there."""

    def refused() -> bool:
        try:
            server.connect().close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # it came to a queue that was about to go
        return False

    wait_until(refused, "nobody listens")


def port_is_free(server: Server) -> bool:
    """Return whether another may listen there."""
    with socket.create_server((server.host, server.port)):
        return True


@each_share
@each_signal
def test_all_end_when_told_to(share: str, number: signal.Signals) -> None:
    """A client that has no reason to leave has a second; Ctrl-C at a terminal is sent to all."""
    with start(share) as server, clients.greeted(server) as sock:
        started = workers(server)
        for pid in (*started, server.pid)[2 * (number == signal.SIGTERM) :]:
            os.kill(pid, number)
        until_refused(server)
        clients.ask(sock, b"^a$", b"b")  # it was there before
        assert server.process.wait(END) == 0
        assert to_the_end(sock) == b""
        assert port_is_free(server)
        assert not any(map(alive, started))
        assert "Traceback" not in server.log()


@each_share
def test_no_worker_outlives_its_parent_or_keeps_its_port(share: str) -> None:
    """Whatever that died of. Those who are served are still owed something."""
    with start(share) as server, clients.greeted(server) as sock:
        started = workers(server)
        server.process.kill()
        server.process.wait(END)
        until_refused(server)
        assert port_is_free(server)
        clients.ask(sock, b"^a$", b"b")
        wait_until(lambda: not any(map(alive, started)), "no worker is there")


@each_share
@pytest.mark.parametrize("how", ["told again", "stuck"])
def test_a_worker_that_does_not_end_is_killed(share: str, how: str) -> None:
    with start(share, "--drain", "60" if how == "told again" else "0") as server:
        with clients.greeted(server):
            started = workers(server)
            if how == "stuck":
                os.kill(started[0], signal.SIGSTOP)
            server.process.terminate()
            if how == "told again":
                until_refused(server)
                server.process.terminate()
            assert server.process.wait(END) == 0
        assert not any(map(alive, started))
        assert port_is_free(server)
