"""What every way to pay asks of an order before it begins."""

from typing import Final

from mock_epay import addresses
from mock_epay.bank import tokens
from mock_epay.errors import BadField
from mock_epay.model import Invoice, PaymentObject, TokenRequest
from mock_epay.notes import Notes
from mock_epay.records import replace
from mock_epay.store import Work

OBJECT: Final = "documented: payment page, parameters of halyk.pay"


async def take(work: Work, order: PaymentObject, request: TokenRequest, notes: Notes) -> PaymentObject:
    """Return an order that agrees with its token, with the postlink addresses that count; its numbers are booked.

    Raises:
        BadField: the order contradicts its token, or its invoice is paid, or its second number is another order's.

    """
    _check_agreement(order, request, notes)
    order = _with_links(replace(order, terminal=order.terminal or request.terminal or ""), request, notes)
    invoice = await work.get(Invoice, request.invoice_id or "")
    assert invoice is not None
    tokens.check_unpaid(invoice, "invoiceId", OBJECT)
    if order.invoice_id_alt:
        others = await work.find(Invoice, "number_alt", order.invoice_id_alt)
        if any(other.number != invoice.number for other in others):
            rule = f"unique for each order, and order {others[0].number} has it"
            notes.broken(BadField("invoiceIdAlt", order.invoice_id_alt, rule, OBJECT))
    work.save(replace(invoice, number_alt=order.invoice_id_alt))
    hints = dict.fromkeys((*request.hints, *notes.hints))
    return replace(order, invoice_id=invoice.number, hints=tuple(hints))


def _check_agreement(order: PaymentObject, request: TokenRequest, notes: Notes) -> None:
    """Refuse an order that is not the one its token was asked for."""
    for field, ours, theirs in (
        ("invoiceId", order.invoice_id, request.invoice_id),
        ("amount", order.amount, request.amount),
        ("currency", order.currency, request.currency),
        ("terminal", order.terminal or request.terminal, request.terminal),
    ):
        if theirs is None:
            raise BadField(field, str(ours), "to be in the token as well", OBJECT)
        if ours != theirs:
            notes.broken(BadField(field, str(ours), f"equal to the token's, which is {theirs}", OBJECT))


def _with_links(order: PaymentObject, request: TokenRequest, notes: Notes) -> PaymentObject:
    """Give an order the postlink addresses that count: its own, else the token's (assumed).

    Failures go to its own postLink if it has no other for them (documented), whatever its token says.
    """
    for field, ours, theirs in (
        ("postLink", order.post_link, request.post_link),
        ("failurePostLink", order.failure_post_link, request.failure_post_link),
    ):
        if ours and theirs and ours != theirs:
            notes.remark("postlink-differs", field, ours)
    post_link = order.post_link or request.post_link or ""
    if post_link and addresses.is_local(addresses.receiver(post_link)):
        notes.remark("postlink-local", "postLink", post_link)
    for_failures = order.failure_post_link or ("" if order.post_link else request.failure_post_link)
    return replace(order, post_link=post_link, failure_post_link=for_failures or "")
