"""Invoice links: orders that wait at an address for whoever opens it."""

from datetime import timedelta
from typing import Final

from mock_epay.bank import checkouts, tokens, transactions
from mock_epay.errors import BadField, ExpiredLink
from mock_epay.model import Checkout, CheckoutState, InvoiceLink, LinkRequest, TokenRequest
from mock_epay.notes import Notes
from mock_epay.records import replace
from mock_epay.store import Work

SOURCE: Final = "documented: invoice links"


async def make(work: Work, asked: LinkRequest, notes: Notes) -> InvoiceLink:
    """Let an order wait for its customer.

    Raises:
        BadField: the shop is not this merchant's; the invoice number is taken or paid.

    """
    order = asked.order
    terminal = next((one for one in work.merchant.terminals if one.shop_id == asked.shop_id.lower()), None)
    if terminal is None:
        raise BadField("shop_id", asked.shop_id, f"no shop of {work.merchant.client_id}", SOURCE)
    invoice = await tokens.book(work, order.invoice_id, "invoice_id", notes)
    if not order.post_link:
        notes.remark("no-postlink", "post_link")
    link = InvoiceLink(
        id=transactions.fakes(work, invoice.number, invoice.tokens).uuid("link"),
        order=replace(order, terminal=terminal.id, hints=tuple(notes.hints)),
        asked=asked,
        created_at=work.now,
        expires_at=work.now + timedelta(seconds=asked.seconds),
    )
    work.save(link)
    work.record("link.made", invoice.number, link=link.id, expires_at=link.expires_at)
    return link


async def open_page(work: Work, link_id: str) -> Checkout:
    """Return the pay page of a link: the one that is open, or else a new one, while the link lasts.

    Raises:
        ExpiredLink: it does not last any more.
        BadField: the invoice is paid.

    """
    link = await work.get(InvoiceLink, link_id)
    assert link is not None
    opened = await work.find(Checkout, "token", link.token)
    if opened:
        latest, _ = await checkouts.read(work, opened[-1].id)
        if latest.state is not CheckoutState.CLOSED:
            return latest
    if work.now >= link.expires_at:
        raise ExpiredLink(
            f"the invoice link expired at {link.expires_at:%Y-%m-%d %H:%M:%S} UTC; the shop can make another",
            field="link",
            rule="a link lasts as long as its expire_period says",
            source=SOURCE,
        )
    # The page wants a token of its own, as every page does; the customer never sees it.
    number = link.opened + 1
    value = transactions.fakes(work, link.id, number).token()
    order = link.order
    request = TokenRequest(
        client_id=work.merchant.client_id,
        client_secret="",
        scope="payment",
        invoice_id=order.invoice_id,
        amount=order.amount,
        currency=order.currency,
        terminal=order.terminal,
    )
    tokens.grant(work, value, request, work.merchant.page_ttl_s, hints=order.hints)
    work.save(replace(link, token=value, opened=number))
    return await checkouts.open_page(work, order, value, Notes(), needs_post_link=False)
