"""Fixtures: each engine once for a run, and a shop's web server under names of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from browsers.engines import ENGINES
from browsers.windows import Window
from support import PATIENCE_S

EMPTY: Final = "<!doctype html><title>Shop</title>"
TYPES: Final = {".js": "text/javascript; charset=utf-8", ".ico": "image/x-icon"}


@dataclass
class Front:
    """What a shop serves, by path, and the policy that goes with it; every other path has an empty page."""

    port: int
    pages: dict[str, str] = field(default_factory=dict)
    policy: str = ""

    def url(self, host: str = "127.0.0.1") -> str:
        """Return where the shop is, by one of the names of this machine."""
        return f"http://{host}:{self.port}"


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Give the name of an engine."""
    return str(request.param)


@pytest.fixture(scope="session")
def _window(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with ENGINES[engine](tmp_path_factory.mktemp(engine)) as driver:
        yield Window(engine, driver)


@pytest.fixture
def window(_window: Window) -> Iterator[Window]:
    """Give the window of an engine, and leave whatever page it is at."""
    yield _window
    _window.driver.switch_to.default_content()
    _window.go("about:blank")


@pytest.fixture
def plain_window(engine: str, tmp_path: Path) -> Iterator[Window]:
    """Give a window in which no script runs."""
    with ENGINES[engine](tmp_path, scripts=False) as driver:
        yield Window(engine, driver, scripts=False)


@pytest.fixture
def dark_window(engine: str, tmp_path: Path) -> Iterator[Window]:
    """Give a window of somebody who likes it dark."""
    with ENGINES[engine](tmp_path, dark=True) as driver:
        yield Window(engine, driver)


@pytest.fixture
def front() -> Iterator[Front]:
    """Run a shop's web server."""
    with _serving() as shop:
        yield shop


@contextmanager
def _serving() -> Iterator[Front]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = shop.pages.get(path, EMPTY).encode()
            self.send_response(200)
            self.send_header("Content-Type", TYPES.get(Path(path).suffix, "text/html; charset=utf-8"))
            self.send_header("Content-Length", str(len(body)))
            if shop.policy:
                self.send_header("Content-Security-Policy", shop.policy)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shop = Front(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)
