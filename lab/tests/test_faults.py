"""`lab check --faults`: a bug is found by the cases that are about it; a right server has none."""

import os
import re
import signal
from functools import partial
from pathlib import Path

import pytest

from lab.broken import catalogue
from lab.check import calls, faults
from lab.check.rungs import MATRIX
from lab.check.suite import HELD, judge, verdicts
from lab.harness import strace
from lab.harness.clients import Failed
from lab.harness.processes import NotMeasured
from lab.harness.servers import Foreign, Server
from lab.tests.commands import executable, lab
from lab.tests.test_planted import SLOW

SEEN_BY = {
    "dies_without_memory_for_a_client": ("accept ENOMEM 1", "it ended with status 1"),
    "accepts_no_more": ("accept ECONNABORTED 1", "one who comes later: a client hangs"),
    "dies_of_an_option": ("setsockopt ENOBUFS 2", "it ended with status 1"),
    "leaves_whom_it_cannot_watch": ("epoll_ctl ADD ENOSPC [24]", "a client hangs after"),
    "ends_all_with_one": ("recv ENOMEM 2", "[23] of 3 clients are not served in full"),
    "spins_after_a_timeout": ("recv ETIMEDOUT 1", "it spins"),
    "leaks_without_buffers": ("send ENOBUFS [34]", "left: 1 .*faults.py"),
    "dies_of_a_close": ("close EIO 1", "it ended with status 1"),
    "dies_without_its_log": ("write to 2 EIO 1", "it ended with status 1"),
    "ends_as_its_log_does": ("write to 2 ENOSPC 1 and after", "SIGTERM ends it with status 120"),
    "ends_badly_while_it_greets": ("send SIGTERM 1", "SIGTERM ends it with status 3"),
    "starts_with_a_traceback": ("bind EADDRINUSE 1", "a traceback: OSError: .* in use"),
}
"""For each bug the cases of which one has to find it, and what is said of it."""

QUICK = {"leaves_whom_it_cannot_watch", "leaks_without_buffers", "starts_with_a_traceback"}

each_bug = pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[pytest.mark.full] * (bug not in QUICK)) for bug in SEEN_BY]
)

TRACE = """\
7 accept4(3<socket:[1]>, {sa_family=AF_INET}, [16], SOCK_CLOEXEC) = 4<socket:[2]>
7 ioctl(4<socket:[2]>, FIONBIO, [1]) = 0
7 epoll_ctl(5<anon_inode:[eventpoll]>, EPOLL_CTL_ADD, 4<socket:[2]>, {events=EPOLLIN}) = 0
8 recvfrom(4<socket:[2]>,  <unfinished ...>
7 epoll_ctl(5<anon_inode:[eventpoll]>, EPOLL_CTL_DEL, 4<socket:[2]>, 0x7ffd) = 0
8 <... recvfrom resumed>0x55, 65536, 0, NULL, NULL) = -1 ENOMEM (Cannot allocate memory) (INJECTED)
8 openat(AT_FDCWD, "/usr/lib/python3.11/socket.py", O_RDONLY) = 6</usr/lib/python3.11/socket.py>
8 recvfrom(4<socket:[2]>, "^a$", 65536, 0, NULL, NULL) = 3
8 +++ exited with 0 +++
7 close(4<socket:[2]> <detached ...>
"""


@pytest.fixture(scope="module")
def tracer() -> None:
    """Skip where strace is not there, or may not attach."""
    try:
        strace.want()
    except NotMeasured as error:
        pytest.skip(f"no system call can be made to fail: {error}")


def like(name: str) -> Server:
    """Return a planted server that has ended, of which others can be started."""
    with catalogue.started(name) as server:
        return server


@pytest.mark.in_turn
@each_bug
@pytest.mark.usefixtures("tracer")
def test_the_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "SILENT", 1)
    wanted, said = SEEN_BY[bug]
    server = like(bug)
    if bug.startswith("starts"):
        made, attempt = faults.watch_start(server), partial(faults.attempt_start, server)
    else:
        unharmed, made = faults.watch(server)
        attempt = partial(faults.attempt, server, unharmed)
    chosen = [
        case for case in calls.cases(made) if re.fullmatch(wanted, " ".join(str(case).split()))
    ]
    with pytest.raises(Failed, match=rf"\A\d of {len(chosen)} cases .*\n.*{said}"):
        faults.search(chosen, attempt, full=True, seed=None)


@pytest.mark.aside
@each_bug
def test_no_other_rung_finds_it(bug: str) -> None:
    chosen = [one for one in MATRIX if one.name not in SLOW]
    found = verdicts(chosen, partial(Foreign, catalogue.command(bug)))
    assert {one.check.name: one.seen for one in found if one.outcome != HELD} == {}


@pytest.mark.in_turn
@pytest.mark.usefixtures("tracer")
def test_a_right_server_has_none() -> None:
    server = like("right")
    for one in (faults.calls_fail, faults.start_fails):
        verdict = judge(one.given(seed=7), server)
        assert verdict.outcome == HELD, verdict.seen
        assert re.fullmatch(
            r"4 cases \(of \d+, drawn with --seed 7\)(, \d not reached)?", verdict.seen
        )


def test_a_trace_is_read() -> None:
    made = strace.parse(TRACE)
    names = [(call.thread, call.name, call.number) for call in made]
    assert names[3:] == [
        (7, "epoll_ctl", 2),
        (8, "recvfrom", 1),
        (8, "openat", 1),
        (8, "recvfrom", 2),
        (7, "close", 1),
    ]
    assert [call.name for call in made if call.hit] == ["recvfrom"]


def test_what_can_go_wrong_with_it() -> None:
    found = calls.cases(strace.parse(TRACE))
    injected = {case.inject for case in found}
    assert "epoll_ctl:error=ENOSPC:when=1" in injected
    assert "epoll_ctl:error=ENOSPC:when=2" not in injected  # epoll_ctl(2): only to add one
    assert {"epoll_ctl:error=ENOMEM:when=2", "recvfrom:error=EAGAIN:when=2"} <= injected
    assert {"accept4:error=EMFILE:when=1+", "recvfrom:retval=0:when=1"} <= injected
    assert not any("openat" in one for one in injected)  # an import's
    assert not any("EAGAIN" in one for one in injected if one.startswith("accept"))
    assert "close:signal=SIGTERM:when=1" in injected
    assert "recvfrom:signal=SIGTERM:when=1" not in injected  # in a thread to which none comes


def test_what_is_drawn_has_each_kind_and_is_drawn_again() -> None:
    found = calls.cases(strace.parse(TRACE))
    kinds = {case.fault for case in found}
    first = calls.drawn(found, 3)
    assert len({case.fault for case in first}) == min(len(first), len(kinds))
    assert first == calls.drawn(found, 3) != calls.drawn(found, 4)


def test_one_that_does_not_let_go_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As strace does not, of a process that is a zombie."""
    executable(tmp_path / "strace", "trap '' TERM\necho it is attached >&2\nexec sleep 100")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(strace, "LETS_GO", 0.2)
    with strace.Attached([1], ["read"]) as attached:
        pass
    assert attached.process.returncode == -signal.SIGKILL


def test_without_strace_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    done = lab("check", "5", "--faults")
    assert "\ncalls_fail        skipped   wants strace" in done.stdout
    assert (done.returncode, done.stderr) == (1, "")
