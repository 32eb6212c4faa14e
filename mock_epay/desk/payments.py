"""Payments without a browser: the shop's part, the page's and the cardholder's, through the same code as always."""

from collections.abc import Mapping
from itertools import count
from typing import Final, Literal

from mock_epay import lz
from mock_epay.bank import Bank, tokens
from mock_epay.bank.checkouts import Choice
from mock_epay.errors import BadField
from mock_epay.model import Card, Challenge, Invoice, Merchant, Payer, Status, Token, Transaction, tail
from mock_epay.notes import Notes
from mock_epay.records import Record, Secret
from mock_epay.store import Work
from mock_epay.wire.orders import payment_object
from mock_epay.wire.tokens import token_request

Answer = Literal["pass", "fail", "cancel", "leave"]

# Where neither the shop nor the test says.
_AMOUNT: Final = "100"
_CURRENCY: Final = "KZT"
_WRONG: Final = "000"  # a code of 3-D Secure that is never the right one: those have six digits
_BACK_LINK: Final = "https://shop.example/"
_SCOPE: Final = "payment"
# What a token is asked for with, by the names of the payment object.
_TOKEN_FIELDS: Final = {
    "invoiceId": "invoiceID",
    "amount": "amount",
    "currency": "currency",
    "terminal": "terminal",
    "postLink": "postLink",
    "failurePostLink": "failurePostLink",
}


class DirectPayment(Record, kw_only=True):
    """A payment that a test asks for: the payment object's fields as texts, the card, and how 3-D Secure is answered.

    Without `token` the one that the shop has asked for the invoice serves, or else a new one.
    """

    fields: Mapping[str, str]
    card: Card
    payer: Payer
    saved_card: str = ""
    answer: Answer = "pass"
    token: str = ""
    plan: str = ""
    secret_hash: Secret = ""


async def pay(bank: Bank, merchant: Merchant, payment: DirectPayment) -> Transaction:
    """Pay, and answer what the issuer asks; return the transaction as it stands then."""
    asking, notes = await bank.notes(merchant.client_id), await bank.notes(merchant.client_id)
    async with bank.store.work(merchant.client_id) as work:  # in which a payment that is refused leaves no token behind
        token = await _token(work, payment, asking)
        token_answer = {"access_token": token.value}
        fields = _object(token, merchant) | dict(payment.fields) | {"auth": lz.flatten(token_answer)}
        order, access_token = payment_object(fields, token_answer, notes)
    checkout_id = (await bank.open_checkout(order, access_token, notes, needs_post_link=False)).checkout.id
    choice = Choice(saved_card=payment.saved_card, save_card=order.card_save, plan=payment.plan)
    transaction = await bank.pay(checkout_id, payment.card, payment.payer, choice)
    if transaction.status is Status.THREE_DS and payment.answer != "leave":
        await answer(
            bank, (await bank.challenge((await bank.checkout(checkout_id)).challenge_id)).challenge, payment.answer
        )
    await bank.payer_waits(transaction, merchant)
    if (await bank.checkout(checkout_id)).awaits_leaving:  # there is no browser that could go back to the shop
        await bank.leave_page(checkout_id)
    return (await bank.transaction(transaction.id))[0]


async def answer(bank: Bank, asked: Challenge, how: Answer) -> None:
    """Answer the issuer's question, rightly, as often as it can be answered wrongly, or with the wish to stop.

    Where the shop's own form began it, the answer is brought back to the bank as the cardholder's browser does.
    """
    code = {"pass": asked.code, "fail": _WRONG, "cancel": None}[how]
    while (seen := await bank.answer_challenge(asked.id, code)).open:
        pass
    if not asked.checkout_id:
        await bank.confirm_in_browser(asked.token, asked.id, seen.challenge.pa_res)


async def _token(work: Work, payment: DirectPayment, notes: Notes) -> Token:
    """Return the token to pay with: the given one, the one that the shop has asked for, or a new one.

    Raises:
        BadField: the given one is not this merchant's.

    """
    number = payment.fields.get("invoiceId") or await free_number(work)
    if payment.token:
        return await _given(work, payment.token)
    asked = await work.find(Token, "invoice_id", number)
    usable = [token for token in asked if not token.spent and token.expires_at > work.now]
    if usable:
        return usable[-1]
    # Here, and not at the token endpoint: a free number must be booked before another unit finds it.
    return await tokens.issue(work, token_request(_request(work.merchant, payment, number), notes), notes)


def _request(merchant: Merchant, payment: DirectPayment, number: str) -> dict[str, str]:
    """Return what a shop would ask a token with."""
    wanted = {"invoiceId": number, "amount": _AMOUNT, "currency": _CURRENCY, "terminal": merchant.terminals[0].id}
    wanted |= payment.fields
    fields = {theirs: wanted[ours] for ours, theirs in _TOKEN_FIELDS.items() if ours in wanted}
    credentials = {"client_id": merchant.client_id, "client_secret": merchant.client_secret}
    return (
        fields | credentials | {"grant_type": "client_credentials", "scope": _SCOPE, "secret_hash": payment.secret_hash}
    )


async def _given(work: Work, access_token: str) -> Token:
    token = await work.get(Token, access_token)
    if token is None:
        rule = f"an access token of {work.merchant.client_id}, from the token endpoint"
        raise BadField("token", None, rule, "documented: control API, payments")
    return token


async def free_number(work: Work) -> str:
    """Return an invoice number that nobody has used, the first that is free."""
    numbers = (f"{number:09}" for number in count(work.invoices + 1))
    free = next(numbers)
    while await work.find(Invoice, "tail", tail(free)):
        free = next(numbers)
    return free


def _object(token: Token, merchant: Merchant) -> dict[str, str]:
    """Return the fields of a payment object as a shop would fill them for this token."""
    request = token.request
    return {
        "invoiceId": request.invoice_id or "",
        "amount": "" if request.amount is None else str(request.amount),
        "currency": request.currency or "",
        "terminal": request.terminal or "",
        "backLink": _BACK_LINK,
        "language": "eng",
        "description": f"Invoice {request.invoice_id} of {merchant.name}",
    }
