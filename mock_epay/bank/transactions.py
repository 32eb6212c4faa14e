"""The record of one attempt to pay: how it begins, how it is decided, who is told."""

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from mock_epay.dialects import SPELLINGS
from mock_epay.fake import Fake
from mock_epay.issuer import Decision
from mock_epay.model import Delivery, Payer, PaymentObject, Status, Transaction, check_move
from mock_epay.store import Work
from mock_epay.wire import contracts, outgoing

_HAPPENED: Final = {
    Status.AUTH: "transaction.authorized",
    Status.CHARGE: "transaction.charged",
    Status.REJECT: "transaction.declined",
    Status.FAILED: "transaction.failed",
}


async def begin(work: Work, order: PaymentObject) -> Transaction:
    """Make the record of the next attempt to pay an order."""
    number = len(await work.find(Transaction, "invoice_id", order.invoice_id)) + 1
    return Transaction(
        id=fakes(work, order.invoice_id, number).uuid("transaction"),
        invoice_id=order.invoice_id,
        number=number,
        order=order,
        created_at=work.now,
        payer=Payer(name=order.name, email=order.email, phone=order.phone),
        place=fakes(work, order.invoice_id, 0).place(),
    )


def decide(work: Work, transaction: Transaction, decision: Decision, payer: Payer) -> Transaction:
    """Write the issuer's decision into the record and keep it."""
    order = transaction.order
    invented = fakes(work, transaction.invoice_id, transaction.number)
    facts: dict[str, Any] = {
        "reason_code": decision.reason_code,
        "decided_by": decision.why,
        "card": decision.mask,
        "secure": decision.secure,
        "payer": payer if payer.name else replace(payer, name=invented.holder()),
    }
    if not decision.approved:
        return end(work, transaction, Status.REJECT, **facts)
    terminal = work.merchant.terminal(order.terminal)
    held = terminal is not None and terminal.two_stage
    return end(
        work,
        transaction,
        Status.AUTH if held else Status.CHARGE,
        **facts,
        taken=Decimal(0) if held else order.amount,
        reference=invented.digits("reference", 12),
        int_reference=invented.word("int_reference"),
        approval_code=invented.digits("approval_code", 6),
        card_id=invented.uuid("card"),
    )


def end(work: Work, transaction: Transaction, status: Status, **facts: Any) -> Transaction:
    """Move a transaction to the state in which an attempt ends, keep it, and say that it happened."""
    check_move(transaction.status, status)
    ended = replace(transaction, status=status, decided_at=work.now, **facts)
    work.save(ended)
    card = ended.card.short() if ended.card else ""
    why = {"reason_code": ended.reason_code, "card": card, "decided_by": ended.decided_by}
    work.record(_HAPPENED[status], ended.invoice_id, transaction=ended.id, **why)
    return ended


def notify(work: Work, transaction: Transaction, secret_hash: str, *, check: bool) -> None:
    """Queue the postlink of a transaction, in the unit of work that decided it."""
    order = transaction.order
    approved = transaction.approved
    spelling = SPELLINGS[work.merchant.dialect]
    schema = ("postlink-success" if approved else "postlink-failure") + spelling.schema_suffix
    delivery = Delivery(
        id=fakes(work, order.invoice_id, transaction.number).uuid("delivery"),
        invoice_id=order.invoice_id,
        transaction_id=transaction.id,
        url=order.post_link if approved else order.failure_post_link or order.post_link,
        body=contracts.encode(schema, outgoing.postlink(transaction, secret_hash, spelling), check=check),
        queued_at=work.now,
        due_at=work.now,
    )
    work.save(delivery)
    work.record("postlink.queued", order.invoice_id, delivery=delivery.id, url=delivery.url)


def fakes(work: Work, invoice_id: str, number: int) -> Fake:
    """Return the source of invented values for one attempt; number 0 is the invoice as a whole."""
    return Fake(work.merchant.seed, work.merchant.client_id, invoice_id, str(number))
