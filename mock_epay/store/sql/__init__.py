"""A store in a database, for as many processes as it has."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import Final, Self, cast
from weakref import WeakValueDictionary

from mock_epay.clock import Clock
from mock_epay.fake import fresh_seed
from mock_epay.model import Delivery, Event, Invoice, Merchant
from mock_epay.store import Due, E, Hear, StoreError, UnknownMerchantError, bounds
from mock_epay.store.bounds import Kept, Tally
from mock_epay.store.codec import decode, encode
from mock_epay.store.search import Sought
from mock_epay.store.shapes import SHAPES, Stored, facts_text
from mock_epay.store.sql.bells import Bells
from mock_epay.store.sql.database import Database, Row, Transaction
from mock_epay.store.sql.room import make_room
from mock_epay.store.sql.rows import (
    MICROSECOND,
    Thing,
    World,
    falling_due,
    moment_of,
    read,
    real_us,
    row_of,
    searched,
    storable,
    us_of,
)
from mock_epay.store.sql.schema import STEPS
from mock_epay.store.sql.statements import STATEMENTS, VERSION

_log: Final = logging.getLogger("mock_epay")

LEASE_S: Final = 10.0  # how long a process may be silent before what it has claimed is others' to claim
_LOOKS: Final = 10  # looking is dear here: it takes its time
_PAUSE_S: Final = 0.5  # before a database that has failed is asked again
_LAST: Final = 2**63 - 1  # a number behind all others
_AT_ONCE: Final = 1000  # things of an older version that are read together
_SEARCHED_FROM: Final = 4  # the version since which there are columns to search by


class SqlStore:
    """Worlds in rows. A unit of work has its world to itself, so units of one merchant come one by one.

    Each process has a name and says again and again that it is alive. What it has claimed or holds is its own until it
    lets go, or is silent for longer than `lease_s`.
    """

    def __init__(
        self,
        database: Database,
        hear: Hear | None = None,
        *,
        lease_s: float = LEASE_S,
        steps: Sequence[Sequence[str]] = STEPS,
    ) -> None:
        self.database = database
        self.hear = hear
        self._lease_us = int(lease_s * 1e6)
        self._steps = steps
        self.say: Mapping[str, str] = {name: text.format_map(database.words) for name, text in STATEMENTS.items()}
        self.bells = Bells()
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._failed = asyncio.Event()
        self._lost = False
        self._unlooked: Counter[str] = Counter()

    async def open(self) -> None:
        """See `Store`."""
        await self.database.open(self.bells.ring)
        try:
            await self._migrate()
            await self._live(fresh_seed())
        except BaseException:
            await self.database.close()
            raise
        self._pulse = asyncio.create_task(self._beat(), name="the pulse of the store")

    async def close(self) -> Sequence[Delivery]:
        """See `Store`."""
        self._pulse.cancel()
        await asyncio.wait([self._pulse])
        with suppress(StoreError):
            async with self.transaction() as transaction:
                await transaction.rows(self.say["die"], self.name)
            await self._release()
        await self.database.close()
        return ()

    async def add_merchant(self, merchant: Merchant, *, unless_there: bool = False) -> bool:
        """See `Store`."""
        client_id = merchant.client_id
        async with self.transaction() as transaction:
            await self._take_turn(transaction, client_id)
            begun = await transaction.rows(self.say["begin_world"], client_id, encode(merchant))
            if not begun and unless_there:
                return False
            if not begun:
                await transaction.rows(self.say["end_world"], client_id)
                await self._empty(transaction, client_id)
                await transaction.rows(self.say["begin_anew"], client_id, encode(merchant))
            await transaction.announce(client_id)
        self.bells.ring(client_id)
        return True

    async def change_merchant(self, merchant: Merchant) -> None:
        """See `Store`."""
        async with self.locked(merchant.client_id) as (transaction, _):
            await transaction.rows(self.say["change_merchant"], merchant.client_id, encode(merchant))

    async def drop_merchant(self, client_id: str) -> None:
        """See `Store`."""
        async with self.transaction() as transaction:
            await self._take_turn(transaction, client_id)
            if not await transaction.rows(self.say["end_world"], client_id):
                raise UnknownMerchantError(client_id)
            await self._empty(transaction, client_id)
            await transaction.rows(self.say["forget_world"], client_id)
            await transaction.announce(client_id)
        self.bells.ring(client_id)

    async def merchants(self) -> Sequence[Merchant]:
        """See `Store`."""
        return [decode(Merchant, text) for (text,) in await self.database.rows(self.say["merchants"])]

    async def merchant(self, client_id: str) -> Merchant | None:
        """See `Store`."""
        found = await self.database.rows(self.say["world"], storable(client_id))
        return World.of(found[0]).merchant if found else None

    async def clock(self, client_id: str) -> Clock:
        """See `Store`."""
        return (await self.world_of(client_id)).clock

    async def set_clock(self, client_id: str, clock: Clock) -> None:
        """See `Store`."""
        async with self.locked(client_id) as (transaction, _):
            await self.put_clock(transaction, client_id, clock)

    def hold(self, client_id: str) -> "SqlHold":
        """See `Store`."""
        return SqlHold(self, client_id)

    async def due(self, client_id: str) -> Sequence[tuple[datetime, Thing]]:
        """See `Store`."""
        await self.world_of(client_id)
        rows = await self.database.rows(self.say["due"], client_id)
        return [(moment_of(due_us), falling_due(kind, body)) for kind, body, due_us in rows]

    async def events(self, client_id: str, *, after: int = 0) -> Sequence[Event]:
        """See `Store`."""
        await self.world_of(client_id)
        return await self._events_after(client_id, after)

    async def news(self, client_id: str, *, after: int) -> Sequence[Event]:
        """See `Store`."""
        born = (await self.world_of(client_id)).life
        while True:
            with self.bells.listen(client_id) as bell:
                if (await self.world_of(client_id)).life != born:
                    raise UnknownMerchantError(client_id)
                if events := await self._events_after(client_id, after):
                    return events
                await bell

    async def tally(self, client_id: str | None = None) -> Tally:
        """See `Store`."""
        of, asked = ("", ()) if client_id is None else ("_of", (storable(client_id),))
        (row,) = await self.database.rows(self.say[f"count_worlds{of}"], *asked)
        if client_id is not None and not row[0]:
            raise UnknownMerchantError(client_id)
        worlds, transactions, events, bodies, unsent, kept = (int(number or 0) for number in row)
        (there,) = await self.database.rows(self.say[f"count_things{of}"], *asked)
        return Tally(
            worlds=worlds,
            transactions=Kept(kept=there[0], forgotten=transactions),
            events=Kept(kept=kept, forgotten=events),
            bodies=Kept(kept=there[1], forgotten=bodies),
            waiting=Kept(kept=there[2], forgotten=unsent),
        )

    async def make_room(self, merchant: Merchant, came: int) -> None:
        """Forget what a world has too much of, once so much has come that somebody should look."""
        client_id = merchant.client_id
        self._unlooked[client_id] += came
        if self._unlooked[client_id] <= _LOOKS * bounds.slack(merchant):
            return
        del self._unlooked[client_id]
        with suppress(UnknownMerchantError, StoreError):  # what has come is kept; the next will look
            async with self.database.transaction() as transaction:
                await self.lock(transaction, client_id)
                await make_room(transaction, self.say, merchant)

    async def owner(self, kind: type[Stored], key: str) -> str | None:
        """See `Store`."""
        rows = await self.database.rows(self.say["owner"], kind.__name__, storable(key))
        return str(rows[0][0]) if rows else None

    def work(self, client_id: str) -> "SqlWork":
        """See `Store`."""
        return SqlWork(self, client_id)

    async def claim(self, kind: type[Due], limit: int) -> list[tuple[str, Due]]:
        """See `Store`."""
        while True:
            with self.bells.listen(None) as bell:
                try:
                    claimed = await self._claim(kind, limit)
                    left_us = await self._until_next(kind)
                except StoreError:  # of which the pulse tells
                    claimed, left_us = [], int(_PAUSE_S * 1e6)
                if claimed:
                    return claimed
                await asyncio.wait([bell], timeout=left_us / 1e6)

    async def _claim(self, kind: type[Due], limit: int) -> list[tuple[str, Due]]:
        async with self.transaction() as transaction:
            rows = await transaction.rows(self.say["claim"], self.name, kind.__name__, real_us(), limit)
        ordered = sorted(rows, key=lambda row: (row[2], row[3]))
        return [(world, cast("Due", falling_due(kind.__name__, body))) for world, body, _, _ in ordered]

    async def _until_next(self, kind: type[Due]) -> int:
        """Return for how many microseconds nothing will fall due, as far as one can see."""
        rows = await self.database.rows(self.say["next_ready"], kind.__name__)
        return min(max(rows[0][0] - real_us(), 0), self._lease_us) if rows else self._lease_us

    async def _events_after(self, client_id: str, number: int) -> list[Event]:
        return [_event(row) for row in await self.database.rows(self.say["events"], client_id, number)]

    async def world_of(self, client_id: str) -> World:
        """Return a world as it stands, without taking it.

        Raises:
            UnknownMerchantError: there is none.

        """
        found = await self.database.rows(self.say["world"], storable(client_id))
        if not found:
            raise UnknownMerchantError(client_id)
        return World.of(found[0])

    def queue(self, client_id: str) -> asyncio.Lock:
        """Return where this process's units of a world queue up, lest they wait with all its connections in hand."""
        lock = self._queues.get(client_id) or asyncio.Lock()
        self._queues[client_id] = lock
        return lock

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Begin a transaction. Of one that fails nobody knows whether it was kept: this process must not rely on it."""
        try:
            async with self.database.transaction() as transaction:
                yield transaction
        except StoreError:
            self._failed.set()
            raise

    @asynccontextmanager
    async def locked(self, client_id: str, *, ending: bool = False) -> AsyncIterator[tuple[Transaction, World]]:
        """Change something of a world that nobody else is at work in, and say that it has changed.

        What would be `ending` what others claim keeps them from claiming meanwhile.
        """
        async with self.transaction() as transaction:
            world = await self.lock(transaction, client_id)
            if ending:
                await transaction.rows(self.say["end_world"], client_id)
            yield transaction, world
            await transaction.announce(client_id)
        self.bells.ring(client_id)

    async def lock(self, transaction: Transaction, client_id: str) -> World:
        """Have a world to oneself until the end of a transaction.

        Raises:
            UnknownMerchantError: there is none.

        """
        await self._take_turn(transaction, client_id)
        rows = await transaction.rows(self.say["world"], storable(client_id))
        if not rows:
            raise UnknownMerchantError(client_id)
        return World.of(rows[0])

    async def _take_turn(self, transaction: Transaction, client_id: str) -> None:
        if turn := self.say["turn"]:
            await transaction.rows(turn, storable(client_id))

    async def put_clock(self, transaction: Transaction, client_id: str, clock: Clock) -> None:
        """Put a clock on a wall, and reckon anew what falls due by it."""
        shift_us, frozen_us = clock.shift // MICROSECOND, clock.frozen_at and us_of(clock.frozen_at)
        await transaction.rows(self.say["set_clock"], client_id, shift_us, frozen_us)
        if frozen_us is None:
            await transaction.rows(self.say["reckon_running"], client_id, shift_us)
        else:
            await transaction.rows(self.say["reckon_frozen"], client_id, frozen_us, real_us())

    async def _empty(self, transaction: Transaction, client_id: str) -> None:
        await transaction.rows(self.say["forget_things"], client_id)
        await transaction.rows(self.say["forget_events"], client_id)
        self._unlooked.pop(client_id, None)

    async def _migrate(self) -> None:
        async with self.transaction() as transaction:
            await transaction.rows(self.say["migrating"])
            await transaction.rows(VERSION)
            rows = await transaction.rows("SELECT version FROM mock_epay_schema")
            version = rows[0][0] if rows else 0
            if version > len(self._steps):
                raise StoreError(
                    f"the store was written by a newer mock-epay (its schema is {version}, this one knows "
                    f"{len(self._steps)}); use that version or another store"
                )
            for step in self._steps[version:]:
                for statement in step:
                    await transaction.rows(statement.format_map(self.database.words))
            if version < _SEARCHED_FROM <= len(self._steps):
                await self._make_searched(transaction)
            if version < len(self._steps):
                await transaction.rows("DELETE FROM mock_epay_schema")
                await transaction.rows("INSERT INTO mock_epay_schema VALUES ($1)", len(self._steps))

    async def _make_searched(self, transaction: Transaction) -> None:
        """Fill in what things that an older version has written are searched by."""
        last = 0
        while rows := await transaction.rows(self.say["written"], last, _AT_ONCE):
            filled = [(serial, *searched(read(kind, body))) for serial, kind, body in rows]
            await transaction.many(self.say["make_searched"], filled)
            last = rows[-1][0]

    async def _live(self, name: str) -> None:
        """Say that the process of this name, from now on ours, is alive; let go of what the dead have claimed."""
        async with self.transaction() as transaction:
            now = real_us()
            await transaction.rows(self.say["live"], name, now + self._lease_us)
            await transaction.rows(self.say["bury"], now)
        self.name = name
        await self._release()

    async def _release(self) -> None:
        """Let go of what nobody alive has claimed or holds."""
        async with self.transaction() as transaction:
            await transaction.rows(self.say["release"])
        for (client_id,) in await self.database.rows(self.say["left_held"]):
            with suppress(UnknownMerchantError):
                async with self.locked(str(client_id)) as (transaction, world):
                    for (frozen,) in await transaction.rows(self.say["still_left_held"], client_id):
                        await self.let_go(transaction, client_id, world.clock, frozen=bool(frozen))

    async def _beat(self) -> None:
        """Show signs of life. After a failure nobody knows what came of what was claimed: begin another life."""
        while True:
            failing = asyncio.ensure_future(self._failed.wait())
            try:
                await asyncio.wait([failing], timeout=self._lease_us / 4e6)
            finally:
                failing.cancel()
            if self._failed.is_set():
                await asyncio.sleep(_PAUSE_S)
            await self._go_on()
            self.bells.ring(None)

    async def _go_on(self) -> None:
        name = fresh_seed() if self._failed.is_set() else self.name
        self._failed.clear()
        try:
            await self._live(name)
        except StoreError as wrong:
            if not self._lost:
                _log.warning("%s; trying again and again", wrong)
            self._lost = True
        else:
            if self._lost:
                _log.warning("the store can be used again")
            self._lost = False

    async def let_go(self, transaction: Transaction, client_id: str, clock: Clock, *, frozen: bool) -> None:
        """End the hold of a world that is locked."""
        await transaction.rows(self.say["let_go"], client_id)
        await self.put_clock(transaction, client_id, clock if frozen else clock.resume())


class SqlHold:
    """A world's time in one pair of hands."""

    frozen: bool

    def __init__(self, store: SqlStore, client_id: str) -> None:
        self._store = store
        self._client_id = client_id
        self._name: str | None = None

    async def __aenter__(self) -> Self:
        self._life = (await self._store.world_of(self._client_id)).life
        await self._when(self._take)
        try:
            await self._when(self._alone)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(UnknownMerchantError):
            async with self._mine() as (transaction, world):
                await self._store.let_go(transaction, self._client_id, world.clock, frozen=self.frozen)

    async def next(self, until: datetime) -> Thing | None:
        """See `Hold`."""
        say = self._store.say
        async with self._mine() as (transaction, world):
            rows = await transaction.rows(say["first_due"], self._client_id, us_of(until))
            moment = max(moment_of(rows[0][3]), world.clock.now()) if rows else until
            await self._store.put_clock(transaction, self._client_id, world.clock.set(moment))
            if not rows:
                return None
            await transaction.rows(say["claim_one"], rows[0][0], self._store.name)
            return falling_due(rows[0][1], rows[0][2])

    async def _when(self, possible: Callable[[], Awaitable[bool]]) -> None:
        """Try until it is possible, whenever something has changed."""
        while True:
            with self._store.bells.listen(self._client_id) as bell:
                if await possible():
                    return
                await bell

    async def _take(self) -> bool:
        store = self._store
        async with self._mine(ending=True) as (transaction, world):
            if world.held_by is not None:
                return False
            self.frozen = world.clock.frozen_at is not None
            name = store.name
            await transaction.rows(store.say["take"], self._client_id, name, int(self.frozen))
            await store.put_clock(transaction, self._client_id, world.clock.freeze())
        self._name = name
        return True

    async def _alone(self) -> bool:
        async with self._mine() as (transaction, _):
            return not await transaction.rows(self._store.say["under_way"], self._client_id)

    @asynccontextmanager
    async def _mine(self, *, ending: bool = False) -> AsyncIterator[tuple[Transaction, World]]:
        """Lock the world that was there when the hold was asked for, and is still held."""
        async with self._store.locked(self._client_id, ending=ending) as (transaction, world):
            if world.life != self._life:
                raise UnknownMerchantError(self._client_id)
            if self._name is not None and world.held_by != self._name:
                raise StoreError(f"the clock of {self._client_id} was let go while the store could not be used")
            yield transaction, world


class SqlWork:
    """A unit of work: a transaction that reads as it goes and writes at its end."""

    __slots__ = (
        "_client_id",
        "_events",
        "_read",
        "_saved",
        "_store",
        "_transaction",
        "_within",
        "_world",
        "merchant",
        "now",
    )

    merchant: Merchant
    now: datetime

    def __init__(self, store: SqlStore, client_id: str) -> None:
        self._store = store
        self._client_id = client_id
        self._saved: dict[tuple[type, str], Stored] = {}
        self._read: dict[tuple[type, str], Stored | None] = {}
        self._events: list[Event] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._store.queue(self._client_id))
            self._transaction = await stack.enter_async_context(self._store.transaction())
            self._world = await self._store.lock(self._transaction, self._client_id)
            self._within = stack.pop_all()
        self.merchant = self._world.merchant
        self.now = self._world.clock.now()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            await self._within.__aexit__(kind, error, trace)
            return
        async with self._within:
            await self._write()
        if self._saved or self._events:
            self._store.bells.ring(self._client_id)
            if self._store.hear is not None:
                self._store.hear(self.merchant, self._events)
            await self._store.make_room(self.merchant, len(self._saved) + len(self._events))

    @property
    def invoices(self) -> int:
        """See `Work`."""
        return self._world.invoices

    @property
    def last_event(self) -> int:
        """See `Work`."""
        return self._world.last_event

    async def get(self, kind: type[E], key: str) -> E | None:
        """See `Work`."""
        found = self._saved.get((kind, key))
        if found is None and (kind, key) not in self._read:
            say = self._store.say["get"]
            rows = await self._transaction.rows(say, kind.__name__, storable(key), self._client_id)
            self._read[kind, key] = decode(kind, rows[0][0]) if rows else None
        return cast("E | None", found or self._read[kind, key])

    async def get_each(self, kind: type[E], keys: Iterable[str]) -> Sequence[E]:
        """See `Work`."""
        asked = {storable(key): key for key in keys}
        rows = await self._transaction.rows(self._store.say["get_each"], kind.__name__, [*asked], self._client_id)
        self._read |= {(kind, key): None for key in asked.values()}
        self._read |= {(kind, asked[key]): decode(kind, body) for key, body in rows}
        found = [await self.get(kind, key) for key in asked.values()]
        return [thing for thing in found if thing is not None]

    async def find(self, kind: type[E], attribute: str, value: str) -> Sequence[E]:
        """See `Work`."""
        if not value:
            return []
        column = SHAPES[kind].found_by.index(attribute) + 1
        found = await self._look(kind, f"find_{column}", kind.__name__, storable(value))
        return [thing for thing in found if getattr(thing, attribute) == value]

    async def find_each(self, kind: type[E], attribute: str, values: Iterable[str]) -> Mapping[str, Sequence[E]]:
        """See `Work`."""
        groups: dict[str, list[E]] = {value: [] for value in values}
        column = SHAPES[kind].found_by.index(attribute) + 1
        for thing in await self._look(
            kind, f"find_each_{column}", [storable(value) for value in groups], kind.__name__
        ):
            value = getattr(thing, attribute)
            if value and value in groups:
                groups[value].append(thing)
        return groups

    async def all(self, kind: type[E]) -> Sequence[E]:
        """See `Work`."""
        return await self._look(kind, "all", kind.__name__)

    async def some(self, kind: type[E], limit: int | None, *, newest: bool = False, behind: str = "") -> Sequence[E]:
        """See `Work`."""
        say, name = self._store.say, kind.__name__
        place = _LAST if newest else 0
        if behind:
            rows = await self._transaction.rows(say["place"], name, storable(behind), self._client_id)
            place = rows[0][0] if rows else _LAST - place  # behind what is forgotten there is nothing
        statement = say["newest" if newest else "oldest"]
        rows = await self._transaction.rows(statement, self._client_id, name, place, _LAST if limit is None else limit)
        return [decode(kind, body) for (body,) in rows]

    async def search(self, sought: Sought) -> Sequence[str]:
        """See `Work`."""
        facts = (sought.status, sought.postlink, sought.reason_code, storable(sought.text.lower()))
        return [key for (key,) in await self._transaction.rows(self._store.say["search"], self._client_id, *facts)]

    async def events(self, invoice_id: str) -> Sequence[Event]:
        """See `Work`."""
        rows = await self._transaction.rows(self._store.say["events_of"], self._client_id, storable(invoice_id))
        return [_event(row) for row in rows]

    async def moments(self, invoice_ids: Iterable[str]) -> Mapping[str, tuple[datetime, datetime]]:
        """See `Work`."""
        named = {storable(number): number for number in invoice_ids}
        rows = await self._transaction.rows(self._store.say["moments"], self._client_id, [*named])
        return {named[key]: (moment_of(first), moment_of(latest)) for key, first, latest in rows}

    def save(self, *things: Stored) -> None:
        """See `Work`."""
        for thing in things:
            self._saved[type(thing), getattr(thing, SHAPES[type(thing)].key)] = thing

    def record(self, kind: str, invoice_id: str = "", **facts: object) -> None:
        """See `Work`."""
        number = self._world.last_event + len(self._events) + 1
        event = Event(number=number, at=self.now, kind=kind, invoice_id=invoice_id, facts=facts_text(facts))
        self._events.append(event)

    async def _look(self, kind: type[E], statement: str, *values: object) -> list[E]:
        """Return what the database has, in its order, with what this unit has saved in place of it or behind it."""
        rows = await self._transaction.rows(self._store.say[statement], self._client_id, *values)
        found: dict[str, E] = {key: decode(kind, body) for key, body in rows}
        return list(
            (found | {key: cast("E", thing) for (of, key), thing in self._saved.items() if of is kind}).values()
        )

    async def _write(self) -> None:
        say, transaction = self._store.say, self._transaction
        begun = [key for kind, key in self._saved if kind is Invoice and await self._is_new(key)]
        if self._saved:
            rows = [(*row_of(self._client_id, self._world.clock, one), encode(one)) for one in self._saved.values()]
            await transaction.many(say["save"], rows)
        if self._events:
            await transaction.many(say["record"], [_event_row(self._client_id, one) for one in self._events])
        if self._events or begun:
            last, invoices = self._world.last_event + len(self._events), self._world.invoices + len(begun)
            await transaction.rows(say["count"], self._client_id, last, invoices)
        if self._saved or self._events:
            await transaction.announce(self._client_id)

    async def _is_new(self, invoice_id: str) -> bool:
        """Tell whether an invoice was there before this unit."""
        name = (Invoice, invoice_id)
        if name in self._read:
            return self._read[name] is None
        rows = await self._transaction.rows(
            self._store.say["place"], Invoice.__name__, storable(invoice_id), self._client_id
        )
        return not rows


def _event(row: Row) -> Event:
    number, at_us, kind, invoice_id, facts = row
    return Event(number=number, at=moment_of(at_us), kind=kind, invoice_id=invoice_id, facts=facts)


def _event_row(client_id: str, event: Event) -> tuple[object, ...]:
    invoice_id, facts = storable(event.invoice_id), storable(event.facts)
    return (client_id, event.number, us_of(event.at), event.kind, invoice_id, facts)
