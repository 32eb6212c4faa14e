"""How each kind of thing is kept."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from mock_epay.compact import as_json
from mock_epay.model import (
    Attempt,
    Challenge,
    Checkout,
    Delivery,
    Invoice,
    InvoiceLink,
    SavedCard,
    Token,
    Transaction,
)
from mock_epay.records import Record
from mock_epay.script import Script


class Shape(Record, kw_only=False):
    """How a kind of thing is kept: the attribute that names it, those it is found by, whether it falls due.

    `order` is the attribute with the number of the order that it belongs to, and is forgotten with.
    """

    key: str
    found_by: tuple[str, ...] = ()
    falls_due: bool = False
    order: str = ""


SHAPES: Final[dict[type, Shape]] = {
    Token: Shape("value", ("invoice_id",), order="invoice_id"),
    Invoice: Shape("number", ("tail", "number_alt"), order="number"),
    Checkout: Shape("id", ("token",), falls_due=True, order="invoice_id"),
    Transaction: Shape("id", ("invoice_id",), order="invoice_id"),
    Delivery: Shape("id", ("invoice_id", "waits_for"), falls_due=True, order="invoice_id"),
    Attempt: Shape("id", ("delivery_id", "invoice_id"), order="invoice_id"),
    Challenge: Shape("id", ("transaction_id", "token"), falls_due=True, order="invoice_id"),
    SavedCard: Shape("id", ("account_id",)),
    InvoiceLink: Shape("id", ("invoice_id",), order="invoice_id"),
    Script: Shape("client_id"),
}

Stored = Token | Invoice | Checkout | Transaction | Delivery | Attempt | Challenge | SavedCard | InvoiceLink | Script


def facts_text(facts: Mapping[str, object]) -> str:
    """Return the facts of an event as JSON: moments as ISO 8601, money as numbers."""
    return as_json({name: _plain(fact) for name, fact in facts.items()})


def _plain(fact: object) -> object:
    if isinstance(fact, datetime):
        return fact.isoformat()
    if isinstance(fact, Decimal):
        return int(fact) if fact == fact.to_integral_value() else float(fact)
    return fact
