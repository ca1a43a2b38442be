"""What surrounds a server or the client may be closed, full, silent or hostile."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab.harness import clients, processes
from lab.harness.servers import END, ROOT, STEPS, Server
from tests.test_failures import FOLDER, TALKS, answer

pytestmark = [
    pytest.mark.aside,
    pytest.mark.skipif(sys.platform != "linux", reason="/dev/full, 127.0.0.2 and the like"),
]

PROCESSES = f"{FOLDER}/prime_server.py --work processes --pool-size 1"
SOME = ["step1_sequential/server.py", "step2_thread_per_client/server.py", PROCESSES]
ASYNCIO = [f"{FOLDER}/asyncio_server.py --style {style}" for style in ("streams", "protocol")]

OTHERS = [pytest.param(one, marks=pytest.mark.full) for one in (*SOME[1:], *ASYNCIO)]

each_of_some = pytest.mark.parametrize("server", [SOME[0], *OTHERS])


TALK = {**TALKS, PROCESSES: TALKS[f"{FOLDER}/prime_server.py"]}
"""For each server what a client sends, and what it is owed."""


def command(server: str, *options: str, port: str = "0") -> list[str]:
    """Return the command that runs one of our servers."""
    script, *arguments = server.split()
    return [sys.executable, *options, str(ROOT / script), port, *arguments]


def holds(server: Server, name: str) -> None:
    """Have three clients served, and the server end."""
    said, owed = TALK[name]
    assert [answer(server, said) for _ in range(3)] == [owed] * 3
    server.process.send_signal(signal.SIGTERM)
    assert server.wait(END) == 0


# The log, and standard output


@each_of_some
@pytest.mark.parametrize("log", ["2>&-", "2>/dev/full", "2> >(:)"])
def test_a_log_that_cannot_be_written_does_not_matter(server: str, log: str) -> None:
    shell = ["bash", "-c", f'sleep 0.1; exec "$@" {log}', "bash"]
    with Server([*shell, *command(server)]) as running:
        holds(running, server)


@each_of_some
@pytest.mark.parametrize("output", [">&-", ">/dev/full", "> >(:)"])
def test_standard_output_does_not_matter(server: str, output: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shell = ["bash", "-c", f'exec "$@" {output}', "bash"]
    words = command(server, port=str(port))
    with subprocess.Popen([*shell, *words], stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 20
        while processes.listening(port) == "" and time.monotonic() < deadline:
            time.sleep(0.02)
        said, owed = TALK[server]
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.sendall(said)
            sock.shutdown(socket.SHUT_WR)
            assert clients.to_the_end(sock) == owed
        running.terminate()
        assert running.wait(END) == 0
        assert running.stderr
        assert "Traceback" not in running.stderr.read()


@each_of_some
def test_a_log_that_nobody_reads_may_hold_it_up_but_sigterm_ends_it(server: str) -> None:
    unread, log = os.pipe()
    os.set_blocking(log, False)
    while True:
        try:
            os.write(log, b"x")
        except BlockingIOError:
            break
    os.set_blocking(log, True)
    words = command(server)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log) as running:
        os.close(log)
        time.sleep(0.5)  # it sleeps in the first line that it logs
        running.terminate()
        status = running.wait(END)
        os.close(unread)
    assert status in (0, -signal.SIGTERM)


# Signals


UNHEARD = """
import runpy, signal, sys, threading, time

def unheard():
    time.sleep(1)
    # To this thread: Python's handler notes it, and nothing wakes the main thread, as when a
    # signal comes between its last look and the system call.
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)

threading.Thread(target=unheard, daemon=True).start()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("server", [*(f"{step}/server.py" for step in STEPS), *ASYNCIO])
def test_a_signal_just_before_the_server_falls_asleep_is_seen(server: str) -> None:
    words = command(server)
    line = [sys.executable, "-c", UNHEARD, *words[1:]]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        assert running.wait(END + 10) == 0


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, on Linux")
@each_of_some
def test_as_the_first_process_of_a_namespace(server: str) -> None:
    """As PID 1, for which the kernel drops signals that have no handler."""
    inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces here")
    with Server([*inside, *command(server)]) as running:
        (pid,) = processes.children(running.pid)
        os.kill(pid, signal.SIGTERM)
        assert running.wait(END) == 0


@pytest.mark.full
@pytest.mark.parametrize("server", TALK)
def test_developers_warnings_find_nothing(server: str) -> None:
    """Ended while clients are there, it leaves no socket to the collector."""
    with Server(command(server, "-X", "dev", "-W", "error", "-bb")) as running:
        with running.connect() as sock, running.connect():
            said, owed = TALK[server]
            sock.sendall(said)
            assert clients.exactly(sock, len(owed)) == owed
            running.process.send_signal(signal.SIGINT)
            assert running.wait(END) == 0
        log = running.log()
    assert "Warning" not in log
    assert "Traceback" not in log


@pytest.mark.full
@pytest.mark.parametrize("server", TALK)
def test_without_docstrings(server: str) -> None:
    with Server(command(server, "-OO")) as running:
        holds(running, server)


@each_of_some
def test_a_signal_that_was_ignored_stays_ignored(server: str) -> None:
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    with Server([*shell, *command(server)]) as running:
        running.process.send_signal(signal.SIGINT)
        holds(running, server)


@pytest.mark.parametrize("server", ASYNCIO)
def test_asyncio_ended_while_busy_says_nothing(server: str) -> None:
    for _ in range(3):
        with Server([*command(server), "--quiet"]) as running, running.connect() as sock:
            stop = threading.Event()

            def load(sock: socket.socket = sock, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    try:
                        sock.sendall(b"^" + b"a" * 500 + b"$")
                        sock.recv(4096)
                    except OSError:
                        return

            thread = threading.Thread(target=load)
            thread.start()
            time.sleep(0.1)
            running.process.send_signal(signal.SIGTERM)
            status = running.wait(END)
            stop.set()
            thread.join()
            assert (status, running.log()) == (0, "")


@pytest.mark.parametrize("style", ASYNCIO)
def test_asyncio_out_of_descriptors_neither_spins_nor_floods(style: str) -> None:
    with Server(command(style), limit=24) as server, clients.clients(server, 30):
        time.sleep(0.3)
        assert clients.busy(server, 0.5) < 0.5
        assert server.log().count("\n") < 40
        assert "cannot accept: Too many open files" in server.log()


@pytest.mark.parametrize("when", [0.0, 0.05, 0.2])
def test_processes_end_without_a_word(when: float) -> None:
    """Ctrl-C at a terminal goes to the whole group, while the workers start, too."""
    words = command(PROCESSES)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.readline()
        time.sleep(when)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(END) == 0
        said = running.stderr.read().decode()  # to the end of the last worker
    assert [line for line in said.splitlines() if not line.startswith("descriptor limit")] == []


# Addresses


ADDRESSES = """
import runpy, socket, sys
really = socket.getaddrinfo

def getaddrinfo(host, port, *rest, **more):
    return [each for one in host.split(",") for each in really(one, port, *rest, **more)]

socket.getaddrinfo = getaddrinfo
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_second_address_of_a_name_will_do_unless_the_first_is_in_use() -> None:
    script = command(SOME[0])[1]
    line = [sys.executable, "-c", ADDRESSES, script]
    with Server([*line, "0", "--host", "192.0.2.1,127.0.0.1"]) as running:  # RFC 5737: nobody's
        assert running.host == "127.0.0.1"
    with socket.create_server(("127.0.0.2", 0)) as taken:
        line += [str(taken.getsockname()[1]), "--host", "127.0.0.2,127.0.0.1"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr


# The client


CLIENT = str(ROOT / "simple_client.py")

LOOKS_UP = f"""
import runpy, socket, sys, time
really = socket.getaddrinfo

def getaddrinfo(host, port, *rest, **more):
    if host == "silent":
        time.sleep(60)
    if host == "two":
        return [*really("::1", port, *rest, **more), *really("127.0.0.1", port, *rest, **more)]
    return really(host, port, *rest, **more)

socket.getaddrinfo = getaddrinfo
sys.argv = [{CLIENT!r}, *sys.argv[1:]]
sys.path.insert(0, {str(ROOT)!r})
import simple_client
simple_client.PATIENCE = 0.5
sys.exit(simple_client.main())
"""


def client(*words: str, **more: object) -> "subprocess.Popen[str]":
    """Run the client, with a resolver of ours."""
    line = [sys.executable, "-c", LOOKS_UP, *words]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload, no-any-return]


def test_the_client_gives_up_on_a_silent_name_server() -> None:
    with client("silent", "8080") as running:
        assert running.wait(20) == 1
        assert running.stderr
        assert "late: no connection" in running.stderr.read()


def test_ctrl_c_ends_a_client_that_waits_for_a_name() -> None:
    with client("silent", "8080", "-n", "100", "--pace", "100") as running:
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130


def test_a_refusal_at_two_addresses_is_in_the_words_of_the_system() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        with client("two", str(port)) as running:
            assert running.wait(20) == 1
            assert running.stderr
            said = running.stderr.read()
    assert f"no connection to two:{port}: Connection refused" in said
    assert "Errno" not in said


def test_output_that_cannot_be_written_is_a_line() -> None:
    with Server(command(STEPS[4] + "/server.py")) as server, Path("/dev/full").open("w") as full:
        line = [sys.executable, "-OO", CLIENT, server.host, str(server.port), "--pace", "0"]
        done = subprocess.run(
            line, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("took: No space left on device")
    assert "Traceback" not in done.stderr
