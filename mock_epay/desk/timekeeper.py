"""What happens by itself: postlinks that go out, pages and challenges whose time runs out, on the merchants' clocks."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, NoReturn

from mock_epay.bank import Bank
from mock_epay.errors import CONTROL_API, BadField
from mock_epay.model import Challenge, Checkout, Delivery
from mock_epay.postlinks import Courier
from mock_epay.records import Record
from mock_epay.store import Due, StoreError, UnknownMerchantError

CLOSED: Final = "closed"
_AT_ONCE: Final = 100
_YEAR_S: Final = 31_556_952
_LAST_YEAR: Final = 2200

Thing = Checkout | Delivery | Challenge
_NAMES: Final[dict[type, str]] = {Delivery: "postlink", Checkout: "page", Challenge: "challenge"}


class Happening(Record, kw_only=True):
    """Something that falls due, or has: `result` is what came of it, empty when it lies ahead."""

    at: datetime
    what: str
    id: str
    invoice_id: str
    result: str = ""


class ClockFace(Record, kw_only=True):
    """What a merchant's clock shows, what fell due while it was turned, and what lies ahead."""

    now: datetime
    frozen: bool
    fired: Sequence[Happening]
    due: Sequence[Happening]


class Timekeeper:
    """Runs what falls due: in the background, or at once where a clock is put forward."""

    def __init__(self, bank: Bank, courier: Courier) -> None:
        self._bank = bank
        self._store = bank.store
        self._courier = courier

    def start(self) -> "list[asyncio.Task[NoReturn]]":
        """Begin to run what falls due by itself, until the tasks are cancelled."""
        return [
            asyncio.create_task(self._courier.run(), name="the delivery of postlinks"),
            asyncio.create_task(self._watch(Checkout), name="the closing of late pages"),
            asyncio.create_task(self._watch(Challenge), name="the end of unanswered 3-D Secure"),
        ]

    async def clock(self, client_id: str, fired: Sequence[Happening] = ()) -> ClockFace:
        """Return what a merchant's clock shows, and `fired`, what fell due on the way there.

        Raises:
            UnknownMerchantError: there is no such world.

        """
        clock = await self._store.clock(client_id)
        due = [_told(thing, at) for at, thing in await self._store.due(client_id)]
        return ClockFace(now=clock.now(), frozen=clock.frozen_at is not None, fired=fired, due=due)

    async def turn(
        self, client_id: str, *, freeze: bool, moment: datetime | None, seconds: float, resume: bool
    ) -> ClockFace:
        """Freeze a clock, put it to a moment, put it forward, let it run on; all that falls due on the way happens.

        Raises:
            UnknownMerchantError: there is no such world, or it ends meanwhile.
            BadField: it would leave the years that calendars can name.

        """
        _check_years(moment, (await self._store.clock(client_id)).now(), seconds)
        fired = []
        async with self._store.hold(client_id) as hold:
            hold.frozen = (hold.frozen or freeze) and not resume
            for until in await self._stops(client_id, moment, seconds):
                while thing := await hold.next(until):
                    fired.append(await self._run(client_id, thing))
        face = await self.clock(client_id, fired)
        async with self._store.work(client_id) as work:
            work.record("clock.changed", now=face.now, frozen=face.frozen)
        return face

    async def _stops(self, client_id: str, moment: datetime | None, seconds: float) -> list[datetime]:
        """Return the moments that a clock is to be put to: a given one, and so many seconds after that."""
        from_ = moment or (await self._store.clock(client_id)).now()
        stops = [moment] if moment else []
        return [*stops, from_ + timedelta(seconds=seconds)] if seconds else stops

    async def _watch(self, kind: type[Due]) -> NoReturn:
        while True:
            for client_id, thing in await self._store.claim(kind, _AT_ONCE):
                # What a store that has failed does not know of is claimed again.
                with suppress(UnknownMerchantError, StoreError):
                    await self._end(client_id, thing)

    async def _run(self, client_id: str, thing: Thing) -> Happening:
        at = (await self._store.clock(client_id)).now()
        return _told(thing, at, await self._end(client_id, thing))

    async def _end(self, client_id: str, thing: Thing) -> str:
        if isinstance(thing, Delivery):
            return await self._courier.deliver(client_id, thing)
        if isinstance(thing, Checkout):
            await self._bank.close_page(client_id, thing.id)
        else:
            await self._bank.give_up_challenge(client_id, thing.id)
        return CLOSED


def _told(thing: Thing, at: datetime, result: str = "") -> Happening:
    return Happening(at=at, what=_NAMES[type(thing)], id=thing.id, invoice_id=thing.invoice_id, result=result)


def _check_years(moment: datetime | None, now: datetime, seconds: float) -> None:
    """Refuse to leave the years that calendars can name."""
    if (moment or now).year + seconds / _YEAR_S > _LAST_YEAR:
        raise BadField(
            "advance_s", f"{seconds:g}", f"so that the clock stays before the year {_LAST_YEAR}", CONTROL_API
        )
