"""`lab live` and `lab replay`: what the page shows is what happened, and a held server holds."""

import asyncio
import contextlib
import http.client
import itertools
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lab.harness import processes
from lab.harness.servers import ROOT, STEPS
from lab.live import app, command, session
from lab.tests.commands import lab

PICTURES = ROOT / "build" / "live"
"""Where pictures of what was seen are left."""

PATIENCE = 30.0

Event = dict[str, Any]


class Live:
    """`lab live` in a process, and what the page's own address says without a browser."""

    def __init__(self, *args: str) -> None:
        command = [sys.executable, "-m", "lab", "live", *args, "--no-browser"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert "token=" in line, line
        self.url = line.split()[-1]
        self.place = urlsplit(self.url)
        (self.token,) = parse_qs(self.place.query)["token"]

    @contextlib.contextmanager
    def answer(self, *request: Any) -> Iterator[http.client.HTTPResponse]:
        """Ask for something, and have its answer during the block."""
        connection = http.client.HTTPConnection(self.place.netloc, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(*request)
            yield connection.getresponse()

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> int:
        """Return the status of an answer."""
        with self.answer(method, path, body, headers) as answer:
            return answer.status

    def wish(self, body: str, **headers: str) -> int:
        """Wish for something with the token; return the status of the answer."""
        return self.ask("POST", "/do", body, **{"X-Token": self.token}, **headers)

    def do(self, **wish: object) -> None:
        """Wish for something, as the page does."""
        assert self.wish(json.dumps(wish)) == 200, wish

    def events(self, enough: Callable[[list[Event]], object]) -> list[Event]:
        """Return all that has happened, once that is enough."""
        found: list[Event] = []
        deadline = time.monotonic() + PATIENCE
        with self.answer("GET", f"/events?token={self.token}") as answer:
            while not (found and enough(found)):
                assert time.monotonic() < deadline, found[-5:]
                if (line := answer.readline()).startswith(b"data: "):
                    found += json.loads(line[6:])
        return found

    def servers(self) -> list[int]:
        """Return the processes of its servers."""
        return processes.children(self.process.pid)

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE)


def those(events: list[Event], kind: str, **known: object) -> list[Event]:
    """Return the events of a kind of which this is true."""
    return [one for one in events if one["kind"] == kind and known.items() <= one.items()]


def has(kind: str, number: int = 1, **known: object) -> Callable[[list[Event]], bool]:
    """Return whether there are so many such events."""
    return lambda events: len(those(events, kind, **known)) >= number


# Without a browser

ANSWER = "*bcdbcuf23436bc1111"
"""What is owed to a client of the script."""

SILENT = '{"do": "add", "kind": "silent"}'


@pytest.mark.aside
def test_only_the_reader_may_drive_it() -> None:
    with Live("1/minimal") as live:
        page = f"/?token={live.token}"
        assert live.ask("GET", page) == 200
        assert live.wish(SILENT, Origin=f"http://{live.place.netloc}") == 200
        assert live.ask("GET", "/") == live.ask("GET", "/?token=x") == 403
        assert live.ask("GET", "/events") == live.ask("POST", "/do", SILENT) == 403
        assert live.ask("GET", page, Host="rebound.example") == 403
        assert live.wish(SILENT, Host="rebound.example") == 403
        assert live.wish(SILENT, Origin="http://elsewhere.example") == 403
        assert live.wish(SILENT, Origin="null") == 403
        shell = '{"do": "open", "titles": ["/bin/sh"]}'
        for nonsense in ("", "[]", "{}", '{"do": "close"}', shell):
            assert live.wish(nonsense) == 400, nonsense
        came = those(live.events(has("client")), "client")
        assert {one["name"] for one in came} == {"c1"}  # of the one that was allowed


@pytest.mark.aside
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_it_leaves_nothing(number: signal.Signals) -> None:
    with Live("2/minimal", "5/minimal") as live:
        live.do(do="add", kind="ten at once")
        live.do(do="mode", paused=True)
        live.do(do="add", kind="flood")  # which is still sending
        live.do(do="next", client="c11")
        live.events(has("client", 2, name="c11", did="send"))
        servers = live.servers()
        live.process.send_signal(number)
        out, err = live.process.communicate(timeout=PATIENCE)
        assert (live.process.returncode, out, err) == (130, "", "")
        assert len(servers) == 2
        assert not any(map(processes.threads, servers))


@pytest.mark.aside
def test_a_server_that_dies_says_why(tmp_path: Path) -> None:
    script = tmp_path / "dies.py"
    text = (ROOT / "step1_sequential" / "minimal.py").read_text()
    path = f"sys.path.insert(0, {str(ROOT)!r})"
    script.write_text(re.sub(r"^sys.path.*$", path, text, flags=re.MULTILINE))
    with Live("--cmd", f"{sys.executable} {script} {{port}}") as live:
        live.do(do="add", kind="reset")
        for _ in range(2):
            live.do(do="next", client="c1")
        events = live.events(has("exit"))
        assert "ConnectionResetError" in events[-1]["how"]
        assert has("source", file="dies.py")(events)
        assert live.wish(SILENT) == 400


@pytest.mark.aside
@pytest.mark.parametrize(
    ("command", "said"),
    [("no-such-program {port}", "no-such-program"), ("{python} -c 'x' {port}", "NameError")],
)
def test_a_program_that_does_not_serve_says_why(command: str, said: str) -> None:
    with Live("--cmd", command.replace("{python}", sys.executable)) as live:
        assert said in live.events(has("exit"))[-1]["how"]


@pytest.mark.aside
def test_a_program_that_is_not_seen_is_said_so() -> None:
    script = ROOT / "step1_sequential" / "minimal.py"
    with Live("--cmd", f"{sys.executable} -I {script} {{port}}") as live:
        assert has("serves", seen=False)(live.events(has("serves")))


@pytest.mark.aside
def test_a_held_server_holds() -> None:
    with Live("1/minimal") as live:
        live.do(do="add", kind="by hand")
        live.events(has("client", did="received"))
        live.do(do="mode", paused=True)
        live.do(do="write", client="c1", text="^abc$")
        events = live.events(has("begin", call="sendall", held=True))
        time.sleep(0.3)  # in which it would long have answered
        assert not has("client", 2, did="received")(live.events(bool))
        live.do(do="step")
        events = live.events(has("client", 2, did="received"))
        assert events[-1].get("data", "bcd") == "bcd"
        live.do(do="step")  # recv, in which it sleeps
        before = Counter(one["kind"] for one in live.events(has("leave", 2)))
        live.do(do="step")  # nobody is held
        live.do(do="mode", paused=False)
        after = Counter(one["kind"] for one in live.events(has("mode", 2)))
        assert before["begin"] == after["begin"]


@pytest.mark.aside
def test_at_a_chosen_speed_each_call_waits() -> None:
    with Live("1/minimal") as live:
        live.do(do="mode", paused=False, delay=0.2)
        live.do(do="add", kind="by hand")
        live.do(do="write", client="c1", text="^a$")
        events = live.events(has("client", 2, did="received"))
        held = those(events, "begin", held=True)
        for one in held[:-1]:
            leave = next(at["t"] for at in those(events, "leave") if at["t"] > one["t"])
            assert leave - one["t"] >= 0.19
        assert len(held) >= 3


@pytest.mark.aside
def test_two_side_by_side_get_the_same() -> None:
    with Live("5/minimal", "6/minimal") as live:
        live.do(do="add", kind="script")
        live.do(do="play", client="c1")
        events = live.events(has("client", 2, did="end"))
        data = {
            (did, s): [one["data"] for one in those(events, "client", did=did, s=s)]
            for did, s in itertools.product(("send", "received"), (0, 1))
        }
        assert data["send", 0] == data["send", 1]
        assert {"".join(data["received", s]) for s in (0, 1)} == {ANSWER}
        selects, polls = (
            [one["handed"] for one in those(events, "begin", call=call)]
            for call in ("select", "epoll.poll")
        )
        assert 2 in selects[1:]  # all of them, at each call
        assert set(polls) <= {0}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what the kernel holds")
def test_of_very_many_connections_some_are_told_of_and_the_rest_counted() -> None:
    """An event twenty times a second is not to be a megabyte, nor a page to have that many rows."""
    with socket.create_server(("127.0.0.1", 0), backlog=300) as server, ExitStack() as stack:
        port = server.getsockname()[1]
        for _ in range(session.SHOWN + 20):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        for _ in range(session.SHOWN):
            stack.enter_context(server.accept()[0])
        found = session.kernel(port)
    assert len(found["connections"]) == session.SHOWN
    assert found["more"] == len(found["backlog"]) == 20


def test_after_very_much_who_comes_late_gets_a_new_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """But nothing is kept from those who are there."""
    monkeypatch.setattr(app, "MOST", 20_000)

    def heard(listener: app.Listener) -> Iterator[Event]:
        while not listener.empty():
            yield from json.loads(listener.get())

    async def listen() -> tuple[list[Event], list[Event]]:
        async with app.running(app.App(command.PROGRAMS)) as shown:
            await shown.open([f"{STEPS[3]}/minimal"])
            early = await shown.listen()
            while shown.whole:
                await asyncio.sleep(0.05)
            first, late = [*heard(early)], await shown.listen()
            await asyncio.sleep(3 * app.FLUSH)
            return first, [*heard(late)]

    early, late = asyncio.run(listen())
    calls = [one["call"] for one in those(early, "begin")][2:]  # bind, listen
    assert len(calls) > 30
    assert all({*pair} == {"sleep", "accept"} for pair in itertools.pairwise(calls[1:]))
    assert [one["kind"] for one in late[:3]] == ["hello", "reset", "start"]


@pytest.mark.parametrize("given", [[], ["5", "--cmd", "x"], ["--from", "README.md"], ["9"]])
def test_a_replay_of_nothing_is_refused(given: list[str], tmp_path: Path) -> None:
    done = lab("replay", *given, "-o", str(tmp_path / "run.html"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert not (tmp_path / "run.html").exists()


def test_a_replay_says_nothing_of_the_machine_it_was_made_on(tmp_path: Path) -> None:
    run = tmp_path / "run.html"
    done = lab("replay", "1/minimal", "-n", "1", "--pace", "0.01", "-o", str(run))
    assert (done.returncode, done.stderr) == (0, "")
    text = run.read_text()
    assert [path for path in (str(ROOT), sys.executable) if path in text] == []


def test_a_replay_of_a_program_that_does_not_serve_says_why(tmp_path: Path) -> None:
    done = lab("replay", "--cmd", f"{sys.executable} -c x", "-o", str(tmp_path / "run.html"))
    assert (done.returncode, "NameError" in done.stderr) == (1, True), done.stderr
    assert done.stderr.startswith("python -m lab replay: ")


# With a browser

WANTED = "no browser: wants chromium, chromedriver and selenium"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    """Return a browser; it is one for all tests."""
    webdriver = pytest.importorskip("selenium.webdriver", reason=WANTED)
    names = ("chromium", "chromium-browser", "google-chrome")
    binary = next(filter(None, map(shutil.which, names)), None)
    if not (binary and (driver := shutil.which("chromedriver"))):
        pytest.skip(WANTED)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()


HELP = """
const q = (one) => document.querySelector(one), all = (one) => [...document.querySelectorAll(one)];
const words = (one) => q(one)?.textContent ?? "";
const cells = (one) => [...one.children].map((cell) => cell.textContent);
const threads = () => state.servers.flatMap((s) => [...s.threads.values()]);
const clients = () => [...state.clients.values()].map((one) => one.at[0]);
"""
"""What the tests say in the page."""


class Page:
    """A page in the browser."""

    def __init__(self, browser: Any, url: str, width: int = 1600, height: int = 1000) -> None:
        self.browser = browser
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get_log("browser")
        browser.get(url)

    def js(self, script: str, *args: object) -> Any:
        """Return the value of an expression in the page."""
        return self.browser.execute_script(f"{HELP} return {script}", *args)

    def until(self, script: str, *args: object) -> Any:
        """Wait until an expression is true, and what made it so has been drawn; return it."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.js(script, *args)):
            assert time.monotonic() < deadline, (script, args, self.js("document.body.innerText"))
            time.sleep(0.05)
        self.browser.execute_async_script("requestAnimationFrame(arguments[0])")
        return value

    def text(self, selector: str) -> str:
        """Return the text of an element; "" if there is none."""
        return str(self.js("words(arguments[0])", selector))

    def shows(self, selector: str, what: str) -> None:
        """Wait until an element's text has this in it."""
        self.until("words(arguments[0]).includes(arguments[1])", selector, what)

    def click(self, selector: str) -> None:
        """Press a button, once it is there and can be pressed."""
        can = "(one => one && !one.hidden && !one.disabled && (one.click(), true))"
        self.until(f"{can}(q(arguments[0]))", selector)

    def choose(self, selector: str, value: str) -> None:
        """Choose one of several."""
        change = "one.value = arguments[1]; one.dispatchEvent(new Event('change'))"
        self.js(f"(one => {{ {change} }})(q(arguments[0]))", selector, value)

    def add(self, *kinds: str) -> None:
        """Add clients, and wait until they are there."""
        for kind in kinds:
            count = self.js("clients().length")  # of which not all are shown
            self.until("q('.adding select')")
            self.choose(".adding select", kind)
            self.click(".adding button")
            self.until("clients().length > arguments[0]", count)

    def press(self, key: str) -> Any:
        """Press a key where the focus is; return what has it then."""
        self.browser.switch_to.active_element.send_keys(key)
        return self.browser.switch_to.active_element

    def write(self, client: str, text: str) -> None:
        """Type something for a client to send."""
        row = f'li[data-client="{client}"]'
        self.js("q(arguments[0]).value = arguments[1]", f"{row} input", text)
        self.click(f"{row} form button")

    def picture(self, name: str) -> None:
        """Keep a picture of it; nothing has gone wrong in it."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.browser.save_screenshot(str(PICTURES / f"{name}.png"))
        assert [one["message"] for one in self.browser.get_log("browser")] == []


def rows(page: Page) -> list[tuple[int, str, str]]:
    """Return the calls that the page lists: their numbers, what, and what came of it."""
    found = page.js("all('#calls tr').map(one => [one.dataset.number, ...cells(one).slice(2)])")
    return [(int(number), what, came) for number, what, came in found]


def agreed(page: Page, live: Live) -> list[Event]:
    """Return what has happened, once the servers are held and the page is as far."""
    page.until("state.paused")
    deadline = time.monotonic() + PATIENCE
    while True:
        events = live.events(has("mode"))
        begun = len(those(events, "begin"))
        here = page.js("[state.servers[0].calls, Number(all('#calls tr').at(-1).dataset.number)]")
        if here == [begun, begun]:
            return events
        assert time.monotonic() < deadline, (here, begun)


@pytest.mark.parametrize("step", STEPS)
def test_what_it_shows_is_what_was_recorded(chrome: Any, step: str) -> None:
    """Call by call; the last sixty are listed."""
    with Live(step) as live:
        page = Page(chrome, live.url)
        page.add("script", "script")
        page.click("li[data-client=c1] .play")
        live.do(do="play", client="c2", pause=0.1)
        page.until("clients().every(one => one?.state === 'end')")
        page.click("#hold")
        events = agreed(page, live)
        begun = those(events, "begin")
        ended = {one["thread"]: iter(those(events, "end", thread=one["thread"])) for one in begun}
        came_of = [next(ended[one["thread"]], None) for one in begun]
        listed = rows(page)
        first = len(begun) - len(listed)
        assert [number for number, _, _ in listed] == [*range(first + 1, len(begun) + 1)]
        calls = zip(listed, begun[first:], came_of[first:], strict=True)
        for (_, what, came), begin, end in calls:
            assert what.startswith(begin["call"] + "("), (what, begin)
            assert what.endswith(f"line {begin['line']}"), (what, begin)
            assert (came == "…") is (end is None), (came, end)
            if end and end.get("error"):
                assert came == f"→ {end['error']}"
            elif end and begin["call"] == "recv" and end["result"] and begin["peer"]:
                assert json.loads(came[came.index('"') :]) == end["given"][0]
        vain = sum(one is not None and one.get("error") == "EAGAIN" for one in came_of)
        page.shows(".time h2", f"{len(begun)} calls, {vain} in vain")
        page.picture(step)


def test_the_second_client_of_step_1_waits_in_the_backlog(chrome: Any) -> None:
    with Live("1/minimal") as live:
        page = Page(chrome, live.url)
        page.add("silent", "by hand")
        page.shows(".backlog", "c2")
        page.write("c2", "^abc$")
        page.until("q('tr[data-peer=c2]').children[1].textContent === '5'")
        page.click('li[data-client="c1"] button[aria-label^=remove]')
        page.shows('li[data-client="c2"]', '"*bcd"')
        page.until("!q('.backlog').textContent.includes('c2')")


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_reader_chooses_which_thread_of_step_2_runs(
    chrome: Any, order: tuple[int, int]
) -> None:
    with Live("2/minimal") as live:
        page = Page(chrome, live.url)
        page.add("by hand", "by hand")
        page.until("threads().filter(one => one.call?.call === 'recv').length === 2")
        page.click("#hold")
        page.until("state.paused")
        page.write("c1", "^a$")
        page.write("c2", "^b$")
        page.until("threads().filter(one => one.state === 'held').length === 2")
        answers = {1: "*b", 2: "*c"}
        for thread in order:
            assert answers[thread] not in page.text(f'li[data-client="c{thread}"] .cells')
            page.click(f".threads li:nth-child({thread + 1}) button")
            page.shows(f'li[data-client="c{thread}"] .cells', f'"{answers[thread]}"')
        assert "held" in page.text(".threads li:nth-child(2)")  # before its next call


def test_select_is_handed_the_set_and_epoll_keeps_it(chrome: Any) -> None:
    with Live("5/minimal", "6/minimal") as live:
        page = Page(chrome, live.url)
        page.add("silent", "by hand")
        for number, word in ((1, "handed over"), (2, "kept in the kernel")):
            page.shows(f".server:nth-child({number}) .mechanism h3", word)
            for name in ("listening socket", "c1", "c2"):
                page.shows(f".server:nth-child({number}) .set", name)
        page.write("c2", "^abc$")
        mine = "all('li[data-client=c2] .cells div')"
        page.until(f"{mine}.filter(one => one.textContent.includes('*bcd')).length === 2")
        page.shows(".server:nth-child(1) .threads", "select(3 sockets)")
        page.shows(".server:nth-child(2) .threads", "epoll.poll()")
        page.picture("side_by_side")


def test_a_hundred_clients(chrome: Any) -> None:
    with Live("6") as live:
        page = Page(chrome, live.url)
        page.add(*["ten at once"] * 10)
        page.until("clients().filter(one => one.state === 'end').length === 100")
        assert set(page.js("clients().map(one => one.got)")) == {ANSWER}
        page.click("#hold")
        agreed(page, live)
        page.picture("hundred")


@pytest.mark.parametrize("number", range(1, 8))
def test_a_lesson_can_be_walked(chrome: Any, number: int) -> None:
    with Live("--lesson", str(number)) as live:
        page = Page(chrome, live.url)
        for at in range(page.until("lesson?.steps.length")):
            page.until("q('#lesson').dataset.at === `${arguments[0]}`", at)
            press = page.js("lesson.steps[lesson.at].press")
            deadline = time.monotonic() + PATIENCE
            while page.js("q('#lesson').dataset.there") != "true":
                assert time.monotonic() < deadline, (at, page.text("#lesson p"))
                if press and page.js("threads().some(one => one.state === 'held')"):
                    page.js("q(arguments[0])?.click()", press)
                time.sleep(0.2)
            page.until("all('.look').length === 1")
            box = page.js("q('.look').getBoundingClientRect()")
            assert box["width"] * box["height"] > 0
            if page.js("all('#lesson .choice').length"):
                assert page.js("q('#lesson .go').disabled")
                assert "choose an answer" in page.text("#lesson .go")
                page.click("#lesson .choice")
                page.until("/^(Yes|No)/.test(q('#lesson .answer').textContent)")
            page.picture(f"lesson{number}_{at}")
            page.click("#lesson .go")
        page.shows("#lesson", f"End of lesson {number}")


def test_when_the_browser_is_closed_all_ends(chrome: Any) -> None:
    with Live("2") as live:
        page = Page(chrome, live.url)
        page.until("state.servers.length")
        servers = live.servers()
        page.browser.refresh()
        page.until("state.servers.length")
        time.sleep(4)  # longer than it waits for a browser
        assert live.process.poll() is None
        page.browser.get("about:blank")
        assert live.process.wait(PATIENCE) == 0
        assert servers and not any(map(processes.threads, servers))


def test_a_server_that_dies_says_why_on_the_page(chrome: Any) -> None:
    with Live("1/minimal") as live:
        page = Page(chrome, live.url)
        page.add("reset")
        for _ in range(2):
            page.click('li[data-client="c1"] .next')
            time.sleep(0.2)
        page.shows("#said", "ConnectionResetError")
        page.click("#again")
        page.until("state.servers[0]?.exit === '' && threads()[0]?.call?.call === 'accept'")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of step 2."""
    file = tmp_path_factory.mktemp("replay") / "run.html"
    done = lab("replay", "2/minimal", "-n", "2", "--pace", "0.2", "-o", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert file.stat().st_size < 1 << 20
    return file


def test_a_replay_needs_no_network_and_keeps_the_place(chrome: Any, replayed: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    chrome.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    chrome.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        page = Page(chrome, f"{replayed.as_uri()}#call=17")
        calls = page.until("RECORDED.calls")
        page.shows("#where", f"17 / {calls}")
        assert rows(page)[-1][0] == 17
        last = page.text("#calls tr:last-child td:nth-child(3)")
        left, right = Keys.ARROW_LEFT, Keys.ARROW_RIGHT
        moves = ((left, 16), (left, 15), (right, 16), (Keys.HOME, 0), (Keys.END, calls))
        for key, number in moves:
            page.press(key)
            page.shows("#where", f"{number} / {calls}")
            assert page.js("location.hash") == f"#call={number}"
        page.js("(location.hash = '#call=17', true)")
        page.shows("#where", f"17 / {calls}")
        assert page.text("#calls tr:last-child td:nth-child(3)") == last
        page.js("q('#place').focus()")
        page.picture("replay")
    finally:
        online = offline | {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
        chrome.execute_cdp_cmd("Network.emulateNetworkConditions", online)


def test_what_observe_wrote_can_be_replayed(chrome: Any, tmp_path: Path) -> None:
    calls, run = tmp_path / "calls.jsonl", tmp_path / "run.html"
    lab("observe", "step5_select", "-n", "2", "--pace", "0.1", "--out", str(calls))
    done = lab("replay", "--from", str(calls), "-o", str(run))
    assert (done.returncode, done.stderr) == (0, "")
    page = Page(chrome, f"{run.as_uri()}#call=8")
    page.shows("#where", "8 / ")
    lines = [json.loads(line) for line in calls.read_text().splitlines()]
    ours = [one for one in lines if one["process"] == "server"]
    begun = [one for one in ours if one["call"] not in ("exit", "thread")]
    assert page.js("RECORDED.calls") == len(begun)
    assert rows(page)[-1][1].startswith(begun[7]["call"])
    page.picture("from_observe")


def test_keyboard_only(chrome: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    with Live("1/minimal") as live:
        page = Page(chrome, live.url)
        page.until("state.servers.length && q('.adding button')")

        def tab_to(selector: str) -> Any:
            for _ in range(60):
                found = page.press(Keys.TAB)
                if page.js("arguments[0].matches(arguments[1])", found, selector):
                    assert page.js("getComputedStyle(arguments[0]).outlineStyle", found) != "none"
                    return found
            raise AssertionError(f"no way to {selector}")

        tab_to(".adding select").send_keys("by hand")
        tab_to(".adding button").send_keys(Keys.ENTER)
        page.until("q('#clients li form')")
        tab_to("#clients li form button").send_keys(Keys.ENTER)
        page.shows('li[data-client="c1"]', '"*b"')
        tab_to("#clients li input").send_keys("x")
        live.do(do="add", kind="silent")  # what changes around it takes nothing from who types
        page.until("all('#clients li').length === 2")
        assert page.press("y").get_property("value").endswith("xy")
        page.js("document.activeElement.blur()")
        page.press("h")
        page.until("state.paused")
        assert page.js("q('#hold').getAttribute('aria-pressed')") == "true"
        page.write("c1", "^xyz$")
        page.until("state.servers[0].threads.get(0).state === 'held'")
        page.js("document.activeElement.blur()")
        page.press(" ")
        page.shows('li[data-client="c1"]', 'yz{"')
        assert page.js("q('#said').getAttribute('aria-live')") == "polite"
        page.until("q('#said').textContent.includes('recv')")


@pytest.mark.parametrize("width", [360, 1600])
def test_it_fits(chrome: Any, replayed: Path, width: int) -> None:
    with Live("5", "6") as live:
        for name, url in (("live", live.url), ("replay", f"{replayed.as_uri()}#call=17")):
            page = Page(chrome, url, width)
            page.until("q('.code li')")
            assert page.js("document.documentElement.scrollWidth") <= width
            page.picture(f"{name}_{width}")


def test_light_and_dark_can_be_read(chrome: Any, replayed: Path) -> None:
    papers = set()
    for look in ("light", "dark"):
        feature = {"features": [{"name": "prefers-color-scheme", "value": look}]}
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
        page = Page(chrome, f"{replayed.as_uri()}#call=17")
        page.until("q('.state')")
        papers.add(page.js("getComputedStyle(document.body).backgroundColor"))
        names = ("paper", "panel", "ink", "dim", "sleeps", "held", "mark")
        style = "getComputedStyle(document.documentElement)"
        value = f"{style}.getPropertyValue(`--${{arguments[0]}}`).trim()"
        colours = {name: page.js(value, name) for name in names}
        on = [("ink", one) for one in ("paper", "panel", "sleeps", "held")]
        for text, behind in (*on, ("dim", "panel"), ("mark", "paper")):
            assert contrast(colours[text], colours[behind]) >= 4.5, (look, text, behind)
        page.picture(look)
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(papers) == 2


def contrast(one: str, other: str) -> float:
    """Return the ratio of two colours, #rrggbb, as WCAG 2.1 has it."""

    def light(colour: str) -> float:
        parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        red, green, blue = (
            p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)
