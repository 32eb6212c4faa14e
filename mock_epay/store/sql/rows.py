"""Rows as things: how worlds, moments and texts stand in a database's columns."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from mock_epay.clock import Clock
from mock_epay.model import Challenge, Checkout, Delivery, Event, Merchant
from mock_epay.store import bounds, search
from mock_epay.store.codec import decode
from mock_epay.store.shapes import SHAPES, Stored
from mock_epay.store.sql.database import Row

Thing = Checkout | Delivery | Challenge

MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final[dict[str, type[Stored]]] = {kind.__name__: kind for kind in SHAPES}


@dataclass(frozen=True, slots=True)
class World:
    """One merchant's row."""

    merchant: Merchant
    clock: Clock
    last_event: int
    invoices: int
    life: tuple[int, int]
    held_by: str | None

    @classmethod
    def of(cls, row: Row) -> "World":
        """Read a row."""
        merchant, shift_us, frozen_us, last_event, invoices, serial, life, held_by = row
        frozen_at = None if frozen_us is None else moment_of(frozen_us)
        clock = Clock(shift=shift_us * MICROSECOND, frozen_at=frozen_at)
        return cls(decode(Merchant, merchant), clock, last_event, invoices, (serial, life), held_by)


def us_of(moment: datetime) -> int:
    """Return a moment in microseconds."""
    return (moment - _EPOCH) // MICROSECOND


def moment_of(microseconds: int) -> datetime:
    """Return the moment of these microseconds."""
    return _EPOCH + microseconds * MICROSECOND


def real_us() -> int:
    """Return the machine's time in microseconds."""
    return us_of(Clock().now())


def storable(text: str) -> str:
    """Return a text that every database takes: no half of a surrogate pair, no zero."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def falling_due(kind: str, body: str) -> Thing:
    """Read a thing that falls due."""
    thing = read(kind, body)
    assert isinstance(thing, Checkout | Delivery | Challenge)
    return thing


def row_of(client_id: str, clock: Clock, thing: Stored) -> tuple[object, ...]:
    """Return what stands in the columns of `things`, but for the body, which comes last and is not there yet."""
    shape = SHAPES[type(thing)]
    found = [storable(getattr(thing, attribute)) or None for attribute in shape.found_by]
    due_at = thing.due_at if isinstance(thing, Checkout | Delivery | Challenge) else None
    due_us = None if due_at is None else us_of(due_at)
    key, order = storable(getattr(thing, shape.key)), storable(bounds.number_of(thing)) or None
    going = int(bounds.under_way(thing))
    ready_us = _ready_us(clock, due_us)
    found = [*found, None, None][:2]
    return (client_id, type(thing).__name__, key, *found, due_us, ready_us, order, going, *searched(thing))


def searched(thing: Stored) -> tuple[str | None, int | None, str | None]:
    """Return what a thing is searched by: state, reason code, words."""
    words = search.words(thing)
    return search.state(thing), search.reason(thing), None if words is None else storable(words)


def read(kind: str, body: str) -> Stored:
    """Read a thing."""
    return decode(_KINDS[kind], body)


def event_of(row: Row) -> Event:
    """Read an event."""
    number, at_us, kind, invoice_id, facts = row
    return Event(number=number, at=moment_of(at_us), kind=kind, invoice_id=invoice_id, facts=facts)


def event_row(client_id: str, event: Event) -> tuple[object, ...]:
    """Return what stands in the columns of `events`."""
    invoice_id, facts = storable(event.invoice_id), storable(event.facts)
    return (client_id, event.number, us_of(event.at), event.kind, invoice_id, facts)


def _ready_us(clock: Clock, due_us: int | None) -> int | None:
    if due_us is None or clock.frozen_at is None:
        return due_us and due_us - clock.shift // MICROSECOND
    ahead = due_us - us_of(clock.frozen_at)
    return None if ahead > 0 else real_us() + ahead
