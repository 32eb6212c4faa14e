"""A shop's address for tests: takes postlinks, keeps them, and answers as it is told to."""

import json
import socket
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Final, Self, cast

MAX_BODY: Final = 1024 * 1024  # bytes; a postlink has about one thousand

_SOCKET_S: Final = 10  # how long a sender may say nothing
_POLL_S: Final = 0.02  # how long the end may take to be noticed
_PATIENCE_S: Final = 5  # how long threads may take to end before something is wrong

__tracebackhide__ = True  # of a call that fails, pytest shows the test's own line


@dataclass(frozen=True, slots=True)
class Notice:
    """A request that came. Names of headers are in lower case; `path` has the query with it."""

    path: str
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """Return the text read as JSON."""
        read: dict[str, Any] = json.loads(self.text)
        return read


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int = 200
    body: str = ""
    delay_s: float = 0


class Receiver:
    """One path, and all below it. Answers 200 unless told otherwise; use `Receivers` to get one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._notices: list[Notice] = []
        self._answers: deque[_Answer] = deque()
        self._news = threading.Condition()
        self._closed = False

    @property
    def notices(self) -> list[Notice]:
        """Return what has come, oldest first."""
        with self._news:
            return self._notices.copy()

    def wait(self, count: int = 1, timeout_s: float = 5) -> list[Notice]:
        """Return what has come once there are `count` of it.

        Raises:
            AssertionError: fewer came within `timeout_s` real seconds.

        """
        with self._news:
            if not self._news.wait_for(lambda: len(self._notices) >= count, timeout_s):
                raise AssertionError(
                    f"{len(self._notices)} of {count} notices came to {self.url} within {timeout_s:g} s"
                )
            return self._notices.copy()

    def answer(self, status: int, body: str = "", delay_s: float = 0, times: int = 1) -> None:
        """Say what the next notices are answered with, after `delay_s` real seconds; then it is 200 again."""
        with self._news:
            self._answers.extend([_Answer(status, body, delay_s)] * times)

    def close(self) -> None:
        """Take no more; what comes late is answered with 404, and an answer that waits is given now."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _take(self, notice: Notice) -> _Answer:
        """Keep a notice and return its answer when it is time to give that."""
        with self._news:
            if self._closed:
                return _Answer(404)
            self._notices.append(notice)
            answer = self._answers.popleft() if self._answers else _Answer()
            self._news.notify_all()
            self._news.wait_for(lambda: self._closed, answer.delay_s)
        return answer


class Receivers:
    """A small server that gives receivers, on a free port.

    `host` is the name by which senders reach it. An address is listened on itself; any other name than localhost may
    be one that only the sender knows, as in a container, so it is listened on all addresses for it.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._receivers: dict[str, Receiver] = {}
        self._server = _Server(self._receivers, *_listening_at(host))
        self._url = f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="mock-epay-receivers", daemon=True
        )
        self._thread.start()

    def receiver(self) -> Receiver:
        """Return a new receiver with a path of its own."""
        name = str(len(self._receivers) + 1)
        self._receivers[name] = Receiver(f"{self._url}/{name}")
        return self._receivers[name]

    def close(self) -> None:
        """End the server and its threads, whatever is under way."""
        for receiver in self._receivers.values():
            receiver.close()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join(_PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, wrong: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Server(ThreadingTCPServer):
    """Not http.server's own, which looks its name up first: that takes seconds on some machines."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, receivers: dict[str, Receiver], family: socket.AddressFamily, address: str) -> None:
        self.address_family = family
        self.receivers = receivers
        self._open: set[socket.socket] = set()
        self._change = threading.Condition()
        super().__init__((address, 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._change:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._change:
            self._open.discard(request)
            self._change.notify_all()

    def hang_up(self) -> None:
        """End each connection and wait for its thread."""
        with self._change:
            for connection in self._open:
                with suppress(OSError):  # the other side was faster
                    connection.shutdown(socket.SHUT_RDWR)
            self._change.wait_for(lambda: not self._open, _PATIENCE_S)


class _Handler(BaseHTTPRequestHandler):
    timeout = _SOCKET_S

    def handle(self) -> None:
        with suppress(OSError):  # a sender that went away, or says nothing
            super().handle()

    def do_POST(self) -> None:
        receivers = cast("_Server", self.server).receivers
        receiver = receivers.get(self.path.partition("?")[0].strip("/").partition("/")[0])
        length = self.headers.get("Content-Length", "")
        if receiver is None:
            self._say(_Answer(404))
        elif not (length.isascii() and length.isdigit()):
            self._say(_Answer(411))
        elif int(length) > MAX_BODY:
            self._say(_Answer(413))
        elif len(body := self.rfile.read(int(length))) == int(length):
            headers = {name.lower(): text for name, text in self.headers.items()}
            self._say(receiver._take(Notice(self.path, headers, body.decode("utf-8", "replace"))))  # noqa: SLF001

    def _say(self, answer: _Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay quiet: tests have output of their own."""


def _listening_at(host: str) -> tuple[socket.AddressFamily, str]:
    """Return where to listen so that `host` leads there."""
    if host == "localhost":
        return socket.AF_INET, "127.0.0.1"
    try:
        version = ip_address(host).version
    except ValueError:
        return socket.AF_INET, ""
    return (socket.AF_INET6 if version == 6 else socket.AF_INET), host  # noqa: PLR2004
