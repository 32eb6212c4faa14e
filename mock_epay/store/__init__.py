"""The protocol of a store: merchants' worlds, units of work in them, and what falls due."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar

from mock_epay.clock import Clock
from mock_epay.model import Challenge, Checkout, Delivery, Event, Merchant
from mock_epay.store.bounds import Tally
from mock_epay.store.search import Sought
from mock_epay.store.shapes import Stored

E = TypeVar("E", bound=Stored)
Due = TypeVar("Due", Checkout, Delivery, Challenge)

# Who wants to know what has happened in a merchant's world; called once it is kept.
Hear = Callable[[Merchant, Sequence[Event]], None]


class UnknownMerchantError(LookupError):
    """There is no world of this name, or not any more."""


class StoreError(Exception):
    """The store cannot be used, or not now; the message is one line that says which and why."""


class Work(Protocol):
    """One unit of work in one merchant's world: all that is saved in it is kept, or nothing is.

    What is read in a unit belongs to it until it ends. Its body awaits nothing but the unit itself.
    """

    @property
    def merchant(self) -> Merchant:
        """The world's owner."""
        ...

    @property
    def now(self) -> datetime:
        """The moment on the merchant's clock at which the unit began."""
        ...

    @property
    def invoices(self) -> int:
        """How many invoices the world had before the unit."""
        ...

    @property
    def last_event(self) -> int:
        """The number of the latest event before the unit; 0 where nothing has happened."""
        ...

    async def get(self, kind: type[E], key: str) -> E | None:
        """Return the thing of this kind and key, or None."""
        ...

    async def get_each(self, kind: type[E], keys: Iterable[str]) -> Sequence[E]:
        """Return the things of this kind and these keys that are there, each once, in the order of the keys."""
        ...

    async def find(self, kind: type[E], attribute: str, value: str) -> Sequence[E]:
        """Return the things whose `attribute` is `value`, oldest first.

        `shapes.SHAPES` names the attributes; nothing is found by an empty one.
        """
        ...

    async def find_each(self, kind: type[E], attribute: str, values: Iterable[str]) -> Mapping[str, Sequence[E]]:
        """Return for each of the values what `find` would; a database is asked once for all of them."""
        ...

    async def all(self, kind: type[E]) -> Sequence[E]:
        """Return all things of this kind, oldest first."""
        ...

    async def some(self, kind: type[E], limit: int | None, *, newest: bool = False, behind: str = "") -> Sequence[E]:
        """Return at most so many things of this kind, oldest or newest first, as they were before the unit.

        With `behind` they are those behind the thing of that key, which must be there.
        """
        ...

    async def search(self, sought: Sought) -> Sequence[str]:
        """Return the numbers of the invoices that are sought, oldest first, as they were before the unit."""
        ...

    async def events(self, invoice_id: str) -> Sequence[Event]:
        """Return what happened to an invoice before the unit, in order."""
        ...

    async def moments(self, invoice_ids: Iterable[str]) -> Mapping[str, tuple[datetime, datetime]]:
        """Return when the first and the latest event of each invoice happened, of those that have such."""
        ...

    def save(self, *things: Stored) -> None:
        """Keep these, in place of what had the same kind and key."""
        ...

    def record(self, kind: str, invoice_id: str = "", **facts: object) -> None:
        """Append an event."""
        ...


class Hold(Protocol):
    """One world's time in one pair of hands: it stands still, and what falls due comes here alone.

    `frozen` says whether it goes on standing still afterwards.
    """

    frozen: bool

    async def next(self, until: datetime) -> Checkout | Delivery | Challenge | None:
        """Put the clock to when the next thing falls due, claim that and return it.

        If that is later than `until`, the clock is put to `until`, and there is nothing to return.

        Raises:
            UnknownMerchantError: the world has ended meanwhile.

        """
        ...


class Store(Protocol):
    """Where worlds live. One in a database raises `StoreError` whenever that fails it.

    Of each world it keeps so much as its merchant's settings say, and forgets the rest by the rules of `bounds`; those
    may be exceeded by a hundredth before somebody looks.
    """

    async def open(self) -> None:
        """Make ready for use.

        Raises:
            StoreError: it cannot be used.

        """
        ...

    async def close(self) -> Sequence[Delivery]:
        """Let go of all that is claimed and of what the store stands on; return the notices that are lost with it."""
        ...

    async def add_merchant(self, merchant: Merchant, *, unless_there: bool = False) -> bool:
        """Begin an empty world; one with the same `client_id` ends, and the numbers of its events are gone on with.

        With `unless_there` such a one stays as it is. Return whether a world was begun.
        """
        ...

    async def change_merchant(self, merchant: Merchant) -> None:
        """Put another owner of the same `client_id` into a world.

        Raises:
            UnknownMerchantError: no such world.

        """
        ...

    async def drop_merchant(self, client_id: str) -> None:
        """End a world.

        Raises:
            UnknownMerchantError: no such world.

        """
        ...

    async def merchants(self) -> Sequence[Merchant]:
        """Return the owners of all worlds, oldest world first."""
        ...

    async def merchant(self, client_id: str) -> Merchant | None:
        """Return a world's owner."""
        ...

    async def clock(self, client_id: str) -> Clock:
        """Return a world's clock."""
        ...

    async def set_clock(self, client_id: str, clock: Clock) -> None:
        """Put another clock on a world's wall; what falls due is reckoned anew."""
        ...

    def hold(self, client_id: str) -> AbstractAsyncContextManager[Hold]:
        """Take a world's time in hand; waits for what is claimed already, and for another hold to end.

        Raises:
            UnknownMerchantError: no such world.

        """
        ...

    async def due(self, client_id: str) -> Sequence[tuple[datetime, Checkout | Delivery | Challenge]]:
        """Return what will fall due in a world and when, soonest first."""
        ...

    async def events(self, client_id: str, *, after: int = 0) -> Sequence[Event]:
        """Return a world's events that came after the one with this number, in order."""
        ...

    async def news(self, client_id: str, *, after: int) -> Sequence[Event]:
        """Return a world's events that came after the one with this number; wait until there are some.

        Raises:
            UnknownMerchantError: the world has ended, or ends meanwhile.

        """
        ...

    async def tally(self, client_id: str | None = None) -> Tally:
        """Count what there is, and was, of a world or of all.

        Raises:
            UnknownMerchantError: no such world.

        """
        ...

    async def owner(self, kind: type[Stored], key: str) -> str | None:
        """Return the `client_id` of the world that has a thing of this kind and key."""
        ...

    def work(self, client_id: str) -> AbstractAsyncContextManager[Work]:
        """Begin a unit of work.

        Raises:
            UnknownMerchantError: no such world.

        """
        ...

    async def claim(self, kind: type[Due], limit: int) -> list[tuple[str, Due]]:
        """Wait until something of this kind is due; return up to `limit` of it with its world's `client_id`.

        What is returned is claimed: it is not returned again before it is saved with another `due_at`, or until
        whoever claimed it has been silent for so long that it must be dead.
        """
        ...
