"""The kqueue half of step 6, run over a model of kqueue where there is only epoll."""

import select
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from lab.servers import ROOT, Server
from tests import checks
from tests.test_contract import named

pytestmark = pytest.mark.skipif(
    hasattr(select, "kqueue"), reason="this system has the real kqueue, and step 6 uses it"
)

MODEL = [sys.executable, str(ROOT / "tests" / "kqueue_model.py")]
STEP6 = str(ROOT / "step6_epoll_kqueue" / "server.py")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server([*MODEL, STEP6, "0"]) as running:
        yield running


@pytest.mark.parametrize("check", checks.CONTRACT, ids=named)
def test_contract(check: checks.Check, server: Server) -> None:
    check(server)
    assert server.process.poll() is None
    assert "Traceback" not in server.log()


def test_two_hundred_clients(server: Server) -> None:
    with checks.clients(server, 200) as socks:
        for sock in socks:
            sock.sendall(b"^a")
        assert [checks.exactly(sock, 2) for sock in socks] == [b"*b"] * 200


@pytest.mark.parametrize(
    "words", [("test.test_kqueue",), ("test.test_selectors", "KqueueSelectorTestCase")]
)
def test_the_model_passes_the_tests_of_cpython(words: tuple[str, ...]) -> None:
    if not (find_spec("test") and find_spec(words[0])):
        pytest.skip("CPython's own tests are not installed here")
    done = subprocess.run(
        [*MODEL, "-m", *words], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "\nOK" in done.stderr


def test_there_is_no_epoll_under_the_model() -> None:
    done = subprocess.run(
        [*MODEL, "-m", "timeit", "-n", "1", "-r", "1", "import select; select.epoll"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert "has no attribute 'epoll'" in done.stderr + done.stdout
