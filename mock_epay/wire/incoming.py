"""What merchants send, read into the model."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from mock_epay import addresses, lz, resources
from mock_epay.errors import BadField, InvalidToken, NotSimulated, excerpt
from mock_epay.model import Language, LinkRequest, PaymentObject, TokenRequest
from mock_epay.notes import Notes
from mock_epay.records import Record, Secret
from mock_epay.wire.contracts import AMOUNT_INVALID, check_request, near_names

# Every spelling of a token request's fields that is not the schema's own, and the hint for it.
_ALIASES: Final = {
    "invoiceId": ("invoiceID", "other-name"),
    "terminalId": ("terminal", "other-name"),
    "curency": ("currency", "misspelt"),
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
# A token request's fields, but for credentials.
_TOKEN_REQUEST: Final = {
    "invoiceID": "invoice_id",
    "amount": "amount",
    "currency": "currency",
    "terminal": "terminal",
    "postLink": "post_link",
    "failurePostLink": "failure_post_link",
    "scope": "scope",
}
_POSTLINKS: Final = {"post_link", "failure_post_link"}
_HIDDEN: Final = "***"
# The same for the bank's services in JSON, where they differ.
_CARD_PAYMENT: Final = {name: name_in_model for name, name_in_model in _OBJECT.items() if name != "terminal"} | {
    "terminalId": "terminal"
}
_LINK: Final = {
    "invoice_id": "invoice_id",
    "amount": "amount",
    "currency": "currency",
    "description": "description",
    "language": "language",
    "account_id": "account_id",
    "data": "data",
    "recipient_contact": "email",
    "recipient_contact_sms": "phone",
    "post_link": "post_link",
    "failure_post_link": "failure_post_link",
    "back_link": "back_link",
    "failure_back_link": "failure_back_link",
}
_BY_CARD: Final = {"", "card", "cardId", "cardVerification"}
# What tells, in a paymentType, a service of the bank's that the sandbox does not have.
_OTHER_SERVICES: Final = {
    "applepay": "Apple Pay",
    "googlepay": "Google Pay",
    "qr": "payment by QR code",
    "instal": "payment by instalments",
    "credit": "payment on credit",
    "halykid": "HalykID",
    "p2p": "a transfer from card to card (P2P)",
    "aft": "taking money from a card for a transfer (AFT)",
    "oct": "paying money out to a card (OCT)",
}
_DOCUMENTED_LANGUAGES: Final = {"rus", "kaz", "eng"}
_VERBATIM: Final = {"description", "data"}
_OPERATIONS: Final = "documented: operations charge, cancel, refund"
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_DEEPEST: Final = 32
_TEXTS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_BOOLEANS: Final = {"true": True, "false": False}
_BOOLEAN_FIELDS: Final = ("cardSave", "autoBackLink", "recurrent")


class CardPayment(Record, kw_only=True):
    """A payment that a shop's server asks for: the order, and the card, as a cryptogram or by its saved id."""

    order: PaymentObject
    cryptogram: Secret = ""
    saved_card: str = ""


def token_request(fields: Mapping[str, str], notes: Notes) -> TokenRequest:
    """Read the text fields of a token request.

    Raises:
        BadField: a field is missing or breaks its rule; `InvalidClient`, `UnsupportedGrant`, `InvalidScope` likewise.

    """
    filled: dict[str, Any] = {name: kept for name, text in fields.items() if (kept := text.strip())}
    if not filled.keys().isdisjoint(_ALIASES):
        _rename(filled, notes)
    check_request("token-request", filled, notes)
    _check_postlinks(filled, _TOKEN_REQUEST)
    near_names("token-request", filled, notes)
    amount = filled.get("amount")
    if filled.get("invoiceID"):
        if "payment" not in filled.get("scope", "").split():
            notes.remark("scope-payment", "scope", filled.get("scope", ""))
        if "secret_hash" not in filled:
            notes.remark("no-secret-hash", "secret_hash")
    return TokenRequest(
        client_id=filled["client_id"],
        client_secret=filled["client_secret"],
        scope=fields.get("scope", ""),
        invoice_id=filled.get("invoiceID"),
        amount=None if amount is None else Decimal(amount),
        currency=filled.get("currency"),
        terminal=filled.get("terminal"),
        post_link=filled.get("postLink"),
        failure_post_link=filled.get("failurePostLink"),
        secret_hash=filled.get("secret_hash"),
        username=filled.get("username"),
        password=filled.get("password"),
    )


def _rename(filled: dict[str, Any], notes: Notes) -> None:
    """Give fields the names that they have in the document."""
    for alias, (name, rule) in _ALIASES.items():
        if alias in filled:
            notes.remark(rule, alias, filled[alias], meant=name)
            filled.setdefault(name, filled.pop(alias))


def payment_object(pairs: Mapping[str, str], notes: Notes) -> tuple[PaymentObject, str]:
    """Read the fields of a pay page address; return the object and the access token in its `auth`.

    Raises:
        BadField: a field is missing or breaks its rule.
        InvalidToken: `auth` is not the whole token answer.

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
    order = _order("payment-object", filled, _OBJECT, notes)
    return order, filled["auth"]["access_token"]


def card_payment(schema: str, body: bytes, notes: Notes, spellings: Sequence[str] = ("cryptogram",)) -> CardPayment:
    """Read the JSON of a payment with a card of the shop's own form, or a saved one.

    `spellings` are the names that the cryptogram goes by, the schema's own first.

    Raises:
        BadField: a field is missing or breaks its rule.

    """
    filled = _typed(schema, json_object(body), notes)
    for other in spellings[1:]:
        if other in filled:
            filled.setdefault(spellings[0], filled.pop(other))
        elif spellings[0] in filled:
            notes.remark("cryptogram-latin", spellings[0])
    order = _order(schema, filled, _CARD_PAYMENT, notes)
    card_id = filled.get("cardId", {}).get("id", "")
    return CardPayment(order=order, cryptogram=filled.get("cryptogram", ""), saved_card=card_id)


def invoice_link(body: bytes, notes: Notes) -> LinkRequest:
    """Read the JSON of a request for an invoice link.

    Raises:
        BadField: a field is missing or breaks its rule.

    """
    return link_request(json_object(body), notes)


def link_request(fields: Mapping[str, Any], notes: Notes) -> LinkRequest:
    """Read the fields of a request for an invoice link.

    Raises:
        BadField: a field is missing or breaks its rule.

    """
    schema = "invoice-link-request"
    filled = _typed(schema, fields, notes)
    order = _order(schema, filled, _LINK, notes)
    return LinkRequest(
        order=order,
        shop_id=filled["shop_id"],
        period=filled.get("expire_period", "1d"),
        notifier_sms=filled.get("notifier_contact_sms", ""),
    )


def confirmation(schema: str, fields: Mapping[str, Any]) -> tuple[str, str, str]:
    """Read what comes back from the issuer: MD, PaRes, and the transaction's id when it is there.

    Raises:
        BadField: a field is missing or breaks its rule.

    """
    filled = {name: value for name, value in fields.items() if value not in ("", None)}
    check_request(schema, filled, Notes())
    return filled["MD"], filled["PaRes"], filled.get("ID", "")


def page_address(params: str) -> dict[str, str]:
    """Unpack the `params` of a pay page address into text fields.

    Raises:
        BadField: no payment object was packed like this.

    """
    try:
        pairs = lz.parse(lz.decompress(params))
        if not pairs.keys() & {*_OBJECT, "auth"}:
            raise lz.LzError("what it unpacks to has no field of one")
    except lz.LzError as wrong:
        rule = f"the packed payment object as payment-api.js makes it; {wrong}"
        raise BadField("params", params, rule, "observed: payment-api.js") from None
    return pairs


def access_token(pairs: Mapping[str, str]) -> str:
    """Return the access token in the `auth` of a pay page address; empty when there is none."""
    try:
        return lz.parse(pairs.get("auth", "")).get("access_token", "")
    except lz.LzError:
        return ""


def page_language(text: str) -> Language:
    """Return the pay page's language for any spelling of it; Russian when there is no telling."""
    return _LANGUAGES.get(text.strip()[:2].lower(), "rus")


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
    return {name: _as_text(name, value) for name, value in json_object(body, number=str).items()}


def json_object(body: bytes, number: Callable[[str], Any] = Decimal) -> dict[str, Any]:
    """Read a JSON object, its numbers made by `number`.

    Raises:
        BadField: it is not JSON, or not an object.

    """
    check_depth(body)
    try:
        read = json.loads(body, parse_float=number, parse_int=number, parse_constant=str)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise BadField("body", None, "a JSON object is needed", "RFC 8259")
    return read


def check_depth(body: bytes) -> None:
    """Refuse JSON whose objects and arrays stand too deep in each other.

    Raises:
        BadField: they do.

    """
    if body.count(b"{") + body.count(b"[") <= _DEEPEST:  # nearly all there is
        return
    depth = 0
    for mark in _BRACKETS.findall(_TEXTS.sub(b"", body)):
        depth += 1 if mark in b"{[" else -1
        if depth > _DEEPEST:
            raise BadField("body", "(not shown)", f"JSON that is nested at most {_DEEPEST} deep", "RFC 8259, section 9")


def object_pairs(order: PaymentObject) -> list[tuple[str, str]]:
    """Write a payment object's fields, those that are there, for people to read."""
    values = ((name, getattr(order, attribute)) for name, attribute in _OBJECT.items())
    return [(name, _shown(value)) for name, value in values if value not in {"", False}]


def token_pairs(request: TokenRequest) -> list[tuple[str, str]]:
    """Write what a token was asked for with, as far as it is there, for people to read; a secret stays hidden."""
    values = ((name, getattr(request, attribute)) for name, attribute in _TOKEN_REQUEST.items())
    secret = [("secret_hash", _HIDDEN)] if request.secret_hash else []
    return [(name, str(value)) for name, value in values if value is not None] + secret


def link(text: str) -> str | None:
    """Return an address that is fit to be opened, else None."""
    pattern = resources.schema("payment-object")["properties"]["backLink"]["pattern"]
    return text.strip() if re.search(pattern, text.strip()) else None


def _check_postlinks(fields: Mapping[str, Any], names: Mapping[str, str]) -> None:
    for name, attribute in names.items():
        if attribute in _POSTLINKS and name in fields:
            check_postlink(name, fields[name])


def check_postlink(name: str, url: str) -> None:
    """Refuse an address that no postlink will go to, whatever its host's name leads to.

    Raises:
        BadField: it is such a one; the delivery would refuse it for the same reason.

    """
    try:
        if not addresses.forbidden_host(addresses.receiver(url)):
            return
        rule = "not link-local, multicast, or where a cloud tells its secrets"
    except ValueError as wrong:
        rule = f"an http or https address that something can be sent to; {wrong}"
    raise BadField(name, url, rule, "sandbox: where postlinks may go")


def _typed(schema: str, fields: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """Bring JSON values to the types of the schema where that loses nothing; blank ones count as absent."""
    properties = resources.schema(schema)["properties"]
    filled: dict[str, Any] = {}
    for name, value in fields.items():
        wanted = properties.get(name, {}).get("type")
        tidy = value.strip() if isinstance(value, str) and name not in _VERBATIM else value
        if tidy is None or (isinstance(tidy, str) and not tidy.strip()):
            continue
        if wanted == "string" and isinstance(tidy, Decimal):
            notes.remark("number-for-text", name, tidy)
            tidy = str(tidy)
        elif name == "data" and isinstance(tidy, dict | list):
            tidy = json.dumps(tidy, ensure_ascii=False, default=float)
        elif wanted == "number" and isinstance(tidy, str) and _NUMBER.fullmatch(tidy):
            tidy = Decimal(tidy)
        filled[name] = tidy
    return filled


def _order(schema: str, filled: dict[str, Any], names: Mapping[str, str], notes: Notes) -> PaymentObject:
    """Check the fields and read those that make an order."""
    check_request(schema, filled, notes)
    near_names(schema, filled, notes)
    known = {attribute: filled[name] for name, attribute in names.items() if name in filled}
    _check_postlinks(filled, names)
    order = PaymentObject(**known, reads=page_language(known.get("language", "")))
    _check_payment_type(order, notes)
    _check_amount(order)
    if order.language and order.language not in _DOCUMENTED_LANGUAGES:
        notes.remark("language-spelling", "language", order.language)
    if order.data and not _is_json(order.data):
        notes.remark("data-not-json", "data", order.data)
    if order.verification and not order.account_id:
        notes.remark("verification-account", "accountId")
    return order


def _check_payment_type(order: PaymentObject, notes: Notes) -> None:
    """Refuse what is not paid by card; what nobody knows is paid by card, and a hint says so."""
    wanted = re.sub(r"[^a-z0-9]", "", order.payment_type.lower())
    service = next((name for sign, name in _OTHER_SERVICES.items() if sign in wanted), None)
    if service is not None:
        message = f"{service} is not simulated; leave paymentType out and pay by card"
        raise NotSimulated(message, field="paymentType", value=excerpt(order.payment_type), rule="a payment by card")
    if order.payment_type not in _BY_CARD:
        notes.remark("payment-type", "paymentType", order.payment_type)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


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


def _check_amount(order: PaymentObject) -> None:
    source = "documented: payment page, parameters of halyk.pay"
    if order.amount == 0 and not order.verification:
        raise BadField("amount", "0", "more than 0", source, code=AMOUNT_INVALID)
    if order.amount != round(order.amount, 2):
        raise BadField("amount", str(order.amount), "at most 2 digits behind the point", source, code=AMOUNT_INVALID)


def _as_text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    found = "an object" if isinstance(value, dict) else "an array"
    raise BadField(name, found, "a text, a number or a Boolean", "RFC 8259")
