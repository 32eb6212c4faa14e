"""How much of a world is kept: what is forgotten together, when, and what must not be yet.

An order is forgotten as a whole: its number, tokens, pages, transactions, postlinks and their tries. Whatever is new in
an order makes it the youngest. Where there are too many, the oldest goes, unless something of it is still under way;
such ones are let be until there are three times as many orders as there should be: a shop that is slow or down for a
while still hears of each payment, and one that never comes back does not fill the memory. What belongs to no order goes
by itself.
"""

from collections.abc import Iterable
from itertools import islice
from operator import attrgetter
from typing import Final

from mock_epay.model import (
    Attempt,
    Challenge,
    Checkout,
    Delivery,
    DeliveryState,
    Merchant,
    SavedCard,
    Token,
)
from mock_epay.records import Record
from mock_epay.store.shapes import SHAPES, Stored

SEARCHED: Final = 16  # orders under way that are passed over in search of one that is not
_SPARED: Final = 2  # for each order that may be kept: so many more that are under way
_TOKENS: Final = 3  # for each transaction: the one that pays, and a few that ask for its status
_UNSENT: Final = {DeliveryState.QUEUED, DeliveryState.HELD}
_NUMBERS: Final = {kind: attrgetter(shape.order) for kind, shape in SHAPES.items() if shape.order}


class Kept(Record, kw_only=True):
    """How many there are of something, and how many there were that are forgotten."""

    kept: int = 0
    forgotten: int = 0


class Tally(Record, kw_only=True):
    """What there is of one world, or of all.

    `bodies` are tries of postlinks; `waiting` are postlinks that are still to be sent, or never were.
    """

    worlds: int
    transactions: Kept
    events: Kept
    bodies: Kept
    waiting: Kept


class Order(Record, kw_only=True):
    """What counts of an order when it may have to go."""

    number: str
    under_way: bool


def number_of(thing: Stored) -> str:
    """Return the number of the order that a thing belongs to; empty if it belongs to none."""
    of = _NUMBERS.get(type(thing))
    return of(thing) if of else ""


def under_way(thing: Stored) -> bool:
    """Whether something is still to happen to a thing: a postlink to be sent, a page or question to be closed."""
    if isinstance(thing, Delivery):
        return thing.state in _UNSENT
    return isinstance(thing, Checkout | Challenge) and thing.due_at is not None


def loose(merchant: Merchant) -> dict[type[Stored], int]:
    """Return what goes by itself, oldest first, and how many are kept; tokens that a page or question has do not."""
    most = merchant.keep_transactions
    return {Token: most * _TOKENS, SavedCard: most, Attempt: merchant.keep_bodies}


def slack(merchant: Merchant) -> int:
    """Return how many things and events may come before somebody looks whether there are too many."""
    return min(merchant.keep_transactions, merchant.keep_events) // 100


def orders_over(merchant: Merchant, invoices: int, transactions: int) -> int:
    """Return by how many there are too many."""
    return max(invoices, transactions) - merchant.keep_transactions


def first_to_go(oldest: Iterable[Order], merchant: Merchant, over: int) -> Order | None:
    """Return which of the orders, the oldest of which comes first, goes next; None if all may stay for now."""
    if over <= 0:
        return None
    first = None
    for order in islice(oldest, SEARCHED):
        if not order.under_way:
            return order
        first = first or order
    return first if over > _SPARED * merchant.keep_transactions else None
