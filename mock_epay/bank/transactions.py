"""The record of one attempt to pay: how it begins, how it is decided, who is told."""

from decimal import Decimal
from typing import Any, Final

from mock_epay.bank import saved
from mock_epay.bank.tokens import ALREADY_DONE
from mock_epay.fake import Fake
from mock_epay.issuer import APPROVED, Decision
from mock_epay.model import Invoice, Payer, PaymentObject, Status, Transaction, check_move
from mock_epay.records import replace
from mock_epay.store import Work

TIME_IS_UP: Final = 504  # reason code: of a page that was not paid, of a question that was not answered

_HAPPENED: Final = {
    Status.AUTH: "transaction.authorized",
    Status.CHARGE: "transaction.charged",
    Status.REJECT: "transaction.declined",
    Status.FAILED: "transaction.failed",
    Status.VERIFIED: "transaction.verified",
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


def tried(work: Work, transaction: Transaction, decision: Decision, payer: Payer) -> Transaction:
    """Write down which card was tried, by whom, and what its issuer says."""
    invented = fakes(work, transaction.invoice_id, transaction.number)
    payer = payer if payer.name else replace(payer, name=invented.holder())
    return replace(
        transaction,
        decided_by=decision.why,
        nearest_rule=decision.nearest_rule,
        plan=decision.plan,
        delay_s=decision.delay_s,
        card=decision.mask,
        payer=payer,
    )


def ask(work: Work, transaction: Transaction) -> Transaction:
    """Let a transaction wait for the cardholder's answer to the issuer, and keep it."""
    check_move(transaction.status, Status.THREE_DS)
    waiting = replace(transaction, status=Status.THREE_DS)
    work.save(waiting)
    work.record("transaction.challenged", waiting.invoice_id, transaction=waiting.id)
    return waiting


async def settle(
    work: Work, transaction: Transaction, reason_code: int, *, secure: bool, failed: Status = Status.REJECT
) -> Transaction:
    """End an attempt: approved with reason code 0, which pays the invoice, or else declined or `failed`."""
    invoice = await work.get(Invoice, transaction.invoice_id)
    assert invoice is not None
    if reason_code == APPROVED and invoice.paid_by:
        reason_code = ALREADY_DONE
    if reason_code != APPROVED:
        return end(work, transaction, failed, reason_code=reason_code, secure=secure)
    work.save(replace(invoice, paid_by=transaction.id))
    order = transaction.order
    invented = fakes(work, transaction.invoice_id, transaction.number)
    status = _approved(work, order)
    approved = replace(
        transaction,
        secure=secure,
        taken=order.amount if status is Status.CHARGE else Decimal(0),
        reference=invented.digits("reference", 12),
        int_reference=invented.word("int_reference"),
        approval_code=invented.digits("approval_code", 6),
        card_id=transaction.card_id or invented.uuid("card"),
    )
    return end(work, await saved.keep(work, approved), status)


def _approved(work: Work, order: PaymentObject) -> Status:
    """Return where an approved payment of this order stands: checked, held or taken."""
    if order.verification:
        return Status.VERIFIED
    terminal = work.merchant.terminal(order.terminal)
    return Status.AUTH if terminal is not None and terminal.two_stage else Status.CHARGE


def end(work: Work, transaction: Transaction, status: Status, **facts: Any) -> Transaction:
    """Move a transaction to the state in which an attempt ends, keep it, and say that it happened."""
    check_move(transaction.status, status)
    ended = replace(transaction, status=status, decided_at=work.now, **facts)
    work.save(ended)
    card = ended.card.short() if ended.card else ""
    why = {
        "amount": ended.order.amount,
        "currency": ended.order.currency,
        "reason_code": ended.reason_code,
        "card": card,
        "decided_by": ended.decided_by,
    }
    if ended.nearest_rule:
        why["nearest_rule"] = ended.nearest_rule
    work.record(_HAPPENED[status], ended.invoice_id, transaction=ended.id, **why)
    return ended


def fakes(work: Work, invoice_id: str, number: int) -> Fake:
    """Return the source of invented values for one attempt; number 0 is the invoice as a whole."""
    return Fake(work.merchant.seed, work.merchant.client_id, invoice_id, str(number))
