"""What developers ask of the control API, read into the model; the rules of a file too."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from mock_epay import issuer, resources, script
from mock_epay.errors import CONTROL_API, BadField, Refusal
from mock_epay.model import LinkRequest
from mock_epay.notes import Notes
from mock_epay.records import Record
from mock_epay.script import Direction, Match, NextDecision, PlannedFault, Rule
from mock_epay.settings import RETRY_PROFILES
from mock_epay.wire import bodies, links, operations, orders
from mock_epay.wire.contracts import check_closed

_REASONS: Final = "a reason code of GET /_control/reasons, or 0 to approve"
_CARDS: Final = "the number of a test card, as GET /_control/cards lists them"
# The payment object's names for what a direct payment is given.
_OBJECT: Final = {
    "invoice_id": "invoiceId",
    "amount": "amount",
    "currency": "currency",
    "terminal": "terminal",
    "post_link": "postLink",
    "failure_post_link": "failurePostLink",
    "back_link": "backLink",
    "failure_back_link": "failureBackLink",
    "language": "language",
    "description": "description",
    "account_id": "accountId",
    "card_save": "cardSave",
    "recurrent": "recurrent",
    "payment_type": "paymentType",
    "data": "data",
    "name": "name",
    "email": "email",
    "phone": "phone",
}
_LINK: Final = {"email": "recipient_contact", "phone": "recipient_contact_sms"}  # as the bank calls them there
_USUAL_CARD: Final = next(iter(issuer.test_cards()))


class ClockTurn(Record, kw_only=True):
    """What is to become of a clock, in this order."""

    freeze: bool = False
    moment: datetime | None = None
    seconds: float = 0
    resume: bool = False


def body(text: bytes) -> dict[str, Any]:
    """Read a body; an empty one is an empty object.

    Raises:
        BadField: it is not a JSON object, or a text in it has half of a surrogate pair, which nobody could send back.

    """
    bodies.check_depth(text)
    try:
        read = json.loads(text, parse_float=_exact, parse_constant=str) if text.strip() else {}
        json.dumps(read, ensure_ascii=False, default=str).encode()
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise BadField("body", "(not shown)", "a JSON object of whole characters, or nothing", "RFC 8259")
    return read


def nothing(fields: Mapping[str, Any]) -> None:
    """Refuse fields where none are taken.

    Raises:
        BadField: there is one.

    """
    for name in fields:
        raise BadField(name, "(not shown)", "nothing is taken here", CONTROL_API)


def merchant(schema: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Read what is said of a merchant.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed(schema, fields)
    facts = _floats(fields)
    if facts.get("foreign_key_card"):
        _check_card("foreign_key_card", facts["foreign_key_card"])
    if "plan" in facts:
        script.read_plan(facts["plan"])
    if "postlink_retry_s" in facts:
        pauses = facts["postlink_retry_s"]
        facts["postlink_retry_s"] = RETRY_PROFILES[pauses] if isinstance(pauses, str) else tuple(map(float, pauses))
    return facts


def clock(fields: Mapping[str, Any]) -> ClockTurn:
    """Read what is to become of a clock.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-clock", fields)
    return ClockTurn(
        freeze=fields.get("freeze", False),
        moment=_moment(fields["set"]) if "set" in fields else None,
        seconds=float(fields.get("advance_s", 0)),
        resume=fields.get("resume", False),
    )


def additions(fields: Mapping[str, Any]) -> tuple[list[NextDecision], list[Rule]]:
    """Read decisions and rules for a script.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-script", fields)
    decisions = [
        NextDecision(
            id=0,
            then=_direction(row, f"decisions.{number}"),
            invoice_id=row.get("invoice_id", ""),
            times=row.get("times", 1),
            left=row.get("times", 1),
        )
        for number, row in enumerate(fields.get("decisions", ()))
    ]
    return decisions, [_rule(row, f"rules.{number}") for number, row in enumerate(fields.get("rules", ()))]


def rules_of_file(text: str) -> Sequence[Rule]:
    """Read the rules of a TOML file: `[[rules]]`, each with `match` and `then`, as the control API takes them.

    Raises:
        BadField: a field breaks its rule, or means nothing; the file is not TOML.

    """
    fields = _toml(text)
    check_closed("control-script", fields)
    rows = fields.get("rules", ())
    return [_rule(row, f"rules.{number}", of_file=True) for number, row in enumerate(rows)]


def merchants_of_file(text: str) -> Sequence[Mapping[str, Any]]:
    """Read the merchants of a TOML file: `[[merchants]]`, each with what the control API takes, and a `client_id`.

    Raises:
        Refusal: a field breaks its rule, or means nothing; the file is not TOML.

    """
    fields = _toml(text)
    rows = fields.pop("merchants", [])
    for name in fields:
        raise BadField(name, "(not shown)", "merchants, as [[merchants]], and nothing else", CONTROL_API)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadField("merchants", "(not shown)", "tables, each as [[merchants]]", CONTROL_API)
    taken = {str(row["client_id"]) for row in resources.table("merchants")["merchant"]}
    found = []
    for number, row in enumerate(rows):
        where = f"merchants.{number}"
        try:
            facts = merchant("control-merchant", row)
        except Refusal as wrong:
            raise Refusal(f"{where}: {wrong}", field=wrong.field, rule=wrong.rule, source=wrong.source) from None
        client_id = facts.get("client_id", "")
        if not client_id or client_id in taken:
            raise BadField(f"{where}.client_id", client_id, "needed, and another one for each merchant", CONTROL_API)
        taken.add(client_id)
        found.append(facts)
    return found


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=_exact)
    except ValueError as wrong:
        raise Refusal(f"TOML is needed: {wrong}", field="file", rule="TOML", source="toml.io") from None


def faults(fields: Mapping[str, Any]) -> list[PlannedFault]:
    """Read faults.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-faults", fields)
    return [PlannedFault(id=0, **_floats(row)) for row in fields["faults"]]


class PaymentRequest(Record, kw_only=True):
    """A payment without a browser: the payment object's fields and the pay form's, as texts, and what else was said."""

    fields: Mapping[str, str]
    form: Mapping[str, str]
    more: Mapping[str, str]


def payment(fields: Mapping[str, Any]) -> PaymentRequest:
    """Read a payment without a browser.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-payment", fields)
    card = fields.get("card", _USUAL_CARD)
    known = issuer.card_of(card.replace(" ", "").replace("-", "")) if isinstance(card, str) else None
    if isinstance(card, str):
        date, code = (known.expiry, known.cvc) if known else (issuer.ANY_EXPIRY, issuer.ANY_CODE)
        card = {"pan": card, "expiry": date, "cvc": code}
    payer = {name: fields[name] for name in ("name", "email", "phone") if name in fields}
    more = {name: fields[name] for name in ("challenge", "token", "secret_hash", "plan") if name in fields}
    if "plan" in more:
        script.read_plan(more["plan"])
    return PaymentRequest(
        fields={theirs: _text(fields[ours]) for ours, theirs in _OBJECT.items() if ours in fields},
        form=card | payer | {"card_id": fields.get("saved_card", "")},
        more=more,
    )


def operation(fields: Mapping[str, Any]) -> Decimal | None:
    """Read how much is to be charged, cancelled or refunded; None is all of it.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-operation", fields)
    return operations.operation_amount({name: str(value) for name, value in fields.items()}, {}, Notes())


def answer(fields: Mapping[str, Any]) -> str:
    """Read what the cardholder does, who is asked by 3-D Secure.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-challenge", fields)
    return str(fields["answer"])


def link(fields: Mapping[str, Any], shop_id: str, free_number: str, notes: Notes) -> LinkRequest:
    """Read what is to be paid through an invoice link of a shop's.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-link", fields)
    number = fields.get("invoice_id") or free_number
    usual: dict[str, Any] = {"amount": 100, "currency": "KZT", "description": f"Order {number}", "language": "eng"}
    said = {_LINK.get(name, name): value for name, value in fields.items()}
    order = usual | said | {"invoice_id": number, "shop_id": shop_id}
    return orders.link_request(order | {"amount": Decimal(order["amount"])}, notes)


def session(fields: Mapping[str, Any]) -> tuple[str, str, str]:
    """Read who wants to sign in: e-mail address, password, or the merchant alone.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-session", fields)
    return fields.get("email", ""), fields.get("password", ""), fields.get("client_id", "")


def check(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read where a shop takes postlinks, and what is known of its orders.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-check", fields)
    return _floats(fields)


def resend(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Read what is other in a postlink that is sent once more: its address, its body, or fields of that.

    Raises:
        BadField: a field breaks its rule, or means nothing.

    """
    check_closed("control-resend", fields)
    if "url" in fields:
        links.check_postlink("url", fields["url"])
    changes: dict[str, Any] = {name: fields[name] for name in ("url", "fields") if name in fields}
    return changes | ({"body": fields["text"].encode("utf-8", "replace")} if "text" in fields else {})


def _rule(row: Mapping[str, Any], where: str, *, of_file: bool = False) -> Rule:
    match = row["match"]
    amount = match.get("amount", {})
    limits = amount if isinstance(amount, dict) else {"gte": amount, "lte": amount}
    if "pan" in match:
        _check_card(f"{where}.match.pan", match["pan"])
    texts = {name: match[name] for name in ("invoice_id", "description", "account_id") if name in match}
    return Rule(
        name=row.get("name", ""),
        match=Match(
            **texts,
            card=issuer.mask_of(match["pan"]) if "pan" in match else None,
            at_least=Decimal(limits["gte"]) if "gte" in limits else None,
            at_most=Decimal(limits["lte"]) if "lte" in limits else None,
        ),
        then=_direction(row["then"], f"{where}.then"),
        of_file=of_file,
    )


def _direction(row: Mapping[str, Any], where: str) -> Direction:
    reason_code, plan = row.get("reason_code"), row.get("plan", "")
    if reason_code and str(reason_code) not in resources.table("reasons"):
        raise BadField(f"{where}.reason_code", str(reason_code), _REASONS, CONTROL_API)
    if plan:
        script.read_plan(plan)
    return Direction(
        reason_code=reason_code, challenge=row.get("challenge"), plan=plan, delay_s=float(row.get("delay_s", 0))
    )


def _check_card(field: str, pan: str) -> None:
    if issuer.card_of(pan) is None:
        raise BadField(field, "(not shown)", _CARDS, CONTROL_API)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        rule: str = resources.schema("control-clock")["properties"]["set"]["x-rule"]
        raise BadField("set", text, rule, CONTROL_API) from None


def _exact(text: str) -> Decimal:
    with suppress(ArithmeticError):
        number = Decimal(text)
        if number.is_finite():
            return number
    raise ValueError(f"{text} is beyond all numbers")


def _floats(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in row.items()}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
