"""What it takes to let an invoice happen again elsewhere, and what is to come of it. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from mock_epay import issuer
from mock_epay.bank import merchants
from mock_epay.bank.transactions import TIME_IS_UP
from mock_epay.desk.stories import Timeline
from mock_epay.fake import Fake
from mock_epay.model import Card, Delivery, Event, Merchant, PaymentObject, Status, Transaction
from mock_epay.records import Record, field, replace
from mock_epay.settings import Settings
from mock_epay.wire.outgoing import number

_SCRIPTED: Final = ("decision ", "rule ")
_ASKING_CARD: Final = "4000000000003220"
_MOST_NOTICES: Final = 100  # of one plan
_CARRIED: Final = {
    "description": "description",
    "account_id": "accountId",
    "language": "language",
    "email": "email",
    "phone": "phone",
}


class Step(Record, kw_only=True):
    """One thing to do: `pay` with a card, `open` a page, make a `link`, `wait` until its time is over, or an operation.

    What is `fresh` begins on a page of its own. `decision` is what a script has to say first; `challenge` what the
    cardholder answers, if asked; `reason_code` what the attempt comes to at once, None while it waits for an answer. An
    operation is about the attempt numbered `of`.
    """

    kind: str
    fresh: bool = False
    card: Card | None = None
    decision: Mapping[str, Any] = field(default_factory=dict)
    challenge: str = ""
    reason_code: int | None = None
    amount: int | float | None = None
    of: int = 0
    seconds: int = 0


class Recipe(Record, kw_only=True):
    """How an invoice is made to happen again in a world of its own, and what is there in the end.

    `merchant` is what the world's owner has that is not usual. `notices` are the codes of each postlink, None where a
    spoilt one has none to compare.
    """

    invoice_id: str
    merchant: Mapping[str, Any]
    order: Mapping[str, Any]
    steps: Sequence[Step]
    statuses: Sequence[str]
    reason_codes: Sequence[int]
    notices: Sequence[tuple[object, object] | None]


def recipe(line: Timeline, merchant: Merchant) -> Recipe:
    """Return how all that is known of an invoice happens again."""
    planned = _planned(line, merchant)
    return Recipe(
        invoice_id=line.invoice.number,
        merchant=_facts(merchant, line),
        order=_order(line, merchant),
        steps=list(_steps(line, merchant)),
        statuses=[one.status.value for one in line.transactions],
        reason_codes=[one.reason_code for one in line.transactions],
        notices=[_codes(one) for one in planned],
    )


def _facts(merchant: Merchant, line: Timeline) -> dict[str, Any]:
    usual = Settings()
    own = {name: value for name in merchants.OWN if (value := getattr(merchant, name)) != getattr(usual, name)}
    # Whether it is checked is our own affair; a notice after an operation is not among those that a plan makes.
    facts = {name: value for name, value in own.items() if name not in {"self_check", "notify_operations"}}
    asked = line.transactions[-1].order.terminal if line.transactions else ""
    terminal = merchant.terminal(asked) or merchant.terminals[0]
    return facts | {"two_stage": terminal.two_stage}


def _order(line: Timeline, merchant: Merchant) -> dict[str, Any]:
    """Return what is paid, by the names of the control API; addresses are only there or not."""
    order: PaymentObject | None = line.transactions[-1].order if line.transactions else None
    if order is None:
        request = line.tokens[-1].request if line.tokens else None
        amount, currency = (request.amount, request.currency) if request else (None, None)
        links = {"post_link": bool(request and request.post_link)}
        return {"amount": _amount(amount or Decimal(100)), "currency": currency or "KZT", **_said(links)}
    texts = {name: _clean(getattr(order, name)) for name in _CARRIED}
    if order.description == f"Invoice {line.invoice.number} of {merchant.name}":  # the sandbox's own word
        texts["description"] = ""
    verified = {"payment_type": order.payment_type} if order.verification else {}
    links = {"post_link": bool(order.post_link), "failure_post_link": bool(order.failure_post_link)}
    return {"amount": _amount(order.amount), "currency": order.currency, **_said(texts | verified | links)}


def _steps(line: Timeline, merchant: Merchant) -> Iterator[Step]:
    asked = _answers(line.events)
    page = ""
    if not line.transactions:  # nothing but a token or a link
        yield Step(kind="link")
    for transaction in line.transactions:
        fresh = page == "" or page != transaction.checkout_id
        page = transaction.checkout_id
        late = transaction.reason_code == TIME_IS_UP
        if transaction.card is None:
            yield Step(kind="open", fresh=True)
        else:
            yield replace(_attempt(transaction, asked.get(transaction.id), merchant), fresh=fresh)
        if late:
            yield Step(kind="wait", seconds=merchant.page_ttl_s + 1)
        yield from _operations(line.events, transaction)


def _attempt(transaction: Transaction, answer: str | None, merchant: Merchant) -> Step:
    """Return the attempt with a card that leads where this one led, or with a decision that does."""
    wanted = transaction.reason_code
    answered = answer in {None, "pass"}
    card = _card(transaction, wanted if answered else issuer.APPROVED, asked=answer is not None)
    decided = issuer.decide(card, merchant.three_ds)
    scripted = transaction.decided_by.startswith(_SCRIPTED)
    decision: dict[str, Any] = {}
    if answered and (scripted or decided.reason_code != wanted):
        decision["reason_code"] = wanted
    if (decided.three_ds == "challenge") is not (answer is not None):
        decision["challenge"] = "none" if answer is None else "challenge"
    if transaction.plan:
        decision["plan"] = transaction.plan
    waits = answer == "leave" or transaction.status is Status.THREE_DS
    return Step(
        kind="pay",
        card=card,
        decision=decision,
        challenge=answer or "",
        reason_code=None if waits else wanted,
        of=transaction.number,
    )


def _card(transaction: Transaction, reason_code: int, *, asked: bool) -> Card:
    """Return the test card that has this mask, or else one that leads to the same."""
    mask = transaction.card
    known = [*issuer.test_cards(), *issuer.own_cards(), issuer.card_for(reason_code) if reason_code else ""]
    fits = [pan for pan in known if pan and mask and issuer.mask_of(pan).short() == mask.short()]
    approving = _ASKING_CARD if asked else next(iter(issuer.test_cards()))
    usual = issuer.card_for(reason_code) if reason_code else approving
    pan = next(iter(fits), usual)
    pair = issuer.card_of(pan)
    assert pair is not None
    return Card(pan=pan, expiry=pair.expiry, cvc=pair.cvc)


def _answers(events: Sequence[Event]) -> Mapping[str, str]:
    """Return how the cardholder answered, by the transaction that the issuer asked about."""
    answers: dict[str, str] = {}
    for event in events:
        facts = json.loads(event.facts)
        if event.kind == "transaction.challenged":
            answers[facts["transaction"]] = "leave"
        elif event.kind == "challenge.answered" and facts["state"] == "passed":
            answers[facts["transaction"]] = "pass"
        elif event.kind == "challenge.answered" and facts["state"] == "failed":
            answers[facts["transaction"]] = "fail"
        elif event.kind == "transaction.failed" and facts["reason_code"] == issuer.THREE_DS_FAILED:
            answers[facts["transaction"]] = "cancel"
    return answers


# What an event of an operation is called; the first two also end an attempt, and then tell of its card.
_OPERATIONS: Final = {
    "transaction.charged": "charge",
    "transaction.cancelled": "cancel",
    "transaction.refunded": "refund",
}


def _operations(events: Sequence[Event], transaction: Transaction) -> Iterator[Step]:
    for event in events:
        facts = json.loads(event.facts)
        if event.kind in _OPERATIONS and facts["transaction"] == transaction.id and "decided_by" not in facts:
            kind = _OPERATIONS[event.kind]
            amount = None if kind == "cancel" else facts["amount"]
            yield Step(kind=kind, amount=amount, of=transaction.number)


def _planned(line: Timeline, merchant: Merchant) -> list[Delivery]:
    """Return the postlinks that the payments made, without those that somebody sent by hand."""
    invented = [Fake(merchant.seed, merchant.client_id, one.invoice_id, str(one.number)) for one in line.transactions]
    ids = {fake.uuid(f"delivery {number}") for fake in invented for number in range(_MOST_NOTICES)}
    return [one.delivery for one in line.notices if one.delivery.id in ids]


def _codes(delivery: Delivery) -> tuple[object, object] | None:
    """Return what a postlink says of the outcome, if it says it."""
    try:
        told = json.loads(delivery.body)
        return told["code"], told["reasonCode"]
    except (ValueError, TypeError, KeyError):
        return None


def _said(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if fact}


def _clean(text: str) -> str:
    """Return a text that can be written to a file."""
    return text.encode("utf-8", "replace").decode()


def _amount(amount: Decimal) -> int | float:
    return number(amount)
