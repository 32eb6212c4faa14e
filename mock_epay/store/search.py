"""What orders are searched by: the state of what is latest in them, and the words that stand in them."""

from collections.abc import Iterable, Mapping
from typing import Final

from mock_epay.model import Delivery, Invoice, InvoiceLink, PaymentObject, Transaction
from mock_epay.records import Record
from mock_epay.store.bounds import number_of
from mock_epay.store.shapes import Stored

NONE: Final = "none"  # instead of a state: orders that have nothing which could be in one
SEARCHED: Final[tuple[type[Stored], ...]] = (Invoice, Transaction, Delivery, InvoiceLink)

_BETWEEN: Final = "\n"  # lest something be found that begins in one text and ends in the next


class Sought(Record, kw_only=True):
    """Which orders are meant. What is empty limits nothing.

    `status` and `reason_code` are those of the latest transaction, `postlink` is the state of the latest of those.
    """

    text: str = ""
    status: str = ""
    postlink: str = ""
    reason_code: int | None = None


def words(thing: Stored) -> str | None:
    """Return the texts in a thing that its order is searched by, small; None where there are none such."""
    if isinstance(thing, Invoice):
        return thing.number.lower()
    if isinstance(thing, InvoiceLink):
        return _BETWEEN.join(_texts(thing.order)).lower()
    if isinstance(thing, Transaction):
        mask = thing.card.short() if thing.card else ""
        return _BETWEEN.join([*_texts(thing.order), mask, thing.payer.email]).lower()
    return None


def state(thing: Stored) -> str | None:
    """Return the state of a transaction or a postlink; None for anything else."""
    if isinstance(thing, Transaction):
        return thing.status.value
    return thing.state.value if isinstance(thing, Delivery) else None


def reason(thing: Stored | None) -> int | None:
    """Return the reason code of a transaction, if it is one."""
    return thing.reason_code if isinstance(thing, Transaction) else None


def found(sought: Sought, things: Mapping[type[Stored], Iterable[Stored]]) -> list[str]:
    """Return the numbers of the orders that are meant, oldest first, looking through all that is searched."""
    transactions, postlinks = ({number_of(one): one for one in things[kind]} for kind in (Transaction, Delivery))
    numbers = [number_of(one) for one in things[Invoice]]
    if sought.text:
        wanted = sought.text.lower()
        named = {number_of(one) for kind in SEARCHED for one in things[kind] if wanted in (words(one) or "")}
        numbers = [number for number in numbers if number in named]
    if sought.status:
        numbers = [number for number in numbers if _state(transactions.get(number)) == sought.status]
    if sought.postlink:
        numbers = [number for number in numbers if _state(postlinks.get(number)) == sought.postlink]
    if sought.reason_code is not None:
        numbers = [number for number in numbers if reason(transactions.get(number)) == sought.reason_code]
    return numbers


def _state(thing: Stored | None) -> str | None:
    return NONE if thing is None else state(thing)


def _texts(order: PaymentObject) -> list[str]:
    return [order.description, order.account_id, order.email]
