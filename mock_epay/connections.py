"""One client's connection: how much may come in by it, how slowly, and beside how many others."""

import asyncio
from collections import Counter
from functools import lru_cache
from math import ceil
from typing import Any, Final, Self, cast

import httptools
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from mock_epay.errors import AddressTooLong, Busy, HeadTooLarge, Refusal, TooLarge, TooSlow
from mock_epay.records import Record, field
from mock_epay.settings import Settings
from mock_epay.web import faults
from mock_epay.wire import contracts, outgoing

SWEEP_S: Final = 0.2  # how often each connection is looked at
MOST_HEADERS: Final = 100
MOST_AHEAD: Final = 100  # requests that a client may send before it has an answer

# What Java's client sends with the first request. Behind an offer the parser takes a body for the other protocol.
_OFFER: Final = b"\r\nUpgrade: h2c\r\n"
_NO_OFFER: Final = b"\r\nOffered: h2c\r\n"
_LONGEST_ADDRESS: Final = 0xFFFF  # that the parser can take apart
# What a client may go on sending, unheard, that it reads why before the connection ends.
_LINGER: Final = 5  # sweeps
# Chunks have lengths, extensions and trailers, so a body takes more bytes than it has.
_FRAMING: Final = 64 * 1024
_PROGRESS: Final = 16 * 1024  # bytes of an answer that a client must take in the time that it has for a request
_CLOSED_UNSEEN: Final = 100  # connections above the limit that are told so; what comes on top is just closed

_BODILESS: Final = {204, 304}
# Headers that say how the connection goes on, which is uvicorn's affair, or that are nobody's to keep.
_NOT_KEPT: Final = {b"connection", b"transfer-encoding", b"set-cookie"}
_GATHERED: Final = 64 * 1024  # bytes that wait for the end of a turn
_LINES: Final = 512  # headers that are kept as they are written

_NO_HTTP: Final = Refusal(
    "this is no HTTP request: HTTP/1.1 is spoken here, and HTTPS at a port of its own (setting tls)",
    field="request",
    rule="HTTP/1.1, as RFC 9112 says",
    source="RFC 9112",
)


class Limits(Record, kw_only=True):
    """What all connections of a server share: sizes in bytes, patience in sweeps, and how many each client has."""

    head: int
    chunked: int
    connections: int
    sweeps: int
    request_s: float
    clients: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits that the settings want."""
        head = settings.max_head_kb * 1024
        return cls(
            head=head,
            chunked=head + settings.max_body_kb * 1024 + _FRAMING,
            connections=settings.max_connections,
            sweeps=ceil(settings.request_s / SWEEP_S),
            request_s=settings.request_s,
        )


class Connection(HttpToolsProtocol):
    """HTTP that ends with an answer, or without a word, when a client wants too much of it.

    The application may drop the connection too, without an answer; the scope's extensions say how.
    """

    # uvicorn's has nearly as many attributes as Python keeps in its quick way; with these it would have too many.
    __slots__ = ("_chunk", "_deaf", "_extensions", "_fed", "_limits", "_name", "_seen", "_sweeps")

    def __init__(self, limits: Limits, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._limits = limits
        self.url = b""
        self._chunk = 0  # bytes that have just come
        self._fed = 0  # bytes since the message began, and perhaps what came with it
        self._deaf = False
        self._seen: tuple[object, int] = (self, 0)  # request and bytes left to send, when patience began
        self._sweeps = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to listen, unless this client has too many connections."""
        super().connection_made(cast("asyncio.Transport", Gathered(transport, self.loop)))
        self._extensions = {faults.DROP: transport.abort}
        self._name = self.client[0] if self.client else ""
        self._limits.clients[self._name] += 1
        surplus = self._limits.clients[self._name] - self._limits.connections
        if surplus > _CLOSED_UNSEEN:
            transport.abort()
        elif surplus > 0:
            self.app = self._busy

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._limits.clients[self._name] -= 1
        if not self._limits.clients[self._name]:
            del self._limits.clients[self._name]

    def data_received(self, data: bytes) -> None:
        """Read what has come; what is no HTTP, or too much of it, is answered here and ends the connection."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        if self.cycle is None and _OFFER in data:
            data = data.replace(_OFFER, _NO_OFFER, 1)
        self._chunk = len(data)
        self._fed += self._chunk
        try:
            self.parser.feed_data(data)
            if self._fed > self._limits.head:
                self._check_unfinished()
        except httptools.HttpParserUpgrade as offer:  # to speak another protocol, which is passed over
            if rest := data[offer.args[0] :]:
                self.data_received(rest)
        except httptools.HttpParserError as wrong:
            inner = wrong.__context__
            self._refuse(inner.refusal if isinstance(inner, _TooMuchError) else _NO_HTTP)
        except _TooMuchError as wrong:
            self._refuse(wrong.refusal)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._fed = self._chunk
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        """Hand the request on, if it is of a size to be read and not one of too many."""
        if len(self.headers) > MOST_HEADERS:
            raise _TooMuchError(HeadTooLarge, "the request has too many headers", f"at most {MOST_HEADERS} headers")
        if len(self.url) > _LONGEST_ADDRESS:
            raise _TooMuchError(AddressTooLong, "the address is too long", f"at most {_LONGEST_ADDRESS} bytes")
        if self._fed > self._limits.head:
            self._check_head(len(self.url) + sum(len(name) + len(value) for name, value in self.headers))
        super().on_headers_complete()
        self.headers = []  # for what comes behind the body, which nobody asks for
        if len(self.pipeline) > MOST_AHEAD:
            raise _TooMuchError(Busy, "there are too many requests", f"at most {MOST_AHEAD} before an answer")

    def look_after(self) -> None:
        """End the connection if its client has kept it waiting for too long; called once in each sweep."""
        left = self.transport.get_write_buffer_size()
        stuck = self.flow.write_paused or self.transport.is_closing()
        scope, before = self._seen
        if not (stuck or self._waits()) or self.scope is not scope or abs(left - before) >= _PROGRESS:
            self._seen, self._sweeps = (self.scope, left), 0
            return
        self._sweeps += 1
        if self._sweeps < (_LINGER if self._deaf else self._limits.sweeps):
            return
        answered = self._in_body() and self.cycle.response_complete
        if self._deaf or stuck or self._fed == 0 or answered:
            self._fall_silent()
            return
        rule = f"a request takes at most {self._limits.request_s:g} s to arrive"
        self._refuse(_TooMuchError(TooSlow, "the request came too slowly", rule, "request_s").refusal)

    def end(self, *, whatever: bool) -> None:
        """End the connection, `whatever` it waits for, or only if an answer has begun that may never end."""
        if whatever or (self._answer_is_due() and self.cycle.response_started):
            self._fall_silent()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        answer = _Answer(cycle)
        super()._start_asgi_task(cycle, lambda scope, receive, _: app(scope, receive, answer.send))

    def _check_unfinished(self) -> None:
        """Refuse a message that is too large although it has not ended."""
        if not self._in_body():
            self._check_head(self._fed)
        elif self._fed > self._limits.chunked and any(
            name == b"transfer-encoding" for name, _ in self.scope["headers"]
        ):
            rule = f"at most {self._limits.chunked} bytes with all its chunks"
            raise _TooMuchError(TooLarge, "the body is too long", rule, "max_body_kb")

    def _check_head(self, size: int) -> None:
        if size > self._limits.head:
            what, kind = (
                ("address", AddressTooLong) if 2 * len(self.url) > size else ("head of the request", HeadTooLarge)
            )
            rule = f"at most {self._limits.head} bytes, address and all headers"
            raise _TooMuchError(kind, f"the {what} is too long", rule, "max_head_kb")

    def _in_body(self) -> bool:
        """Return whether the head of the latest request is complete."""
        return self.cycle is not None and self.cycle.scope is self.scope  # type: ignore[redundant-expr]

    def _answer_is_due(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    def _waits(self) -> bool:
        """Return whether it is the client's turn, and nothing else sees to it that the client takes it."""
        if self._deaf:
            return True
        if self._answer_is_due():
            return self._in_body() and self.cycle.more_body and not self.flow.read_paused
        return self.timeout_keep_alive_task is None

    def _fall_silent(self) -> None:
        self._deaf = True
        self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer instead of the application, and hear no more; the client has a moment to read that."""
        own = self._in_body()
        another_is_due = self._answer_is_due() and not own
        if another_is_due or self.pipeline or (own and self.cycle.response_started):
            self._fall_silent()
            return
        self._deaf = True
        if own:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body, headers = _as_json(refusal)
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        self.transport.write(b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body]))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    async def _busy(self, _: Any, __: Any, send: Any) -> None:
        """Answer a request of a client that has too many connections."""
        rule = f"at most {self._limits.connections} of one client at once"
        refusal = _TooMuchError(Busy, "there are too many connections", rule, "max_connections").refusal
        body, headers = _as_json(refusal)
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Gathered:
    """A transport that writes all of a turn of the loop at its end, when the application has dealt with every request.

    A write is a system call, the dearest part, and wakes the client; what runs between two of them runs half as fast.
    """

    __slots__ = ("_kept", "_loop", "_size", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept: list[bytes] = []
        self._size = 0
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write at the end of the turn, or at once if that would be too much."""
        if not self._kept:
            self._loop.call_soon(self._flush)
        self._kept.append(data)
        self._size += len(data)
        if self._size > _GATHERED:
            self._flush()

    def write_eof(self) -> None:
        """Write all, and say that there will be no more."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Write all, and close."""
        self._flush()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are still to go out."""
        return self._size + self._transport.get_write_buffer_size()

    def _flush(self) -> None:
        if self._kept:
            data, self._kept, self._size = b"".join(self._kept), [], 0
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Answer:
    """What an application says to one request. If it comes whole it is written at once, else as uvicorn does it.

    To write is a system call, the dearest part; and uvicorn looks at each header anew, though most are always the same.
    Without a length, as in a stream, the body may be long in coming, so the head does not wait for it.
    """

    __slots__ = ("_cycle", "_start")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._start: Any = None

    async def send(self, message: Any) -> None:
        """Take what comes next of the answer."""
        start, self._start = self._start, None
        if start is not None:
            if self._write(start, message):
                return
            await self._cycle.send(start)
        elif not self._cycle.response_started and _has_length(message):
            self._start = message
            return
        await self._cycle.send(message)

    def _write(self, start: Any, message: Any) -> bool:
        """Write an answer whose body is all here; return whether it is one to which nothing else has to be done."""
        cycle, status, body = self._cycle, start["status"], message.get("body", b"")
        if (
            message.get("more_body")
            or status in _BODILESS
            or not cycle.keep_alive
            or cycle.disconnected
            or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        lines = [_line(name, value) for name, value in (*cycle.default_headers, *start["headers"])]
        if b"" in lines or b"content-length: %d\r\n" % len(body) not in lines:
            return False
        cycle.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()
        return True


def _has_length(message: Any) -> bool:
    return any(name == b"content-length" for name, _ in message.get("headers", ()))


@lru_cache(_LINES)
def _line(name: bytes, value: bytes) -> bytes:
    """Return a header as it is written; nothing for one that cannot be, or is not kept."""
    name = name.lower()
    odd = HEADER_RE.search(name) or HEADER_VALUE_RE.search(value) or name in _NOT_KEPT
    return b"" if odd else name + b": " + value + b"\r\n"


class _TooMuchError(Exception):
    """A client wants too much. The parser wraps what is raised in it in an error of its own."""

    def __init__(self, kind: type[Refusal], what: str, rule: str, setting: str = "") -> None:
        source = f"setting {setting}" if setting else "sandbox: limits of a connection"
        self.refusal = kind(f"{what}: {rule}", field="request", rule=rule, source=source)
        super().__init__(self.refusal.message)


def _as_json(refusal: Refusal) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return a refusal as the body and headers of the last answer of a connection."""
    body = contracts.encode("error", outgoing.error(refusal), check=False)
    return body, [
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *[(b"retry-after", b"1")] * (refusal.status == Busy.status),
        (b"content-length", b"%d" % len(body)),
    ]
