"""The life of a pay page: opened, paid or given up."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from mock_epay import issuer
from mock_epay.bank import tokens, transactions
from mock_epay.errors import BadField
from mock_epay.model import (
    Card,
    Checkout,
    CheckoutState,
    Invoice,
    Merchant,
    Payer,
    PaymentObject,
    Status,
    Token,
    TokenRequest,
    Transaction,
)
from mock_epay.settings import Settings
from mock_epay.store import Work
from mock_epay.wire import incoming

OBJECT: Final = "documented: payment page, parameters of halyk.pay"

# Reason codes that a page ends with.
TIME_IS_UP: Final = 504
TOO_MANY_ATTEMPTS: Final = 505


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutView:
    """A checkout as its page shows it: with its latest transaction and the shop."""

    checkout: Checkout
    transaction: Transaction
    merchant: Merchant
    seconds_left: int


async def open_page(work: Work, order: PaymentObject, access_token: str, settings: Settings) -> Checkout:
    """Return the page that belongs to the token, opened now if it was not yet; once it is paid the token is spent."""
    opened = await work.find(Checkout, "token", access_token)
    if opened and opened[-1].state is not CheckoutState.APPROVED:
        return opened[-1]
    token = await tokens.usable(work, access_token)
    _check_agreement(order, token.request)
    order = incoming.with_links(order, token.request)
    if not order.post_link:
        raise BadField("postLink", None, "needed, in the payment object or in the token", OBJECT)
    invoice = await _name_alt(work, order)
    transaction = await transactions.begin(work, order)
    checkout = Checkout(
        id=transactions.fakes(work, order.invoice_id, transaction.number).uuid("checkout"),
        token=access_token,
        order=order,
        secret_hash=token.request.secret_hash or "",
        opened_at=work.now,
        expires_at=work.now + timedelta(seconds=settings.page_ttl_s),
        attempts_left=settings.page_attempts,
        payer=transaction.payer,
        transaction_id=transaction.id,
    )
    work.save(invoice, transaction, checkout)
    work.record("checkout.opened", order.invoice_id, hints=[hint.why for hint in order.hints])
    return checkout


async def view(work: Work, checkout_id: str, settings: Settings) -> CheckoutView:
    """Return what the page shows now."""
    checkout, transaction = await read(work, checkout_id, settings)
    left = (checkout.expires_at - work.now).total_seconds()
    return CheckoutView(
        checkout=checkout, transaction=transaction, merchant=work.merchant, seconds_left=max(0, int(left))
    )


async def pay(work: Work, checkout_id: str, card: Card, payer: Payer, settings: Settings) -> None:
    """Make one attempt, if the page is open."""
    checkout, transaction = await read(work, checkout_id, settings)
    if checkout.state is not CheckoutState.OPEN:
        return
    invoice = await work.get(Invoice, checkout.order.invoice_id)
    assert invoice is not None
    if invoice.paid_by:
        await _close(work, checkout, transaction, tokens.ALREADY_DONE, settings)
        return
    if transaction.status is not Status.NEW:
        transaction = await transactions.begin(work, checkout.order)
    decided = transactions.decide(work, transaction, issuer.decide(card), payer)
    left = checkout.attempts_left - 1
    checkout = replace(checkout, transaction_id=decided.id, reason_code=decided.reason_code, attempts_left=left)
    if decided.approved or settings.notify_each_failure or left == 0:
        transactions.notify(work, decided, checkout.secret_hash, check=settings.self_check)
    if decided.approved:
        work.save(replace(invoice, paid_by=decided.id))
        await _end(work, replace(checkout, state=CheckoutState.APPROVED))
    elif left == 0:
        await _end(work, replace(checkout, state=CheckoutState.CLOSED, reason_code=TOO_MANY_ATTEMPTS))
    else:
        work.save(checkout)


async def read(work: Work, checkout_id: str, settings: Settings) -> tuple[Checkout, Transaction]:
    """Return a checkout and its latest transaction; a page whose time is over is closed first."""
    checkout = await work.get(Checkout, checkout_id)
    assert checkout is not None
    transaction = await work.get(Transaction, checkout.transaction_id)
    assert transaction is not None
    if checkout.due_at and checkout.due_at <= work.now:
        return await _close(work, checkout, transaction, TIME_IS_UP, settings)
    return checkout, transaction


async def _close(
    work: Work, checkout: Checkout, transaction: Transaction, reason_code: int, settings: Settings
) -> tuple[Checkout, Transaction]:
    """End a page without a payment. The shop hears of it, unless it has heard of the last attempt already."""
    heard = transaction.status is not Status.NEW and settings.notify_each_failure
    if transaction.status is Status.NEW:
        transaction = transactions.end(work, transaction, Status.FAILED, reason_code=reason_code)
    if not heard:
        transactions.notify(work, transaction, checkout.secret_hash, check=settings.self_check)
    closed = replace(checkout, state=CheckoutState.CLOSED, reason_code=reason_code)
    await _end(work, closed)
    return closed, transaction


async def _end(work: Work, checkout: Checkout) -> None:
    """Keep a page that is not open any more; its token has served."""
    token = await work.get(Token, checkout.token)
    assert token is not None
    work.save(checkout, replace(token, spent=True))


async def _name_alt(work: Work, order: PaymentObject) -> Invoice:
    """Return the order's invoice with its second number, which no other order may have."""
    invoice = await work.get(Invoice, order.invoice_id)
    assert invoice is not None
    tokens.check_unpaid(invoice, "invoiceId", OBJECT)
    if order.invoice_id_alt:
        others = await work.find(Invoice, "number_alt", order.invoice_id_alt)
        if any(other.number != invoice.number for other in others):
            rule = f"unique for each order, and order {others[0].number} has it"
            raise BadField("invoiceIdAlt", order.invoice_id_alt, rule, OBJECT)
    return replace(invoice, number_alt=order.invoice_id_alt)


def _check_agreement(order: PaymentObject, request: TokenRequest) -> None:
    """Refuse an order that is not the one its token was asked for."""
    for field, ours, theirs in (
        ("invoiceId", order.invoice_id, request.invoice_id),
        ("amount", order.amount, request.amount),
        ("currency", order.currency, request.currency),
        ("terminal", order.terminal, request.terminal),
    ):
        if ours != theirs:
            rule = "to be in the token as well" if theirs is None else f"equal to the token's, which is {theirs}"
            raise BadField(field, str(ours), rule, OBJECT)
