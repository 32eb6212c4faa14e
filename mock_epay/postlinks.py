"""The delivery of postlinks: takes what is due, tries, records the answer, tries again."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, NoReturn, Self
from weakref import WeakValueDictionary

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mock_epay import __version__, addresses
from mock_epay.clock import stopwatch
from mock_epay.fake import Fake
from mock_epay.model import Attempt, Delivery, DeliveryState
from mock_epay.store import Store, UnknownMerchantError

DELIVERED: Final = "delivered"
OUTDATED: Final = "outdated"

_PER_RECEIVER: Final = 8  # attempts under way at once to one host and port, so that a slow shop delays itself alone
_ANSWER_KEPT: Final = 4096  # bytes
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


# What can go wrong, the first match names it.
_RESULTS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (BlockedAddressError, "blocked"),
    (TimeoutError, "timeout"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ClientConnectorError, "refused"),
    (aiohttp.ServerDisconnectedError, "disconnected"),
    (aiohttp.ClientOSError, "disconnected"),
    (aiohttp.InvalidURL, "bad address"),
    (aiohttp.ClientError, "garbled"),
    (ValueError, "bad address"),
    (Exception, "failed"),  # a fault of ours or the client's: it costs one attempt, never the courier
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one attempt. Without an answer `status` is None."""

    result: str
    status: int | None = None
    answer: str = ""


@dataclass(slots=True)
class _Lane:
    """What waits to go out, and who takes it there."""

    waiting: deque[Delivery]
    walk: "asyncio.Task[None]"


class Courier:
    """Delivers one store's postlinks, many at once, few at once to any one receiver."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lanes: dict[_Key, _Lane] = {}
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        # No connection is kept: a shop may close it just when the next notice goes out, or serve one at a time.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, resolver=_GuardedResolver()),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),  # what one shop sets is no other's business
        )
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

    async def deliver(self, client_id: str, delivery: Delivery) -> str:
        """Try once to deliver a notice, which its world must still have; return what came of it.

        Raises:
            UnknownMerchantError: the world has ended.

        """
        async with self._store.work(client_id) as work:
            if await work.get(Delivery, delivery.id) != delivery:
                return OUTDATED
            patience_s = work.merchant.postlink_timeout_s
        elapsed = stopwatch()
        outcome = await post(self._session, delivery.url, delivery.body, patience_s)
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
                    await self.deliver(key[0], delivery)
        if key in self._lanes and self._lanes[key].waiting is waiting:
            del self._lanes[key]

    async def _record(self, client_id: str, delivery: Delivery, outcome: Outcome, elapsed: Callable[[], float]) -> None:
        """Keep what came of an attempt, and when the next one is due."""
        async with self._store.work(client_id) as work:
            if await work.get(Delivery, delivery.id) != delivery:
                return  # the world was made anew meanwhile, and the one that this belongs to is gone
            tries = delivery.tries + 1
            pauses = work.merchant.postlink_retry_s[tries - 1 : tries]
            state = DeliveryState.GIVEN_UP
            due_at = None
            if outcome.result == DELIVERED:
                state = DeliveryState.DELIVERED
            elif pauses:
                state = DeliveryState.QUEUED
                due_at = work.now + timedelta(seconds=pauses[0])
            attempt = Attempt(
                id=Fake(delivery.id, str(tries)).uuid("attempt"),
                delivery_id=delivery.id,
                invoice_id=delivery.invoice_id,
                number=tries,
                at=work.now,
                url=delivery.url,
                request=delivery.body,
                result=outcome.result,
                status=outcome.status,
                answer=outcome.answer,
                milliseconds=round(elapsed(), 1),
            )
            work.save(attempt, replace(delivery, tries=tries, state=state, due_at=due_at, result=outcome.result))
            work.record(
                "postlink.delivered" if state is DeliveryState.DELIVERED else "postlink.failed",
                delivery.invoice_id,
                delivery=delivery.id,
                url=delivery.url,
                attempt=tries,
                result=outcome.result,
                next_at=due_at,
            )


async def post(session: aiohttp.ClientSession, url: str, body: bytes, patience_s: float) -> Outcome:
    """Post a notice once and say what came of it, after so many seconds at the latest.

    Redirects are not followed; any 2xx accepts.
    """
    timeout = aiohttp.ClientTimeout(total=patience_s)
    try:
        address = URL(url)
        _check_literal(address.host or "")
        async with session.post(address, data=body, allow_redirects=False, timeout=timeout) as response:
            answer = await _read_some(response)
            return Outcome(result=_judge(response.status), status=response.status, answer=answer)
    except Exception as wrong:  # noqa: BLE001
        return Outcome(result=next(name for kind, name in _RESULTS if isinstance(wrong, kind)))


def _judge(status: int) -> str:
    if status // 100 == 2:  # noqa: PLR2004
        return DELIVERED
    return "redirected" if status // 100 == 3 else f"status {status}"  # noqa: PLR2004


async def _read_some(response: aiohttp.ClientResponse) -> str:
    """Read the first kilobytes of an answer, which may never end."""
    kept = bytearray()
    while len(kept) < _ANSWER_KEPT and (chunk := await response.content.read(_ANSWER_KEPT - len(kept))):
        kept += chunk
    return kept.decode("utf-8", "replace")


def _receiver(url: str) -> str:
    try:
        return str(URL(url).origin())
    except ValueError:
        return url


def _check_literal(host: str) -> None:
    """Refuse an address written out; the client does not look those up, so the resolver never sees them."""
    with suppress(ValueError):
        if addresses.forbidden(host):
            raise BlockedAddressError(host)


class _GuardedResolver(AbstractResolver):
    """Looks names up and refuses those that lead to a forbidden address. What it returns is what is connected to."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if any(addresses.forbidden(one["host"]) for one in found):
            raise BlockedAddressError(host)
        return found

    async def close(self) -> None:
        """Do nothing: the resolver that this one asks holds nothing open."""
