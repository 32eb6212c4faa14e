"""The delivery of postlinks: takes what is due, tries, records the answer, tries again."""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Final, NoReturn, Self
from weakref import WeakValueDictionary

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mock_epay import __version__, addresses
from mock_epay.bank import notices
from mock_epay.clock import stopwatch
from mock_epay.fake import Fake
from mock_epay.model import Attempt, Delivery, DeliveryState
from mock_epay.store import Store, UnknownMerchantError

DELIVERED: Final = "delivered"
REFUSED: Final = "refused"
DISCONNECTED: Final = "disconnected"

_NOBODY_THERE: Final = {REFUSED, "dns"}
OUTDATED: Final = "outdated"

_PER_RECEIVER: Final = 8  # attempts under way at once to one host and port, so that a slow shop delays itself alone
_ANSWER_KEPT: Final = 4096  # bytes
_ANSWER_READ: Final = 65_536  # bytes
_GATEWAY: Final = "gateway"
_ROUTES: Final = Path("/proc/net/route")
_KEPT_S: Final = 0.5  # how long a connection is kept that may serve another notice
_DROPS: Final = 20  # of a slow body
_LAST_TRY_S: Final = 1  # how long the end of a world waits for a shop that has a notice before it
_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept": "*/*",
    "User-Agent": f"mock-epay/{__version__}",
}


# Notices of one invoice to one receiver share a lane: merchant, invoice number, receiver.
_Key = tuple[str, str, str]


class BlockedAddressError(Exception):
    """A postlink address that leads where none may go."""


class Roads:
    """Where postlinks really go: other hosts than they name, other places that may be meant by localhost, or nowhere.

    The texts are those of the settings `postlink_hosts`, `postlink_localhost` and `postlink_allow`.

    Raises:
        ValueError: a text cannot be read.

    """

    def __init__(self, hosts: str = "", localhost: str = "", allow: str = "") -> None:
        pairs = [pair.split("=") for pair in _listed(hosts)]
        self._hosts = {name.strip().lower(): other.strip() for name, other in pairs}
        self._localhost = [one for one in map(_meant, _listed(localhost)) if one]
        self._allowed = addresses.Allowed(allow)

    @property
    def localhost(self) -> list[str]:
        """Where else a postlink to localhost may be taken."""
        return self._localhost

    def of(self, url: str) -> list[str]:
        """Return the hosts to try for an address, in turn; an empty one is its own."""
        try:
            host = URL(url).host or ""
        except ValueError:
            return [""]
        if host.lower() in self._hosts:
            return [self._hosts[host.lower()]]
        return ["", *self._localhost] if addresses.is_loopback(host) else [""]

    def check_literal(self, host: str) -> None:
        """Refuse an address written out; the client does not look those up, so the resolver never sees them.

        Raises:
            BlockedAddressError: it may not be gone to.

        """
        with suppress(ValueError):
            self._check(host, allowed=self._allowed.address(host) or self._allowed.name(host))

    def check_found(self, host: str, found: Sequence[str]) -> None:
        """Refuse a name that leads to an address that may not be gone to.

        Raises:
            BlockedAddressError: it does.

        """
        for one in found:
            self._check(one, allowed=self._allowed.name(host) or self._allowed.address(one))

    def _check(self, address: str, *, allowed: bool) -> None:
        if addresses.forbidden(address) or (self._allowed and not allowed):
            raise BlockedAddressError(address)


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _meant(host: str) -> str | None:
    """Return a host, or the default gateway where that is meant, if there is one."""
    if host != _GATEWAY:
        return host
    with suppress(OSError):
        return addresses.default_gateway(_ROUTES.read_text("ascii"))
    return None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one attempt at an address. Without an answer `status` is None, and `headers` are not known.

    It is `stale` if a connection that was kept turned out to be closed.
    """

    result: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    status: int | None = None
    answer: str = ""
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One notice as it goes out: where to, how many real seconds the shop has, and how many the body takes.

    With `keep` the connection may serve another one.
    """

    url: str
    body: bytes
    patience_s: float
    connect_s: float = 5
    slow_s: float = 0
    keep: bool = False


@dataclass(slots=True)
class _Lane:
    """What waits to go out, and who takes it there."""

    waiting: deque[Delivery]
    walk: "asyncio.Task[None]"


class Courier:
    """Delivers one store's postlinks, many at once, few at once to any one receiver."""

    def __init__(self, store: Store, roads: Roads | None = None) -> None:
        self._store = store
        self._roads = roads or Roads()
        self._lanes: dict[_Key, _Lane] = {}
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        self._session = new_session(self._roads)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def run(self) -> NoReturn:
        """Deliver what falls due; goes on until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for client_id, delivery in await self._store.claim(Delivery, 100):
                    key = (client_id, delivery.invoice_id, _receiver(delivery.url))
                    if key not in self._lanes:
                        waiting: deque[Delivery] = deque()
                        self._lanes[key] = _Lane(waiting, tasks.create_task(self._walk(key, waiting)))
                    self._lanes[key].waiting.append(delivery)

    async def deliver(self, client_id: str, delivery: Delivery, *, crowded: bool = False) -> str:
        """Try once to deliver a notice, which its world must still have; return what came of it.

        When it is `crowded` at the receiver, the connection serves the next notice too.

        Raises:
            UnknownMerchantError: the world has ended.

        """
        async with self._store.work(client_id) as work:
            if await work.get(Delivery, delivery.id) != delivery:
                return OUTDATED
            merchant = work.merchant
        elapsed = stopwatch()
        letter = Letter(
            url=delivery.url,
            body=delivery.body,
            patience_s=merchant.postlink_timeout_s,
            connect_s=merchant.postlink_connect_s,
            slow_s=delivery.slow_s,
            keep=crowded,
        )
        outcome = await carry(self._session, letter, self._roads)
        await self._record(client_id, delivery, outcome, elapsed)
        return outcome.result

    async def forget(self, client_id: str) -> None:
        """Let go of all that waits or is on its way for a merchant whose world has ended.

        What a shop has before it already is waited for a moment, so that it does not work on it when the next world,
        or the next test, has begun.
        """
        lanes = [self._lanes.pop(key) for key in list(self._lanes) if key[0] == client_id]
        for lane in lanes:
            lane.waiting.clear()
        if lanes:
            await asyncio.wait([lane.walk for lane in lanes], timeout=_LAST_TRY_S)
        for lane in lanes:
            lane.walk.cancel()

    async def _walk(self, key: _Key, waiting: deque[Delivery]) -> None:
        """Deliver what waits in one lane until nothing does, one after the other, so that it arrives in order."""
        gate = self._gates.setdefault(key[-1], asyncio.Semaphore(_PER_RECEIVER))
        while waiting:
            delivery = waiting.popleft()
            async with gate:
                with suppress(UnknownMerchantError):
                    await self.deliver(key[0], delivery, crowded=gate.locked())
        if key in self._lanes and self._lanes[key].waiting is waiting:
            del self._lanes[key]

    async def _record(self, client_id: str, delivery: Delivery, outcome: Outcome, elapsed: Callable[[], float]) -> None:
        """Keep what came of an attempt, and when the next one is due."""
        async with self._store.work(client_id) as work:
            kept = await work.get(Delivery, delivery.id)
            if kept is None or kept.queued_at != delivery.queued_at:
                return  # the world was made anew meanwhile, and the one that this belongs to is gone
            tries = kept.tries + 1
            delivered = outcome.result == DELIVERED
            pauses = () if delivered else work.merchant.postlink_retry_s[tries - 1 : tries]
            tried = replace(kept, tries=tries, result=outcome.result)
            if kept.state is DeliveryState.QUEUED:  # one that was cancelled meanwhile stays so
                state = DeliveryState.DELIVERED if delivered else DeliveryState.GIVEN_UP
                tried = replace(
                    tried,
                    state=DeliveryState.QUEUED if pauses else state,
                    due_at=work.now + timedelta(seconds=pauses[0]) if pauses else None,
                )
            work.save(tried, _attempt(tried, outcome, work.now, elapsed()))
            work.record(
                "postlink.delivered" if delivered else "postlink.failed",
                tried.invoice_id,
                delivery=tried.id,
                url=outcome.url,
                attempt=tries,
                result=outcome.result,
                next_at=tried.due_at,
            )
            if delivered:
                await notices.others(work, tried.invoice_id)


def _attempt(tried: Delivery, outcome: Outcome, at: datetime, milliseconds: float) -> Attempt:
    return Attempt(
        id=Fake(tried.id, str(tried.tries)).uuid("attempt"),
        delivery_id=tried.id,
        invoice_id=tried.invoice_id,
        number=tried.tries,
        at=at,
        url=outcome.url,
        headers=outcome.headers,
        request=tried.body,
        result=outcome.result,
        status=outcome.status,
        answer=outcome.answer,
        milliseconds=round(milliseconds, 1),
    )


def new_session(roads: Roads) -> aiohttp.ClientSession:
    """Return a client for postlinks."""
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(_note_reuse)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S, resolver=_GuardedResolver(roads)),
        headers=_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),  # what one shop sets is no other's business
        trace_configs=[tracing],
    )


async def _note_reuse(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.append("reused")


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
    how: list[str] = []
    reached = letter.url
    timeout = aiohttp.ClientTimeout(total=letter.patience_s + letter.slow_s, sock_connect=letter.connect_s)
    try:
        named = URL(letter.url)
        address = named.with_host(host) if host else named
        reached = str(address)
        roads.check_literal(address.host or "")
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
            trace_request_ctx=how,
        ) as response:
            sent += response.request_info.headers.items()
            answer, whole = await _read_some(response)
            if not letter.keep:
                response.close()
            result = _judge(response.status) if whole else "too large"
            return Outcome(result=result, url=reached, headers=tuple(sent), status=response.status, answer=answer)
    except Exception as wrong:  # noqa: BLE001
        result = next(name for kind, name in _RESULTS if isinstance(wrong, kind))
        stale = result == DISCONNECTED and bool(how) and not sent
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


def _receiver(url: str) -> str:
    try:
        return str(URL(url).origin())
    except ValueError:
        return url


class _GuardedResolver(AbstractResolver):
    """Looks names up and refuses those that lead to a forbidden address. What it returns is what is connected to."""

    def __init__(self, roads: Roads) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._roads = roads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        self._roads.check_found(host, [one["host"] for one in found])
        return found

    async def close(self) -> None:
        """Do nothing: the resolver that this one asks holds nothing open."""
