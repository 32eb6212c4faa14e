"""Postlinks before they go out: which, when, and what they wait for."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from mock_epay import script
from mock_epay.bank import transactions
from mock_epay.dialects import SPELLINGS
from mock_epay.model import Delivery, DeliveryState, Merchant, Status, Token, Transaction, Wait
from mock_epay.records import replace
from mock_epay.script import Sending
from mock_epay.store import Work
from mock_epay.wire import contracts, outgoing, spoilt

EDITED: Final = "edited"

_OUTCOMES: Final = {"success", "failure"}


def notify(work: Work, transaction: Transaction, secret_hash: str, *, page_ends: datetime | None = None) -> None:
    """Queue the postlinks of a transaction, in the unit of work that decided it; without an address there is none.

    What waits until the customer has left the page waits until its end, `page_ends`, at the longest.
    """
    url = _address(transaction)
    if not url:
        return
    plan = transaction.plan or work.merchant.plan
    sendings = script.read_plan(plan)[1]
    if not sendings:
        work.record("postlink.withheld", transaction.invoice_id, transaction=transaction.id, plan=plan)
    for number, sending in enumerate(sendings):
        body = _body(work, transaction, secret_hash, sending)
        _queue(work, _blank(work, transaction, url, body, f"delivery {number}"), sending, page_ends)


async def after_operation(work: Work, transaction: Transaction) -> None:
    """Queue a postlink for what an operation has made of a payment, if the merchant wants such."""
    url = transaction.order.post_link
    if not (work.merchant.notify_operations and url):
        return
    hashes = [token.request.secret_hash for token in await work.find(Token, "invoice_id", transaction.invoice_id)]
    secret_hash = next(filter(None, reversed(hashes)), "")
    # The documents have no other notice of success than that of the payment.
    body = _body(work, replace(transaction, status=Status.CHARGE), secret_hash, Sending())
    await _queue_next(work, transaction, url, body, Sending())


async def again(work: Work, sent: Delivery, *, url: str, body: bytes) -> Delivery:
    """Queue a notice once more, or another in its place."""
    transaction = await work.get(Transaction, sent.transaction_id)
    assert transaction is not None
    how = sent.spoilt if body == sent.body else EDITED
    return await _queue_next(work, transaction, url, body, Sending(spoilt=how))


def holds_page(merchant: Merchant, transaction: Transaction) -> bool:
    """Whether the customer waits until the shop has answered."""
    return script.read_plan(transaction.plan or merchant.plan)[0].holds_page


async def answered(work: Work, transaction: Transaction) -> bool:
    """Whether each notice of a transaction has been tried."""
    queued = await work.find(Delivery, "invoice_id", transaction.invoice_id)
    return all(one.tries for one in queued if one.transaction_id == transaction.id)


async def pending(work: Work, transaction: Transaction) -> Sequence[Delivery]:
    """Return the notices of a transaction that wait until the customer has left."""
    queued = await work.find(Delivery, "invoice_id", transaction.invoice_id)
    return [one for one in queued if one.transaction_id == transaction.id and one.waits_for is Wait.LEAVING]


async def leave(work: Work, transaction: Transaction) -> None:
    """Let the notices go that waited until the customer has left."""
    for waiting in await pending(work, transaction):
        release(work, waiting, after_s=waiting.after_s)


async def others(work: Work, invoice_id: str) -> None:
    """Let the notices of other invoices go that waited for one of this."""
    for waiting in await work.find(Delivery, "waits_for", Wait.OTHER):
        if waiting.invoice_id != invoice_id:
            release(work, waiting)


def release(work: Work, waiting: Delivery, *, after_s: float = 0) -> Delivery:
    """Let a notice go, in so many seconds."""
    due_at = work.now + timedelta(seconds=after_s)
    released = replace(waiting, state=DeliveryState.QUEUED, waits_for=Wait.NOTHING, due_at=due_at)
    work.save(released)
    work.record("postlink.released", released.invoice_id, delivery=released.id, url=released.url, due_at=due_at)
    return released


def _address(transaction: Transaction) -> str:
    order = transaction.order
    return order.post_link if transaction.approved else order.failure_post_link or order.post_link


def _body(work: Work, transaction: Transaction, secret_hash: str, sending: Sending) -> bytes:
    spelling = SPELLINGS[work.merchant.dialect]
    invented = transactions.fakes(work, transaction.invoice_id, transaction.number)
    told = transaction
    if sending.spoilt in _OUTCOMES:
        told = spoilt.other_outcome(transaction, sending.spoilt, invented)
    body = outgoing.postlink(told, secret_hash, spelling)
    if sending.spoilt and sending.spoilt not in _OUTCOMES:
        return spoilt.spoil(body, sending.spoilt, invented)
    schema = ("postlink-success" if told.approved else "postlink-failure") + spelling.schema_suffix
    return contracts.encode(schema, body, check=work.merchant.self_check)


def _blank(work: Work, transaction: Transaction, url: str, body: bytes, purpose: str) -> Delivery:
    """Return a notice that goes out now; `purpose` makes its id."""
    return Delivery(
        id=transactions.fakes(work, transaction.invoice_id, transaction.number).uuid(purpose),
        invoice_id=transaction.invoice_id,
        transaction_id=transaction.id,
        url=url,
        body=body,
        queued_at=work.now,
        due_at=work.now,
    )


async def _queue_next(work: Work, transaction: Transaction, url: str, body: bytes, sending: Sending) -> Delivery:
    number = len(await work.find(Delivery, "invoice_id", transaction.invoice_id))
    return _queue(work, _blank(work, transaction, url, body, f"delivery, later {number}"), sending, None)


def _queue(work: Work, blank: Delivery, sending: Sending, page_ends: datetime | None) -> Delivery:
    """Queue one notice, or hold it, as its plan has it."""
    left_by = page_ends if sending.until_left else None
    delivery = replace(
        blank,
        due_at=None if sending.after_s is None else (left_by or work.now) + timedelta(seconds=sending.after_s),
        state=DeliveryState.HELD if sending.after_s is None else DeliveryState.QUEUED,
        waits_for=Wait.LEAVING if left_by else Wait.OTHER if sending.until_other else Wait.NOTHING,
        after_s=sending.after_s or 0,
        slow_s=sending.slow_s,
        spoilt=sending.spoilt,
    )
    work.save(delivery)
    happened = "postlink.held" if delivery.state is DeliveryState.HELD else "postlink.queued"
    facts = {"delivery": delivery.id, "url": delivery.url, "due_at": delivery.due_at, "spoilt": delivery.spoilt}
    work.record(happened, delivery.invoice_id, **facts)
    return delivery
