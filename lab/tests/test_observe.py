"""The observer: what each step does, call by call, and that watching changes nothing."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from subprocess import PIPE
from textwrap import indent
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from lab.broken import catalogue
from lab.claims.step1 import served_at_once
from lab.fleet.costs import certified
from lab.harness import servers
from lab.harness.clients import clients, greeted, greeted_clients, settle
from lab.harness.servers import ROOT, STEPS, ServerError
from lab.observe import run, summary, timeline
from lab.observe.inside import sitecustomize
from lab.observe.record import CLIENT, SERVER, Event, Recording
from lab.show.arguments import Wrong
from lab.tests.commands import lab

pytestmark = pytest.mark.aside

SEQUENTIAL, THREADS, BLOCKING, POLLING, SELECT, EPOLL, LOOP = STEPS


@pytest.fixture(scope="module", params=STEPS)
def step(request: pytest.FixtureRequest) -> str:
    """Each step."""
    return str(request.param)


@pytest.fixture(scope="module")
def recording(step: str) -> Recording:
    """What it did while three clients talked at once."""
    return conversation(step)


def conversation(step: str, count: int = 3) -> Recording:
    return run.conversation(run.step_command(step), count=count, pace=0.1)


def idling(step: str, count: int, seconds: float) -> list[Event]:
    """Return the calls that began while so many clients were there and said nothing."""
    watched = run.watched(run.step_command(step))
    with watched as session, greeted_clients(session.server, count):
        time.sleep(0.1)  # whatever greeting them took
        start = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
        recording = session.recording()
    return [event for event in recording.of(SERVER) if start < event.start + recording.zero < end]


def program(folder: Path, text: str) -> list[str]:
    """Write a program; return the command that starts it, with a port."""
    file = folder / "program.py"
    file.write_text(text)
    return [sys.executable, str(file), "{port}"]


def server(folder: Path, talk: str, before: str = "") -> list[str]:
    """Write a server that talks so with one client after the other; return what starts it."""
    return program(folder, LISTENS.format(before=before, talk=indent(talk, " " * 8)))


LISTENS = """
import os, socket, sys
{before}
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        sock, _ = listener.accept()
{talk}
"""


def recorded(record: Path) -> list[dict[str, Any]]:
    """Return what was recorded there."""
    return [json.loads(line) for line in record.read_text().splitlines()]


# What a step does


def test_steps_1_and_3_never_accept_while_they_serve(step: str, recording: Recording) -> None:
    assert (served_at_once(recording) > 1) == (step not in (SEQUENTIAL, BLOCKING))


def test_who_waits_in_the_backlog_is_seen_from_the_client(step: str, recording: Recording) -> None:
    """Each is connected at once; when it is greeted is another matter."""
    connected, heard, left = [], [], []
    for client in recording.clients():
        mine = [event for event in recording.of(CLIENT) if event.client == client]
        assert mine[0].call == "connect"
        connected.append(mine[0].end)
        heard.append(next(event.end for event in mine if event.call == "recv" and event.result))
        left.append(mine[-1].end)
    assert max(connected) < min(left)
    assert (max(heard) < min(left)) == (step not in (SEQUENTIAL, BLOCKING))


def wasted(step: str, count: int) -> int:
    return sum(event.count for event in idling(step, count, 0.5) if event.wasted)


def test_what_step_4_wastes_grows_with_its_clients() -> None:
    few, many = wasted(POLLING, 1), wasted(POLLING, 50)
    assert few > 0
    assert many > 5 * few


@pytest.mark.parametrize("step", [SELECT, EPOLL, LOOP])
def test_an_idle_step_makes_no_calls_at_all(step: str) -> None:
    assert idling(step, 20, 0.5) == []


@pytest.mark.parametrize("step", [EPOLL, LOOP])
@pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
def test_step_6_registers_each_client_once(step: str) -> None:
    recording = conversation(step, 5)
    told = recording.of(SERVER, "accept", "epoll.register")
    calls = [event.call for event in told if event.call != "accept" or event.result]
    assert calls[calls.index("accept") :] == ["accept", "epoll.register"] * 5
    assert recording.of(SERVER, "epoll.modify") == []
    assert len(recording.of(SERVER, "epoll.unregister")) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
def test_others_do_otherwise() -> None:
    """A server on poll(2)."""
    command = [sys.executable, "-m", "lab.bench.peers", "poll", "0"]
    recording = run.conversation(command, pace=0.1)
    waits = recording.of(SERVER, "poll.poll")
    assert any(event.ready for event in waits)
    assert max(event.handed or 0 for event in waits) == 4
    assert recording.of(SERVER, "poll.register") == []  # which is not a system call
    assert recording.of(SERVER, "epoll.register") == []


def test_step_2_starts_a_thread_for_each(step: str, recording: Recording) -> None:
    found = summary.summary(recording)
    assert found.threads == (4 if step == THREADS else 1)
    assert len(recording.of(SERVER, "Thread.start")) == found.threads - 1
    if step == THREADS:
        for event in recording.of(SERVER, "recv"):
            assert event.thread > 0


# What is recorded


def test_watching_changes_no_answer(recording: Recording) -> None:
    assert recording.problems == ()
    assert 3 <= summary.summary(recording).requests <= 9  # step 4 finds several at once
    received = [event.result or 0 for event in recording.of(SERVER, "recv") if not event.error]
    assert sum(received) == 3 * len(b"^abc$de^abte$fxyz^12325$^ab0000$abab")


def test_every_call_names_its_source_line(step: str, recording: Recording) -> None:
    lines = (ROOT / step / "server.py").read_text().splitlines()
    for event in recording.of(SERVER, "accept", "recv", "send", "sendall"):
        assert event.file == f"{step}/server.py"
        assert event.line
        assert ("call(*args)" if step == BLOCKING else event.call) in lines[event.line - 1]


def test_times_and_clients_fit_together(recording: Recording) -> None:
    assert recording.cost and recording.cost > 0
    assert len(recording.clients()) == 3
    received = [event for event in recording.of(SERVER, "recv") if event.result]
    assert {event.client for event in received} == set(recording.clients())
    for event in recording.events:
        assert event.start <= event.end
        assert event.cpu >= 0
    for client in recording.clients():  # no answer before its question
        sent = next(e for e in recording.of(CLIENT, "send") if e.client == client)
        got = [e for e in recording.of(SERVER, "recv") if e.client == client and e.result]
        assert sent.start < got[0].end


def test_sleep_is_told_from_running() -> None:
    recording = conversation(SEQUENTIAL, 1)
    found = summary.summary(recording)
    assert found.kinds["recv"].slept > 0.8 * found.seconds
    assert found.ran < 0.2 * found.seconds
    assert 0.9 * found.seconds < found.lived < 1.1 * found.seconds


def test_calls_in_vain_are_folded() -> None:
    watched = run.watched(run.step_command(POLLING, "--interval", "0.02"))
    with watched as session, greeted_clients(session.server, 30):
        time.sleep(0.3)
        recording = session.recording()
    folded = [event for event in recording.of(SERVER, "recv") if event.count > 1]
    assert statistics.mode(event.count for event in folded) == 30
    assert {(event.error, event.client) for event in folded} == {("EAGAIN", None)}
    calls = sum(event.count for event in recording.of(SERVER))
    assert len(recording.of(SERVER)) < calls / 3


def test_what_never_ends_is_there_too() -> None:
    """A thread that waits for a silent client, when the server ends by `os._exit`."""
    with run.watched(run.step_command(THREADS)) as session, greeted(session.server):
        settle(session.server)  # it has come to its next call
        recording = session.recording()
    unended = [event.call for event in recording.of(SERVER) if not event.ended]
    assert sorted(unended) == ["accept", "recv", "thread"]


def test_work_in_a_pool(tmp_path: Path) -> None:
    record = tmp_path / "record"
    subprocess.run(run.observed(program(tmp_path, POOL), record), check=True, timeout=20)
    *called, last = recorded(record)
    assert [line["thread"] for line in called if line["call"] == "sleep"] == [1, 1]
    assert last["call"] == "exit"


POOL = """
import time
from concurrent.futures import ThreadPoolExecutor
def work(): time.sleep(0.05)
with ThreadPoolExecutor(1) as pool:
    pool.submit(work)
    pool.submit(work)
"""

ASYNCIO = [sys.executable, str(ROOT / LOOP / "asyncio_server.py"), "{port}"]


@pytest.mark.parametrize("style", ["streams", "protocol"])
def test_asyncio_is_observed_as_well(style: str) -> None:
    recording = run.conversation([*ASYNCIO, "--style", style], pace=0.1)
    assert recording.problems == ()
    assert summary.summary(recording).requests == 9
    assert len(recording.clients()) == 3


BRIEF = """
import asyncio, sys
async def talk(reader, writer):
    writer.write(b"*")
    await reader.read()
    writer.close()
loop = asyncio.new_event_loop()
loop.run_until_complete(asyncio.start_server(talk, "127.0.0.1", int(sys.argv[1])))
loop.run_forever()
"""


def test_a_thread_lives_longer_than_its_tasks(tmp_path: Path) -> None:
    found = summary.summary(run.conversation(program(tmp_path, BRIEF), 1, 0.1))
    assert 0.9 * found.seconds < found.lived < 1.1 * found.seconds


BARE = """
assert listener.fileno() == 3
sock.sendall(b"*")
while sock.recv(100):
    pass
sock.close()
"""


def test_a_server_that_minds_no_signal(tmp_path: Path) -> None:
    with run.watched(server(tmp_path, BARE)) as session:
        with greeted(session.server) as sock:
            sock.sendall(b"abc")
        settle(session.server)
        assert session.server.stop() == -signal.SIGTERM
        recording = session.recording()
    received = [event.result for event in recording.of(SERVER, "recv")]
    assert sum(filter(None, received)) == 3
    assert recording.of(SERVER)[-1].call == "accept"  # in which it was when it was ended
    assert not recording.of(SERVER)[-1].ended


def test_a_server_that_dies_is_told_of(tmp_path: Path) -> None:
    recording = run.conversation(server(tmp_path, "raise SystemExit(7)"), pace=0.1)
    assert "the server: it ended with status 7" in recording.problems[-1]


def test_a_server_that_has_to_be_killed_is_told_of() -> None:
    recording = run.conversation(catalogue.command("ignores_sigterm"), pace=0.1)
    assert "its record is lost" in recording.problems[-1]


@pytest.mark.parametrize("option", ["-E", "-I", "-S"])
def test_what_cannot_be_observed_is_told_of(option: str, tmp_path: Path) -> None:
    python, *script = server(tmp_path, BARE)
    told = pytest.raises(Wrong, match="cannot be observed")
    with told, run.watched([python, option, *script]):
        pass


def test_a_server_that_does_not_start_is_named_by_its_own_command(tmp_path: Path) -> None:
    python, script, _ = program(tmp_path, "raise SystemExit('no')")
    told = pytest.raises(ServerError, match=r"program\.py ended")
    with told as failure, run.watched([python, script]):
        pass
    assert "LAB_RECORD" not in str(failure.value)


def test_a_held_server_goes_on_when_nobody_is_there_any_more() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as sock:
        gate = f"{folder}/gate"
        sock.bind(gate)
        with run.starting(run.step_command(THREADS), Path(gate)) as held, greeted(held):
            assert not held.ended()


# That nothing is changed

SHOWS = """
import os, sys, warnings
print(__file__, __spec__, __name__, sys.argv, sys.orig_argv, sys.path, sys.flags)
print(sorted(os.environ.items()), sorted(vars()), sys.stdin.read())
"""

FREED = """
import _thread, socket, sys, threading, weakref
def raises(*args, **options):
    raise ValueError(args, options)
def told(about):
    sys.__unraisablehook__(about)
    lock.release()
sys.unraisablehook = told
lock = _thread.allocate_lock()
lock.acquire()
_thread.start_new_thread(raises, (1, 2), {"three": 3})
lock.acquire()
class Client(threading.Thread):
    def __init__(self, sock):
        super().__init__()
        self.sock = sock
    def run(self):
        print(threading.current_thread(), self.sock.recv(9))
ours, theirs = socket.socketpair()
theirs.settimeout(5)
client = Client(ours)
del ours
freed = weakref.ref(client)
client.start()
theirs.send(b"hello")
client.join()
del client
print(freed(), theirs.recv(1))
"""

FAILS = """
import select, socket, threading, time, warnings, traceback
def blocked(sock):
    sock.setblocking(False)
    try:
        sock.accept()
    except OSError:
        traceback.print_exc()
    sock.recv(5)
with socket.create_server(("127.0.0.1", 0)) as sock:
    thread = threading.Thread(target=blocked, args=(sock,), name="it")
    thread.start()
    thread.join()
for call in (
    lambda: select.select(None, (), ()),
    lambda: select.select([sock], (), ()),
    lambda: time.sleep(-1),
    lambda: sock.send(b""),
    lambda: sock.connect(("127.0.0.1", 1)),
    lambda: socket.socket(socket.AF_INET, 99),
    lambda: socket.socket().connect(("127.0.0.1", 1)),
    lambda: select.poll(1),
    lambda: select.poll().register("a"),
    lambda: select.poll().unregister(99),
    lambda: hasattr(select, "epoll") and select.epoll().modify(99),
):
    try:
        call()
    except Exception as error:
        print(type(error), len(traceback.extract_tb(error.__traceback__)))
try:
    sock.something = 1
except AttributeError as error:
    print(error)
print(sock, socket.socket, socket.socket())
blocked(sock)
"""

SELECTS = """
import os, select, socket
ours, theirs = socket.socketpair()
theirs.send(b"a")
print(select.select((one for one in [ours]), iter([theirs]), {ours}, 0) == ([ours], [theirs], []))
os.closerange(3, 100)
again = socket.socket()
print(again.fileno(), select.epoll.fromfd(os.dup(1)) if hasattr(select, "epoll") else "")
again.detach()
"""

PLAIN = [sys.executable, "{}"]
MODULE = [sys.executable, "-u", "-X", "dev", "-W", "error::ImportWarning", "-m", "program"]
ENV = ["env", "A=b", "python3", "{}"]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        *((SHOWS, command) for command in (PLAIN, MODULE, ENV, ["./program.py"])),
        (SHOWS, [sys.executable, "-"]),
        (FREED, PLAIN),  # who frees it first, and so who is warned, is open
        *((text, [sys.executable, "-X", "dev", "{}"]) for text in (FAILS, SELECTS)),
    ],
)
def test_a_program_does_what_it_does_without_us(
    text: str, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("print(__name__, __file__)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/own")
    _, script, _ = program(tmp_path, f"#!/usr/bin/env python3\n{text}")
    Path(script).chmod(0o755)
    words = [*(word.format("program.py") for word in command), "argument"]
    assert shown(words, tmp_path) == shown(run.observed(words, tmp_path / "record"), tmp_path)
    assert recorded(tmp_path / "record")[-1]["call"] == "exit"


def shown(command: list[str], folder: Path) -> tuple[int, str, str]:
    """Return the status of a program, and what it prints, but for numbers of the moment."""
    stdin = (folder / "program.py").read_text() if command[-2] == "-" else "typed"
    done = subprocess.run(
        command, cwd=folder, input=stdin, capture_output=True, text=True, timeout=20
    )
    out, err = (re.sub(MOMENT, "#", one) for one in (done.stdout, done.stderr))
    return done.returncode, out, err


MOMENT = r"0x\w+|started \d+|\d{5}|tid=\d+"


# What is counted

WORKERS = """
import queue, threading
jobs = queue.Queue()
ours, theirs = socket.socketpair()
def work():
    while True:
        jobs.get().sendall(b"*")
        theirs.send(b"w")
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
"""

HANDS_OVER = """
jobs.put(sock)
ours.recv(1)
while sock.recv(100):
    pass
del sock
"""


@pytest.fixture(scope="module")
def handed_over(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """What a server did whose threads wait for a queue, and wake it with a byte."""
    command = server(tmp_path_factory.mktemp("handed"), HANDS_OVER, WORKERS)
    with run.watched(command) as session:
        with greeted(session.server) as sock:
            time.sleep(0.2)
            sock.sendall(b"abc")
        settle(session.server)
        return session.recording()


def test_a_byte_that_wakes_the_server_is_no_packet(handed_over: Recording) -> None:
    assert len(handed_over.of(SERVER, "recv")) >= 3
    assert summary.summary(handed_over).requests == 1


def test_threads_without_a_call_have_no_share(handed_over: Recording) -> None:
    found = summary.summary(handed_over)
    assert found.threads == 2
    assert found.kinds["recv"].slept > 0.4 * found.lived


def test_time_in_no_call_has_a_name(handed_over: Recording) -> None:
    found = summary.summary(handed_over)
    assert found.elsewhere > 0.3 * found.lived
    assert "waited in none of these calls" in summary.text(handed_over)
    kinds = {bar.kind for lane in timeline.lanes(handed_over) for bar in lane.bars}
    assert timeline.ELSEWHERE in kinds


def test_a_socket_that_is_collected_has_a_close(handed_over: Recording) -> None:
    (came,), (closed,) = handed_over.clients(), handed_over.of(SERVER, "close")
    assert closed.client == came


def test_what_kqueue_is_told_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitecustomize, "recorder", recorder := sitecustomize.Recorder())
    recorder.file = str(tmp_path / "record")
    observed = type("kqueue", (sitecustomize.ObservedKernel,), {"kind": "kqueue", "real": Mock})()
    for name, add in ((-1, 1), (-2, 1), (-1, 0), (-2, 0)):
        observed.control([SimpleNamespace(ident=7, filter=name, flags=add)], 0)
    told = [event["fds"] for event in recorder.ended]
    assert told == [[(7, what)] for what in ("r", "rw", "w", "")]
    assert observed.control(None, 0) is observed._kernel.control.return_value


def test_what_select_and_epoll_are_told_adds_up() -> None:
    """At the end only the listening socket is watched, and it always was."""
    for step in (SELECT, EPOLL):
        sets: dict[int, dict[int, str]] = {}
        for line in conversation(step).lines:
            if line["process"] == SERVER:  # of select, the set of each line is one of its own
                known = sets.setdefault(line["line"] if line["call"] == "select" else 0, {})
                known.update(line.get("fds", ()))
        assert ["", "", "", "r"] in [sorted(known.values()) for known in sets.values()]


def test_a_server_that_spins_is_folded_and_named() -> None:
    recording = run.conversation(catalogue.command("always_watches_for_writing"), pace=0.1)
    found = summary.summary(recording)
    assert found.wasted > 100 * found.requests
    assert len(recording.of(SERVER)) < found.wasted / 10
    said = r"it spins: `epoll.poll` at .*, line \d+, had something at once \d+ times"
    if sys.platform == "linux":
        assert re.search(said, summary.text(recording))


def test_a_server_that_sleeps_does_not_spin(recording: Recording) -> None:
    assert "spins" not in summary.text(recording)


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes the certificate")
def test_tls_is_seen(tmp_path: Path) -> None:
    certified(str(tmp_path))
    with run.watched([*server(tmp_path, TLS, CONTEXT), str(tmp_path)]) as session:
        context = ssl.create_default_context(cafile=tmp_path / "certificate")
        with clients(session.server, 1) as (plain,):
            sock = context.wrap_socket(plain, server_hostname="fleet")
            sock.sendall(b"hello")
            assert sock.recv(9) == b"hello"
            sock.unwrap().close()
        settle(session.server)
        recording = session.recording()
    (client,) = recording.clients()
    moved = [event.call for event in recording.of(SERVER) if event.client == client]
    ends = ["recv", "unwrap", "close"]
    assert moved == ["accept", "settimeout", "do_handshake", "recv", "sendall", *ends]
    assert summary.summary(recording).requests == 1


CONTEXT = """
import ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + "/certificate", sys.argv[2] + "/key")
"""

TLS = """
sock = context.wrap_socket(sock, server_side=True)
while data := sock.recv(100):
    sock.sendall(data)
sock.unwrap().close()
"""


@pytest.mark.parametrize("package", ["eventlet", "gevent", "uvloop"])
def test_what_cannot_be_seen_is_named(package: str, tmp_path: Path) -> None:
    (tmp_path / f"{package}.py").touch()
    recording = run.conversation(server(tmp_path, BARE, f"import {package}"), pace=0.1)
    assert f"{package} is loaded: it " in summary.text(recording)


def test_processes_that_are_not_seen_are_told_of(tmp_path: Path) -> None:
    recording = run.conversation(server(tmp_path, FORKS), 1, 0.1)
    assert "processes that it started: 1; what they did" in summary.text(recording)
    assert "no packet came in, as far as is seen" in summary.text(recording)


FORKS = """
sock.sendall(b"*")
if os.fork() == 0:
    while sock.recv(100):
        pass
    os._exit(0)
sock.close()
"""


TASKS = """
import asyncio, json, time
async def wait(event):
    await event.wait()
async def through(event):
    await wait(event)
def lines(task):
    one = task.get_coro()
    while hasattr(one, "cr_frame"):
        yield one.cr_frame.f_lineno
        one = one.cr_await
async def main():
    event = asyncio.Event()
    tasks = [asyncio.create_task(each(event), name=each.__name__) for each in (wait, through)]
    tasks.append(asyncio.create_task(asyncio.sleep(0.2), name="library"))
    await asyncio.sleep(0.1)
    found = {task.get_name(): list(lines(task)) for task in tasks}
    print(json.dumps([time.monotonic(), found]))
    event.set()
    await asyncio.wait(tasks)
asyncio.run(main())
"""


def test_tasks_await_where_they_do(tmp_path: Path) -> None:
    record = tmp_path / "record"
    command = run.observed(program(tmp_path, TASKS), record)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    moment, stacks = json.loads(done.stdout)
    names = {line["task"]: line["name"] for line in recorded(record) if line["call"] == "task"}
    then = [line for line in recorded(record) if line["start"] < moment < line["end"]]
    awaits = {names[line["task"]]: line.get("line") for line in then if line["call"] == "await"}
    assert awaits == {"wait": 4, "through": 4, "library": None}
    assert stacks["through"][:2] == [6, 4]
    assert stacks["wait"][0] == 4


def test_a_task_has_a_lane_beside_its_threads() -> None:
    recording = run.conversation(ASYNCIO, pace=0.1)
    names = [lane.name.partition(": ")[2] for lane in timeline.lanes(recording)[4:]]
    assert names == ["serve", "converse", "converse", "converse"]
    awaits = [bar.label for bar in timeline.lanes(recording)[5].bars if bar.kind == timeline.AWAIT]
    (line,) = {label.removeprefix("converse, line ") for label in awaits}
    assert "await reader.read" in Path(ASYNCIO[1]).read_text().splitlines()[int(line) - 1]


# What is driven, and how


SAYS = """
import socket, sys
said = input()
with socket.create_server(("127.0.0.1", 0 if len(sys.argv) > 1 else PORT)) as listener:
    print("Listening", flush=True)
    while True:
        sock, _ = listener.accept()
        sock.sendall(said.encode())
        sock.close()
"""

READS = (
    "{python} -c 'import socket, sys\n"
    'sock = socket.create_connection(("{{host}}", {{port}}))\n'
    'sys.exit(sock.recv(9) != b"typed")\''
)


@pytest.fixture
def says(tmp_path: Path) -> tuple[str, str]:
    """A server at a port of its own that sends what it reads, and the port."""
    port = str(servers.free_port())
    return program(tmp_path, SAYS.replace("PORT", port))[1], port


@pytest.mark.parametrize("terminal", [False, True])
def test_the_program_reads_what_it_is_to(
    says: tuple[str, str], terminal: bool, tmp_path: Path
) -> None:
    (tmp_path / "typed").write_text("typed\n")
    ours, theirs = os.openpty()
    os.write(ours, b"typed\n")
    client = ["--client", READS.format(python=sys.executable)]
    given = [] if terminal else ["--stdin", str(tmp_path / "typed")]
    done = lab("observe", says[0], "--port", says[1], *client, *given, stdin=theirs)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert "sendall" in done.stdout


def test_a_hint_at_the_port(says: tuple[str, str]) -> None:
    done = lab("observe", says[0], "--stdin", "README.md")
    assert done.returncode == 1
    assert "--port PORT" in done.stderr


def test_the_reader_drives_it(says: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "lab", "observe", says[0], "--port", says[1], "--for", "60"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write("typed\n")
        process.stdin.flush()
        assert "serving on 127.0.0.1:" in process.stderr.readline()
        with socket.create_connection(("127.0.0.1", int(says[1])), 5) as sock:
            assert sock.recv(9) == b"typed"
            assert sock.recv(9) == b""
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    assert re.search(r"^accept +1", said, re.MULTILINE)


def test_another_protocol_and_its_timeline(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="an extra")
    client = f"{sys.executable} -c 'import http.client\n"
    client += 'it = http.client.HTTPConnection("{host}", {port})\nit.request("GET", "/")\n'
    client += "it.getresponse().read()'"
    command = f"{sys.executable} -u -m http.server --bind 127.0.0.1 {{port}}"
    file = tmp_path / "http.svg"
    done = lab("timeline", "--cmd", command, "--client", client, "-o", str(file))
    assert done.returncode == 0, done.stderr
    drawn = file.read_text()
    for word in ("conn0", "sent", "answered", "http.server"):
        assert word in drawn


# What is made of it


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path) -> None:
    calls = tmp_path / "calls.jsonl"
    done = lab("observe", "step5_select", "-n", "2", "--pace", "0.1", "--out", str(calls))
    assert done.returncode == 0, done.stderr
    assert "6 packets came in" in done.stdout
    assert "recording took" in done.stdout
    assert {line["process"] for line in recorded(calls)} == {SERVER, CLIENT}


def test_a_wrong_server_is_told_of() -> None:
    planted = f"{sys.executable} {ROOT}/lab/broken echoes_unchanged 0"
    done = lab("observe", "--pace", "0.1", "--cmd", planted)
    assert done.returncode == 1
    assert "not as it should be: conn0, conn1, conn2: " in done.stderr


def test_the_lanes_of_a_timeline(step: str, recording: Recording) -> None:
    rows = timeline.lanes(recording)
    assert [lane.name for lane in rows[:3]] == ["conn0", "conn1", "conn2"]
    waits = [lane.bars[0].end - lane.bars[0].start for lane in rows[:3]]
    assert all(lane.bars[0].kind == timeline.WAITING for lane in rows[:3])
    one_at_a_time = step in (SEQUENTIAL, BLOCKING)
    stays = [lane.bars[1].end - lane.bars[0].start for lane in rows[:3]]
    assert (max(waits) > 0.8 * min(stays)) == one_at_a_time
    assert len(rows) == 3 + (4 if step == THREADS else 1)
    kinds = {bar.kind for lane in rows[3:] for bar in lane.bars if bar.end - bar.start > 0.05}
    assert kinds - {timeline.RUN, timeline.ELSEWHERE} == {  # on a busy machine also elsewhere
        SEQUENTIAL: {timeline.RECEIVE},
        THREADS: {timeline.ACCEPT, timeline.RECEIVE},
        BLOCKING: {timeline.RECEIVE},
        POLLING: {timeline.SLEEP},
    }.get(step, {timeline.MANY})


def test_the_timeline_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="an extra")
    file = tmp_path / "flow.svg"
    done = lab("timeline", "1", "5", "-n", "2", "--pace", "0.1", "-o", str(file))
    assert done.returncode == 0, done.stderr
    drawn = file.read_text()
    for word in (SEQUENTIAL, SELECT, "conn1", "waits for its *", "main thread: runs"):
        assert word in drawn
    assert servers.STEPS[5] not in drawn
