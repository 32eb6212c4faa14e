"""A store that lives as long as the process."""

import asyncio
import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count, islice
from math import inf
from operator import attrgetter
from types import TracebackType
from typing import Final, Self, cast

from mock_epay.clock import Clock
from mock_epay.model import Attempt, Challenge, Checkout, Delivery, Event, Invoice, Merchant, Transaction
from mock_epay.store import Due, E, Hear, UnknownMerchantError, bounds, search
from mock_epay.store.annals import Annals
from mock_epay.store.bounds import Kept, Order, Tally
from mock_epay.store.index import Index
from mock_epay.store.orders import Name, Orders
from mock_epay.store.search import SEARCHED, Sought
from mock_epay.store.shapes import SHAPES, Stored, facts_text
from mock_epay.store.shelves import Shelf

_ROUNDED_S: Final = 1e-5  # more than a float of this century's seconds is off by
_UNTIDY: Final = 64  # outdated entries that are not worth looking for
_NAMES: Final = {kind: attrgetter(shape.key) for kind, shape in SHAPES.items()}
_FOUND_BY: Final = {
    kind: tuple(dict.fromkeys([*shape.found_by, *[shape.order] * (shape.order not in {"", shape.key})]))
    for kind, shape in SHAPES.items()
}
_UNDER_WAY: Final = [kind for kind, shape in SHAPES.items() if shape.falls_due]


class MemoryStore:
    """Worlds in dictionaries.

    No method ever gives up control inside a unit of work, so units cannot interleave and need no locks.
    What has happened in a unit is told to whoever wants to `hear` it, once it is kept.
    """

    def __init__(self, hear: Hear | None = None) -> None:
        self._hear = hear
        self._worlds: dict[str, _World] = {}
        self._owners: dict[type, Index[str]] = {kind: Index() for kind in SHAPES}
        self._agenda = {kind: _Agenda() for kind, shape in SHAPES.items() if shape.falls_due}

    async def open(self) -> None:
        """See `Store`."""

    async def close(self) -> Sequence[Delivery]:
        """See `Store`."""
        return [delivery for world in self._worlds.values() for delivery in world.owed()]

    async def add_merchant(self, merchant: Merchant, *, unless_there: bool = False) -> bool:
        """See `Store`."""
        old = self._worlds.get(merchant.client_id)
        if old and unless_there:
            return False
        if old:
            self._end(old)
        self._worlds[merchant.client_id] = _World(merchant, old.events.last if old else 0)
        return True

    async def change_merchant(self, merchant: Merchant) -> None:
        """See `Store`."""
        self.world(merchant.client_id).merchant = merchant

    async def drop_merchant(self, client_id: str) -> None:
        """See `Store`."""
        self._end(self.world(client_id))

    async def merchants(self) -> Sequence[Merchant]:
        """See `Store`."""
        return [world.merchant for world in self._worlds.values()]

    async def merchant(self, client_id: str) -> Merchant | None:
        """See `Store`."""
        world = self._worlds.get(client_id)
        return world.merchant if world else None

    async def clock(self, client_id: str) -> Clock:
        """See `Store`."""
        return self.world(client_id).clock

    async def set_clock(self, client_id: str, clock: Clock) -> None:
        """See `Store`."""
        world = self.world(client_id)
        world.clock = clock
        self.enter_all(world)

    def hold(self, client_id: str) -> "MemoryHold":
        """See `Store`."""
        return MemoryHold(self, self.world(client_id))

    async def due(self, client_id: str) -> Sequence[tuple[datetime, Checkout | Delivery | Challenge]]:
        """See `Store`."""
        world = self.world(client_id)
        ahead = sorted(world.due.items(), key=lambda entry: entry[1])
        return [(moment, _falling_due(world.things[kind][key])) for (kind, key), moment in ahead]

    async def events(self, client_id: str, *, after: int = 0) -> Sequence[Event]:
        """See `Store`."""
        return self.world(client_id).events.after(after)

    async def news(self, client_id: str, *, after: int) -> Sequence[Event]:
        """See `Store`."""
        world = self.world(client_id)
        while not (events := world.events.after(after)):
            await world.change()
            self.check_alive(world)
        return events

    async def tally(self, client_id: str | None = None) -> Tally:
        """See `Store`."""
        worlds = list(self._worlds.values()) if client_id is None else [self.world(client_id)]
        kept = {
            kind: Kept(
                kept=sum(len(world.things[kind]) for world in worlds),
                forgotten=sum(world.forgotten[kind] for world in worlds),
            )
            for kind in (Transaction, Attempt)
        }
        events = Kept(
            kept=sum(len(world.events) for world in worlds), forgotten=sum(world.forgotten[Event] for world in worlds)
        )
        waiting = Kept(
            kept=sum(kind is Delivery for world in worlds for kind, _ in (*world.due, *world.claimed)),
            forgotten=sum(world.lost for world in worlds),
        )
        return Tally(
            worlds=len(worlds), transactions=kept[Transaction], events=events, bodies=kept[Attempt], waiting=waiting
        )

    async def owner(self, kind: type[Stored], key: str) -> str | None:
        """See `Store`."""
        return next(iter(self._owners[kind].of(key)), None)

    def work(self, client_id: str) -> "MemoryWork":
        """See `Store`."""
        return MemoryWork(self, self.world(client_id))

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
        self.check_alive(world)
        for (kind, key), thing in things.items():
            old = world.put(kind, key, thing)
            if old is None:
                self._owners[kind].add(key, world.merchant.client_id)
            # With the same moment it is on the agenda already, or was claimed.
            if SHAPES[kind].falls_due and (moment := _due_at(thing)) != _due_at(old):
                self._schedule(world, kind, key, moment)
        world.events.add(events)
        world.unlooked += len(things) + len(events)
        if world.unlooked > bounds.slack(world.merchant):
            self._make_room(world)
        world.announce()
        if self._hear is not None:
            self._hear(world.merchant, events)

    def world(self, client_id: str) -> "_World":
        """Return a living world."""
        try:
            return self._worlds[client_id]
        except KeyError:
            raise UnknownMerchantError(client_id) from None

    def check_alive(self, world: "_World") -> None:
        """Refuse to go on with a world that has ended."""
        if self._worlds.get(world.merchant.client_id) is not world:
            raise UnknownMerchantError(world.merchant.client_id)

    def enter_all(self, world: "_World") -> None:
        """Put what falls due in a world on the agenda, by the clock that it has now."""
        for (kind, key), moment in sorted(world.due.items(), key=lambda entry: entry[1]):
            self._agenda[kind].enter(world.clock, moment, world.merchant.client_id, key)

    def claim_one(self, world: "_World", kind: type, key: str) -> Checkout | Delivery | Challenge:
        """Hand out what is due."""
        del world.due[kind, key]
        self._agenda[kind].leave(world.merchant.client_id, key)
        world.claimed.add((kind, key))
        return _falling_due(world.things[kind][key])

    def _end(self, world: "_World") -> None:
        """Forget a world and all that leads to it."""
        client_id = world.merchant.client_id
        del self._worlds[client_id]
        for kind, things in world.things.items():
            for key in things:
                self._owners[kind].remove(key, client_id)
        for kind, key in world.due:
            self._agenda[kind].leave(client_id, key)
        world.announce()

    def _make_room(self, world: "_World") -> None:
        """Forget what a world has too much of."""
        merchant, things, world.unlooked = world.merchant, world.things, 0

        def over() -> int:
            return bounds.orders_over(merchant, len(things[Invoice]), len(things[Transaction]))

        while order := bounds.first_to_go(map(world.order, world.orders), merchant, over()):
            for kind, key in world.let_go(order.number):
                self._forget(world, kind, key)
        for kind, most in bounds.loose(merchant).items():
            if (surplus := len(things[kind]) - most) > 0:
                for _, key in world.orders.oldest(kind, surplus):
                    self._forget(world, kind, key)
        world.forget_events(max(0, len(world.events) - merchant.keep_events))

    def _forget(self, world: "_World", kind: type, key: str) -> None:
        """Let one thing of a living world go."""
        world.take_out(kind, key)
        self._owners[kind].remove(key, world.merchant.client_id)
        if SHAPES[kind].falls_due:
            self._schedule(world, kind, key, None)

    def _schedule(self, world: "_World", kind: type, key: str, moment: datetime | None) -> None:
        world.claimed.discard((kind, key))
        if moment is None:
            world.due.pop((kind, key), None)
            self._agenda[kind].leave(world.merchant.client_id, key)
            return
        world.due[kind, key] = moment
        self._agenda[kind].enter(world.clock, moment, world.merchant.client_id, key)

    def _due(self, kind: type[Due], client_id: str, key: str) -> Iterator[tuple[str, Due]]:
        """Claim what an entry of the agenda is about, unless its world's time is in other hands."""
        world = self._worlds[client_id]
        if world.held:
            return
        yield client_id, cast("Due", self.claim_one(world, kind, key))


class MemoryHold:
    """A world's time in one pair of hands."""

    frozen: bool

    def __init__(self, store: MemoryStore, world: "_World") -> None:
        self._store = store
        self._world = world

    async def __aenter__(self) -> Self:
        world = self._world
        while world.held:
            await world.change()
            self._store.check_alive(world)
        self.frozen = world.clock.frozen_at is not None
        world.held = True
        world.clock = world.clock.freeze()
        try:
            while world.claimed:
                await world.change()
                self._store.check_alive(world)
        except BaseException:
            self._let_go()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._let_go()

    async def next(self, until: datetime) -> Checkout | Delivery | Challenge | None:
        """See `Hold`."""
        world = self._world
        self._store.check_alive(world)
        (kind, key), moment = min(world.due.items(), key=lambda entry: entry[1], default=((Checkout, ""), None))
        if moment is None or moment > until:
            world.clock = world.clock.set(until)
            return None
        world.clock = world.clock.set(max(moment, world.clock.now()))
        return self._store.claim_one(world, kind, key)

    def _let_go(self) -> None:
        world = self._world
        world.held = False
        if not self.frozen:
            world.clock = world.clock.resume()
        with suppress(UnknownMerchantError):
            self._store.check_alive(world)
            self._store.enter_all(world)
        world.announce()


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
        if kind is None and (self._saved or self._events):
            self._store.keep(self._world, self._saved, self._events)

    @property
    def invoices(self) -> int:
        """See `Work`."""
        return len(self._world.things[Invoice])

    @property
    def last_event(self) -> int:
        """See `Work`."""
        return self._world.events.last

    async def get(self, kind: type[E], key: str) -> E | None:
        """See `Work`."""
        found = self._saved.get((kind, key)) or self._world.things[kind].get(key)
        return cast("E | None", found)

    async def find(self, kind: type[E], attribute: str, value: str) -> Sequence[E]:
        """See `Work`."""
        if not value:
            return []
        keys = dict.fromkeys(self._world.found[kind, attribute].of(value))
        keys |= dict.fromkeys(key for saved_kind, key in self._saved if saved_kind is kind)
        found = [await self.get(kind, key) for key in keys]
        return [thing for thing in found if thing and getattr(thing, attribute) == value]

    async def get_each(self, kind: type[E], keys: Iterable[str]) -> Sequence[E]:
        """See `Work`."""
        found = [await self.get(kind, key) for key in dict.fromkeys(keys)]
        return [thing for thing in found if thing is not None]

    async def find_each(self, kind: type[E], attribute: str, values: Iterable[str]) -> Mapping[str, Sequence[E]]:
        """See `Work`."""
        return {value: await self.find(kind, attribute, value) for value in values}

    async def all(self, kind: type[E]) -> Sequence[E]:
        """See `Work`."""
        own = {key: thing for (saved_kind, key), thing in self._saved.items() if saved_kind is kind}
        things = self._world.things[kind]
        return cast("list[E]", list(({key: things[key] for key in things} | own).values()))

    async def some(self, kind: type[E], limit: int | None, *, newest: bool = False, behind: str = "") -> Sequence[E]:
        """See `Work`."""
        things = self._world.things[kind]
        names = iter(reversed(things) if newest else things)
        if behind:
            next((name for name in names if name == behind), None)  # behind what is forgotten there is nothing
        return cast("list[E]", [things[name] for name in islice(names, limit)])

    async def search(self, sought: Sought) -> Sequence[str]:
        """See `Work`."""
        return search.found(sought, {kind: await self.some(kind, None) for kind in SEARCHED})

    async def events(self, invoice_id: str) -> Sequence[Event]:
        """See `Work`."""
        return self._world.events.of(invoice_id)

    async def moments(self, invoice_ids: Iterable[str]) -> Mapping[str, tuple[datetime, datetime]]:
        """See `Work`."""
        told = {number: await self.events(number) for number in invoice_ids}
        return {number: (events[0].at, events[-1].at) for number, events in told.items() if events}

    def save(self, *things: Stored) -> None:
        """See `Work`."""
        for thing in things:
            kind = type(thing)
            self._saved[kind, _NAMES[kind](thing)] = thing

    def record(self, kind: str, invoice_id: str = "", **facts: object) -> None:
        """See `Work`."""
        number = self._world.events.last + len(self._events) + 1
        event = Event(number=number, at=self.now, kind=kind, invoice_id=invoice_id, facts=facts_text(facts))
        self._events.append(event)


class _World:
    """All that belongs to one merchant. Events go on from the number `before`."""

    def __init__(self, merchant: Merchant, before: int) -> None:
        self.merchant = merchant
        self.clock = Clock()
        self.things: dict[type, Shelf[Stored]] = {
            kind: Shelf(kind, bounds.under_way) if shape.falls_due else Shelf(kind) for kind, shape in SHAPES.items()
        }
        self.found: dict[tuple[type, str], Index[str]] = {
            (kind, attribute): Index() for kind, attributes in _FOUND_BY.items() for attribute in attributes
        }
        self.due: dict[tuple[type, str], datetime] = {}
        self.claimed: set[tuple[type, str]] = set()
        self.held = False
        self.orders = Orders()
        self.forgotten: Counter[type] = Counter()
        self.lost = 0  # postlinks that were forgotten before they were sent
        self.unlooked = 0  # things and events kept since room was made
        self.events = Annals(before)
        self._watchers: list[asyncio.Future[None]] = []

    async def change(self) -> None:
        """Wait until something happens in this world, if only its end."""
        watcher = asyncio.get_running_loop().create_future()
        self._watchers.append(watcher)
        try:
            await watcher
        finally:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

    def announce(self) -> None:
        """Wake whoever waits for a change."""
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    def put(self, kind: type, key: str, thing: Stored) -> Stored | None:
        """Keep a thing and the ways to find it; return what it replaces."""
        old = self.things[kind].get(key)
        self.things[kind][key] = thing
        if old is None:
            self.orders.add((kind, key), thing)
        for attribute in _FOUND_BY[kind]:
            value = getattr(thing, attribute)
            before = getattr(old, attribute) if old is not None else ""
            if before == value:
                continue
            if before:
                self.found[kind, attribute].remove(before, key)
            if value:
                self.found[kind, attribute].add(value, key)
        return old

    def owed(self) -> list[Delivery]:
        """Return the postlinks that are still to be sent, oldest first."""
        waiting = self.due.keys() | self.claimed
        things = self.things[Delivery]
        return [cast("Delivery", things[key]) for key in things if (Delivery, key) in waiting]

    def take_out(self, kind: type, key: str) -> None:
        """Let go of a thing and the ways to find it."""
        thing = self.things[kind].pop(key)
        self.forgotten[kind] += 1
        self.lost += kind is Delivery and bounds.under_way(thing)
        for attribute in _FOUND_BY[kind]:
            if value := getattr(thing, attribute):
                self.found[kind, attribute].remove(value, key)

    def let_go(self, number: str) -> list[Name]:
        """Let an order go; return what belongs to it."""
        names = [(kind, key) for kind in SHAPES for key in self._of_order(kind, number)]
        self.orders.remove(number, names)
        return names

    def forget_events(self, count: int) -> None:
        """Let go of so many of the oldest events."""
        self.events.forget(count)
        self.forgotten[Event] += count

    def order(self, number: str) -> Order:
        """Return what counts of an order when it may have to go."""
        things = (self.things[kind][key] for kind in _UNDER_WAY for key in self._of_order(kind, number))
        return Order(number=number, under_way=any(map(bounds.under_way, things)))

    def _of_order(self, kind: type, number: str) -> Collection[str]:
        """Return the keys of what belongs to an order."""
        shape = SHAPES[kind]
        if shape.order == shape.key:
            return (number,) if number in self.things[kind] else ()
        return self.found[kind, shape.order].of(number) if shape.order else ()


class _Agenda:
    """What falls due, by real time. Of each thing the latest entry counts; the others are passed over."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, str, str]] = []
        self._latest: dict[tuple[str, str], int] = {}
        self._serial = count()
        self._news = asyncio.Event()

    def enter(self, clock: Clock, moment: datetime, client_id: str, key: str) -> None:
        """Note that something falls due when `clock` shows `moment`; a frozen clock never will."""
        self.leave(client_id, key)
        seconds = clock.seconds_until(moment)
        if seconds < inf:
            serial = next(self._serial)
            self._latest[client_id, key] = serial
            at = _real_now() + seconds + (_ROUNDED_S if seconds else 0)  # or it might come up too early
            heapq.heappush(self._entries, (at, serial, client_id, key))
            self._news.set()

    def leave(self, client_id: str, key: str) -> None:
        """Note that something does not fall due any more, and tidy up when most of the entries are such."""
        self._latest.pop((client_id, key), None)
        if len(self._entries) > _UNTIDY + 2 * len(self._latest):
            self._entries = [entry for entry in self._entries if self._counts(entry)]
            heapq.heapify(self._entries)

    def pop(self) -> tuple[str, str] | None:
        """Return the world and key of the first entry whose time has come."""
        while self._entries and self._entries[0][0] <= _real_now():
            entry = heapq.heappop(self._entries)
            if self._counts(entry):
                del self._latest[entry[2:]]
                return entry[2:]
        return None

    def _counts(self, entry: tuple[float, int, str, str]) -> bool:
        return self._latest.get(entry[2:]) == entry[1]

    async def wait(self) -> None:
        """Wait until the first entry's time comes, or for an earlier one."""
        self._news.clear()
        left: float | None = self._entries[0][0] - _real_now() if self._entries else None
        # In Python 3.11 wait_for forgets that it was cancelled when there is news at the same moment.
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait([news], timeout=left)
        finally:
            news.cancel()


def _falling_due(thing: Stored) -> Checkout | Delivery | Challenge:
    assert isinstance(thing, Checkout | Delivery | Challenge)
    return thing


def _due_at(thing: Stored | None) -> datetime | None:
    return cast("Checkout | Delivery | Challenge", thing).due_at if thing else None


def _real_now() -> float:
    return Clock().now().timestamp()
