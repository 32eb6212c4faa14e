"""Tokens, and the invoice numbers they are asked for."""

import hmac
from datetime import timedelta
from typing import Final

from mock_epay import fake
from mock_epay.dialects import SPELLINGS
from mock_epay.errors import BadField, InvalidClient, InvalidToken, SpentToken
from mock_epay.model import Hint, Invoice, Merchant, Token, TokenRequest, tail
from mock_epay.notes import Notes
from mock_epay.records import replace
from mock_epay.store import Work

REQUEST: Final = "documented: payment page, request for a token"
ANSWER: Final = "documented: payment page, answer with a token"

ALREADY_DONE: Final = 477  # reason code: the operation is done already


def unknown_client(request: TokenRequest) -> InvalidClient:
    """Make the refusal of credentials that are nobody's."""
    return InvalidClient(
        "client_id", request.client_id, "no merchant has this ClientID; the documented one is test", REQUEST
    )


def check_client(merchant: Merchant, request: TokenRequest) -> Merchant:
    """Return the merchant if it is the one that the request's credentials name."""
    if not hmac.compare_digest(merchant.client_secret.encode(), request.client_secret.encode("utf-8", "replace")):
        raise InvalidClient("client_secret", "…", f"not the ClientSecret of {merchant.client_id}", REQUEST)
    if request.password is not None:
        _check_user(merchant, request)
    if request.invoice_id and merchant.terminal(request.terminal or "") is None:
        raise BadField("terminal", request.terminal, f"no terminal of {merchant.client_id}", REQUEST)
    return merchant


async def issue(work: Work, request: TokenRequest, notes: Notes) -> Token:
    """Make a token; one that pays also books its invoice number."""
    if request.invoice_id:
        invoice = await book(work, request.invoice_id, "invoiceID", notes)
        path = (work.merchant.seed, work.merchant.client_id, invoice.number, "token", str(invoice.tokens))
        value = fake.Fake(*path).token()
    else:
        value = fake.chance_token()
    token = grant(work, value, request, _ttl_s(work.merchant), hints=tuple(notes.hints))
    hints = [hint.rule for hint in notes.hints]
    work.record("token.issued", request.invoice_id or "", amount=request.amount, hints=hints)
    return token


def _ttl_s(merchant: Merchant) -> int:
    return merchant.token_ttl_s or SPELLINGS[merchant.dialect].token_ttl_s


def grant(work: Work, value: str, request: TokenRequest, seconds: float, *, hints: tuple[Hint, ...] = ()) -> Token:
    """Keep a new token, without its secrets, for so many seconds, and with what was remarked on its request."""
    token = Token(
        value=value,
        request=replace(request, client_secret="", password=None, hints=hints),
        issued_at=work.now,
        expires_at=work.now + timedelta(seconds=seconds),
    )
    work.save(token)
    return token


async def usable(work: Work, access_token: str) -> Token:
    """Return a token that may still serve.

    Raises:
        SpentToken: it has served.
        InvalidToken: it is expired.

    """
    token = await work.get(Token, access_token)
    assert token is not None
    if token.spent:
        raise spent()
    if work.now >= token.expires_at:
        raise InvalidToken(
            f"the token expired at {token.expires_at:%Y-%m-%d %H:%M:%S} UTC; ask for another",
            field="access_token",
            rule="a token lives as many seconds as its expires_in says",
            source=ANSWER,
        )
    return token


def spend(work: Work, token: Token) -> None:
    """Note that a token has served its one operation."""
    work.save(replace(token, spent=True))


def unknown() -> InvalidToken:
    """Make the refusal of a token that nobody has."""
    return InvalidToken(
        "the token is unknown: it was not issued here, or its merchant was reset, or the sandbox has forgotten it",
        field="access_token",
        rule="a token that this sandbox has issued",
        source=REQUEST,
    )


def spent() -> SpentToken:
    """Make the refusal of a token that has served."""
    return SpentToken(
        "the token is spent: it has served its one operation; ask for another",
        field="access_token",
        rule="a fresh token for each operation",
        source=REQUEST,
    )


def check_unpaid(invoice: Invoice, field: str, source: str) -> None:
    """Refuse to take money twice for one order (assumed: the bank publishes no code for it)."""
    if invoice.paid_by:
        rule = f"unique for each order, and transaction {invoice.paid_by} has paid this one"
        raise BadField(field, invoice.number, rule, source, code=ALREADY_DONE)


async def book(work: Work, number: str, field: str, notes: Notes) -> Invoice:
    """Note that an order has this number, and that it was asked for once more."""
    invoice = await work.get(Invoice, number) or await _first_mention(work, number, field, notes)
    check_unpaid(invoice, field, REQUEST)
    invoice = replace(invoice, tokens=invoice.tokens + 1)
    work.save(invoice)
    return invoice


async def _first_mention(work: Work, number: str, field: str, notes: Notes) -> Invoice:
    end = tail(number)
    others = await work.find(Invoice, "tail", end)
    if others:
        rule = f"the last 6 digits must be unique, and {others[0].number} of this merchant ends in the same ones"
        notes.broken(BadField(field, number, rule, REQUEST))
    return Invoice(number=number, tail=end)


def _check_user(merchant: Merchant, request: TokenRequest) -> None:
    """Refuse a cabinet's user who is not the merchant's."""
    assert request.password is not None
    if request.username != merchant.email:
        rule = f"the e-mail address of {merchant.client_id} in the cabinet"
        raise InvalidClient("username", request.username, rule, REQUEST)
    if not hmac.compare_digest(merchant.password.encode(), request.password.encode("utf-8", "replace")):
        raise InvalidClient("password", "…", f"not the cabinet's password of {merchant.email}", REQUEST)
