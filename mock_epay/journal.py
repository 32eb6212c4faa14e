"""The log: a line for each payment, with the address at which its story is told."""

import json
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final
from urllib.parse import quote

from mock_epay.model import Event, Merchant

_DECIDED: Final = {
    "transaction.authorized": "held",
    "transaction.charged": "paid",
    "transaction.declined": "declined",
    "transaction.failed": "failed",
    "transaction.verified": "verified",
}

Form = Callable[[dict[str, Any]], str]


def text(payment: dict[str, Any]) -> str:
    """Return a line for people."""
    result = payment["result"] + (f" {payment['reason_code']}" if payment["reason_code"] else "")
    money = f"{payment['amount']} {payment['currency']}"
    return f"{payment['at'][:19]}Z  {result:<13} {payment['invoice_id']:<15} {money:>14}  {payment['timeline']}"


def as_json(payment: dict[str, Any]) -> str:
    """Return a line for machines."""
    return json.dumps(payment, ensure_ascii=False)


FORMS: Final[dict[str, Form]] = {"text": text, "json": as_json}


class Journal:
    """Tells of payments that are decided, whichever way, in a sandbox that is met at `url`: of one in so many."""

    def __init__(self, url: str, form: Form, write: Callable[[str], object], every: int = 1) -> None:
        self._url = url
        self._form = form
        self._write = write
        self._every = every
        self._decided = count()

    def hear(self, merchant: Merchant, events: Sequence[Event]) -> None:
        """Take note of what has happened in a merchant's world."""
        for event in events:
            if event.kind in _DECIDED and next(self._decided) % self._every == 0:
                self._write(self._form(self._payment(merchant, event)))

    def _payment(self, merchant: Merchant, event: Event) -> dict[str, Any]:
        facts = json.loads(event.facts)
        return {
            "at": event.at.isoformat(timespec="milliseconds"),
            "event": event.kind,
            "result": _DECIDED[event.kind],
            "merchant": merchant.client_id,
            "invoice_id": event.invoice_id,
            **{name: facts[name] for name in ("transaction", "amount", "currency", "card", "reason_code")},
            "decided_by": facts["decided_by"],
            "timeline": f"{self._url}/cabinet/{quote(merchant.client_id)}/invoices/{quote(event.invoice_id)}",
        }
