"""One client's connection: how much may come in by it, how slowly, and beside how many others.

uvicorn opens the doors and ends the server. HTTP is spoken here, in less time than its own protocol takes, and with
limits, of which that knows none.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools

from mock_epay.clock import ticks
from mock_epay.connections.exchanges import Exchange, written
from mock_epay.connections.limits import MOST_AHEAD, MOST_HEADERS, NO_HTTP, SWEEP_S, Limits, TooMuchError, as_json
from mock_epay.connections.transports import Gathered
from mock_epay.errors import AddressTooLong, Busy, HeadTooLarge, Refusal, TooLarge, TooSlow
from mock_epay.web import faults

__all__ = ["MOST_AHEAD", "MOST_HEADERS", "SWEEP_S", "Connection", "Limits"]

# What Java's client sends with the first request. Behind an offer the parser takes a body for the other protocol.
_OFFER: Final = b"\r\nUpgrade: h2c\r\n"
_NO_OFFER: Final = b"\r\nOffered: h2c\r\n"
_LONGEST_ADDRESS: Final = 0xFFFF  # that the parser can take apart
# What a client may go on sending, unheard, that it reads why before the connection ends.
_LINGER: Final = 5  # sweeps
_IDLE: Final = 25  # sweeps that a connection is kept for without a request
_ANEW: Final = -1  # sweeps after which patience begins: the next may be near
_PROGRESS: Final = 16 * 1024  # bytes of an answer that a client must take in the time that it has for a request
_CLOSED_UNSEEN: Final = 100  # connections above the limit that are told so; what comes on top is just closed

_PROXY: Final = "127.0.0.1"  # from where a client may say by which scheme it was asked itself
_SCHEMES: Final = {b"http": "http", b"https": "https"}
_VERSION: Final = {"version": "3.0", "spec_version": "2.3"}  # of ASGI
_FAILURE: Final = b"Internal Server Error"
_FAILED: Final = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(_FAILURE)),
    (b"connection", b"close"),
]

_log: Final = logging.getLogger(__name__)

# Who is told of each answer: of the request, the status, and how many seconds it took.
Count = Callable[[dict[str, Any], int, float], None]


class Connection(asyncio.Protocol):
    """HTTP that ends with an answer, or without a word, when a client wants too much of it.

    The application may drop the connection too, without an answer; the scope's extensions say how.
    """

    def __init__(
        self,
        limits: Limits,
        count: Count = lambda *_: None,
        *,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._limits = limits
        self._count = count
        self._app = config.loaded_app
        self._server = server_state
        self._state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # what comes behind the last request
        self._latest: Exchange | None = None  # whose request comes in, or came in last
        self._due: deque[Exchange] = deque()  # without an answer; the first is to have one now
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._headless = False  # a request has begun, the head of which is not complete
        self._chunk = 0  # bytes that have just come
        self._fed = 0  # bytes since the message began, and perhaps what came with it
        self._idle = False  # nothing has come since the last answer
        self._deaf = False
        self._left = 0  # bytes to be sent, when patience began
        self._sweeps = _ANEW

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen, unless this client has too many connections."""
        self._transport = Gathered(cast("asyncio.Transport", transport), self._loop)
        self._server.connections.add(self)
        self._extensions = {faults.DROP: self._transport.abort}
        self._scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        self._here, self._client = (_host_and_port(transport, name) for name in ("sockname", "peername"))
        self._by_proxy = self._client[0] == _PROXY
        clients, name = self._limits.clients, self._client[0]
        clients[name] += 1
        surplus = clients[name] - self._limits.connections
        if surplus > _CLOSED_UNSEEN:
            self._transport.abort()
        elif surplus > 0:
            self._app = self._busy

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the connection."""
        self._server.connections.discard(self)
        clients, name = self._limits.clients, self._client[0]
        clients[name] -= 1
        if not clients[name]:
            del clients[name]
        for exchange in self._due:
            exchange.leave()
        self._transport.drain()
        del self._parser  # which leads back here

    def data_received(self, data: bytes) -> None:
        """Read what has come; what is no HTTP, or too much of it, is answered here and ends the connection."""
        if self._deaf:
            return
        if self._idle:
            self._idle, self._sweeps = False, _ANEW
        if self._latest is None and _OFFER in data:
            data = data.replace(_OFFER, _NO_OFFER, 1)
        self._chunk = len(data)
        self._fed += self._chunk
        try:
            self._parser.feed_data(data)
            if self._fed > self._limits.head:
                self._check_unfinished()
        except httptools.HttpParserUpgrade as offer:  # to speak another protocol, which is passed over
            if rest := data[offer.args[0] :]:
                self.data_received(rest)
        except httptools.HttpParserError as wrong:
            inner = wrong.__context__
            self._refuse(inner.refusal if isinstance(inner, TooMuchError) else NO_HTTP)
        except TooMuchError as wrong:
            self._refuse(wrong.refusal)

    def pause_writing(self) -> None:
        """Let the application wait: the client does not take what was written."""
        self._transport.fill()

    def resume_writing(self) -> None:
        """Let the application go on."""
        self._transport.drain()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers = []
        self._headless = True
        self._fed = self._chunk
        self._sweeps = _ANEW

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Hand the request on, if it is of a size to be read and not one of too many."""
        headers, parser = self._headers, self._parser
        if len(headers) > MOST_HEADERS:
            raise TooMuchError(HeadTooLarge, "the request has too many headers", f"at most {MOST_HEADERS} headers")
        if len(self._url) > _LONGEST_ADDRESS:
            raise TooMuchError(AddressTooLong, "the address is too long", f"at most {_LONGEST_ADDRESS} bytes")
        if self._fed > self._limits.head:
            self._check_head(len(self._url) + sum(len(name) + len(value) for name, value in headers))
        raw_path, query = _parts(self._url)
        path = raw_path.decode("ascii")
        version = parser.get_http_version()
        scope = {
            "type": "http",
            "asgi": _VERSION,
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "scheme": (self._by_proxy and _forwarded(headers)) or self._scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self._client,
            "server": self._here,
            "state": self._state.copy(),
            "extensions": self._extensions,
        }
        keeps = version != "1.0" and parser.should_keep_alive()
        exchange = Exchange(scope, self._transport, self._server.default_headers, self._end, keeps=keeps)
        self._latest, self._headless = exchange, False
        self._headers = []  # for what comes behind the body, which nobody asks for
        self._due.append(exchange)
        ahead = len(self._due)
        if ahead == 1:
            self._begin(exchange)
        elif ahead <= MOST_AHEAD:
            self._transport.pause()
        else:
            raise TooMuchError(Busy, "there are too many requests", f"at most {MOST_AHEAD} before an answer")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        cast("Exchange", self._latest).bring(body)

    def on_message_complete(self) -> None:
        """End a request."""
        cast("Exchange", self._latest).complete()

    def look_after(self) -> None:
        """End the connection if its client has kept it waiting for too long; called once in each sweep."""
        left = self._transport.unwritten()
        stuck = self._transport.full or self._transport.is_closing()
        if not (stuck or self._waits()) or abs(left - self._left) >= _PROGRESS:
            self._left, self._sweeps = left, 0
            return
        self._sweeps += 1
        idle = self._idle and not stuck
        if self._sweeps < (_LINGER if self._deaf else _IDLE if idle else self._limits.sweeps):
            return
        if idle:
            self._transport.close()
        elif self._deaf or stuck or self._fed == 0 or (self._in_body() and self._answered()):
            self._fall_silent()
        else:
            rule = f"a request takes at most {self._limits.request_s:g} s to arrive"
            self._refuse(TooMuchError(TooSlow, "the request came too slowly", rule, "request_s").refusal)

    def shutdown(self) -> None:
        """End the connection as soon as what was asked is answered; what uvicorn calls when it ends."""
        if self._due:
            self._due[-1].keeps = False
        else:
            self._transport.close()

    def end(self, *, whatever: bool) -> None:
        """End the connection, `whatever` it waits for, or only if an answer has begun that may never end."""
        if whatever or (self._due and self._due[0].started):
            self._fall_silent()

    def _begin(self, exchange: Exchange) -> None:
        """Let the application answer a request."""
        task = exchange.task = self._loop.create_task(self._answer(exchange))
        self._server.tasks.add(task)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
            if not (exchange.done or exchange.gone):
                raise RuntimeError("the application has ended before its answer has")
        except asyncio.CancelledError:
            self._transport.close()
        except Exception:  # noqa: BLE001  (whatever it is, somebody waits for an answer)
            _log.exception("%s %s has failed", exchange.scope["method"], exchange.scope["raw_path"].decode("ascii"))
            await self._excuse(exchange)
        finally:
            self._server.tasks.discard(exchange.task)

    async def _excuse(self, exchange: Exchange) -> None:
        """Answer where the application has not, if it is not too late for that."""
        if exchange.started:
            self._transport.close()
        else:
            await exchange.send({"type": "http.response.start", "status": 500, "headers": _FAILED})
            await exchange.send({"type": "http.response.body", "body": _FAILURE})

    def _end(self, exchange: Exchange) -> None:
        """Go on behind an answer."""
        self._count(exchange.scope, exchange.status, ticks() - exchange.began)
        self._due.popleft()
        if self._transport.is_closing():
            return
        self._transport.resume()
        if self._due:
            self._begin(self._due[0])
        else:
            self._idle, self._sweeps = True, _ANEW

    def _check_unfinished(self) -> None:
        """Refuse a message that is too large although it has not ended."""
        if not self._in_body():
            self._check_head(self._fed)
        elif self._fed > self._limits.chunked and any(
            name == b"transfer-encoding" for name, _ in cast("Exchange", self._latest).scope["headers"]
        ):
            rule = f"at most {self._limits.chunked} bytes with all its chunks"
            raise TooMuchError(TooLarge, "the body is too long", rule, "max_body_kb")

    def _check_head(self, size: int) -> None:
        if size > self._limits.head:
            what, kind = (
                ("address", AddressTooLong) if 2 * len(self._url) > size else ("head of the request", HeadTooLarge)
            )
            rule = f"at most {self._limits.head} bytes, address and all headers"
            raise TooMuchError(kind, f"the {what} is too long", rule, "max_head_kb")

    def _in_body(self) -> bool:
        """Return whether the head of the latest request is complete."""
        return self._latest is not None and not self._headless

    def _answered(self) -> bool:
        """Return whether the latest request whose head was complete has its answer."""
        return self._latest is not None and self._latest.done

    def _waits(self) -> bool:
        """Return whether it is the client's turn."""
        if self._deaf or not self._due:
            return True
        return self._in_body() and cast("Exchange", self._latest).incoming

    def _fall_silent(self) -> None:
        self._deaf = True
        self._transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer instead of the application, and hear no more; the client has a moment to read that."""
        own = self._latest if self._in_body() else None
        if len(self._due) > 1 or (own.started if own else self._due):
            self._fall_silent()
            return
        self._deaf = True
        if own:
            own.leave()
        body, headers = as_json(refusal)
        self._transport.write(written(refusal.status, tuple(headers))[0] + b"\r\n" + body)
        self._transport.write_eof()

    async def _busy(self, _: Any, __: Any, send: Any) -> None:
        """Answer a request of a client that has too many connections."""
        rule = f"at most {self._limits.connections} of one client at once"
        refusal = TooMuchError(Busy, "there are too many connections", rule, "max_connections").refusal
        body, headers = as_json(refusal)
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _parts(url: bytes) -> tuple[bytes, bytes]:
    """Take the address of a request apart into path and query, neither of them decoded."""
    if url.startswith(b"/") and b"#" not in url:  # nearly all there is
        path, _, query = url.partition(b"?")
        return path, query
    parsed = httptools.parse_url(url)
    return parsed.path, parsed.query or b""


def _forwarded(headers: list[tuple[bytes, bytes]]) -> str:
    """Return the scheme by which a proxy was asked that hands a request on; empty if none says so."""
    for name, value in headers:
        if name == b"x-forwarded-proto":
            return _SCHEMES.get(value.strip(), "")
    return ""


def _host_and_port(transport: asyncio.BaseTransport, name: str) -> tuple[str, int]:
    """Return an end of a connection; nowhere if that is gone already."""
    host, port, *_ = transport.get_extra_info(name) or ("", 0)
    return host, port
