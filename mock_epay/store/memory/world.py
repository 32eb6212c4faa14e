"""One merchant's world in memory, with the ways to all that is in it."""

import asyncio
from collections import Counter
from collections.abc import Collection
from datetime import datetime
from operator import attrgetter
from typing import Final, cast

from mock_epay.clock import Clock
from mock_epay.model import Delivery, Event, Merchant
from mock_epay.store import bounds
from mock_epay.store.bounds import Order
from mock_epay.store.memory.annals import Annals
from mock_epay.store.memory.index import Index
from mock_epay.store.memory.orders import Name, Orders, Values
from mock_epay.store.memory.shelves import Shelf
from mock_epay.store.shapes import SHAPES, Stored

_FOUND_BY: Final = {
    kind: tuple(dict.fromkeys([*shape.found_by, *[shape.order] * (shape.order not in {"", shape.key})]))
    for kind, shape in SHAPES.items()
}
_VALUES: Final = {attribute: attrgetter(attribute) for attributes in _FOUND_BY.values() for attribute in attributes}
_UNDER_WAY: Final = [kind for kind, shape in SHAPES.items() if shape.falls_due]


class World:
    """All that belongs to one merchant. Events go on from the number `before`."""

    def __init__(self, merchant: Merchant, before: int) -> None:
        self.adopt(merchant)
        self.alive = True
        self.clock = Clock()
        self.things: dict[type, Shelf[Stored]] = {
            kind: Shelf(kind, bounds.under_way) if shape.falls_due else Shelf(kind) for kind, shape in SHAPES.items()
        }
        self.found: dict[tuple[type, str], Index[str]] = {
            (kind, attribute): Index() for kind, attributes in _FOUND_BY.items() for attribute in attributes
        }
        self._ways = {
            kind: [(_VALUES[attribute], self.found[kind, attribute]) for attribute in attributes]
            for kind, attributes in _FOUND_BY.items()
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

    def adopt(self, merchant: Merchant) -> None:
        """Let the merchant, whose world it is, be another."""
        self.merchant = merchant
        self.slack = bounds.slack(merchant)

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
        if self._watchers:
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                if not watcher.done():
                    watcher.set_result(None)

    def put(self, kind: type, key: str, thing: Stored) -> Stored | None:
        """Keep a thing and the ways to find it; return what it replaces."""
        old = self.things[kind].put(key, thing)
        ways = self._ways[kind]
        if old is None:
            values = []
            for value_of, index in ways:
                values.append(value := value_of(thing))
                if value:
                    index.add(value, key)
            self.orders.add(kind, key, thing, tuple(values))
            return None
        for value_of, index in ways:
            value, before = value_of(thing), value_of(old)
            if before != value:
                if before:
                    index.remove(before, key)
                if value:
                    index.add(value, key)
        return old

    def owed(self) -> list[Delivery]:
        """Return the postlinks that are still to be sent, oldest first."""
        waiting = self.due.keys() | self.claimed
        things = self.things[Delivery]
        return [cast("Delivery", things[key]) for key in things if (Delivery, key) in waiting]

    def take_out(self, kind: type, key: str, values: Values | None = None) -> None:
        """Let go of a thing and the ways to find it."""
        ways = self._ways[kind]
        if values is None:
            thing = self.things[kind][key]
            self.lost += kind is Delivery and bounds.under_way(thing)
            values = tuple([value_of(thing) for value_of, _ in ways])
        del self.things[kind][key]
        self.forgotten[kind] += 1
        for value, (_, index) in zip(values, ways, strict=True):
            if value:
                index.remove(value, key)

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
