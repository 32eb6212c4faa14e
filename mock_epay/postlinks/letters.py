"""One notice on its way: posted, by whichever road takes it, and what came of it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from mock_epay import __version__, addresses
from mock_epay.postlinks.roads import BlockedAddressError, Roads
from mock_epay.postlinks.tries import DELIVERED, Letter, Outcome

REFUSED: Final = "refused"
DISCONNECTED: Final = "disconnected"

_NOBODY_THERE: Final = {REFUSED, "dns"}
_ANSWER_KEPT: Final = 4096  # bytes
_ANSWER_READ: Final = 65_536  # bytes
_ANSWER_HEARD: Final = 131_072  # bytes, with its head, and as they come
_KEPT_S: Final = 0.5  # how long a connection is kept that may serve another notice
_DROPS: Final = 20  # of a slow body
_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept": "*/*",
    "User-Agent": f"mock-epay/{__version__}",
}

# Which connection takes the notice that a task is posting: one that was kept, unless a new one had to be made.
_connection: Final = ContextVar("_connection", default="")
_KEPT, _NEW = "kept", "new"

# What can go wrong, the first match names it.
_RESULTS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (BlockedAddressError, "blocked"),
    (TimeoutError, "timeout"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ClientConnectorError, REFUSED),
    (aiohttp.ServerDisconnectedError, DISCONNECTED),
    (aiohttp.ClientOSError, DISCONNECTED),
    (aiohttp.InvalidURL, "bad address"),
    (aiohttp.ClientError, "garbled"),
    (ValueError, "bad address"),
    (Exception, "failed"),  # a fault of ours or the client's: it costs one attempt, never the courier
)


def new_session(roads: Roads) -> aiohttp.ClientSession:
    """Return a client for postlinks."""
    return aiohttp.ClientSession(
        connector=Connector(limit=0, keepalive_timeout=_KEPT_S, resolver=GuardedResolver(roads)),
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),  # what one shop sets is no other's business
    )


class Connector(aiohttp.TCPConnector):
    """Connects to shops, and soon hears no more of one that has too much to say.

    Notes who gets a new connection and not a kept one; aiohttp's tracing, which tells that too, is dear.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(Line, loop=self._loop)  # type: ignore[assignment]

    async def _create_connection(self, *request: Any) -> Any:
        _connection.set(_NEW)
        return await super()._create_connection(*request)


class Line(ResponseHandler):
    """A connection to a shop.

    Answers that announce another one (1xx), or chunks of a byte each, would keep the parser busy without end, and with
    it everybody: what is behind the limit is left to the patience that a notice has anyway.
    """

    _left = _ANSWER_HEARD

    def set_response_params(self, **options: Any) -> None:
        """Begin to hear an answer."""
        self._left = _ANSWER_HEARD
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        """Hear as much as is left."""
        super().data_received(data[: self._left])
        self._left = max(0, self._left - len(data))
        if not self._left and self.transport is not None:
            self.transport.pause_reading()


class GuardedResolver(AbstractResolver):
    """Looks names up and refuses those that lead to a forbidden address. What it returns is what is connected to."""

    def __init__(self, roads: Roads) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._roads = roads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up.

        Raises:
            BlockedAddressError: it leads where none may go.

        """
        found = await self._inner.resolve(host, port, family)
        self._roads.check_found(host, [one["host"] for one in found])
        return found

    async def close(self) -> None:
        """Do nothing: the resolver that this one asks holds nothing open."""


async def carry(session: aiohttp.ClientSession, letter: Letter, roads: Roads) -> Outcome:
    """Post a notice once, by the first of its roads on which somebody takes it; say what came of it."""
    outcome = None
    left = roads.of(letter.url)
    while left:
        outcome, left = _after(outcome, await post(session, letter, left[0], roads), left)
    assert outcome is not None
    return outcome


def _after(before: Outcome | None, tried: Outcome, roads: list[str]) -> tuple[Outcome | None, list[str]]:
    """Return what is known after the first of these roads was tried, and the roads that are left to try.

    A connection that was kept and turned out to be closed has brought nothing to the shop: the same road again. If
    nobody is there on any road, that is told of the first.
    """
    if tried.stale:
        return before, roads
    if tried.result not in _NOBODY_THERE:
        return tried, []
    return before or tried, roads[1:]


async def post(session: aiohttp.ClientSession, letter: Letter, host: str, roads: Roads) -> Outcome:
    """Post a notice once to this host and say what came of it, when its patience is over at the latest.

    Redirects are not followed; any 2xx accepts.
    """
    sent: list[tuple[str, str]] = []
    _connection.set(_KEPT)
    reached = letter.url
    timeout = aiohttp.ClientTimeout(total=letter.patience_s + letter.slow_s, sock_connect=letter.connect_s)
    try:
        named = URL(letter.url)
        address = named.with_host(host) if host else named
        reached = str(address)
        roads.check_host(addresses.receiver(reached))
        headers = {} if letter.keep else {"Connection": "close"}
        if address != named:
            headers["Host"] = _host_header(named)
        if letter.slow_s:
            headers["Content-Length"] = str(len(letter.body))
        async with session.post(
            address,
            data=_dripping(letter.body, letter.slow_s) if letter.slow_s else letter.body,
            headers=headers,
            allow_redirects=False,
            timeout=timeout,
            server_hostname=named.host if address != named and named.scheme == "https" else None,
        ) as response:
            sent += ((str(name), text) for name, text in response.request_info.headers.items())
            answer, whole = await _read_some(response)
            if not letter.keep:
                response.close()
            result = _judge(response.status) if whole else "too large"
            return Outcome(result=result, url=reached, headers=tuple(sent), status=response.status, answer=answer)
    except Exception as wrong:  # noqa: BLE001
        result = next(name for kind, name in _RESULTS if isinstance(wrong, kind))
        stale = result == DISCONNECTED and _connection.get() == _KEPT and not sent
        return Outcome(result=result, url=reached, headers=tuple(sent), stale=stale)


def _host_header(named: URL) -> str:
    host = named.host_subcomponent or ""
    return host if named.is_default_port() else f"{host}:{named.port}"


async def _dripping(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    """Give a body piece by piece, so that all of it takes so many seconds."""
    size = max(1, len(body) // _DROPS)
    drops = [body[start : start + size] for start in range(0, len(body), size)]
    for drop in drops:
        await asyncio.sleep(seconds / len(drops))
        yield drop


def _judge(status: int) -> str:
    if status // 100 == 2:  # noqa: PLR2004
        return DELIVERED
    return "redirected" if status // 100 == 3 else f"status {status}"  # noqa: PLR2004


async def _read_some(response: aiohttp.ClientResponse) -> tuple[str, bool]:
    """Read an answer, which may never end; return its first kilobytes, and whether it ended in time."""
    kept = bytearray()
    read = 0
    async for chunk in response.content.iter_any():
        read += len(chunk)
        kept += chunk[: _ANSWER_KEPT - len(kept)]
        if read > _ANSWER_READ:
            break
    return kept.decode("utf-8", "replace"), read <= _ANSWER_READ
