"""`python -m lab check`, as somebody runs it who brings a server."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.serving import peer_name
from lab.broken import catalogue
from lab.check import report, suite
from lab.check.costs import IDLE_SHARE
from lab.check.rungs import CHECKS, MATRIX
from lab.check.suite import FAILED, HELD, NOT_MEASURED, Check, Verdict, judge
from lab.harness import processes, servers
from lab.harness.clients import at_rest, greeted
from lab.harness.deadline import soon
from lab.harness.servers import ROOT, Endpoint, Foreign, has_ipv6, start
from lab.tests.commands import executable, lab
from tests.contract import each_half, half
from tests.waiting import alive

pytestmark = pytest.mark.aside

QUICK = "ack,cuts,ends"


lab_check = partial(lab, "check")


def broken(name: str) -> str:
    """Return the option that starts a broken server."""
    return f"--cmd={shlex.join(catalogue.command(name))}"


BROKEN = shlex.join(catalogue.command("")[:-2])
"""What starts one, before its name."""


def command(*words: str) -> str:
    """Return the option that starts a program of ours."""
    return "--cmd=" + " ".join((sys.executable, *words))


def listening(program: str) -> str:
    """Return the option that starts a program in Python that listens at `s`."""
    listens = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); "
    return command("-c", shlex.quote(listens + program), "{port}")


OUTSIDERS = {
    # Its server pauses for a second, then asks a thousand times at once, and logs each.
    "asyncio_streams": {"no_descriptors"},
    # Threads cost memory; and its loop asks the listening socket again at once.
    "socketserver_threads": {"idle_memory", "no_descriptors"},
}


@each_half
@pytest.mark.parametrize("name", OUTSIDERS)
def test_honest_outsiders_pass_what_they_can(name: str, times: bool, tmp_path: Path) -> None:
    script = ROOT / "lab" / "tests" / "outsiders" / f"{name}.py"
    chosen = ",".join(["ack", *(one.name for one in half(MATRIX, times) if one.name != "ack")])
    words = ("--only", chosen, "--json", str(tmp_path / "found"))
    done = lab_check(command(str(script), "{port}"), *words)
    (found,) = json.loads((tmp_path / "found").read_text())["servers"]
    failed = {one["check"] for one in found["checks"] if one["outcome"] != HELD}
    assert failed == (set() if times else OUTSIDERS[name]), done.stdout
    assert {one["check"] for one in found["checks"]} == set(chosen.split(","))
    assert done.returncode == (1 if failed else 0)


def test_what_a_learner_reads() -> None:
    done = lab_check(broken("caret_opens_again"), "--only", "ack,odd_places", "--patience", "0.5")
    assert done.returncode == 1
    assert "\nack               held  " in done.stdout
    seen = "1 bytes came back in 0.5 s, 2 were owed"
    assert f"\nodd_places        FAILED    {seen}\n" in done.stdout
    assert "A `^` opens a frame only where none is open" in done.stdout
    assert "Read step1_sequential/README.md." in done.stdout
    assert "\n1 held, 1 failed (" in done.stdout
    assert done.stderr == ""


def test_from_anywhere_with_a_relative_command(tmp_path: Path) -> None:
    executable(tmp_path / "my-server", f"exec {BROKEN} right $1")
    done = lab_check("--cmd", "./my-server {port}", "--only", QUICK, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_what_a_command_starts_ends_with_it(tmp_path: Path) -> None:
    """The server is a child of the command, and ignores SIGTERM."""
    noted = tmp_path / "pid"
    script = f"{BROKEN} ignores_sigterm $1 & echo $! > {noted}; wait; sleep 100"
    server = executable(tmp_path / "wrapper", script)
    done = lab_check("--cmd", f"{server} {{port}}", "--only", "ack")
    assert done.returncode == 0, done.stdout
    assert gone(int(noted.read_text()))


def gone(pid: int) -> bool:
    """Wait until a process that was killed is there no more."""
    return soon(lambda: not alive(pid))


def test_memory_and_descriptors_are_those_of_the_process_tree(tmp_path: Path) -> None:
    server = executable(tmp_path / "wrapper", f"{BROKEN} $2 $1\nexit")
    for bug, name in (("large_buffers", "idle_memory"), ("leaks_descriptors", "churn")):
        done = lab_check("--cmd", f"{server} {{port}} {bug}", "--only", name)
        assert f"\n{name:17} FAILED" in done.stdout


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("no-such-program {port}", "cannot run no-such-program: No such file or directory"),
        (
            "sh -c 'echo Oh dear; exit 3' {port}",
            "it ended with status 3; its last words:\n    Oh d",
        ),
        ("sh -c 'kill -SEGV $$' {port}", "it ended by SIGSEGV; it logged nothing"),
    ],
)
def test_a_server_that_does_not_start(program: str, said: str, tmp_path: Path) -> None:
    files = ("--json", str(tmp_path / "json"), "--junit", str(tmp_path / "junit"))
    done = lab_check("--cmd", program, *files)
    assert done.returncode == 1
    assert said in done.stdout
    assert said in json.loads((tmp_path / "json").read_text())["servers"][0]["error"]
    assert ET.parse(tmp_path / "junit").find("testsuite/testcase/error") is not None


@pytest.mark.in_turn
def test_a_server_that_never_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "START_UP", 0.3)
    with pytest.raises(servers.ServerError, match=r"sleep 60 \d+ does not listen on that port"):
        servers.Foreign(["sleep", "60", "{port}"]).__enter__()


def test_a_server_that_never_answers() -> None:
    done = lab_check(listening("import time; time.sleep(100)"), "--patience", "0.3")
    assert done.returncode == 1
    assert "\nack               FAILED    got nothing in 0.3 s, owed '*'\n" in done.stdout
    assert f"\nthe other {len(MATRIX) - 1}      skipped " in done.stdout


def test_what_a_server_logs_is_shown_with_its_failure() -> None:
    logs = "c = s.accept()[0]; print('Oh dear\\n\\n', file=sys.stderr); c.recv(9); s.accept()"
    done = lab_check(listening(logs), "--patience", "0.3")
    assert "owed '*'\n          it logged:\n          Oh dear\n" in done.stdout


def test_a_wait_that_ctrl_c_broke_off_holds_nobody_up() -> None:
    with catalogue.started("right") as server:
        server.process._waitpid_lock.acquire()  # type: ignore[attr-defined]  # as Popen leaves it
    assert server.process.returncode is not None


@pytest.mark.in_turn
def test_the_job_that_the_page_shows(tmp_path: Path) -> None:
    """From a folder of its own, with nothing of ours in it but the path."""
    page = (ROOT / "docs" / "check.md").read_text()
    (command,) = re.findall(r"^      - run: (.*)$", page, re.MULTILINE)
    (tmp_path / "concurrent-servers").symlink_to(ROOT)
    executable(tmp_path / "my-server", f"exec {BROKEN} right $1")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert len(ET.parse(tmp_path / "verdicts.xml").findall("testsuite/testcase")) == len(MATRIX)


def test_what_it_survives_is_said_first_and_why_it_died() -> None:
    done = lab_check(broken("dies_of_a_reset"), "--only", "leaving,ack")
    _, first, second, *_ = done.stdout.splitlines()
    assert first == "survives          NOT health checks, NOT resets"
    assert second.startswith("ack               held ")
    assert "it ended with status 1; its last words:\n" in done.stdout


def test_the_name_is_said_before_the_verdict() -> None:
    words = [sys.executable, "-m", "lab", "check", broken("no_greeting"), "--only", "ack"]
    with subprocess.Popen(
        [*words, "--patience", "60"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout
        said = b""
        while not said.endswith(b"\nack               "):
            said += os.read(process.stdout.fileno(), 1)
        process.terminate()
    assert b"FAILED" not in said


@pytest.mark.in_turn
@pytest.mark.parametrize(
    "name",
    [
        "trickles",
        pytest.param("sends_byte_by_byte", marks=pytest.mark.full),
        pytest.param("answers_once", marks=pytest.mark.full),
    ],
)
def test_it_ends_whatever_a_server_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "ALL", 12.0)
    start = time.monotonic()
    found = list(suite.verdicts(MATRIX, partial(Foreign, catalogue.command(name), 1)))
    assert time.monotonic() - start < 2 * suite.ALL
    assert [one.check for one in found] == MATRIX
    assert any(one.seen.startswith("gave up after ") for one in found)
    assert any(one.seen.startswith("no time is left") for one in found)


CAUSES = [
    ("once_per_edge", "burst", "accepting until EAGAIN"),
    ("once_per_edge", "many_frames", "does not read all that is there"),
    ("once_per_edge", "long_frame", "does not read all that is there"),
    ("one_frame_a_packet", "many_frames", "Go on after the first `$`"),
    ("waits_for_more", "exact", "answer what you have"),
    ("sends_again", "late_reader", "sent twice"),
    ("careless_send", "late_reader", "keep the rest"),
    pytest.param("backlog_of_two", "side_by_side", "was full", marks=pytest.mark.in_turn),
    ("answers_too_late", "cuts", "not to say that it is wrong"),
    ("dies_of_a_reset", "resets", "it has to survive"),
]


@pytest.mark.parametrize(("name", "check", "advice"), CAUSES)
def test_the_advice_is_for_what_was_seen(name: str, check: str, advice: str) -> None:
    with Foreign(catalogue.command(name), 5 if name == "answers_too_late" else 2) as server:
        verdict = judge(CHECKS[check], server)
    assert verdict.outcome == FAILED, verdict.seen
    assert advice in verdict.advice, verdict


@pytest.mark.parametrize(
    ("script", "advice"),
    [
        ("kill -PIPE $$", "SIG_IGN"),
        ("kill -SEGV $$", "not its own"),
        ("kill -ABRT $$", "gave up"),
        ("exit 7", "See its last words"),
        ("exec python3 -c 'raise KeyError(5)'", "`KeyError: 5` was raised"),
        ("exec python3 -c 'raise ConnectionResetError(5)'", "After a reset"),
        ("exec python3 -c 'raise BlockingIOError(11, str())'", "no failure"),
    ],
)
def test_why_a_server_died(script: str, advice: str) -> None:
    server = Foreign(["sh", "-c", script, "{port}"])
    try:
        assert server.ended(10)
        assert advice in suite.death(server)
    finally:
        server.__exit__(None, None, None)


def test_a_port_that_is_taken_and_one_that_is_fixed() -> None:
    with catalogue.started("right") as server:
        taken = lab_check(command("-c", "pass"), "--port", str(server.port))
    assert f"somebody listens on port {server.port} already" in taken.stdout
    fixed = broken("right").replace("{port}", str(server.port))
    free = lab_check(fixed, "--port", str(server.port), "--only", "ack,high_descriptor,restarts")
    assert free.returncode == 0, free.stdout


def test_one_that_runs_already() -> None:
    """What only its process would tell is not measured, and that is said."""
    with start("step6_epoll_kqueue") as server:
        address = f"{server.host}:{server.port}"
        done = lab_check("--connect", address, "--skip", "side_by_side")
        assert server.process.poll() is None
    assert done.returncode == 0, done.stdout
    assert "\nnever_reads       held " in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {line[0] for line in lines if line[1:2] == ["skipped"]} == {
        *("idle_cpu", "idle_memory", "churn", "high_listener", "high_descriptor"),
        *("no_descriptors", "stopped", "ends", "restarts"),
    }
    assert "the server was not started here" in done.stdout
    nobody = lab_check("--connect", address)
    assert (nobody.returncode, "nobody answers at" in nobody.stdout) == (1, True)


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_over_ipv6() -> None:
    with start("step6_epoll_kqueue", "--host", "::1") as server:
        holds(server, "ack", "late_reader", "burst")


def holds(server: Endpoint, *names: str) -> None:
    for name in names:
        verdict = judge(CHECKS[name], server)
        assert verdict.outcome == HELD, verdict.seen


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says it")
@pytest.mark.parametrize(
    ("address", "dialled"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),  # what Java makes of 127.0.0.1
        ("::1", "::1"),
    ],
)
def test_where_somebody_listens(address: str, dialled: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        sock.bind((address, 0))
        port = sock.getsockname()[1]
        assert processes.listening(port) == ""
        sock.listen()
        assert processes.listening(port) == dialled
        socket.create_connection((dialled, port), 5).close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says it")
@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "::1"])
def test_what_the_kernel_holds_for_a_server(address: str) -> None:
    """What has not been read, and who waits to be accepted: by the client's own address."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    with listener, contextlib.ExitStack() as stack:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        host = address.rpartition("ffff:")[2]
        socks = [socket.create_connection((host, port), 5) for _ in range(2)]
        for sock in (*socks, accepted := listener.accept()[0]):
            stack.enter_context(sock)
        assert accepted.getpeername()[1] == socks[0].getsockname()[1]
        for sock in socks:
            sock.sendall(b"abc")
        names = [peer_name(sock.getsockname()) for sock in socks]
        found = {one.peer: one for one in processes.connections(port) if one.local_port == port}
        assert [found[name].unread for name in names] == [3, 3]
        assert [bool(found[name].inode) for name in names] == [True, False]
        assert len(list(processes.connections(port))) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="nobody says here who waits for a core")
@pytest.mark.in_turn
@pytest.mark.parametrize("name", ["spins", "right"])
def test_one_that_spins_is_seen_though_others_have_the_core(name: str) -> None:
    core = min(os.sched_getaffinity(0))
    loop = f"import os\nos.sched_setaffinity(0, [{core}])\nwhile True: pass"
    with servers.Server(catalogue.command(name)) as server, greeted(server):
        os.sched_setaffinity(server.pid, [core])
        os.setpriority(os.PRIO_PROCESS, server.pid, 19)
        others = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(2)]
        try:
            time.sleep(0.3)  # they have begun
            share = at_rest(server, IDLE_SHARE)
        finally:
            for other in others:
                other.kill()
                other.wait()
    assert (share >= IDLE_SHARE) is (name == "spins")


def test_our_own_descriptors_may_be_high() -> None:
    with start("step6_epoll_kqueue") as server, server.connect() as sock:
        taken = [os.dup(sock.fileno()) for _ in range(1100)]
        try:
            holds(server, "long_frame", "late_reader", "resets", "no_descriptors")
        finally:
            for fd in taken:
                os.close(fd)


def test_a_step_is_held_to_its_declaration() -> None:
    done = lab_check("1", "--only", "ack,silence", "--patience", "0.5")
    assert done.returncode == 0
    assert "declared: serves one client at a time" in done.stdout
    assert "\n1 held, 1 failed; as declared (" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--only", "nope"),
        ("--skip", "nope"),
        ("nope",),
        ("--cmd", "server-without-a-port"),
        ("--connect", "nope"),
        ("--connect", "localhost:65536"),
        ("5", "--connect", "localhost:1"),
        ("--only", "ack", "--skip", "talk"),
        ("--cmd", ""),
        ("--json", "no/such/folder"),
    ],
)
def test_a_line_and_status_2_for_what_makes_no_sense(words: tuple[str, ...]) -> None:
    done = lab_check(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_behind(number: signal.Signals) -> None:
    arguments = ["check", broken("no_greeting")]
    with subprocess.Popen(
        [sys.executable, "-m", "lab", *arguments, "--patience", "30"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        children = soon(lambda: processes.children(process.pid))
        process.send_signal(number)
        assert process.wait(10) in (130, 1)
        assert process.stderr
        assert b"Traceback" not in process.stderr.read()
    assert children
    assert all(map(gone, children))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_server_is_being_started_leaves_none(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    execute = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    def interrupted(self: Any, *args: Any) -> None:
        execute(self, *args)
        pids.append(self.pid)
        signal.raise_signal(number)

    monkeypatch.setattr(subprocess.Popen, "_execute_child", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start("step1_sequential")
    assert all(map(gone, pids))
    assert pids


ACK = CHECKS["ack"]


@pytest.mark.parametrize(
    ("outcome", "declared", "good"),
    [
        (HELD, {}, True),
        (FAILED, {}, False),
        (HELD, {"ack": "cannot"}, False),
        (FAILED, {"ack": "cannot"}, True),
        (NOT_MEASURED, {}, False),
    ],
)
def test_what_counts_as_good(outcome: str, declared: dict[str, str], good: bool) -> None:
    """An unexpected pass is as bad as an unexpected failure; and nothing seen is nothing."""
    assert report.Report("x", declared, [Verdict(ACK, outcome, "")]).good is good


def test_junit_says_the_same(tmp_path: Path) -> None:
    skipped = Verdict(ACK, NOT_MEASURED, "why")
    bad = Verdict(ACK, FAILED, "\x00<&\ud800", 0.5)
    reports = [
        report.Report("one", {}, [bad, skipped, Verdict(ACK, HELD, "")]),
        report.Report("two", {"ack": "cannot"}, [bad]),
    ]
    report.write_junit(tmp_path / "x", reports)
    one, two = ET.parse(tmp_path / "x").getroot()
    counts = {"tests": "3", "failures": "1", "errors": "0", "skipped": "1"}
    assert one.attrib == {"name": "one", **counts}
    assert two.attrib == {"name": "two", **counts, "tests": "1", "failures": "0"}
    assert [len(case) for case in one] == [1, 1, 0]


@pytest.mark.parametrize("one", CHECKS.values(), ids=lambda one: str(one.name))
def test_every_check_says_what_is_wrong_and_where_to_read(one: Check) -> None:
    assert one.title.endswith(".")
    assert len(one.advice) > 40
    assert (ROOT / one.read).is_file()


def test_the_list_is_for_a_terminal_and_has_each_rung_once() -> None:
    said = lab_check("--list").stdout
    rungs = dict.fromkeys(one.rung for one in CHECKS.values())
    assert re.findall(r"^(\w+):$", said, re.MULTILINE) == [*rungs]
    assert "  ack               One `*` comes unasked" in said
    assert "**" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize("words", [("check", "--list"), ("claims", "--list"), ("live", "1")])
def test_output_that_cannot_be_written_is_a_line_at_most(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "lab", *words, *["--no-browser"] * (words[0] == "live")]
    run = partial(subprocess.run, command, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=50)
    with Path("/dev/full").open("w") as full:
        done = run(stdout=full)
    assert done.stderr == f"python -m lab {words[0]}: No space left on device\n"
    assert done.returncode == 1
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as unread:
        done = run(stdout=unread)
    assert (done.returncode, done.stderr) == (1, "")
