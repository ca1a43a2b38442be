"""The page's way to the servers: HTTP on loopback, for one reader only.

The page can start programs. So whoever asks has to know the token, which is in the address that
the reader was given; and a page from elsewhere is turned away, even if it knows our address by
another name (`Host`), or sends a form here (`Origin`).
"""

import asyncio
import contextlib
import hmac
import http.server
import json
import queue
import secrets
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.harness.servers import ServerError
from lab.live import page
from lab.live.app import App

ALIVE = 1.0
"""Seconds between two signs of life, so that a closed browser is noticed."""

ALWAYS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
        " img-src data:; connect-src 'self'"
    ),
}
"""Headers of every answer."""


class Web(http.server.ThreadingHTTPServer):
    """The HTTP server: how many `readers` have the page open, and whether one ever `came`."""

    daemon_threads = True

    def __init__(self, app: App, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.app = app
        self.loop = asyncio.get_running_loop()
        self.token = secrets.token_urlsafe(16)
        self.hosts = {f"{host}:{self.server_port}" for host in ("127.0.0.1", "localhost")}
        self.readers = 0
        self.came = False

    def ask(self, coroutine: Any) -> Any:
        """Run a coroutine on the loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a browser that has left."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection of the browser."""

    server: Web
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def allowed(self, token: str | None) -> bool:
        """Return whether it is the reader who asks; answer if it is not."""
        host, origin = self.headers["Host"], self.headers["Origin"]
        good = host in self.server.hosts and origin in (None, f"http://{host}")
        good = good and hmac.compare_digest(token or "", self.server.token)
        if not good:
            self.answer(HTTPStatus.FORBIDDEN, "not with this address\n")
        return good

    def answer(self, status: HTTPStatus, body: str | None, kind: str = "text/plain") -> None:
        """Send a whole answer; without a body the head of one that goes on until the end."""
        data = (body or "").encode()
        size = {"Connection": "close"} if body is None else {"Content-Length": str(len(data))}
        self.send_response(status)
        for name, value in {"Content-Type": f"{kind}; charset=utf-8", **ALWAYS, **size}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        """Send the page, or events for as long as it is open."""
        asked = urlsplit(self.path)
        if not self.allowed(parse_qs(asked.query).get("token", [""])[0]):
            return
        if asked.path == "/":
            self.answer(HTTPStatus.OK, page.whole(), "text/html")
        elif asked.path == "/events":
            self.events()
        else:
            self.answer(HTTPStatus.NOT_FOUND, "there is no such page\n")

    def events(self) -> None:
        """Send parcels of events, in the form of server-sent events (the HTML standard)."""
        listener = self.server.ask(self.server.app.listen())
        self.server.readers += 1
        self.server.came = True
        try:
            self.answer(HTTPStatus.OK, None, "text/event-stream")
            while True:
                try:
                    said = f"data: {listener.get(timeout=ALIVE)}"
                except queue.Empty:
                    said = ": still here"
                self.wfile.write(f"{said}\n\n".encode())
        finally:
            self.server.readers -= 1
            self.server.loop.call_soon_threadsafe(self.server.app.listeners.discard, listener)

    def do_POST(self) -> None:
        """Do what the page asks for."""
        if not self.allowed(self.headers["X-Token"]):
            return
        try:
            size = int(self.headers["Content-Length"] or 0)
            wish = json.loads(self.rfile.read(min(size, 1 << 20)))
            self.server.ask(self.server.app.do(wish))
        except (ValueError, LookupError, TypeError, ServerError) as error:
            self.answer(HTTPStatus.BAD_REQUEST, f"{error}\n")
        else:
            self.answer(HTTPStatus.OK, "{}", "application/json")


@contextlib.contextmanager
def serving(app: App, port: int) -> Iterator[Web]:
    """Serve the page during the block."""
    with Web(app, port) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield web
        finally:
            web.shutdown()
