"""One notice on its way: posted, by whichever road takes it, and what came of it."""

import asyncio
import socket
import ssl
from base64 import b64encode
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from mock_epay import __version__, addresses
from mock_epay.clock import stopwatch
from mock_epay.postlinks.lines import Answer, DisconnectedError, GarbledError, Line
from mock_epay.postlinks.roads import BlockedAddressError, Roads
from mock_epay.postlinks.tries import DELIVERED, Letter, Outcome

if TYPE_CHECKING:
    from yarl import URL

REFUSED: Final = "refused"
DISCONNECTED: Final = "disconnected"

_NOBODY_THERE: Final = {REFUSED, "dns"}
_KEPT_S: Final = 0.5  # how long a connection is kept that may serve another notice
_DROPS: Final = 20  # of a slow body
_PORTS: Final = {"http": 80, "https": 443}
_HEADERS: Final = (
    ("Content-Type", "application/json"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "gzip"),
    ("User-Agent", f"mock-epay/{__version__}"),
)

_Headers = tuple[tuple[str, str], ...]


class _StaleError(Exception):
    """A connection that was kept turned out to be closed."""


# What can go wrong, the first match names it.
_RESULTS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (BlockedAddressError, "blocked"),
    (TimeoutError, "timeout"),
    (socket.gaierror, "dns"),
    (ssl.SSLError, "tls"),
    (_StaleError, DISCONNECTED),
    (DisconnectedError, DISCONNECTED),
    (GarbledError, "garbled"),
    (OSError, REFUSED),
    (ValueError, "bad address"),
    (Exception, "failed"),  # a fault of ours: it costs one attempt, never the courier
)


class _Door(NamedTuple):
    """Where a connection leads to, and the name that a certificate must have there; without TLS there is none."""

    host: str
    port: int
    name: str | None


class Post:
    """Brings notices to shops over HTTP, and keeps a connection for a moment where another notice is to follow."""

    def __init__(self, roads: Roads) -> None:
        self._roads = roads
        self._kept: dict[_Door, list[Line]] = {}

    def close(self) -> None:
        """Let go of the connections that are kept."""
        for door in list(self._kept):
            while line := self._take(door):
                line.transport.abort()

    async def carry(self, letter: Letter) -> Outcome:
        """Post a notice once, by the first of its roads on which somebody takes it; say what came of it."""
        outcome = None
        left = self._roads.of(letter.url)
        while left:
            outcome, left = _after(outcome, await self._post(letter, left[0]), left)
        assert outcome is not None
        return outcome

    async def _post(self, letter: Letter, host: str) -> Outcome:
        """Post a notice once to this host and say what came of it, when its patience is over at the latest.

        Redirects are not followed; any 2xx accepts.
        """
        reached = letter.url
        try:
            named = addresses.taken_apart(letter.url)
            address = named.with_host(host) if host else named
            reached = str(address)
            self._roads.check_host(addresses.receiver(reached))
            headers = _headers(named, letter)
            answer = await self._exchange(_door(address, named), _request(named, headers), letter)
        except Exception as wrong:  # noqa: BLE001
            result = next(name for kind, name in _RESULTS if isinstance(wrong, kind))
            return Outcome(result=result, url=reached, stale=isinstance(wrong, _StaleError))
        return Outcome(
            result=_judge(answer.status) if answer.whole else "too large",
            url=reached,
            headers=headers,
            status=answer.status,
            answer=answer.body.decode("utf-8", "replace"),
        )

    async def _exchange(self, door: _Door, head: bytes, letter: Letter) -> Answer:
        """Send a request on a connection that was kept, or else on a new one; return its answer."""
        patience_s, elapsed = letter.patience_s + letter.slow_s, stopwatch()
        kept = self._take(door)
        if kept is None:
            async with asyncio.timeout(patience_s):
                line = await self._connected(door, letter.connect_s)
        else:
            line = kept
        patience = asyncio.get_running_loop().call_later(patience_s - elapsed() / 1000, line.give_up)
        again = False
        try:
            answer = await line.ask(_pieces(head, letter), letter.slow_s / _DROPS)
            again = letter.keep and answer.whole and line.reusable
        except DisconnectedError:
            if kept is not None and line.silent:
                raise _StaleError from None
            raise
        finally:
            patience.cancel()
            if again:
                self._keep(door, line)
            else:
                line.answer.cancel()
                line.transport.abort()
        return answer

    async def _connected(self, door: _Door, patience_s: float) -> Line:
        """Connect, with so many seconds for each address that the host's name leads to."""
        loop = asyncio.get_running_loop()
        trusted = None if door.name is None else await asyncio.to_thread(_trusted)
        failures: list[OSError] = []
        for address in await self._look_up(door):
            try:
                async with asyncio.timeout(patience_s):
                    _, line = await loop.create_connection(
                        Line, address, door.port, ssl=trusted, server_hostname=door.name
                    )
            except OSError as wrong:
                failures.append(wrong)
            else:
                return line
        raise failures[0]

    async def _look_up(self, door: _Door) -> list[str]:
        """Return the addresses of a host. What was checked is what is connected to, so no name can change meanwhile.

        Raises:
            BlockedAddressError: its name leads where none may go.

        """
        if _is_address(door.host):
            return [door.host]
        rows = await asyncio.get_running_loop().getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(row[4][0]) for row in rows))
        self._roads.check_found(door.host, found)
        return found

    def _take(self, door: _Door) -> Line | None:
        """Take a connection that was kept and still is one."""
        lines = self._kept.pop(door, [])
        while lines:
            line = lines.pop()
            line.rest.cancel()
            if not line.lost:
                if lines:
                    self._kept[door] = lines
                return line
        return None

    def _keep(self, door: _Door, line: Line) -> None:
        line.rest = asyncio.get_running_loop().call_later(_KEPT_S, self._end, door, line)
        self._kept.setdefault(door, []).append(line)

    def _end(self, door: _Door, line: Line) -> None:
        line.transport.close()
        lines = self._kept[door]
        lines.remove(line)
        if not lines:
            del self._kept[door]


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


def _door(address: "URL", named: "URL") -> _Door:
    port = address.port
    if address.scheme not in _PORTS or not port:
        raise ValueError(address)
    return _Door(address.raw_host or "", port, named.raw_host if address.scheme == "https" else None)


def _headers(named: "URL", letter: Letter) -> _Headers:
    """Return what stands in the head; `Host` is what the shop calls itself, whichever way leads there."""
    host = named.host_subcomponent or ""
    own = [("Host", host if named.is_default_port() else f"{host}:{named.port}")]
    if named.user is not None:
        user = f"{named.user}:{named.password or ''}"
        own.append(("Authorization", f"Basic {b64encode(user.encode()).decode()}"))
    how = () if letter.keep else (("Connection", "close"),)
    return (*own, *_HEADERS, *how, ("Content-Length", str(len(letter.body))))


def _request(named: "URL", headers: _Headers) -> bytes:
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers)
    return f"POST {named.raw_path_qs} HTTP/1.1\r\n{lines}\r\n".encode()


def _pieces(head: bytes, letter: Letter) -> list[bytes]:
    """Give a request as it goes out: whole, or so that its body takes some time."""
    if not letter.slow_s:
        return [head + letter.body]
    size = max(1, -(-len(letter.body) // _DROPS))
    return [head, *(letter.body[start : start + size] for start in range(0, len(letter.body), size))]


def _judge(status: int) -> str:
    if status // 100 == 2:  # noqa: PLR2004
        return DELIVERED
    return "redirected" if status // 100 == 3 else f"status {status}"  # noqa: PLR2004


@lru_cache(256)
def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom this machine trusts; to read that takes a moment."""
    return ssl.create_default_context()
