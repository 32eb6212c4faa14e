"""What token, payment object and postlink of one attempt say of the same things, side by side. Pure."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from mock_epay.model import Delivery, PaymentObject, TokenRequest, Transaction
from mock_epay.records import Record
from mock_epay.wire.outgoing import number


class Compared(Record, kw_only=True):
    """One field as each of the three has it; None where one does not carry it."""

    field: str
    token: str | None
    object: str | None
    postlink: str | None

    @property
    def same(self) -> bool:
        """Whether those that carry it agree in what it means, however they spell it."""
        return len({_meant(self.field, one) for one in (self.token, self.object, self.postlink) if one is not None}) < 2  # noqa: PLR2004


# Each field by the payment object's name: where the token has it, where the object; postlinks have the object's name.
_FIELDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("invoiceId", "invoice_id", "invoice_id"),
    ("amount", "amount", "amount"),
    ("currency", "currency", "currency"),
    ("terminal", "terminal", "terminal"),
    ("postLink", "post_link", "post_link"),
    ("failurePostLink", "failure_post_link", "failure_post_link"),
    ("accountId", "", "account_id"),
    ("description", "", "description"),
    ("language", "", "language"),
    ("email", "", "email"),
    ("phone", "", "phone"),
    ("data", "", "data"),
)
_MEANINGS: Final[Mapping[str, Callable[[str], object]]] = {
    "amount": Decimal,
    "language": lambda text: text[:2].lower().replace("kz", "ka").replace("kk", "ka"),
    "terminal": str.lower,
}


def compare(
    request: TokenRequest | None, transaction: Transaction | None, delivery: Delivery | None
) -> Sequence[Compared]:
    """Set side by side what a token was asked for, what was paid with it, and what the shop was told."""
    order = transaction.order if transaction else None
    notice = _notice(delivery, order)
    rows = (
        Compared(field=field, token=_own(request, ours), object=_own(order, theirs), postlink=_text(notice.get(field)))
        for field, ours, theirs in _FIELDS
    )
    return [row for row in rows if (row.token, row.object, row.postlink) != (None, None, None)]


def _own(of: TokenRequest | PaymentObject | None, attribute: str) -> str | None:
    return _text(getattr(of, attribute)) if of is not None and attribute else None


def _notice(delivery: Delivery | None, order: PaymentObject | None) -> Mapping[str, Any]:
    """Return what a postlink says; where it was sent counts as the link that it was sent to."""
    if delivery is None or order is None:
        return {}
    said: Any = None
    with suppress(ValueError, RecursionError):
        said = json.loads(delivery.body, parse_float=Decimal)
    told = said if isinstance(said, dict) else {}
    failed = order.failure_post_link and told.get("code") == "error"
    return {**told, ("failurePostLink" if failed else "postLink"): delivery.url}


def _text(value: object) -> str | None:
    """Write a value as the three do; what is empty is not carried."""
    if value is None or value == "":
        return None
    if isinstance(value, Decimal):
        return str(number(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=float)


def _meant(field: str, text: str) -> object:
    with suppress(ArithmeticError):
        return _MEANINGS.get(field, str)(text)
    return text
