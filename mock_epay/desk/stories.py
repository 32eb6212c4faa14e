"""What happened to an invoice, in words: its story, and why something did not happen."""

import difflib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

from mock_epay.desk import comparisons, postlinks
from mock_epay.desk.comparisons import Compared
from mock_epay.desk.postlinks import Notice
from mock_epay.errors import NotFound
from mock_epay.model import (
    EVENTS,
    Attempt,
    Challenge,
    Checkout,
    Delivery,
    DeliveryState,
    Event,
    Hint,
    Invoice,
    InvoiceLink,
    Status,
    Token,
    Transaction,
)
from mock_epay.records import Record
from mock_epay.store import Work
from mock_epay.wire import outgoing

_SHOWN: Final = 5  # invoices that are worth naming
_LOOKED_THROUGH: Final = 1000  # for such

# What an event adds to its meaning: parts, each told if its facts are there.
_DETAILS: Final[dict[str, tuple[str, ...]]] = {
    "token.issued": ("{amount}", "hints {hints}"),
    "checkout.opened": ("hints {hints}",),
    "checkout.closed": ("reason code {reason_code}",),
    "transaction.authorized": ("card {card}", "decided by: {decided_by}", "{nearest_rule}"),
    "transaction.charged": ("card {card}", "decided by: {decided_by}", "{nearest_rule}", "{amount}"),
    "transaction.declined": ("reason code {reason_code}", "card {card}", "decided by: {decided_by}", "{nearest_rule}"),
    "transaction.failed": ("reason code {reason_code}", "card {card}", "decided by: {decided_by}"),
    "transaction.cancelled": ("{amount}",),
    "transaction.refunded": ("{amount}",),
    "challenge.answered": ("{state}", "{tries_left} tries left"),
    "postlink.queued": ("{url}", "at {due_at}"),
    "postlink.held": ("{url}",),
    "postlink.withheld": ("{plan}",),
    "postlink.delivered": ("{url}", "try {attempt}"),
    "postlink.failed": ("{url}", "try {attempt}", "{result}", "next at {next_at}"),
    "fault.struck": ("{at}",),
}

_WHERE: Final[dict[Status, str]] = {
    Status.NEW: "the pay page is open, and nobody has paid yet",
    Status.FINGERPRINT: "3-D Secure has begun",
    Status.THREE_DS: "the issuer waits for the cardholder's code, 3-D Secure",
    Status.AUTH: "the payment is AUTH: the money is held until it is charged or cancelled",
    Status.CHARGE: "the payment is CHARGE: the money is taken",
    Status.VERIFIED: "the card was checked",
    Status.CANCEL: "the payment was cancelled",
    Status.CANCEL_OLD: "the payment was cancelled",
    Status.REFUND: "the payment was refunded",
}


class Timeline(Record, kw_only=True):
    """All that is known of an invoice. `challenge` is the issuer's question that it waits for."""

    invoice: Invoice
    hints: Sequence[Hint]
    tokens: Sequence[Token]
    compared: Sequence[Compared]
    challenge: Challenge | None
    transactions: Sequence[Transaction]
    notices: Sequence[Notice]
    events: Sequence[Event]
    story: Sequence[str]


async def timeline(work: Work, invoice_id: str) -> Timeline:
    """Return all that is known of an invoice.

    Raises:
        NotFound: this merchant has no such invoice.

    """
    invoice = await work.get(Invoice, invoice_id)
    if invoice is None:
        raise NotFound(await _unknown(work, invoice_id), field="invoice_id")
    events = await work.events(invoice_id)
    tokens = await work.find(Token, "invoice_id", invoice_id)
    transactions = await work.find(Transaction, "invoice_id", invoice_id)
    deliveries = await work.find(Delivery, "invoice_id", invoice_id)
    return Timeline(
        invoice=invoice,
        hints=await hints(work, invoice_id),
        tokens=tokens,
        compared=await _compared(work, tokens, transactions, deliveries),
        challenge=await challenge(work, transactions[-1]) if transactions else None,
        transactions=transactions,
        notices=await postlinks.notices(work, deliveries),
        events=events,
        story=[sentence(event) for event in events],
    )


async def challenge(work: Work, transaction: Transaction) -> Challenge | None:
    """Return the issuer's question that a transaction waits for."""
    if transaction.status is not Status.THREE_DS:
        return None
    return (await work.find(Challenge, "transaction_id", transaction.id))[-1]


async def _compared(
    work: Work, tokens: Sequence[Token], transactions: Sequence[Transaction], deliveries: Sequence[Delivery]
) -> Sequence[Compared]:
    """Compare what belongs to the latest attempt: its token, or else the latest, and the latest of its postlinks."""
    latest = transactions[-1] if transactions else None
    sent = [one for one in deliveries if latest and one.transaction_id == latest.id]
    checkout = await work.get(Checkout, latest.checkout_id) if latest else None
    token = await work.get(Token, checkout.token) if checkout else (tokens[-1] if tokens else None)
    return comparisons.compare(token.request if token else None, latest, sent[-1] if sent else None)


async def hints(work: Work, invoice_id: str) -> Sequence[Hint]:
    """Return what in the requests about an invoice the bank may not like, each once."""
    return hints_of(
        await work.find(Token, "invoice_id", invoice_id),
        await work.find(InvoiceLink, "invoice_id", invoice_id),
        await work.find(Transaction, "invoice_id", invoice_id),
    )


def hints_of(
    tokens: Sequence[Token], links: Sequence[InvoiceLink], transactions: Sequence[Transaction]
) -> Sequence[Hint]:
    """Return what in these requests the bank may not like, each once."""
    requests = [token.request.hints for token in tokens]
    orders = [one.order.hints for one in links] + [one.order.hints for one in transactions]
    return list(dict.fromkeys(chain.from_iterable(requests + orders)))


def sentence(event: Event) -> str:
    """Tell an event in a line."""
    known = {name: fact for name, fact in json.loads(event.facts).items() if fact not in ("", None, [], 0)}
    facts = {name: _spoken(name, fact) for name, fact in known.items()}
    told = ", ".join(filter(None, (_part(template, facts) for template in _DETAILS.get(event.kind, ()))))
    return f"{_time(event.at)} {EVENTS[event.kind]}" + (f": {told}" if told else "")


async def nearest_miss(work: Work, until: str, invoice_id: str) -> str:
    """Say why something that was waited for has not happened, as a colleague would who has looked into it."""
    if invoice_id and await work.get(Invoice, invoice_id) is None:
        return await _unknown(work, invoice_id)
    of = await work.find(Transaction, "invoice_id", invoice_id)
    attempts = of[-1:] if invoice_id else await work.some(Transaction, 1, newest=True)
    if not attempts:
        return _before_any_attempt(work)
    (latest,) = attempts
    told = [_where(latest) if invoice_id else f"of the latest invoice, {latest.invoice_id}, {_where(latest)}"]
    if until.startswith("postlink"):
        told += await _about_postlinks(work, latest)
    return "; ".join(told)


def _spoken(name: str, fact: object) -> str:
    if name.endswith("_at"):
        return _time(datetime.fromisoformat(str(fact)))
    return ", ".join(fact) if isinstance(fact, list) else str(fact)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[11:23]


def _part(template: str, facts: dict[str, Any]) -> str:
    try:
        return template.format(**facts)
    except KeyError:
        return ""


async def _unknown(work: Work, invoice_id: str) -> str:
    """Say that there is no such invoice, and which there are."""
    numbers = [invoice.number for invoice in reversed(await work.some(Invoice, _LOOKED_THROUGH, newest=True))]
    if not numbers:
        return f"there is no invoice {invoice_id}: {work.merchant.client_id} has asked for no token yet"
    near = difflib.get_close_matches(invoice_id, numbers, n=_SHOWN) or numbers[-_SHOWN:]
    return f"there is no invoice {invoice_id}; {work.merchant.client_id} has {', '.join(near)}"


def _before_any_attempt(work: Work) -> str:
    if not work.invoices:
        return f"{work.merchant.client_id} has asked for no token yet"
    return "a token was asked for, but the pay page was never opened with it"


def _where(transaction: Transaction) -> str:
    """Say where a payment stands."""
    if transaction.reason_code:
        ended = "was declined" if transaction.status is Status.REJECT else "failed before the issuer's answer,"
        why = outgoing.reason(transaction.reason_code, "eng")
        return f"the payment {ended} with {transaction.reason_code} ({why})"
    return _WHERE[transaction.status]


async def _about_postlinks(work: Work, transaction: Transaction) -> list[str]:
    """Say what became of the postlinks of a payment, and of its addresses."""
    order = transaction.order
    told = []
    if transaction.reason_code and not order.failure_post_link:
        told.append("failurePostLink is empty, so postLink counts" if order.post_link else "failurePostLink is empty")
    if not order.post_link:
        told.append("postLink is empty")
    notices = list(await work.find(Delivery, "invoice_id", order.invoice_id))
    told += [await _about(work, one) for one in notices]
    if transaction.plan == "never":
        told.append(f"the script withholds its postlink ({transaction.decided_by})")
    elif order.post_link and not notices and transaction.reason_code:
        told.append("no postlink was queued: the page goes on, and notify_each_failure is off")
    return told


async def _about(work: Work, delivery: Delivery) -> str:
    """Say what became of one postlink."""
    if delivery.state is DeliveryState.HELD:
        return f"the postlink to {delivery.url} is held until it is released"
    when = f"due at {_time(delivery.due_at)}, and it is {_time(work.now)} now" if delivery.due_at else ""
    tries = await work.find(Attempt, "delivery_id", delivery.id)
    if not tries:
        return f"the postlink to {delivery.url} is {when}"
    last = tries[-1]
    answered = f"answered {last.status}" if last.status else f"did not answer ({last.result})"
    after = f"the next is {when}" if when else delivery.state.value
    return f"{delivery.url} {answered} to try {last.number}: {after}"
