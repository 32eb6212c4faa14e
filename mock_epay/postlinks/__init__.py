"""The delivery of postlinks: takes what is due, tries, records the answer, tries again."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NoReturn, Self
from weakref import WeakValueDictionary

from mock_epay import addresses
from mock_epay.bank import notices
from mock_epay.clock import stopwatch
from mock_epay.fake import Fake
from mock_epay.model import Attempt, Delivery, DeliveryState
from mock_epay.postlinks.letters import Post
from mock_epay.postlinks.roads import Roads
from mock_epay.postlinks.tries import DELIVERED, Letter, Outcome
from mock_epay.records import replace
from mock_epay.store import Store, StoreError, UnknownMerchantError

OUTDATED: Final = "outdated"

_PER_RECEIVER: Final = 8  # attempts under way at once to one host and port, so that a slow shop delays itself alone
_CROWD: Final = 1000  # lanes that are not worth looking through
_LAST_TRY_S: Final = 1  # how long the end of a world waits for a shop that has a notice before it
_END_S: Final = 0.15  # and how long the end of the sandbox does

# Who wants to know what came of a try, and how many seconds it took.
Tell = Callable[[str, float], None]

# Notices of one invoice to one receiver share a lane: merchant, invoice number, receiver.
_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Lane:
    """What waits to go out, who takes it there, and whether something is on its way just now."""

    waiting: deque[Delivery] = field(default_factory=deque)
    walk: "asyncio.Task[None]" = field(init=False)
    busy: bool = False


class Courier:
    """Delivers one store's postlinks, many at once, few at once to any one receiver, and tells what came of each."""

    def __init__(self, store: Store, roads: Roads | None = None, tell: Tell | None = None) -> None:
        self._store = store
        self._tell = tell or (lambda *_: None)
        self._lanes: dict[_Key, _Lane] = {}
        self._crowd = _CROWD
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._post = Post(roads or Roads())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._post.close()

    async def finish(self) -> None:
        """Wait a moment for what shops have before them already; what waits behind it stays where it is."""
        walks = [lane.walk for lane in self._lanes.values()]
        for lane in self._lanes.values():
            lane.waiting.clear()
        if walks:
            await asyncio.wait(walks, timeout=_END_S)

    async def run(self) -> NoReturn:
        """Deliver what falls due; goes on until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for client_id, delivery in await self._store.claim(Delivery, 100):
                    key = (client_id, delivery.invoice_id, _receiver(delivery.url))
                    if key not in self._lanes:
                        lane = self._lanes[key] = _Lane()
                        lane.walk = tasks.create_task(self._walk(key, lane))
                    self._lanes[key].waiting.append(delivery)
                if len(self._lanes) > self._crowd:
                    await self._tidy()

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
        outcome = await self._post.carry(letter)
        milliseconds = elapsed()
        self._tell(outcome.result, milliseconds / 1000)
        await self._record(client_id, delivery, outcome, milliseconds)
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

    async def _walk(self, key: _Key, lane: _Lane) -> None:
        """Deliver what waits in one lane until nothing does, one after the other, so that it arrives in order."""
        gate = self._gates.setdefault(key[-1], asyncio.Semaphore(_PER_RECEIVER))
        while lane.waiting:
            async with gate:
                lane.busy = True
                # What a store that has failed does not know of is claimed, and sent, again: better twice than never.
                with suppress(UnknownMerchantError, StoreError, IndexError):  # nothing waits if the world has ended
                    await self.deliver(key[0], lane.waiting.popleft(), crowded=gate.locked())
                lane.busy = False
        if self._lanes.get(key) is lane:
            del self._lanes[key]

    async def _tidy(self) -> None:
        """Let go of lanes in which all that waits is forgotten by its world; look again when there are twice as many.

        A shop that takes nothing would fill the memory otherwise, however little its world may keep.
        """
        for client_id in {key[0] for key in self._lanes}:
            with suppress(UnknownMerchantError, StoreError):
                async with self._store.work(client_id) as work:
                    for key, lane in [row for row in self._lanes.items() if row[0][0] == client_id]:
                        wanted = [await work.get(Delivery, one.id) for one in lane.waiting]
                        if self._lanes.get(key) is lane and not (lane.busy or any(wanted)):
                            del self._lanes[key]
                            lane.walk.cancel()
        self._crowd = max(_CROWD, 2 * len(self._lanes))

    async def _record(self, client_id: str, delivery: Delivery, outcome: Outcome, milliseconds: float) -> None:
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
            if work.merchant.keep_bodies:
                work.save(tried, _attempt(tried, outcome, work.now, milliseconds))
            else:
                work.save(tried if tried.due_at else replace(tried, body=b""))
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


def _receiver(url: str) -> str:
    try:
        return str(addresses.taken_apart(url).origin())
    except ValueError:
        return url
