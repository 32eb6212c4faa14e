"""Notices that are wrong on purpose."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from mock_epay.fake import Fake
from mock_epay.model import Status, Transaction
from mock_epay.records import replace

Body = dict[str, Any]

# Reason codes and values of what did not happen.
_NOT_ENOUGH: Final = 484
_LEFT_OUT: Final = 3  # fields
_NEEDED: Final = ("amount", "currency", "dateTime", "invoiceId", "reasonCode", "reference", "secret_hash", "terminal")


def other_outcome(transaction: Transaction, how: str, fakes: Fake) -> Transaction:
    """Return a transaction with the outcome that a notice pretends, `success` or `failure`."""
    if how == "failure" and transaction.approved:
        return replace(
            transaction, status=Status.REJECT, reason_code=_NOT_ENOUGH, reference="", approval_code="", card_id=""
        )
    if how == "success" and not transaction.approved:
        return replace(
            transaction,
            status=Status.CHARGE,
            reason_code=0,
            reference=fakes.digits("reference", 12),
            approval_code=fakes.digits("approval_code", 6),
            card_id=fakes.uuid("card"),
        )
    return transaction


def spoil(body: Body, how: str, fakes: Fake) -> bytes:
    """Return a body as JSON, with what is wrong with it."""
    change = _CHANGES.get(how)
    text = json.dumps(change(body, fakes) if change else body, ensure_ascii=False, separators=(",", ":"))
    encoded = text.encode("utf-8", "replace")
    return encoded[: len(encoded) // 2] if how == "truncated" else encoded


def _wrong_amount(body: Body, _: Fake) -> Body:
    return body | {"amount": 1 if Decimal(str(body["amount"])) != 1 else 2}


def _wrong_secret_hash(body: Body, fakes: Fake) -> Body:
    return body | {"secret_hash": fakes.word("wrong secret_hash")}


def _unknown_invoice(body: Body, fakes: Fake) -> Body:
    return body | {"invoiceId": fakes.digits("unknown invoice", 15)}


def _missing_fields(body: Body, fakes: Fake) -> Body:
    named = [name for name in _NEEDED if name in body]
    gone = sorted(named, key=lambda name: fakes.number(f"missing {name}"))[:_LEFT_OUT]
    return {name: value for name, value in body.items() if name not in gone}


_CHANGES: Final[dict[str, Callable[[Body, Fake], Body]]] = {
    "wrong_amount": _wrong_amount,
    "wrong_secret_hash": _wrong_secret_hash,
    "unknown_invoice": _unknown_invoice,
    "missing_fields": _missing_fields,
}
