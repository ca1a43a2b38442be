"""What surrounds a server or the client may be closed, full, silent or hostile."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from lab.harness import clients, processes, servers
from lab.harness.servers import END, STEPS, Endpoint, Server
from tests.programs import command, complaint, patched, program, run, started
from tests.test_failures import FOLDER, TALKS
from tests.waiting import answer, wait_until

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
    with Server([*shell, *command(server, "0")]) as running:
        holds(running, server)


@each_of_some
@pytest.mark.parametrize("output", [">&-", ">/dev/full", "> >(:)"])
def test_standard_output_does_not_matter(server: str, output: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shell = ["bash", "-c", f'exec "$@" {output}', "bash"]
    with started(*shell, *command(server, str(port))) as process:
        wait_until(lambda: processes.listening(port) != "", "somebody listens")
        said, owed = TALK[server]
        assert answer(Endpoint("127.0.0.1", port), said) == owed
        process.terminate()
        assert process.wait(END) == 0
        assert process.stderr
        assert "Traceback" not in process.stderr.read()


@each_of_some
def test_a_log_that_nobody_reads_may_hold_it_up_but_sigterm_ends_it(server: str) -> None:
    unread, log = os.pipe()
    os.set_blocking(log, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(log, b"x")
    os.set_blocking(log, True)
    with started(*command(server, "0"), stderr=log) as process:
        os.close(log)
        time.sleep(0.5)  # it sleeps in the first line that it logs
        process.terminate()
        status = process.wait(END)
        os.close(unread)
    assert status in (0, -signal.SIGTERM)


# Signals


UNHEARD = """
import signal, threading, time

def unheard():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        time.sleep(0.1)
    time.sleep(1)
    # To this thread: Python's handler notes it, and nothing wakes the main thread, as when a
    # signal comes between its last look and the system call.
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)

threading.Thread(target=unheard, daemon=True).start()
"""


@pytest.mark.parametrize("server", [*(f"{step}/server.py" for step in STEPS), *ASYNCIO])
def test_a_signal_just_before_the_server_falls_asleep_is_seen(server: str) -> None:
    with started(*patched(UNHEARD, server, "0")) as process:
        assert process.wait(END + 10) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@each_of_some
def test_as_the_first_process_of_a_namespace(server: str) -> None:
    """As PID 1, for which the kernel drops signals that have no handler."""
    inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if run(*inside, "true").returncode:
        pytest.skip("no namespaces here")
    with Server([*inside, *command(server, "0")]) as running:
        (pid,) = processes.children(running.pid)
        os.kill(pid, signal.SIGTERM)
        assert running.wait(END) == 0


@pytest.mark.full
@pytest.mark.parametrize("server", TALK)
def test_developers_warnings_find_nothing(server: str) -> None:
    """Ended while clients are there, it leaves no socket to the collector."""
    with Server(command(server, "0", python=["-X", "dev", "-W", "error", "-bb"])) as running:
        with running.connect() as sock, running.connect():
            clients.ask(sock, *TALK[server])
            running.process.send_signal(signal.SIGINT)
            assert running.wait(END) == 0
        log = running.log()
    assert "Warning" not in log
    assert "Traceback" not in log


@pytest.mark.full
@pytest.mark.parametrize("server", TALK)
def test_without_docstrings(server: str) -> None:
    with Server(command(server, "0", python=["-OO"])) as running:
        holds(running, server)


@each_of_some
def test_a_signal_that_was_ignored_stays_ignored(server: str) -> None:
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    with Server([*shell, *command(server, "0")]) as running:
        running.process.send_signal(signal.SIGINT)
        holds(running, server)


@pytest.mark.parametrize("server", ASYNCIO)
def test_asyncio_ended_while_busy_says_nothing(server: str) -> None:
    def load(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while sock.recv(4096):
                sock.sendall(b"^" + b"a" * 500 + b"$")

    for _ in range(3):
        with Server(command(server, "0", "--quiet")) as running, running.connect() as sock:
            thread = threading.Thread(target=load, args=[sock])
            thread.start()
            time.sleep(0.1)
            running.process.send_signal(signal.SIGTERM)
            assert (running.wait(END), running.log()) == (0, "")
        thread.join()


@pytest.mark.parametrize("style", ASYNCIO)
def test_asyncio_out_of_descriptors_neither_spins_nor_floods(style: str) -> None:
    with Server(command(style, "0"), limit=24) as server, clients.clients(server, 30):
        time.sleep(0.3)
        assert clients.busy(server, 0.5) < 0.5
        assert server.log().count("\n") < 40
        assert "cannot accept: Too many open files" in server.log()


@pytest.mark.parametrize("when", [0.0, 0.05, 0.2])
def test_processes_end_without_a_word(when: float) -> None:
    """Ctrl-C at a terminal goes to the whole group, while the workers start, too."""
    with started(*command(PROCESSES, "0"), start_new_session=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        time.sleep(when)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(END) == 0
        said = process.stderr.read()  # to the end of the last worker
    assert [line for line in said.splitlines() if not line.startswith("descriptor limit")] == []


# Addresses


ADDRESSES = """
import socket
really = socket.getaddrinfo

def getaddrinfo(host, port, *rest, **more):
    return [each for one in host.split(",") for each in really(one, port, *rest, **more)]

socket.getaddrinfo = getaddrinfo
"""


def test_the_second_address_of_a_name_will_do_unless_the_first_is_in_use() -> None:
    words = patched(ADDRESSES, SOME[0], "--host")
    with Server([*words, "192.0.2.1,127.0.0.1", "0"]) as running:  # RFC 5737: nobody's
        assert running.host == "127.0.0.1"
    with socket.create_server(("127.0.0.2", 0)) as taken:
        line = complaint(1, *words, "127.0.0.2,127.0.0.1", str(taken.getsockname()[1]))
    assert "Address already in use" in line


# The client


CLIENT = program("""
import socket, time
import simple_client
really = socket.getaddrinfo

def getaddrinfo(host, port, *rest, **more):
    if host == "silent":
        print("asked", file=sys.stderr, flush=True)
        time.sleep(60)
    if host == "two":
        return [*really("::1", port, *rest, **more), *really("127.0.0.1", port, *rest, **more)]
    return really(host, port, *rest, **more)

socket.getaddrinfo = getaddrinfo
simple_client.PATIENCE = 0.5
sys.exit(simple_client.main())
""")
"""The client, with a resolver of ours."""


def test_the_client_gives_up_on_a_silent_name_server() -> None:
    done = run(*CLIENT, "silent", "8080")
    assert done.returncode == 1
    assert "late: no connection" in done.stderr


def test_ctrl_c_ends_a_client_that_waits_for_a_name() -> None:
    with started(*CLIENT, "silent", "8080", "-n", "100", "--pace", "100") as process:
        assert process.stderr
        assert process.stderr.readline() == "asked\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_a_refusal_at_two_addresses_is_in_the_words_of_the_system() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        done = run(*CLIENT, "two", str(port))
    assert done.returncode == 1
    assert f"no connection to two:{port}: Connection refused" in done.stderr
    assert "Errno" not in done.stderr


def test_output_that_cannot_be_written_is_a_line() -> None:
    with servers.start(STEPS[4]) as server, Path("/dev/full").open("w") as full:
        port = str(server.port)
        words = command("simple_client.py --pace 0", server.host, port, python=["-OO"])
        with started(*words, stdout=full) as client:
            _, said = client.communicate(timeout=30)
    assert client.returncode == 1
    assert said.splitlines()[-1].endswith("took: No space left on device")
    assert "Traceback" not in said
