"""Orders, read into the model from each of the forms in which merchants send them."""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from mock_epay import lz, resources
from mock_epay.errors import BadField, InvalidToken, NotSimulated, excerpt
from mock_epay.model import Language, LinkRequest, PaymentObject
from mock_epay.notes import Notes
from mock_epay.records import Record, Secret
from mock_epay.wire.bodies import json_object
from mock_epay.wire.contracts import AMOUNT_INVALID, check_request, near_names
from mock_epay.wire.links import check_postlinks

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
_FIELDS: Final = frozenset((*_OBJECT, "auth"))
_values: Final = attrgetter(*_OBJECT.values())
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
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_BOOLEANS: Final = {"true": True, "false": False}
_BOOLEAN_FIELDS: Final = ("cardSave", "autoBackLink", "recurrent")


class CardPayment(Record, kw_only=True):
    """A payment that a shop's server asks for: the order, and the card, as a cryptogram or by its saved id."""

    order: PaymentObject
    cryptogram: Secret = ""
    saved_card: str = ""


def page_address(params: str) -> dict[str, str]:
    """Unpack the `params` of a pay page address into text fields.

    Raises:
        BadField: no payment object was packed like this.

    """
    try:
        pairs = lz.parse(lz.decompress(params))
        if _FIELDS.isdisjoint(pairs):
            raise lz.LzError("this unpacks to no field of a payment object")
    except lz.LzError as wrong:
        rule = f"the packed payment object as payment-api.js makes it; {wrong}"
        raise BadField("params", params, rule, "observed: payment-api.js") from None
    return pairs


def token_answer(pairs: Mapping[str, str]) -> dict[str, str]:
    """Read the answer of the token endpoint in the `auth` of a pay page address; nothing if that is not it."""
    try:
        return {name: value for name, value in lz.parse(pairs.get("auth", "").strip()).items() if value}
    except lz.LzError:
        return {}


def page_language(text: str) -> Language:
    """Return the pay page's language for any spelling of it; Russian when there is no telling."""
    return _LANGUAGES.get(text.strip()[:2].lower(), "rus")


def payment_object(pairs: Mapping[str, str], answer: Mapping[str, str], notes: Notes) -> tuple[PaymentObject, str]:
    """Read the fields of a pay page address, with the token's answer in it; return the object and the access token.

    Raises:
        BadField: a field is missing or breaks its rule.
        InvalidToken: `auth` is not the whole token answer.

    """
    filled: dict[str, Any] = {
        name: text if name in _VERBATIM else tidy for name, text in pairs.items() if (tidy := text.strip())
    }
    amount = filled.get("amount", "")
    if _NUMBER.fullmatch(amount):
        filled["amount"] = Decimal(amount)
    filled |= {name: _BOOLEANS[filled[name]] for name in _BOOLEAN_FIELDS if filled.get(name) in _BOOLEANS}
    if "auth" in filled:
        filled["auth"] = _whole_token(answer)
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


def object_pairs(order: PaymentObject) -> list[tuple[str, str]]:
    """Write a payment object's fields, those that are there, for people to read."""
    return [(name, _shown(value)) for name, value in zip(_OBJECT, _values(order), strict=True) if value]


def _whole_token(answer: Mapping[str, str]) -> dict[str, str]:
    """Check `auth`. Shops that pass only the access token see an expired page at the bank, so they do here."""
    if "access_token" not in answer:
        raise InvalidToken(
            "auth is not the whole token answer: pass the object that the token endpoint returned, "
            "not only its access_token",
            field="auth",
            rule="the whole token answer, as an object",
            source="documented: payment page, parameters of halyk.pay",
        )
    return dict(answer)


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
    check_postlinks(filled, names)
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
    if order.payment_type in _BY_CARD:
        return
    wanted = re.sub(r"[^a-z0-9]", "", order.payment_type.lower())
    service = next((name for sign, name in _OTHER_SERVICES.items() if sign in wanted), None)
    if service is not None:
        message = f"{service} is not simulated; leave paymentType out and pay by card"
        raise NotSimulated(message, field="paymentType", value=excerpt(order.payment_type), rule="a payment by card")
    notes.remark("payment-type", "paymentType", order.payment_type)


def _check_amount(order: PaymentObject) -> None:
    source = "documented: payment page, parameters of halyk.pay"
    if order.amount == 0 and not order.verification:
        raise BadField("amount", "0", "more than 0", source, code=AMOUNT_INVALID)
    if order.amount != round(order.amount, 2):
        raise BadField("amount", str(order.amount), "at most 2 digits behind the point", source, code=AMOUNT_INVALID)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _shown(value: object) -> str:
    return "true" if value is True else str(value)
