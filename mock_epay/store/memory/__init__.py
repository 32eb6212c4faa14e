"""A store that lives as long as the process."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Self, cast

from mock_epay.clock import Clock
from mock_epay.model import Attempt, Challenge, Checkout, Delivery, Event, Invoice, Merchant, Transaction
from mock_epay.store import Due, Hear, UnknownMerchantError, bounds
from mock_epay.store.bounds import Kept, Tally
from mock_epay.store.memory.agenda import Agenda
from mock_epay.store.memory.index import Index
from mock_epay.store.memory.orders import Values
from mock_epay.store.memory.work import MemoryWork
from mock_epay.store.memory.world import World
from mock_epay.store.shapes import SHAPES, Stored


class MemoryStore:
    """Worlds in dictionaries.

    No method ever gives up control inside a unit of work, so units cannot interleave and need no locks.
    What has happened in a unit is told to whoever wants to `hear` it, once it is kept.
    """

    def __init__(self, hear: Hear | None = None) -> None:
        self._hear = hear
        self._worlds: dict[str, World] = {}
        self._owners: dict[type, Index[str]] = {kind: Index() for kind in SHAPES}
        self._agenda = {kind: Agenda() for kind, shape in SHAPES.items() if shape.falls_due}

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
        self._worlds[merchant.client_id] = World(merchant, old.events.last if old else 0)
        return True

    async def change_merchant(self, merchant: Merchant) -> None:
        """See `Store`."""
        self.world(merchant.client_id).adopt(merchant)

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
        return self._owners[kind].first(key)

    def work(self, client_id: str) -> MemoryWork:
        """See `Store`."""
        return MemoryWork(self.world(client_id), self._keep)

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

    def world(self, client_id: str) -> World:
        """Return a living world."""
        try:
            return self._worlds[client_id]
        except KeyError:
            raise UnknownMerchantError(client_id) from None

    def check_alive(self, world: World) -> None:
        """Refuse to go on with a world that has ended."""
        if not world.alive:
            raise UnknownMerchantError(world.merchant.client_id)

    def enter_all(self, world: World) -> None:
        """Put what falls due in a world on the agenda, by the clock that it has now."""
        for (kind, key), moment in sorted(world.due.items(), key=lambda entry: entry[1]):
            self._agenda[kind].enter(world.clock, moment, world.merchant.client_id, key)

    def claim_one(self, world: World, kind: type, key: str) -> Checkout | Delivery | Challenge:
        """Hand out what is due."""
        del world.due[kind, key]
        self._agenda[kind].leave(world.merchant.client_id, key)
        world.claimed.add((kind, key))
        return _falling_due(world.things[kind][key])

    def _end(self, world: World) -> None:
        """Forget a world and all that leads to it."""
        client_id = world.merchant.client_id
        world.alive = False
        del self._worlds[client_id]
        for kind, things in world.things.items():
            for key in things:
                self._owners[kind].remove(key, client_id)
        for kind, key in world.due:
            self._agenda[kind].leave(client_id, key)
        world.announce()

    def _keep(self, world: World, things: dict[tuple[type, str], Stored], events: list[Event]) -> None:
        """Take over what a unit of work has saved."""
        self.check_alive(world)
        for (kind, key), thing in things.items():
            old = world.put(kind, key, thing)
            if old is None:
                self._owners[kind].add(key, world.merchant.client_id)
            # With the same moment it is on the agenda already, or was claimed.
            if kind in self._agenda and (moment := _due_at(thing)) != _due_at(old):
                self._schedule(world, kind, key, moment)
        world.events.add(events)
        world.unlooked += len(things) + len(events)
        if world.unlooked > world.slack:
            self._make_room(world)
        world.announce()
        if self._hear is not None:
            self._hear(world.merchant, events)

    def _make_room(self, world: World) -> None:
        """Forget what a world has too much of."""
        merchant, things, world.unlooked = world.merchant, world.things, 0

        def over() -> int:
            return bounds.orders_over(merchant, len(things[Invoice]), len(things[Transaction]))

        while order := bounds.first_to_go(map(world.order, world.orders), merchant, over()):
            for kind, key in world.let_go(order.number):
                self._forget(world, kind, key)
        for kind, most in bounds.loose(merchant).items():
            if (surplus := len(things[kind]) - most) > 0:
                for key, values in world.orders.oldest(kind, surplus):
                    self._forget(world, kind, key, values)
        world.forget_events(max(0, len(world.events) - merchant.keep_events))

    def _forget(self, world: World, kind: type, key: str, values: Values | None = None) -> None:
        """Let one thing of a living world go."""
        world.take_out(kind, key, values)
        self._owners[kind].remove(key, world.merchant.client_id)
        if kind in self._agenda:
            self._schedule(world, kind, key, None)

    def _schedule(self, world: World, kind: type, key: str, moment: datetime | None) -> None:
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

    def __init__(self, store: MemoryStore, world: World) -> None:
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


def _falling_due(thing: Stored) -> Checkout | Delivery | Challenge:
    assert isinstance(thing, Checkout | Delivery | Challenge)
    return thing


def _due_at(thing: Stored | None) -> datetime | None:
    return cast("Checkout | Delivery | Challenge", thing).due_at if thing else None
