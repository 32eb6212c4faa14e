"""The log: a line for each payment, with the address at which its story is told, and one for notices that are lost."""

import json
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final
from urllib.parse import quote

from mock_epay.model import Delivery, Event, Merchant

_DECIDED: Final = {
    "transaction.authorized": "held",
    "transaction.charged": "paid",
    "transaction.declined": "declined",
    "transaction.failed": "failed",
    "transaction.verified": "verified",
}

_LOST: Final = "postlinks.lost"
_NAMED: Final = 10  # invoices in that line

Form = Callable[[dict[str, Any]], str]


def text(payment: dict[str, Any]) -> str:
    """Return a line for people."""
    if payment["event"] == _LOST:
        invoices = ", ".join(payment["invoices"]) + " …" * (payment["count"] > _NAMED)
        return f"lost with the memory, where --store would keep them: {payment['count']} postlinks, of {invoices}"
    result = payment["result"] + (f" {payment['reason_code']}" if payment["reason_code"] else "")
    money = f"{payment['amount']} {payment['currency']}"
    return f"{payment['at'][:19]}Z  {result:<13} {payment['invoice_id']:<15} {money:>14}  {payment['timeline']}"


def as_json(payment: dict[str, Any]) -> str:
    """Return a line for machines."""
    return json.dumps(payment, ensure_ascii=False)


FORMS: Final[dict[str, Form | None]] = {"text": text, "json": as_json, "none": None}


class Journal:
    """Tells of payments that are decided, in a sandbox that is met at `url`: of one in so many.

    Without a form, or where nobody reads it, it tells of none.
    """

    def __init__(self, url: str, form: Form | None, write: Callable[[str], object] | None, every: int = 1) -> None:
        self._url = url
        self._tell = (lambda facts: write(form(facts))) if form and write else None
        self._every = every
        self._decided = count()

    def hear(self, merchant: Merchant, events: Sequence[Event]) -> None:
        """Take note of what has happened in a merchant's world."""
        if self._tell is None:
            return
        for event in events:
            if event.kind in _DECIDED and next(self._decided) % self._every == 0:
                self._tell(self._payment(merchant, event))

    def mourn(self, lost: Sequence[Delivery]) -> None:
        """Tell of the notices that no shop will get any more."""
        if lost and self._tell is not None:
            invoices = [one.invoice_id for one in lost[:_NAMED]]
            self._tell({"event": _LOST, "count": len(lost), "invoices": invoices})

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
