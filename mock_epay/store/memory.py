"""A store that lives as long as the process."""

import asyncio
import heapq
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count
from math import inf
from operator import attrgetter
from types import TracebackType
from typing import Final, Self, cast

from mock_epay.clock import Clock
from mock_epay.model import SHAPES, Challenge, Checkout, Delivery, Event, Merchant, Stored
from mock_epay.store import Due, E, UnknownMerchantError

_NAMES: Final = {kind: attrgetter(shape.key) for kind, shape in SHAPES.items()}


class MemoryStore:
    """Worlds in dictionaries.

    No method ever gives up control inside a unit of work, so units cannot interleave and need no locks.
    """

    def __init__(self) -> None:
        self._worlds: dict[str, _World] = {}
        self._owners: dict[tuple[type, str], list[str]] = {}
        self._agenda = {kind: _Agenda() for kind, shape in SHAPES.items() if shape.falls_due}

    async def add_merchant(self, merchant: Merchant) -> None:
        """See `Store`."""
        old = self._worlds.pop(merchant.client_id, None)
        for owned in old.keys() if old else ():
            self._owners[owned].remove(merchant.client_id)
            if not self._owners[owned]:
                del self._owners[owned]
        self._worlds[merchant.client_id] = _World(merchant)

    async def merchant(self, client_id: str) -> Merchant | None:
        """See `Store`."""
        world = self._worlds.get(client_id)
        return world.merchant if world else None

    async def clock(self, client_id: str) -> Clock:
        """See `Store`."""
        return self._world(client_id).clock

    async def set_clock(self, client_id: str, clock: Clock) -> None:
        """See `Store`."""
        world = self._world(client_id)
        world.clock = clock
        for (kind, key), moment in sorted(world.due.items(), key=lambda entry: entry[1]):
            self._agenda[kind].enter(clock, moment, client_id, key)

    async def events(self, client_id: str, *, after: int = 0) -> Sequence[Event]:
        """See `Store`."""
        return self._world(client_id).events[after:]

    async def owner(self, kind: type[Stored], key: str) -> str | None:
        """See `Store`."""
        return next(iter(self._owners.get((kind, key), ())), None)

    def work(self, client_id: str) -> "MemoryWork":
        """See `Store`."""
        return MemoryWork(self, self._world(client_id))

    async def claim(self, kind: type[Due], limit: int) -> list[tuple[str, Due]]:
        """See `Store`."""
        agenda = self._agenda[kind]
        while True:
            claimed: list[tuple[str, Due]] = []
            while len(claimed) < limit and (entry := agenda.pop()):
                claimed += self._due(kind, *entry)
            if claimed:
                return claimed
            await agenda.wait()

    def keep(self, world: "_World", things: dict[tuple[type, str], Stored], events: list[Event]) -> None:
        """Take over what a unit of work has saved."""
        if self._worlds.get(world.merchant.client_id) is not world:
            raise UnknownMerchantError(world.merchant.client_id)
        for (kind, key), thing in things.items():
            old = world.put(kind, key, thing)
            if old is None:
                self._owners.setdefault((kind, key), []).append(world.merchant.client_id)
            # With the same moment it is on the agenda already, or was claimed.
            if SHAPES[kind].falls_due and (moment := _due_at(thing)) != _due_at(old):
                self._schedule(world, kind, key, moment)
        world.events += events

    def _schedule(self, world: "_World", kind: type, key: str, moment: datetime | None) -> None:
        if moment is None:
            world.due.pop((kind, key), None)
            return
        world.due[kind, key] = moment
        self._agenda[kind].enter(world.clock, moment, world.merchant.client_id, key)

    def _due(self, kind: type[Due], client_id: str, key: str) -> Iterator[tuple[str, Due]]:
        """Claim an entry of the agenda, unless the world or its clock has moved on since it was made."""
        world = self._worlds.get(client_id)
        moment = world.due.get((kind, key)) if world else None
        if world is None or moment is None:
            return
        if world.clock.seconds_until(moment) > 0:
            self._agenda[kind].enter(world.clock, moment, client_id, key)
            return
        del world.due[kind, key]
        yield client_id, cast("Due", world.things[kind][key])

    def _world(self, client_id: str) -> "_World":
        try:
            return self._worlds[client_id]
        except KeyError:
            raise UnknownMerchantError(client_id) from None


class MemoryWork:
    """A unit of work: a page of changes laid over the world and turned into it at the end."""

    __slots__ = ("_events", "_saved", "_store", "_world", "merchant", "now")

    def __init__(self, store: MemoryStore, world: "_World") -> None:
        self._store = store
        self._world = world
        self._saved: dict[tuple[type, str], Stored] = {}
        self._events: list[Event] = []
        self.merchant = world.merchant
        self.now = world.clock.now()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._store.keep(self._world, self._saved, self._events)

    async def get(self, kind: type[E], key: str) -> E | None:
        """See `Work`."""
        found = self._saved.get((kind, key)) or self._world.things[kind].get(key)
        return cast("E | None", found)

    async def find(self, kind: type[E], attribute: str, value: str) -> Sequence[E]:
        """See `Work`."""
        if not value:
            return []
        keys = dict.fromkeys(self._world.found[kind, attribute].get(value, ()))
        keys |= dict.fromkeys(key for saved_kind, key in self._saved if saved_kind is kind)
        found = [await self.get(kind, key) for key in keys]
        return [thing for thing in found if thing and getattr(thing, attribute) == value]

    def save(self, *things: Stored) -> None:
        """See `Work`."""
        for thing in things:
            kind = type(thing)
            self._saved[kind, _NAMES[kind](thing)] = thing

    def record(self, kind: str, invoice_id: str = "", **facts: object) -> None:
        """See `Work`."""
        number = len(self._world.events) + len(self._events) + 1
        text = json.dumps(facts, ensure_ascii=False, default=str)
        self._events.append(Event(number=number, at=self.now, kind=kind, invoice_id=invoice_id, facts=text))


class _World:
    """All that belongs to one merchant."""

    def __init__(self, merchant: Merchant) -> None:
        self.merchant = merchant
        self.clock = Clock()
        self.things: dict[type, dict[str, Stored]] = {kind: {} for kind in SHAPES}
        self.found: dict[tuple[type, str], dict[str, list[str]]] = {
            (kind, attribute): {} for kind, shape in SHAPES.items() for attribute in shape.found_by
        }
        self.due: dict[tuple[type, str], datetime] = {}
        self.events: list[Event] = []

    def keys(self) -> Iterator[tuple[type, str]]:
        """Name everything in this world."""
        return ((kind, key) for kind, things in self.things.items() for key in things)

    def put(self, kind: type, key: str, thing: Stored) -> Stored | None:
        """Keep a thing and the ways to find it; return what it replaces."""
        old = self.things[kind].get(key)
        self.things[kind][key] = thing
        for attribute in SHAPES[kind].found_by:
            value = getattr(thing, attribute)
            before = getattr(old, attribute) if old is not None else ""
            if before == value:
                continue
            if before:
                self.found[kind, attribute][before].remove(key)
            if value:
                self.found[kind, attribute].setdefault(value, []).append(key)
        return old


class _Agenda:
    """What falls due, by real time. Entries are never taken out early: a stale one is found out when it comes up."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, str, str]] = []
        self._serial = count()
        self._news = asyncio.Event()

    def enter(self, clock: Clock, moment: datetime, client_id: str, key: str) -> None:
        """Note that something falls due when `clock` shows `moment`; a frozen clock never will."""
        seconds = clock.seconds_until(moment)
        if seconds < inf:
            heapq.heappush(self._entries, (_real_now() + seconds, next(self._serial), client_id, key))
            self._news.set()

    def pop(self) -> tuple[str, str] | None:
        """Return the world and key of the first entry whose time has come."""
        if not self._entries or self._entries[0][0] > _real_now():
            return None
        return heapq.heappop(self._entries)[2:]

    async def wait(self) -> None:
        """Wait until the first entry's time comes, or for an earlier one."""
        self._news.clear()
        left: float | None = self._entries[0][0] - _real_now() if self._entries else None
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), left)


def _due_at(thing: Stored | None) -> datetime | None:
    return cast("Checkout | Delivery | Challenge", thing).due_at if thing else None


def _real_now() -> float:
    return Clock().now().timestamp()
