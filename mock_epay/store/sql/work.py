"""What a unit of work has read in a database and is about to write, until it is kept or dropped."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Final, Self, cast

from mock_epay.model import Event, Invoice, Merchant
from mock_epay.store import E
from mock_epay.store.codec import decode, encode
from mock_epay.store.search import Sought
from mock_epay.store.shapes import SHAPES, Stored, facts_text
from mock_epay.store.sql.rows import event_of, event_row, moment_of, row_of, storable
from mock_epay.store.sql.worlds import Worlds

# What a unit tells once it is kept: whose world it was in, what happened, how many things and events have come.
Tell = Callable[[Merchant, Sequence[Event], int], Awaitable[None]]

_LAST: Final = 2**63 - 1  # a number behind all others


class SqlWork:
    """A unit of work: a transaction that reads as it goes and writes at its end."""

    __slots__ = (
        "_client_id",
        "_events",
        "_read",
        "_saved",
        "_say",
        "_tell",
        "_transaction",
        "_within",
        "_world",
        "_worlds",
        "merchant",
        "now",
    )

    merchant: Merchant
    now: datetime

    def __init__(self, worlds: Worlds, client_id: str, tell: Tell) -> None:
        self._worlds = worlds
        self._say = worlds.say
        self._client_id = client_id
        self._tell = tell
        self._saved: dict[tuple[type, str], Stored] = {}
        self._read: dict[tuple[type, str], Stored | None] = {}
        self._events: list[Event] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._worlds.queue(self._client_id))
            self._transaction = await stack.enter_async_context(self._worlds.transaction())
            self._world = await self._worlds.lock(self._transaction, self._client_id)
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
            await self._tell(self.merchant, self._events, len(self._saved) + len(self._events))

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
            say = self._say["get"]
            rows = await self._transaction.rows(say, kind.__name__, storable(key), self._client_id)
            self._read[kind, key] = decode(kind, rows[0][0]) if rows else None
        return cast("E | None", found or self._read[kind, key])

    async def get_each(self, kind: type[E], keys: Iterable[str]) -> Sequence[E]:
        """See `Work`."""
        asked = {storable(key): key for key in keys}
        rows = await self._transaction.rows(self._say["get_each"], kind.__name__, [*asked], self._client_id)
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
        say, name = self._say, kind.__name__
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
        return [key for (key,) in await self._transaction.rows(self._say["search"], self._client_id, *facts)]

    async def events(self, invoice_id: str) -> Sequence[Event]:
        """See `Work`."""
        rows = await self._transaction.rows(self._say["events_of"], self._client_id, storable(invoice_id))
        return [event_of(row) for row in rows]

    async def moments(self, invoice_ids: Iterable[str]) -> Mapping[str, tuple[datetime, datetime]]:
        """See `Work`."""
        named = {storable(number): number for number in invoice_ids}
        rows = await self._transaction.rows(self._say["moments"], self._client_id, [*named])
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
        rows = await self._transaction.rows(self._say[statement], self._client_id, *values)
        found: dict[str, E] = {key: decode(kind, body) for key, body in rows}
        return list(
            (found | {key: cast("E", thing) for (of, key), thing in self._saved.items() if of is kind}).values()
        )

    async def _write(self) -> None:
        say, transaction = self._say, self._transaction
        begun = [key for kind, key in self._saved if kind is Invoice and await self._is_new(key)]
        if self._saved:
            rows = [(*row_of(self._client_id, self._world.clock, one), encode(one)) for one in self._saved.values()]
            await transaction.many(say["save"], rows)
        if self._events:
            await transaction.many(say["record"], [event_row(self._client_id, one) for one in self._events])
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
        rows = await self._transaction.rows(self._say["place"], Invoice.__name__, storable(invoice_id), self._client_id)
        return not rows
