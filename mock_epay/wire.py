"""The bank's spelling: JSON and form fields in, the model out, and back. The one home of jsonschema."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from mock_epay import lz, resources
from mock_epay.dialects import SPELLINGS, Spelling
from mock_epay.errors import (
    BadField,
    InvalidClient,
    InvalidScope,
    InvalidToken,
    NotSimulated,
    Refusal,
    UnsupportedGrant,
)
from mock_epay.model import (
    CardMask,
    Hint,
    Language,
    Merchant,
    PaymentObject,
    Status,
    StatusAnswer,
    Token,
    TokenRequest,
    Transaction,
)

ZONE: Final = ZoneInfo("Asia/Almaty")

# Every spelling of a token request's fields that is not the schema's own, and what to tell the one who uses it.
_ALIASES: Final = {
    "invoiceId": ("invoiceID", ""),
    "terminalId": ("terminal", ""),
    "curency": ("currency", "a misspelling on one of the bank's pages; the field is called currency"),
}

# Fields whose refusal is not a plain `invalid_request`.
_REFUSALS: Final = {
    "client_id": InvalidClient,
    "client_secret": InvalidClient,
    "grant_type": UnsupportedGrant,
    "scope": InvalidScope,
}
_CODES: Final = {"amount": 470, "description": 3298}

_LANGUAGES: Final[dict[str, Language]] = {"ru": "rus", "ka": "kaz", "kz": "kaz", "kk": "kaz", "en": "eng"}
_SPOKEN: Final[dict[Language, str]] = {"rus": "RU", "kaz": "KZ", "eng": "EN"}

# What stands for a card where none was tried.
NO_CARD: Final = CardMask(first="000000", last="0000", brand="", issuer="")

# check-status: the code and its words for each status, and the number that stands for it.
FOUND, REJECTED, NOT_FOUND, NO_TERMINAL, IN_PROGRESS, FOREIGN = "100", "101", "102", "104", "107", "109"
_MESSAGES: Final = {
    FOUND: "transaction found, see statusName",
    REJECTED: "transaction rejected",
    NOT_FOUND: "no transaction for this invoice",
    NO_TERMINAL: "the token was asked for without a terminal",
    IN_PROGRESS: "transaction in progress",
    FOREIGN: "the terminal does not belong to this client",
}
_RESULTS: Final = {
    Status.NEW: IN_PROGRESS,
    Status.FINGERPRINT: IN_PROGRESS,
    Status.THREE_DS: IN_PROGRESS,
    Status.REJECT: REJECTED,
    Status.FAILED: REJECTED,
}
_STATUS_IDS: Final = {status: str(number) for number, status in enumerate(Status, start=1)}

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
    _check_request("token-request", filled)
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


def token_response(token: Token, spelling: Spelling) -> dict[str, object]:
    """Write the answer to a token request."""
    ttl_s = int((token.expires_at - token.issued_at).total_seconds())
    return {
        "access_token": token.value,
        "expires_in": str(ttl_s) if spelling.ttl_is_text else ttl_s,
        "refresh_token": "",
        "scope": token.request.scope,
        "token_type": "Bearer",
    }


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
    _check_request("payment-object", filled)
    _check_amount(filled["amount"])
    if filled.get("paymentType") == "cardVerification":
        raise NotSimulated("paymentType cardVerification is not simulated", field="paymentType")
    known = {attribute: filled[name] for name, attribute in _OBJECT.items() if name in filled}
    order = PaymentObject(**known, reads=page_language(filled["language"]))
    return order, filled["auth"]["access_token"]


def object_pairs(order: PaymentObject) -> list[tuple[str, str]]:
    """Write a payment object's fields, those that are there, for people to read."""
    values = ((name, getattr(order, attribute)) for name, attribute in _OBJECT.items())
    return [(name, _shown(value)) for name, value in values if value not in {"", False}]


def link(text: str) -> str | None:
    """Return an address that is fit to be opened, else None."""
    pattern = resources.schema("payment-object")["properties"]["backLink"]["pattern"]
    return text.strip() if re.search(pattern, text.strip()) else None


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
    """Give an order the postlink addresses that count: its own, else the token's (assumed)."""
    hints = order.hints
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


def postlink(
    transaction: Transaction, secret_hash: str, spelling: Spelling = SPELLINGS["documented"]
) -> dict[str, object]:
    """Write the notice of an attempt that is decided, field by field as the document prints it."""
    order, mask, payer, place = transaction.order, transaction.card, transaction.payer, transaction.place
    approved = transaction.approved
    body: dict[str, object] = {
        "id": transaction.id,
        "dateTime": _local(transaction.decided_at or transaction.created_at, digits=spelling.second_digits),
        "invoiceId": order.invoice_id,
        "invoiceIdAlt": order.invoice_id_alt,
        "amount": number(order.amount),
        "currency": order.currency,
        "terminal": order.terminal,
        "accountId": order.account_id,
        "description": order.description.replace(" ", spelling.blank),
        "language": order.language if spelling.language_as_sent else _SPOKEN[order.reads],
        "cardMask": (mask or NO_CARD).short(spelling.mask_digits),
        "cardType": mask.brand if mask and spelling.card_type else "",
        "issuer": mask.issuer if mask else "",
        "reference": transaction.reference,
        "secure": "yes" if transaction.secure else "no",
        "tokenRecipient": "",
        "code": "ok" if approved else "error",
        "reason": spelling.success_reason if approved else reason(transaction.reason_code, order.reads),
        "reasonCode": transaction.reason_code,
        "name": payer.name,
        "email": payer.email,
        "phone": payer.phone,
        "ip": place.ip,
        "ipCountry": place.country,
        "ipCity": place.city,
        "ipRegion": "",
        "ipDistrict": "",
        "ipLongitude": place.longitude,
        "ipLatitude": place.latitude,
    }
    if approved:
        body["cardId"] = transaction.card_id
    extras = {
        "secret_hash": secret_hash,
        "data": order.data,
        "approvalCode": transaction.approval_code if spelling.approval_code else "",
    }
    body |= {name: text for name, text in extras.items() if text}
    return dict(sorted(body.items())) if spelling.alphabetical else body


def status_response(answer: StatusAnswer) -> dict[str, object]:
    """Write the answer of check-status."""
    merchant, transaction = answer.merchant, answer.transaction
    code = answer.result or (_RESULTS.get(transaction.status, FOUND) if transaction else NOT_FOUND)
    return {
        "resultCode": code,
        "resultMessage": _MESSAGES[code],
        "transaction": _status_transaction(transaction, merchant) if transaction else None,
    }


def operation_amount(query: Mapping[str, str], body: Mapping[str, str]) -> Decimal | None:
    """Read the amount of an operation from the address, the body, or neither; None means all of it.

    Raises:
        BadField: it is no amount, or the two places do not agree.

    """
    texts = [text.strip() for place in (query, body) if (text := place.get("amount", "")).strip()]
    for text in texts:
        if not _AMOUNT.fullmatch(text) or Decimal(text) == 0:
            rule = "a decimal number above 0 with at most 2 digits behind the point"
            raise BadField("amount", text, rule, _OPERATIONS, code=_CODES["amount"])
    amounts = {Decimal(text) for text in texts}
    if len(amounts) > 1:
        rule = f"the same in the address and in the body, where it is {texts[1]}"
        raise BadField("amount", texts[0], rule, _OPERATIONS, code=_CODES["amount"])
    return amounts.pop() if amounts else None


def operation_response(message: str) -> dict[str, object]:
    """Write the answer to an operation that was carried out."""
    return {"code": 0, "message": message}


def error(refusal: Refusal) -> dict[str, object]:
    """Write a refusal."""
    facts = {"field": refusal.field, "value": refusal.value, "rule": refusal.rule, "source": refusal.source}
    return {
        "error": refusal.error,
        "error_description": refusal.message,
        "code": refusal.code,
        "message": refusal.message,
        **{name: text for name, text in facts.items() if text is not None},
    }


def encode(name: str, body: Mapping[str, object], *, check: bool) -> bytes:
    """Return `body` as JSON; with `check`, only if the schema `name` agrees.

    Raises:
        jsonschema.ValidationError: the sandbox was about to send what its own schema forbids.

    """
    if check:
        _validator(name).validate(body)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


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


def number(amount: Decimal) -> int | float:
    """Return money as JSON has it: whole when it is whole."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def reason(code: int, language: Language) -> str:
    """Return the sandbox's own words for a reason code."""
    text: str = resources.table("reasons")[str(code)][language]
    return text


def schema_names() -> Iterable[str]:
    """Return the names of the schemas that `encode` knows."""
    return resources.schema_names()


def _status_transaction(transaction: Transaction, merchant: Merchant) -> dict[str, object]:
    order, mask, payer, place = transaction.order, transaction.card, transaction.payer, transaction.place
    terminal = merchant.terminal(order.terminal)
    spelling = SPELLINGS[merchant.dialect]
    declined = transaction.reason_code != 0
    return {
        "id": transaction.id,
        "createdDate": _local(transaction.created_at, digits=6),
        "invoiceID": order.invoice_id,
        "invoiceIDAlt": order.invoice_id_alt,
        "amount": number(order.amount),
        "amountBonus": 0,
        "payoutAmount": number(transaction.payout),
        "orgAmount": number(order.amount),
        "approvalCode": transaction.approval_code,
        "data": order.data,
        "currency": order.currency,
        "terminal": terminal.tid if terminal else "",
        "terminalID": order.terminal,
        "accountID": order.account_id,
        "description": order.description,
        "language": order.language,
        "cardMask": mask.short(spelling.mask_digits) if mask else "",
        "cardType": mask.brand if mask else "",
        "issuer": mask.issuer if mask else "",
        "reference": transaction.reference,
        "reason": reason(transaction.reason_code, order.reads) if declined else "",
        "reasonCode": str(transaction.reason_code) if declined else spelling.status_success,
        "intReference": transaction.int_reference,
        "secure": transaction.secure,
        "secureDetails": "",
        "statusID": _STATUS_IDS[transaction.status],
        "statusName": transaction.status.value,
        "name": payer.name,
        "email": payer.email,
        "phone": payer.phone,
        "cardID": transaction.card_id,
        "xlsRRN": "",
        "ip": place.ip,
        "ipCountry": place.country,
        "ipCity": place.city,
        "ipRegion": "",
        "ipDistrict": "",
        "ipLatitude": place.latitude,
        "ipLongitude": place.longitude,
    }


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
        raise BadField("amount", "0", "more than 0", source, code=_CODES["amount"])
    if amount != round(amount, 2):
        raise BadField("amount", str(amount), "at most 2 digits behind the point", source, code=_CODES["amount"])


def _as_text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    raise BadField(name, None, "a text, a number or a Boolean", "RFC 8259")


def _local(moment: datetime, *, digits: int) -> str:
    """Write a moment in the bank's zone with so many digits behind the second."""
    text = moment.astimezone(ZONE).isoformat(timespec="microseconds")
    return text[:26].ljust(20 + digits, "0")[: 20 + digits] + text[26:]


def _max_bytes(_: Draft202012Validator, most: int, text: object, __: object) -> Iterator[ValidationError]:
    if isinstance(text, str) and len(text.encode("utf-8", "surrogatepass")) > most:
        yield ValidationError(f"more than {most} bytes")


_Validator = extend(Draft202012Validator, {"x-maxBytes": _max_bytes})  # type: ignore[no-untyped-call]


@cache
def _validator(name: str) -> Draft202012Validator:
    validator: Draft202012Validator = _Validator(resources.schema(name))
    return validator


def _check_request(name: str, fields: Mapping[str, Any]) -> None:
    """Refuse fields that break the schema, beginning with the field that stands first in it."""
    broken = [_explain(name, fields, found) for found in _validator(name).iter_errors(fields)]
    if broken:
        order = list(resources.schema(name)["properties"])
        raise min(broken, key=lambda refusal: order.index(str(refusal.field).partition(".")[0]))


def _explain(name: str, fields: Mapping[str, Any], found: ValidationError) -> BadField:
    """Turn what jsonschema found into the field, its value, the rule and where it stands."""
    schema = resources.schema(name)
    field = ".".join(str(step) for step in found.absolute_path) or _missing(found, fields)
    row = _row(schema, field)
    source = f"{row['x-source']}: {schema['x-document']}"
    refusal = _REFUSALS.get(field, BadField)
    if not found.absolute_path:
        refusal = BadField if field in {"grant_type", "scope"} else refusal
        return refusal(field, None, f"needed, {row['x-rule']}{_near(field, fields)}", source)
    value = None if row.get("writeOnly") else str(found.instance)
    return refusal(field, value, row["x-rule"], source, code=_CODES.get(field))


def _row(schema: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    row: Mapping[str, Any] = schema
    for step in field.split("."):
        row = row["properties"][step]
    return row


def _missing(found: ValidationError, fields: Mapping[str, Any]) -> str:
    """Name the field that is not there. jsonschema tells it in words only, so it is looked up again."""
    needed: Any = found.validator_value
    names: Iterable[str] = needed["invoiceID"] if isinstance(needed, dict) else needed
    return next(name for name in names if name not in fields and repr(name) in found.message)


def _near(field: str, fields: Mapping[str, Any]) -> str:
    spelt = next((name for name in fields if name.lower() == field.lower()), None)
    return f'; there is a "{spelt}", but case matters' if spelt else ""
