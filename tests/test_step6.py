"""Step 6 in all its forms: epoll and kqueue, level- and edge-triggered.

Level-triggered on the mechanism of the platform it goes through `test_contract.py` as well.
Where there is only epoll, kqueue is a model (`kqueue_model.py`); a system that has the real
one runs that.
"""

import select
import socket
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from common import descriptors
from lab.check import leaving, talk
from lab.check.rungs import MATRIX
from lab.check.suite import Check
from lab.harness import clients, processes, servers
from lab.harness.servers import ROOT, Server
from step6_epoll_kqueue import edge_triggered
from step6_epoll_kqueue import server as level_triggered
from step6_epoll_kqueue.edge_triggered import READ, Client, Epoll, Key, Kqueue
from tests import checks, contract
from tests.programs import command, run

pytestmark = pytest.mark.aside

STEP = "step6_epoll_kqueue"
LEVEL, EDGE = f"{STEP}/server.py", f"{STEP}/edge_triggered.py"
MODEL, STINGY = (str(ROOT / "tests" / name) for name in ("kqueue_model.py", "stingy.py"))
REAL = hasattr(select, "kqueue")
FORMS: dict[str, tuple[str, list[str]]] = {
    "edge_triggered-epoll": (EDGE, []),
    "server-kqueue_model": (LEVEL, [MODEL]),
    "edge_triggered-kqueue_model": (EDGE, [MODEL]),
}
"""The script of each, and what it is run by."""

if REAL:
    FORMS = {"edge_triggered-kqueue": (EDGE, [])}


def form_of(name: str, *more: str) -> list[str]:
    """Return the command that runs one of the forms, with `more` before its script."""
    script, python = FORMS[name]
    return command(script, "{port}", python=[*python, *more])


each_form = pytest.mark.parametrize("form", FORMS)


@contract.each(MATRIX, full=("costs", "many", "ending"))
@each_form
def test_contract(form: str, check: Check) -> None:
    contract.as_declared(check, STEP, form_of(form), form)


@each_form
def test_two_hundred_clients(form: str) -> None:
    with Server(form_of(form)) as server, clients.clients(server, 200) as socks:
        for sock in socks:
            sock.sendall(b"^a")
        for sock in socks:
            clients.expect(sock, b"*b")


@each_form
def test_data_and_its_end_at_once(form: str) -> None:
    """A hang-up that comes with data still to be read (`EV_EOF`, `EPOLLRDHUP`) loses none."""
    with Server(form_of(form)) as server, clients.greeted(server) as sock:
        with server.paused():
            sock.sendall(b"^" + b"a" * 200_000)  # takes several calls of recv
            sock.shutdown(socket.SHUT_WR)
        assert clients.to_the_end(sock) == b"b" * 200_000


@each_form
def test_partial_sends(form: str) -> None:
    """One byte a call; but no EAGAIN that is not true, which edges cannot make good for."""
    with Server(form_of(form, STINGY, "--honest")) as server:
        clients.conversation(server, b"^" + b"abc" * 200 + b"$garbage^xyz$")
        talk.cuts.run(server)
        leaving.resets.run(server)


@each_form
def test_ends(form: str) -> None:
    with Server(form_of(form)) as server:
        checks.ends_on_sigterm(server)


@pytest.mark.in_turn  # it takes all descriptors that there are
def test_thousands_of_idle_clients_cost_a_little_memory_each() -> None:
    """Most are silent and a few talk; as many as the limit on descriptors of this machine allows.

    Compared within the run, with room: what the second half takes with the first.
    """
    _, limit = descriptors.raise_limit()
    half = min(2000, (limit - 200) // 2)
    with servers.start("step6_epoll_kqueue", "--quiet") as server:
        memory = [processes.resident_bytes(server.pid)]
        with clients.clients(server, half) as first:
            assert clients.exactly(first[-1], 1) == b"*"  # all before it are there
            memory.append(processes.resident_bytes(server.pid))
            with clients.clients(server, half) as second:
                assert clients.exactly(second[-1], 1) == b"*"
                memory.append(processes.resident_bytes(server.pid))
                for sock in first[1::100] + second[1::100]:
                    clients.ask(sock, b"^a", b"*b")
    assert memory[2] - memory[1] < 3 * max(memory[1] - memory[0], 1 << 19)
    assert (memory[2] - memory[0]) / (2 * half) < 4096  # bytes for each; a thread has 16 KiB


# The pollers by themselves


class Greedy(edge_triggered.Poller):
    """Planted: it lets one finish before it turns to the next."""

    def wait(self, timeout: float | None) -> list[Key]:
        """Return one only."""
        return super().wait(timeout)[:1]


@pytest.fixture(params=[Epoll, Kqueue])
def kernel(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Epoll | Kqueue]:
    """Each mechanism, edge-triggered; kqueue as a model where it has to be one."""
    if request.param is Kqueue and not REAL:
        from tests import kqueue_model  # which has to have epoll

        for name in kqueue_model.NAMES:
            monkeypatch.setattr(select, name, getattr(kqueue_model, name), raising=False)
    if request.param is Epoll and REAL:
        pytest.skip("no epoll here")
    made = request.param()
    yield made
    (made.epoll if isinstance(made, Epoll) else made.kqueue).close()


def client(said: bytes) -> tuple[Client, socket.socket]:
    """Return a client that has said something, and its own end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.sendall(said)
    return Client(ours, "peer"), theirs


@pytest.mark.parametrize(("kind", "fair"), [(edge_triggered.Poller, True), (Greedy, False)])
def test_a_chatty_client_does_not_starve_the_others(
    kernel: Epoll | Kqueue, kind: type[edge_triggered.Poller], fair: bool
) -> None:
    """One has a hundred packets waiting, the other one: it is called in the first round."""
    poller = kind(kernel)
    (chatty, one), (quiet, other) = client(b"x" * 100_000), client(b"x")
    poller.watch(chatty, READ)
    poller.watch(quiet, READ)
    rounds = 0
    ready: list[Key] = []
    while quiet not in ready:
        rounds += 1
        ready = poller.wait(0)
        for key in ready:
            assert isinstance(key, Client)
            try:
                key.sock.recv(1000)
            except BlockingIOError:
                poller.would_block(key)
    assert (rounds == 1) is fair
    for sock in (chatty.sock, quiet.sock, one, other):
        sock.close()


@pytest.mark.in_turn  # it has to be given a certain descriptor again
@pytest.mark.parametrize("module", [level_triggered, edge_triggered])
def test_a_reused_descriptor_has_no_events_of_the_one_before(
    kernel: Epoll | Kqueue, module: Any
) -> None:
    poller = module.Poller(kernel)
    before, theirs = client(b"x")
    poller.watch(before, READ)
    assert poller.wait(0) == [before]
    number = before.fileno()
    poller.forget(before)
    before.sock.close()
    theirs.close()
    after, theirs = client(b"")
    assert after.fileno() == number
    poller.watch(after, READ)
    assert poller.wait(0) == []
    theirs.send(b"x")
    assert poller.wait(1) == [after]
    for sock in (after.sock, theirs):
        sock.close()


# The model of kqueue


@pytest.mark.skipif(REAL, reason="this system has the real one")
def test_there_is_no_epoll_under_the_model() -> None:
    words = ["-m", "timeit", "-n", "1", "-r", "1", "import select; select.epoll"]
    done = run(sys.executable, MODEL, *words)
    assert "has no attribute 'epoll'" in done.stderr + done.stdout


@pytest.mark.parametrize("words", ["test_kqueue", "test_selectors KqueueSelectorTestCase"])
def test_the_model_passes_the_tests_of_cpython(words: str) -> None:
    module, *names = words.split()
    if REAL or not find_spec("test") or not find_spec(f"test.{module}"):
        pytest.skip("the real one, or CPython's own tests are not installed here")
    done = run(sys.executable, MODEL, "-m", f"test.{module}", *names)
    assert done.returncode == 0, done.stderr
    assert "\nOK" in done.stderr
