"""The observer: what each step does, call by call, and that watching changes nothing."""

import json
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.broken import catalogue
from lab.claims.step1 import served_at_once
from lab.harness import servers
from lab.harness.clients import clients, expect, settle
from lab.harness.servers import ROOT, STEPS, ServerError
from lab.observe import run, summary, timeline, trace
from lab.observe.record import CLIENT, SERVER, Event, Recording
from lab.show.arguments import Wrong
from lab.tests.commands import lab

SEQUENTIAL, THREADS, BLOCKING, POLLING, SELECT, EPOLL, LOOP = STEPS


@pytest.fixture(scope="module", params=STEPS)
def talked(request: pytest.FixtureRequest) -> tuple[str, Recording]:
    """A step, and what it did while three clients talked at once."""
    return request.param, conversation(request.param)


def conversation(step: str, count: int = 3) -> Recording:
    return run.conversation(run.step_command(step), count=count, pace=0.1)


def idling(step: str, count: int, seconds: float) -> list[Event]:
    """Return the calls that began while so many clients were there and said nothing."""
    with run.watched(run.step_command(step)) as session:
        with clients(session.server, count) as socks:
            for sock in socks:
                expect(sock, b"*")
            time.sleep(0.1)  # whatever greeting them took
            start = time.monotonic()
            time.sleep(seconds)
            end = time.monotonic()
            session.server.stop()
        recording = session.recording()
    return [event for event in recording.of(SERVER) if start < event.start + recording.zero < end]


# What a step does


def test_steps_1_and_3_never_accept_while_they_serve(talked: tuple[str, Recording]) -> None:
    step, recording = talked
    assert (served_at_once(recording) > 1) == (step not in (SEQUENTIAL, BLOCKING))


def test_who_waits_in_the_backlog_is_seen_from_the_client(talked: tuple[str, Recording]) -> None:
    """Each is connected at once; when it is greeted is another matter."""
    step, recording = talked
    connected, greeted, left = [], [], []
    for client in recording.clients():
        mine = [event for event in recording.of(CLIENT) if event.client == client]
        assert mine[0].call == "connect"
        connected.append(mine[0].end)
        greeted.append(next(event.end for event in mine if event.call == "recv" and event.result))
        left.append(mine[-1].end)
    assert max(connected) < min(left)
    assert (max(greeted) < min(left)) == (step not in (SEQUENTIAL, BLOCKING))


def wasted(step: str, count: int) -> int:
    return sum(event.count for event in idling(step, count, 0.5) if event.wasted)


def test_what_step_4_wastes_grows_with_its_clients() -> None:
    few, many = wasted(POLLING, 1), wasted(POLLING, 50)
    assert few > 0
    assert many > 5 * few


@pytest.mark.parametrize("step", [SELECT, EPOLL, LOOP])
def test_an_idle_step_makes_no_calls_at_all(step: str) -> None:
    assert idling(step, 20, 0.5) == []


def registrations(recording: Recording, call: str) -> list[int | None]:
    """Return how often each client was registered, in the order of their coming."""
    clients: list[int | None] = []
    for event in recording.of(SERVER, "accept", f"epoll.{call}"):
        if event.call == "accept" and event.result:
            clients.append(0)
        elif event.call != "accept" and clients and clients[-1] is not None:
            clients[-1] += 1
    return clients


@pytest.mark.parametrize("step", [EPOLL, LOOP])
@pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
def test_step_6_registers_each_client_once(step: str) -> None:
    recording = conversation(step, 5)
    assert registrations(recording, "register") == [1] * 5
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


def test_step_2_starts_a_thread_for_each(talked: tuple[str, Recording]) -> None:
    step, recording = talked
    found = summary.summary(recording)
    assert found.threads == (4 if step == THREADS else 1)
    assert len(recording.of(SERVER, "Thread.start")) == found.threads - 1
    if step == THREADS:
        for event in recording.of(SERVER, "recv"):
            assert event.thread > 0


# What is recorded


def test_watching_changes_no_answer(talked: tuple[str, Recording]) -> None:
    _, recording = talked
    assert recording.problems == ()
    assert 3 <= summary.summary(recording).requests <= 9  # step 4 finds several at once
    received = [event.result or 0 for event in recording.of(SERVER, "recv") if not event.error]
    assert sum(received) == 3 * len(b"^abc$de^abte$fxyz^12325$^ab0000$abab")


def test_every_call_names_its_source_line(talked: tuple[str, Recording]) -> None:
    step, recording = talked
    lines = (ROOT / step / "server.py").read_text().splitlines()
    for event in recording.of(SERVER, "accept", "recv", "send", "sendall"):
        assert event.file == f"{step}/server.py"
        assert event.line
        assert ("call(*args)" if step == BLOCKING else event.call) in lines[event.line - 1]


def test_times_and_clients_fit_together(talked: tuple[str, Recording]) -> None:
    _, recording = talked
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
    with run.watched(run.step_command(POLLING, "--interval", "0.02")) as session:
        with clients(session.server, 30) as socks:
            for sock in socks:
                expect(sock, b"*")
            time.sleep(0.3)
            session.server.stop()
        recording = session.recording()
    folded = [event for event in recording.of(SERVER, "recv") if event.count > 1]
    assert statistics.mode(event.count for event in folded) == 30
    assert {(event.error, event.client) for event in folded} == {("EAGAIN", None)}
    calls = sum(event.count for event in recording.of(SERVER))
    assert len(recording.of(SERVER)) < calls / 3


def test_what_never_ends_is_there_too() -> None:
    """A thread that waits for a silent client, when the server ends by `os._exit`."""
    with run.watched(run.step_command(THREADS)) as session:
        with clients(session.server, 1) as (sock,):
            expect(sock, b"*")
            settle(session.server)  # it has come to its next call
            session.server.stop()
        recording = session.recording()
    unended = [event.call for event in recording.of(SERVER) if not event.ended]
    assert sorted(unended) == ["accept", "recv", "thread"]


def test_work_in_a_pool(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text(
        "import time\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "def work(): time.sleep(0.05)\n"
        "with ThreadPoolExecutor(1) as pool:\n    pool.submit(work)\n    pool.submit(work)\n"
    )
    record = tmp_path / "record"
    subprocess.run(run.observed([sys.executable, str(script)], record), check=True, timeout=20)
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    called = [line["call"] for line in lines]
    assert called.count("sleep") == 2
    assert {line["thread"] for line in lines if line["call"] == "sleep"} == {1}
    assert lines[-1]["call"] == "exit"


@pytest.mark.parametrize("style", ["streams", "protocol"])
def test_asyncio_is_observed_as_well(style: str) -> None:
    script = str(ROOT / STEPS[6] / "asyncio_server.py")
    command = [sys.executable, script, "{port}", "--style", style]
    recording = run.conversation(command, pace=0.1)
    assert recording.problems == ()
    assert summary.summary(recording).requests == 9
    assert len(recording.clients()) == 3


BARE = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    assert listener.fileno() == 3
    while True:
        sock, _ = listener.accept()
        sock.sendall(b"*")
        while data := sock.recv(100):
            pass
        sock.close()
"""


def test_a_server_that_minds_no_signal(tmp_path: Path) -> None:
    script = tmp_path / "bare.py"
    script.write_text(BARE)
    with run.watched([sys.executable, str(script), "{port}"]) as session:
        with clients(session.server, 1) as (sock,):
            expect(sock, b"*")
            sock.sendall(b"abc")
        settle(session.server)
        assert session.server.stop() == -signal.SIGTERM
        recording = session.recording()
    received = [event.result for event in recording.of(SERVER, "recv")]
    assert sum(filter(None, received)) == 3
    assert recording.of(SERVER)[-1].call == "accept"  # in which it was when it was ended
    assert not recording.of(SERVER)[-1].ended


def test_a_server_that_dies_is_told_of(tmp_path: Path) -> None:
    script = tmp_path / "dies.py"
    script.write_text(BARE.replace("while data", "raise SystemExit(7)\n        while data"))
    recording = run.conversation([sys.executable, str(script), "{port}"], pace=0.1)
    assert "the server: it ended with status 7" in recording.problems[-1]


def test_a_server_that_has_to_be_killed_is_told_of() -> None:
    recording = run.conversation(catalogue.command("ignores_sigterm"), pace=0.1)
    assert "its record is lost" in recording.problems[-1]


@pytest.mark.parametrize("option", ["-E", "-I", "-S"])
def test_what_cannot_be_observed_is_told_of(option: str) -> None:
    command = [sys.executable, option]
    with (
        pytest.raises(Wrong, match="cannot be observed"),
        run.watched([*command, "-m", "http.server", "--bind", "127.0.0.1", "{port}"]),
    ):
        pass


def test_a_server_that_does_not_start_is_named_by_its_own_command(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no')")
    with (
        pytest.raises(ServerError, match=r"broken\.py ended") as failure,
        run.watched([sys.executable, str(script)]),
    ):
        pass
    assert "LAB_RECORD" not in str(failure.value)


# What is made of it


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path) -> None:
    lines, events = tmp_path / "calls.jsonl", tmp_path / "trace.json"
    words = [
        "step5_select",
        "-n",
        "2",
        "--pace",
        "0.1",
        "--out",
        str(lines),
        "--trace",
        str(events),
    ]
    done = lab("observe", *words)
    assert done.returncode == 0, done.stderr
    assert "6 packets came in" in done.stdout
    assert "recording took" in done.stdout
    assert {json.loads(line)["process"] for line in lines.read_text().splitlines()} == {
        SERVER,
        CLIENT,
    }
    assert json.loads(events.read_text())["traceEvents"]


def test_a_wrong_server_is_told_of() -> None:
    planted = f"{sys.executable} {ROOT}/lab/broken echoes_unchanged 0"
    done = lab("observe", "--pace", "0.1", "--cmd", planted)
    assert done.returncode == 1
    assert "not as it should be: conn0, conn1, conn2: " in done.stderr


def test_trace_events_have_what_perfetto_wants(talked: tuple[str, Recording]) -> None:
    found = trace.trace(talked[1])["traceEvents"]
    for event in found:
        assert {"ph", "name", "pid", "tid"} <= event.keys()
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] >= 0
    assert {event["args"]["name"] for event in found if event["name"] == "process_name"} == {
        SERVER,
        CLIENT,
    }


def test_the_lanes_of_a_timeline(talked: tuple[str, Recording]) -> None:
    step, recording = talked
    rows = timeline.lanes(recording)
    assert [lane.name for lane in rows[:3]] == ["conn0", "conn1", "conn2"]
    waits = [lane.bars[0].end - lane.bars[0].start for lane in rows[:3]]
    assert all(lane.bars[0].kind == timeline.WAITING for lane in rows[:3])
    one_at_a_time = step in (SEQUENTIAL, BLOCKING)
    stays = [lane.bars[1].end - lane.bars[0].start for lane in rows[:3]]
    assert (max(waits) > 0.8 * min(stays)) == one_at_a_time
    assert len(rows) == 3 + (4 if step == THREADS else 1)
    kinds = {bar.kind for lane in rows[3:] for bar in lane.bars if bar.end - bar.start > 0.05}
    assert kinds - {timeline.RUN} == {
        SEQUENTIAL: {timeline.RECEIVE},
        THREADS: {timeline.ACCEPT, timeline.RECEIVE},
        BLOCKING: {timeline.RECEIVE},
        POLLING: {timeline.SLEEP},
    }.get(step, {timeline.MANY})


def test_the_timeline_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="an extra")
    file = tmp_path / "flow.svg"
    words = ["1", "5", "-n", "2", "--pace", "0.1", "-o", str(file)]
    command = [sys.executable, "-m", "lab", "timeline", *words]
    subprocess.run(command, cwd=ROOT, timeout=50, check=True)
    drawn = file.read_text()
    for word in (SEQUENTIAL, SELECT, "conn1", "waits for its *", "main thread: runs"):
        assert word in drawn
    assert servers.STEPS[5] not in drawn
