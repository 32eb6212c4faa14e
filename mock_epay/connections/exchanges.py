"""A request and its answer, as an application asks for the one and gives the other: ASGI."""

import asyncio
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

from mock_epay.clock import ticks
from mock_epay.connections.transports import Gathered

_MOST_UNREAD: Final = 64 * 1024  # bytes of a body that wait for the application; what else there is has to wait itself
_MOST_HEADS: Final = 512  # that are kept as they are written

_BODILESS: Final = {204, 304}
_GONE: Final = {"type": "http.disconnect"}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_SECRET: Final = b"set-cookie"
_CLOSING: Final = b"connection: close\r\n"
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"
_NO_NAME: Final = re.compile(rb"[^!#-'*+.0-9A-Z^-z|~-]|^$")
_NO_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_IN_CHUNKS: Final = -1  # how an answer's body ends, if not by its length
_UNSAID: Final = -2

Header = tuple[bytes, bytes]
# The head of an answer but for its last lines, how long the body is, and whether it is the connection's last.
_Head = tuple[bytes, int, bool]
_heads: Final[dict[tuple[int, tuple[Header, ...]], _Head]] = {}


class Exchange:
    """One request and its answer. The connection tells what comes of the one, the application what is in the other."""

    __slots__ = (
        "_body",
        "_common",
        "_ended",
        "_handed",
        "_invited",
        "_left",
        "_news",
        "_transport",
        "arrived",
        "began",
        "done",
        "gone",
        "keeps",
        "scope",
        "started",
        "status",
        "task",
    )

    def __init__(
        self,
        scope: dict[str, Any],
        transport: Gathered,
        common: Iterable[Header],
        ended: Callable[["Exchange"], None],
        *,
        keeps: bool,
    ) -> None:
        self.scope = scope
        self.began = ticks()
        self.task: asyncio.Task[None] | None = None  # in which the application answers
        self.keeps = keeps  # the connection, for further requests
        self._transport = transport
        self._common = common  # headers of every answer
        self._ended = ended
        self._body = bytearray()  # what has come, and was not asked for yet
        self._handed = False  # the application has all of the request
        self._invited = False  # the client was told to send the body
        self._news: asyncio.Event | None = None  # that somebody waits for
        self._left: int | None = 0  # bytes of the answer still to come; None if it comes in chunks
        self.status = 0
        self.arrived = False  # all of the request
        self.started = False  # the answer
        self.done = False  # all of the answer is given
        self.gone = False  # nobody is there to take it

    @property
    def incoming(self) -> bool:
        """Whether the next that is to happen is that more of the request comes."""
        return not (self.arrived or self._transport.unread)

    def bring(self, body: bytes) -> None:
        """Take what has come of the body."""
        if self.done:
            return
        self._body += body
        if len(self._body) > _MOST_UNREAD:
            self._transport.pause()
        self._tell()

    def complete(self) -> None:
        """Note that all of the request is here."""
        if not self.done:
            self.arrived = True
            self._tell()

    def leave(self) -> None:
        """Note that nobody is there to take an answer any more."""
        self.gone = True
        self._tell()

    async def receive(self) -> dict[str, Any]:
        """Give the application what there is of the request since it was asked last, if need be when it comes."""
        while not (self._body or self.gone or self.done or (self.arrived and not self._handed)):
            self._invite()
            self._transport.resume()
            self._news = self._news or asyncio.Event()
            self._news.clear()
            await self._news.wait()
        if self.gone or self.done:
            return _GONE
        body, self._handed = bytes(self._body), self.arrived
        if body:
            self._body = bytearray()
        return {"type": "http.request", "body": body, "more_body": not self.arrived}

    async def send(self, message: Any) -> None:
        """Take what the application says next.

        Raises:
            RuntimeError: it is not what can come next, or not what was said of it before.

        """
        if self._transport.full and not self.gone:
            await self._transport.drained()
        if self.gone:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.started:
            self.started = True
            self.status = message["status"]
            self._transport.write(self._head(message.get("headers", ())))
        elif kind == "http.response.body" and self.started and not self.done:
            self._write(message.get("body", b""), last=not message.get("more_body"))
        else:
            raise RuntimeError(f"{kind} is not what can be said next of an answer")

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    def _invite(self) -> None:
        """Tell a client that waits for it that its body is welcome."""
        waits = not (self._invited or self.started) and (b"expect", b"100-continue") in [
            (name, value.lower()) for name, value in self.scope["headers"]
        ]
        if waits and not self._transport.is_closing():
            self._invited = True
            self._transport.write(_CONTINUE)

    def _head(self, headers: Iterable[Header]) -> bytes:
        """Return all that stands before the body, and note how that ends."""
        lines, ends, closes = written(self.status, (*self._common, *headers))
        self.keeps = self.keeps and not closes
        if not (self.keeps or closes):
            lines += _CLOSING
        if ends != _UNSAID:
            self._left = None if ends == _IN_CHUNKS else ends
        elif self.scope["method"] != "HEAD" and self.status not in _BODILESS:
            self._left = None
            lines += _CHUNKED
        return lines + b"\r\n"

    def _write(self, body: bytes, *, last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self._left = 0
        elif self._left is None:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._transport.write(chunk + b"0\r\n\r\n" * last)
        elif len(body) > self._left:
            raise RuntimeError("an answer is longer than it said")
        else:
            self._left -= len(body)
            self._transport.write(body)
        if not last:
            return
        if self._left:
            raise RuntimeError("an answer is shorter than it said")
        self.done = True
        self._tell()
        if not self.keeps:
            self._transport.close()
        self._ended(self)


def written(status: int, headers: tuple[Header, ...]) -> _Head:
    """Return a head as it is written, but for the empty line behind it; nearly all of them were written before.

    Raises:
        RuntimeError: a header cannot be written.

    """
    head = _heads.get((status, headers))
    if head is None:
        head = _head(status, headers)
        if len(_heads) == _MOST_HEADS:
            _heads.clear()
        if _SECRET not in (name for name, _ in headers):
            _heads[status, headers] = head
    return head


def _head(status: int, headers: tuple[Header, ...]) -> _Head:
    lines, ends, closes = [_STATUS_LINES[status]], _UNSAID, False
    for header in headers:
        name, value = header[0].lower(), header[1]
        if _NO_NAME.search(name) or _NO_VALUE.search(value):
            raise RuntimeError("a header of an answer has signs that no header may have")
        lines.append(name + b": " + value + b"\r\n")
        if name == b"connection":
            closes = closes or b"close" in [word.strip() for word in value.lower().split(b",")]
        elif name == b"content-length" and ends == _UNSAID:
            ends = int(value)
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            ends = _IN_CHUNKS
    return b"".join(lines), ends, closes


def _status_lines() -> dict[int, bytes]:
    phrases = {one.value: one.phrase for one in HTTPStatus}
    return {status: f"HTTP/1.1 {status} {phrases.get(status, '')}\r\n".encode() for status in range(100, 600)}


_STATUS_LINES: Final = _status_lines()
