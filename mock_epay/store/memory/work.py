"""What a unit of work is about to change in memory, until it is kept or dropped."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import attrgetter
from types import TracebackType
from typing import Final, Self, cast

from mock_epay.model import Event, Invoice
from mock_epay.store import E, search
from mock_epay.store.memory.world import World
from mock_epay.store.search import SEARCHED, Sought
from mock_epay.store.shapes import SHAPES, Stored, facts_text

# What takes over the things and events that a unit has for a world.
Keep = Callable[[World, dict[tuple[type, str], Stored], list[Event]], None]

_NAMES: Final = {kind: attrgetter(shape.key) for kind, shape in SHAPES.items()}


class MemoryWork:
    """A unit of work: a page of changes laid over the world and turned into it at the end."""

    __slots__ = ("_events", "_keep", "_saved", "_world", "merchant", "now")

    def __init__(self, world: World, keep: Keep) -> None:
        self._world = world
        self._keep = keep
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
            self._keep(self._world, self._saved, self._events)

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
