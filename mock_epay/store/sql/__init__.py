"""A store in a database, for as many processes as it has."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, cast

from mock_epay.clock import Clock
from mock_epay.model import Delivery, Event, Merchant
from mock_epay.store import Due, Hear, StoreError, UnknownMerchantError, bounds
from mock_epay.store.bounds import Kept, Tally
from mock_epay.store.codec import decode, encode
from mock_epay.store.shapes import Stored
from mock_epay.store.sql.clocks import put_clock
from mock_epay.store.sql.database import Database, Transaction
from mock_epay.store.sql.hold import SqlHold
from mock_epay.store.sql.migration import migrate
from mock_epay.store.sql.pulse import LEASE_S, PAUSE_S, Pulse
from mock_epay.store.sql.room import make_room
from mock_epay.store.sql.rows import Thing, World, event_of, falling_due, moment_of, real_us, storable
from mock_epay.store.sql.schema import STEPS
from mock_epay.store.sql.work import SqlWork
from mock_epay.store.sql.worlds import Worlds

_LOOKS: Final = 10  # looking is dear here: it takes its time


class SqlStore:
    """Worlds in rows. A unit of work has its world to itself, so units of one merchant come one by one.

    What this process has claimed or holds is its own until it lets go, or is silent for longer than `lease_s`.
    """

    def __init__(self, database: Database, hear: Hear | None = None, *, lease_s: float = LEASE_S) -> None:
        self.database = database
        self._hear = hear
        self._worlds = Worlds(database)
        self._say, self._bells = self._worlds.say, self._worlds.bells
        self._pulse = Pulse(self._worlds, lease_s)
        self._unlooked: Counter[str] = Counter()

    async def open(self) -> None:
        """See `Store`."""
        await self.database.open(self._bells.ring)
        try:
            async with self._worlds.transaction() as transaction:
                await migrate(transaction, self._say, self.database.words, STEPS)
            await self._pulse.begin()
        except BaseException:
            await self.database.close()
            raise

    async def close(self) -> Sequence[Delivery]:
        """See `Store`."""
        await self._pulse.end()
        await self.database.close()
        return ()

    async def add_merchant(self, merchant: Merchant, *, unless_there: bool = False) -> bool:
        """See `Store`."""
        client_id = merchant.client_id
        async with self._worlds.transaction() as transaction:
            await self._worlds.take_turn(transaction, client_id)
            begun = await transaction.rows(self._say["begin_world"], client_id, encode(merchant))
            if not begun and unless_there:
                return False
            if not begun:
                await transaction.rows(self._say["end_world"], client_id)
                await self._empty(transaction, client_id)
                await transaction.rows(self._say["begin_anew"], client_id, encode(merchant))
            await transaction.announce(client_id)
        self._bells.ring(client_id)
        return True

    async def change_merchant(self, merchant: Merchant) -> None:
        """See `Store`."""
        async with self._worlds.locked(merchant.client_id) as (transaction, _):
            await transaction.rows(self._say["change_merchant"], merchant.client_id, encode(merchant))

    async def drop_merchant(self, client_id: str) -> None:
        """See `Store`."""
        async with self._worlds.transaction() as transaction:
            await self._worlds.take_turn(transaction, client_id)
            if not await transaction.rows(self._say["end_world"], client_id):
                raise UnknownMerchantError(client_id)
            await self._empty(transaction, client_id)
            await transaction.rows(self._say["forget_world"], client_id)
            await transaction.announce(client_id)
        self._bells.ring(client_id)

    async def merchants(self) -> Sequence[Merchant]:
        """See `Store`."""
        return [decode(Merchant, text) for (text,) in await self.database.rows(self._say["merchants"])]

    async def merchant(self, client_id: str) -> Merchant | None:
        """See `Store`."""
        found = await self.database.rows(self._say["world"], storable(client_id))
        return World.of(found[0]).merchant if found else None

    async def clock(self, client_id: str) -> Clock:
        """See `Store`."""
        return (await self._worlds.read(client_id)).clock

    async def set_clock(self, client_id: str, clock: Clock) -> None:
        """See `Store`."""
        async with self._worlds.locked(client_id) as (transaction, _):
            await put_clock(transaction, self._say, client_id, clock)

    def hold(self, client_id: str) -> SqlHold:
        """See `Store`."""
        return SqlHold(self._worlds, self._pulse, client_id)

    async def due(self, client_id: str) -> Sequence[tuple[datetime, Thing]]:
        """See `Store`."""
        await self._worlds.read(client_id)
        rows = await self.database.rows(self._say["due"], client_id)
        return [(moment_of(due_us), falling_due(kind, body)) for kind, body, due_us in rows]

    async def events(self, client_id: str, *, after: int = 0) -> Sequence[Event]:
        """See `Store`."""
        await self._worlds.read(client_id)
        return await self._events_after(client_id, after)

    async def news(self, client_id: str, *, after: int) -> Sequence[Event]:
        """See `Store`."""
        born = (await self._worlds.read(client_id)).life
        while True:
            with self._bells.listen(client_id) as bell:
                if (await self._worlds.read(client_id)).life != born:
                    raise UnknownMerchantError(client_id)
                if events := await self._events_after(client_id, after):
                    return events
                await bell

    async def tally(self, client_id: str | None = None) -> Tally:
        """See `Store`."""
        of, asked = ("", ()) if client_id is None else ("_of", (storable(client_id),))
        (row,) = await self.database.rows(self._say[f"count_worlds{of}"], *asked)
        if client_id is not None and not row[0]:
            raise UnknownMerchantError(client_id)
        worlds, transactions, events, bodies, unsent, kept = (int(number or 0) for number in row)
        (there,) = await self.database.rows(self._say[f"count_things{of}"], *asked)
        return Tally(
            worlds=worlds,
            transactions=Kept(kept=there[0], forgotten=transactions),
            events=Kept(kept=kept, forgotten=events),
            bodies=Kept(kept=there[1], forgotten=bodies),
            waiting=Kept(kept=there[2], forgotten=unsent),
        )

    async def owner(self, kind: type[Stored], key: str) -> str | None:
        """See `Store`."""
        rows = await self.database.rows(self._say["owner"], kind.__name__, storable(key))
        return str(rows[0][0]) if rows else None

    def work(self, client_id: str) -> SqlWork:
        """See `Store`."""
        return SqlWork(self._worlds, client_id, self._kept)

    async def claim(self, kind: type[Due], limit: int) -> list[tuple[str, Due]]:
        """See `Store`."""
        while True:
            with self._bells.listen(None) as bell:
                try:
                    claimed = await self._claim(kind, limit)
                    left_us = await self._until_next(kind)
                except StoreError:  # of which the pulse tells
                    claimed, left_us = [], int(PAUSE_S * 1e6)
                if claimed:
                    return claimed
                await asyncio.wait([bell], timeout=left_us / 1e6)

    async def _kept(self, merchant: Merchant, events: Sequence[Event], came: int) -> None:
        """Tell of what a unit has kept; make room once so much has come that somebody should look."""
        client_id = merchant.client_id
        self._bells.ring(client_id)
        if self._hear is not None:
            self._hear(merchant, events)
        self._unlooked[client_id] += came
        if self._unlooked[client_id] <= _LOOKS * bounds.slack(merchant):
            return
        del self._unlooked[client_id]
        with suppress(UnknownMerchantError, StoreError):  # what has come is kept; the next will look
            async with self.database.transaction() as transaction:
                await self._worlds.lock(transaction, client_id)
                await make_room(transaction, self._say, merchant)

    async def _claim(self, kind: type[Due], limit: int) -> list[tuple[str, Due]]:
        async with self._worlds.transaction() as transaction:
            rows = await transaction.rows(self._say["claim"], self._pulse.name, kind.__name__, real_us(), limit)
        ordered = sorted(rows, key=lambda row: (row[2], row[3]))
        return [(world, cast("Due", falling_due(kind.__name__, body))) for world, body, _, _ in ordered]

    async def _until_next(self, kind: type[Due]) -> int:
        """Return for how many microseconds nothing will fall due, as far as one can see."""
        rows = await self.database.rows(self._say["next_ready"], kind.__name__)
        return min(max(rows[0][0] - real_us(), 0), self._pulse.lease_us) if rows else self._pulse.lease_us

    async def _events_after(self, client_id: str, number: int) -> list[Event]:
        return [event_of(row) for row in await self.database.rows(self._say["events"], client_id, number)]

    async def _empty(self, transaction: Transaction, client_id: str) -> None:
        await transaction.rows(self._say["forget_things"], client_id)
        await transaction.rows(self._say["forget_events"], client_id)
        self._unlooked.pop(client_id, None)
