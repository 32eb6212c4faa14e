"""What merchants send, read into the model."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from mock_epay import lz, resources
from mock_epay.errors import BadField, InvalidToken, NotSimulated
from mock_epay.model import Hint, Language, PaymentObject, TokenRequest
from mock_epay.wire.contracts import AMOUNT_INVALID, check_request

# Every spelling of a token request's fields that is not the schema's own, and what to tell the one who uses it.
_ALIASES: Final = {
    "invoiceId": ("invoiceID", ""),
    "terminalId": ("terminal", ""),
    "curency": ("currency", "a misspelling on one of the bank's pages; the field is called currency"),
}
_LANGUAGES: Final[dict[str, Language]] = {"ru": "rus", "ka": "kaz", "kz": "kaz", "kk": "kaz", "en": "eng"}
# The payment object's fields and what the model calls them.
_OBJECT: Final = {
    "invoiceId": "invoice_id",
    "invoiceIdAlt": "invoice_id_alt",
    "backLink": "back_link",
    "failureBackLink": "failure_back_link",
    "autoBackLink": "auto_back_link",
    "postLink": "post_link",
    "failurePostLink": "failure_post_link",
    "language": "language",
    "description": "description",
    "accountId": "account_id",
    "terminal": "terminal",
    "amount": "amount",
    "currency": "currency",
    "data": "data",
    "name": "name",
    "email": "email",
    "phone": "phone",
    "cardSave": "card_save",
    "recurrent": "recurrent",
    "paymentType": "payment_type",
}
_VERBATIM: Final = {"description", "data"}
_OPERATIONS: Final = "documented: operations charge, cancel, refund"
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_BOOLEANS: Final = {"true": True, "false": False}
_BOOLEAN_FIELDS: Final = ("cardSave", "autoBackLink", "recurrent")


def token_request(fields: Mapping[str, str]) -> TokenRequest:
    """Read the text fields of a token request.

    Raises:
        BadField: a field is missing or breaks its rule; `InvalidClient`, `UnsupportedGrant`, `InvalidScope` likewise.

    """
    filled, hints = _unalias({name: text.strip() for name, text in fields.items() if text.strip()})
    check_request("token-request", filled)
    amount = filled.get("amount")
    return TokenRequest(
        client_id=filled["client_id"],
        client_secret=filled["client_secret"],
        scope=fields["scope"],
        invoice_id=filled.get("invoiceID"),
        amount=None if amount is None else Decimal(amount),
        currency=filled.get("currency"),
        terminal=filled.get("terminal"),
        post_link=filled.get("postLink"),
        failure_post_link=filled.get("failurePostLink"),
        secret_hash=filled.get("secret_hash"),
        hints=hints,
    )


def payment_object(pairs: Mapping[str, str]) -> tuple[PaymentObject, str]:
    """Read the fields of a pay page address; return the object and the access token in its `auth`.

    Raises:
        BadField: a field is missing or breaks its rule.
        InvalidToken: `auth` is not the whole token answer.
        NotSimulated: a `paymentType` that the sandbox does not have.

    """
    filled: dict[str, Any] = {
        name: text if name in _VERBATIM else text.strip() for name, text in pairs.items() if text.strip()
    }
    amount = filled.get("amount", "")
    if _NUMBER.fullmatch(amount):
        filled["amount"] = Decimal(amount)
    filled |= {name: _BOOLEANS[filled[name]] for name in _BOOLEAN_FIELDS if filled.get(name) in _BOOLEANS}
    if "auth" in filled:
        filled["auth"] = _whole_token(filled["auth"])
    check_request("payment-object", filled)
    _check_amount(filled["amount"])
    if filled.get("paymentType") == "cardVerification":
        raise NotSimulated("paymentType cardVerification is not simulated", field="paymentType")
    known = {attribute: filled[name] for name, attribute in _OBJECT.items() if name in filled}
    order = PaymentObject(**known, reads=page_language(filled["language"]))
    return order, filled["auth"]["access_token"]


def page_address(params: str) -> dict[str, str]:
    """Unpack the `params` of a pay page address into text fields.

    Raises:
        BadField: no payment object was packed like this.

    """
    try:
        return lz.parse(lz.decompress(params))
    except lz.LzError as wrong:
        rule = f"the packed payment object as payment-api.js makes it; {wrong}"
        raise BadField("params", params, rule, "observed: payment-api.js") from None


def page_language(text: str) -> Language:
    """Return the pay page's language for any spelling of it; Russian when there is no telling."""
    return _LANGUAGES.get(text.strip()[:2].lower(), "rus")


def with_links(order: PaymentObject, request: TokenRequest) -> PaymentObject:
    """Give an order the postlink addresses that count, its own, else the token's (assumed), and the token's hints."""
    hints = request.hints + order.hints
    if order.post_link and request.post_link and order.post_link != request.post_link:
        hints += (
            Hint(
                rule="postlink-differs",
                field="postLink",
                value=order.post_link,
                why="the token names another postLink; the payment object's counts",
                tag="assumed",
            ),
        )
    return replace(
        order,
        post_link=order.post_link or request.post_link or "",
        failure_post_link=order.failure_post_link or request.failure_post_link or "",
        hints=hints,
    )


def operation_amount(query: Mapping[str, str], body: Mapping[str, str]) -> Decimal | None:
    """Read the amount of an operation from the address, the body, or neither; None means all of it.

    Raises:
        BadField: it is no amount, or the two places do not agree.

    """
    texts = [text.strip() for place in (query, body) if (text := place.get("amount", "")).strip()]
    for text in texts:
        if not _AMOUNT.fullmatch(text) or Decimal(text) == 0:
            rule = "a decimal number above 0 with at most 2 digits behind the point"
            raise BadField("amount", text, rule, _OPERATIONS, code=AMOUNT_INVALID)
    amounts = {Decimal(text) for text in texts}
    if len(amounts) > 1:
        rule = f"the same in the address and in the body, where it is {texts[1]}"
        raise BadField("amount", texts[0], rule, _OPERATIONS, code=AMOUNT_INVALID)
    return amounts.pop() if amounts else None


def json_fields(body: bytes) -> dict[str, str]:
    """Read a JSON object as text fields, numbers as they are written.

    Raises:
        BadField: it is not JSON, not an object, or a value is not a text, number, Boolean or null.

    """
    source = "RFC 8259"
    try:
        read = json.loads(body, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise BadField("body", None, "a JSON object is needed", source) from None
    if not isinstance(read, dict):
        raise BadField("body", None, "a JSON object is needed, with one text for each field", source)
    return {name: _as_text(name, value) for name, value in read.items()}


def object_pairs(order: PaymentObject) -> list[tuple[str, str]]:
    """Write a payment object's fields, those that are there, for people to read."""
    values = ((name, getattr(order, attribute)) for name, attribute in _OBJECT.items())
    return [(name, _shown(value)) for name, value in values if value not in {"", False}]


def link(text: str) -> str | None:
    """Return an address that is fit to be opened, else None."""
    pattern = resources.schema("payment-object")["properties"]["backLink"]["pattern"]
    return text.strip() if re.search(pattern, text.strip()) else None


def _unalias(fields: dict[str, str]) -> tuple[dict[str, str], tuple[Hint, ...]]:
    hints = []
    for alias, (name, why) in _ALIASES.items():
        if alias in fields:
            value = fields.pop(alias)
            fields.setdefault(name, value)
            if why:
                hints.append(Hint(rule="misspelt", field=alias, value=value, why=why, tag="documented"))
    return fields, tuple(hints)


def _whole_token(text: str) -> dict[str, str]:
    """Read `auth`. Shops that pass only the access token see an expired page at the bank, so they do here."""
    try:
        answer = {name: value for name, value in lz.parse(text).items() if value}
    except lz.LzError:
        answer = {}
    if "access_token" not in answer:
        raise InvalidToken(
            "auth is not the whole token answer: pass the object that the token endpoint returned, "
            "not only its access_token",
            field="auth",
            rule="the whole token answer, as an object",
            source="documented: payment page, parameters of halyk.pay",
        )
    return answer


def _shown(value: object) -> str:
    return "true" if value is True else str(value)


def _check_amount(amount: Decimal) -> None:
    source = "documented: payment page, parameters of halyk.pay"
    if amount == 0:
        raise BadField("amount", "0", "more than 0", source, code=AMOUNT_INVALID)
    if amount != round(amount, 2):
        raise BadField("amount", str(amount), "at most 2 digits behind the point", source, code=AMOUNT_INVALID)


def _as_text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    raise BadField(name, None, "a text, a number or a Boolean", "RFC 8259")
