"""The schemas: complete, served, and in agreement with the documented samples."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError

from mock_epay import resources
from mock_epay.errors import BadField, Refusal
from mock_epay.model import EVENTS, DeliveryState, Status
from mock_epay.notes import Notes
from mock_epay.script import PLACES
from mock_epay.wire import contracts

NAMES = sorted(resources.schema_names())
TERMINAL: Final = "67e34d63-102f-4bd1-898e-370781d0074d"
SOMETHING: Final = "e7e2587f-de26-4f41-ae1f-80c1fea31728"
MOMENT: Final = "2025-02-08T21:22:44.382801+05:00"

POSTLINK: dict[str, Any] = {
    "id": "ffffffff-0000-000f-f000-00f0000f000f",
    "dateTime": "2020-01-01T00:00:00.00000+06:00",
    "invoiceId": "10000000001",
    "invoiceIdAlt": "8564546",
    "amount": 100,
    "currency": "KZT",
    "terminal": "67e34d63-102f-4bd1-898e-370781d0074d",
    "accountId": "1",
    "description": "Интернет дүкенде төлеу ",
    "language": "RU",
    "cardMask": "4444...4444",
    "cardType": "",
    "issuer": "Halyk bank",
    "reference": "001111111111",
    "secure": "yes",
    "tokenRecipient": "",
    "code": "ok",
    "reason": "",
    "reasonCode": 0,
    "name": "CARD HOLDER",
    "email": "ch@example.kz",
    "phone": "77777777777",
    "ip": "5.188.155.135",
    "ipCountry": "Kazakhstan",
    "ipCity": "Almaty",
    "ipRegion": "",
    "ipDistrict": "",
    "ipLongitude": 76.9293,
    "ipLatitude": 43.2638,
    "cardId": "e7e2587f-de26-4f41-ae1f-80c1fea31728",
}
FAILURE = {name: value for name, value in POSTLINK.items() if name != "cardId"} | {
    "reference": "",
    "code": "error",
    "reason": "қатенің сипаттамасы",
    "reasonCode": 498,
}
TOKEN = {
    "access_token": "DCEB8O_ZM5U7SO_T_U5EJQ",
    "expires_in": 7200,
    "refresh_token": "",
    "scope": " webapi usermanagement email_send verification statement statistics payment",
    "token_type": "Bearer",
}
PAID: dict[str, Any] = {
    "id": SOMETHING,
    "accountId": "customer-1",
    "amount": 100,
    "amountBonus": 0,
    "currency": "KZT",
    "description": "Order",
    "email": "",
    "invoiceID": "000000001",
    "language": "rus",
    "phone": "",
    "reference": "001111111111",
    "intReference": "ABCDEFGH12345678",
    "secure3D": None,
    "cardID": SOMETHING,
    "fee": 0,
    "approvalCode": "123456",
    "code": 0,
    "status": "CHARGE",
}
SECURE: dict[str, Any] = {
    "paReq": "eJxVUt1ugjAUfhXD",
    "md": SOMETHING,
    "action": "http://127.0.0.1:8080/acs",
    "termURL": "http://127.0.0.1:8080/api/payments/cards/confirmPayment?Access=DCEB8O_ZM5U7SO_T_U5EJQ",
}
IN_3D = PAID | {"secure3D": SECURE, "reference": "", "intReference": "", "approvalCode": "", "status": "3D"}
SAVED_CARD = {
    "ID": SOMETHING,
    "TransactionId": SOMETHING,
    "MerchantID": "test",
    "CardHash": "0123456789abcdef" * 4,
    "CardMask": "4405...5096",
    "PayerName": "CARD HOLDER",
    "Reference": "001111111111",
    "IntReference": "ABCDEFGH12345678",
    "Token": "",
    "Terminal": TERMINAL,
    "CreatedDate": MOMENT,
    "PaymentAvailable": True,
    "AccountID": "customer-1",
}
LINK: dict[str, Any] = {
    "id": SOMETHING,
    "invoice_url": f"http://127.0.0.1:8080/api/redirect/invoice-link/{SOMETHING}",
    "status": "ACTIVE",
    "invoice_id": "25458124232312321",
    "amount": 100,
    "currency": "KZT",
    "expire_date": MOMENT,
}
MERCHANT = {"id": "test", "tradeName": "Shop", "companyName": "Shop and Sons", "description": "", "phone": ""}
PLACE: dict[str, Any] = {"id": SOMETHING, "name": "Shop", "url": "", "merchant": MERCHANT}
TERMINAL_INFO = {"id": TERMINAL, "terminalId": "92061101", "singleMessageScheme": True, "shop": PLACE}
STATUS: dict[str, Any] = {
    "id": SOMETHING,
    "createdDate": MOMENT,
    "invoiceID": "25458124232312321",
    "invoiceIDAlt": "",
    "amount": 0,
    "amountBonus": 0,
    "payoutAmount": 0,
    "orgAmount": 0,
    "approvalCode": "123456",
    "data": "",
    "currency": "USD",
    "terminal": "92061101",
    "terminalID": TERMINAL,
    "accountID": "customer-1",
    "description": "Order",
    "language": "rus",
    "cardMask": "4405...5096",
    "cardType": "VISA",
    "issuer": "Halyk Bank",
    "reference": "001111111111",
    "reason": "",
    "reasonCode": "0",
    "intReference": "ABCDEFGH12345678",
    "secure": True,
    "secureDetails": "",
    "statusID": "11",
    "statusName": "VERIFIED",
    "name": "CARD HOLDER",
    "email": "",
    "phone": "",
    "cardID": SOMETHING,
    "xlsRRN": "",
    "ip": "5.188.155.135",
    "ipCountry": "Kazakhstan",
    "ipCity": "Almaty",
    "ipRegion": "",
    "ipDistrict": "",
    "ipLatitude": 43.2638,
    "ipLongitude": 76.9293,
}
SAMPLES: dict[str, dict[str, Any]] = {
    "postlink-success": POSTLINK,
    "postlink-failure": FAILURE,
    "token-response": TOKEN,
    "card-payment-response": PAID,
    "invoice-link-response": LINK,
    "terminal-response": TERMINAL_INFO,
    "status-response": {"resultCode": "100", "resultMessage": "found", "transaction": STATUS},
}

ORDER: dict[str, Any] = {
    "amount": 100,
    "currency": "KZT",
    "name": "CARD HOLDER",
    "invoiceId": "000000001",
    "invoiceIdAlt": "000000002",
    "description": "Order",
    "accountId": "customer-1",
    "email": "customer@example.kz",
    "phone": "77770000000",
    "postLink": "https://example.kz/post",
    "failurePostLink": "https://example.kz/post?failure",
    "backLink": "https://example.kz/",
    "failureBackLink": "https://example.kz/failure",
    "recurrent": False,
    "data": "{}",
    "language": "rus",
}
REQUESTS: dict[str, dict[str, Any]] = {
    "token-request": {
        "grant_type": "client_credentials",
        "scope": "payment",
        "client_id": "test",
        "client_secret": "secret",
        "invoiceID": "000000001",
        "amount": "100",
        "currency": "KZT",
        "terminal": TERMINAL,
    },
    "payment-object": ORDER | {"terminal": TERMINAL, "cardSave": True, "autoBackLink": False, "auth": TOKEN},
    "card-payment-request": ORDER
    | {"terminalId": TERMINAL, "cryptogram": "A" * 684, "cardSave": True, "paymentType": "card"},
    "saved-card-payment-request": ORDER
    | {"terminalId": TERMINAL, "paymentType": "cardId", "cardId": {"id": SOMETHING}},
    "invoice-link-request": {
        "shop_id": "04f25a4b-d2bd-4dd8-b3a7-9390be4774c4",
        "account_id": "0003413423",
        "invoice_id": "25458124232312321",
        "amount": 100,
        "language": "rus",
        "description": "Order",
        "expire_period": "1d",
        "recipient_contact": "customer@example.kz",
        "recipient_contact_sms": "+77770000000",
        "notifier_contact_sms": "+77770000000",
        "currency": "KZT",
        "post_link": "https://example.kz/post",
        "failure_post_link": "https://example.kz/post?failure",
        "back_link": "https://example.kz/",
        "failure_back_link": "https://example.kz/failure",
        "data": "{}",
    },
    "confirm-request": {"ID": SOMETHING, "PaRes": "eJxVUt1ugjAUfhXD", "MD": SOMETHING},
    "confirm-form": {"MD": SOMETHING, "PaRes": "eJxVUt1ugjAUfhXD"},
}
NEEDED = {
    "token-request": {"grant_type", "scope", "client_id", "client_secret"},
    "payment-object": {
        *("invoiceId", "backLink", "language", "description"),
        *("terminal", "amount", "currency", "auth"),
    },
    "card-payment-request": {"amount", "currency", "cryptogram", "invoiceId"},
    "saved-card-payment-request": {"amount", "currency", "cardId", "invoiceId"},
    "invoice-link-request": {"shop_id", "invoice_id", "amount", "currency", "description"},
    "confirm-request": {"ID", "PaRes", "MD"},
    "confirm-form": {"MD", "PaRes"},
}
# A value that breaks the rule of each field that has one to break, besides the wrong type.
BROKEN: dict[str, Any] = {
    "amount": -1,
    "currency": "EUR",
    "name": "a" * 256,
    "cryptogram": "A" * 4097,
    "invoiceId": "1" * 16,
    "invoiceIdAlt": "12345",
    "description": "ж" * 63,
    "accountId": "a" * 256,
    "account_id": "a" * 256,
    "email": "a" * 256,
    "phone": "1" * 65,
    "postLink": "example.kz",
    "failurePostLink": "https//example.kz",
    "backLink": "ftp://example.kz",
    "failureBackLink": "https://",
    "post_link": "example.kz",
    "failure_post_link": "https//example.kz",
    "back_link": "ftp://example.kz",
    "failure_back_link": "https://",
    "cardSave": "true",
    "recurrent": "false",
    "data": "a" * 4097,
    "terminal": "92061101",
    "terminalId": "92061101",
    "language": "klingon",
    "cardId": {"id": "1"},
    "shop_id": "1",
    "invoice_id": "1" * 18,
    "expire_period": "1w",
    "recipient_contact": "a" * 256,
    "recipient_contact_sms": "1" * 65,
    "notifier_contact_sms": "1" * 65,
    "ID": "1",
    "PaRes": "a" * 65537,
    "MD": "a" * 1025,
}
LENIENT = {
    "token-request": {"scope", "invoiceID"},
    "invoice-link-request": {
        *("invoice_id", "description", "language", "account_id"),
        *("recipient_contact", "recipient_contact_sms", "notifier_contact_sms"),
    },
    "payment-object": {
        *("invoiceId", "invoiceIdAlt", "language", "description", "accountId", "name", "email", "phone"),
        *("cardSave", "recurrent", "autoBackLink", "data", "paymentType"),
    },
}
LENIENT["card-payment-request"] = LENIENT["payment-object"] - {"autoBackLink"}
LENIENT["saved-card-payment-request"] = LENIENT["payment-object"] - {"autoBackLink", "cardSave"}


# The control API's requests; the samples of these and of its answers stand in the OpenAPI document.
CONTROL_REQUESTS: Final = {
    f"control-{name}"
    for name in (
        *("challenge", "check", "clock", "faults", "link", "merchant", "merchant-change"),
        *("operation", "payment", "resend", "script", "session"),
    )
}


def _samples_of_control(part: Any) -> Iterator[tuple[str, Any]]:
    """Return what the OpenAPI document has as examples of the control API's bodies, each with its schema's name."""
    if isinstance(part, list):
        yield from chain.from_iterable(map(_samples_of_control, part))
    if not isinstance(part, dict):
        return
    name = part["schema"].get("$ref", "") if isinstance(part.get("schema"), dict) else ""
    if name.startswith("control-"):
        named = [one["value"] for one in part.get("examples", {}).values()]
        yield from ((name.removesuffix(".json"), one) for one in named or [part["example"]])
    yield from chain.from_iterable(map(_samples_of_control, part.values()))


_DOCUMENT: Final = json.loads(resources.OPENAPI.read_text("utf-8"))
_CHECK: Final = _DOCUMENT["paths"]["/_control/merchants/{client_id}/check-handler"]["post"]["responses"]["200"]
_VERDICT: Final = _CHECK["content"]["application/x-ndjson"]["example"]
CONTROL: Final = list(_samples_of_control(_DOCUMENT))
CONTROL.append(("control-verdict", _VERDICT))
CONTROL.append(
    ("control-scorecard", {"post_link": "https://shop.example/", "safe": True, "advice": "", "checks": [_VERDICT]})
)
CONTROL.append(("control-event", next(sample for name, sample in CONTROL if name == "control-events")["events"][0]))
# Where an answer leaves out what there is not, and where anything may stand.
NOT_ALL: Final = {"match", "then", "amount"}
ANYTHING: Final = {"body", "facts"}


def _rows(part: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the rows of a schema, or of a part of it, however deep."""
    for field, row in part.get("properties", {}).items():
        yield field, row
        yield from _rows(row)
    for choice in [*part.get("anyOf", []), *([part["items"]] if "items" in part else [])]:
        yield from _rows(choice)


def _agrees(name: str, body: Any) -> bool:
    """Say whether what we would send is what the schema says."""
    try:
        contracts.encode(name, body, check=True)
    except ValidationError:
        return False
    return True


def _refused(name: str, fields: dict[str, Any], notes: Notes | None = None) -> BadField | None:
    """Return the refusal that a request earns."""
    try:
        contracts.check_request(name, dict(fields), notes or Notes())
    except BadField as refusal:
        return refusal
    return None


def test_all_contracts_have_a_schema() -> None:
    assert {name.removesuffix("-observed") for name in NAMES} == {*SAMPLES, *REQUESTS} | {
        name for name, _ in CONTROL
    } | {
        "error",
        "operation-response",
        "saved-cards",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_explains_each_field(name: str) -> None:
    schema = resources.schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{name}.json"
    assert schema["title"]
    assert schema["x-document"]
    rows = list(_rows(schema))
    assert rows
    known_from = {"sandbox"} if name.startswith("control-") else {"documented", "observed", "assumed"}
    for field, row in rows:
        assert row["description"], field
        assert row["x-source"] in known_from, field
        assert {"type", "enum", "const", "anyOf", "$ref"} & set(row), field


LIMITS = {
    "string": {"maxLength", "pattern", "enum", "const", "x-maxBytes"},
    "number": {"minimum", "exclusiveMinimum", "const"},
}
LIMITS["integer"] = LIMITS["number"]


@pytest.mark.parametrize("name", NAMES)
def test_each_text_and_number_has_limits(name: str) -> None:
    for field, row in _rows(resources.schema(name)):
        kinds = row.get("type", ())
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            assert field in ANYTHING or kind not in LIMITS or LIMITS[kind] & set(row), field


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_what_merchants_send_is_open_and_each_field_states_its_rule(name: str) -> None:
    schema = resources.schema(name)
    assert schema.get("additionalProperties", True) is True
    assert all(row["x-rule"] for _, row in _rows(schema))


@pytest.mark.parametrize("name", sorted(CONTROL_REQUESTS))
def test_what_tests_ask_for_is_closed_and_each_field_states_its_rule(name: str) -> None:
    schema = resources.schema(name)
    assert [part for part in _objects(schema) if part["additionalProperties"] is not False] == []
    assert all(row["x-rule"] for _, row in _rows(schema))


@pytest.mark.parametrize("name", sorted({name for name, _ in CONTROL} - CONTROL_REQUESTS))
def test_what_tests_are_told_is_closed_and_complete(name: str) -> None:
    schema = resources.schema(name)
    assert [part for part in _objects(schema) if part["additionalProperties"] is not False] == []
    left_out = {field for part in _objects(schema) for field in part["properties"].keys() - part.get("required", [])}
    then = {"reason_code", "challenge", "plan", "delay_s"}
    match = {"invoice_id", "amount", "gte", "lte", "pan", "description", "account_id"}
    assert left_out == (match | then if name == "control-script-response" else set())


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_requests_are_taken_with_all_their_fields_and_with_those_that_are_needed(name: str) -> None:
    sample = REQUESTS[name]
    assert NEEDED[name] == set(resources.schema(name)["required"])
    assert _refused(name, sample | {"more": 1}) is None
    needed = {field: value for field, value in sample.items() if field in NEEDED[name]}
    assert _refused(name, needed) is None
    for field in needed:
        refusal = _refused(name, {key: value for key, value in needed.items() if key != field})
        assert refusal is not None, field
        assert refusal.field == field


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_each_field_of_a_request_has_its_type_and_rule(name: str) -> None:
    sample = REQUESTS[name]
    for field in sample:
        for value in ([1], BROKEN.get(field, [1])):
            refusal = _refused(name, sample | {field: value})
            assert refusal is not None, field
            assert str(refusal.field).partition(".")[0] == field


@pytest.mark.parametrize("name", ["payment-object", "card-payment-request", "saved-card-payment-request"])
def test_the_ways_to_pay_agree_on_what_they_have_in_common(name: str) -> None:
    def rules(of: str) -> dict[str, dict[str, Any]]:
        rows = resources.schema(of)["properties"]
        return {field: {key: row.get(key) for key in ("maxLength", "pattern", "enum")} for field, row in rows.items()}

    known = rules("payment-object")
    known["terminalId"] = known["terminal"]
    del known["paymentType"]
    assert {field: row for field, row in rules(name).items() if row != known.get(field, row)} == {}
    link = rules("invoice-link-request")
    for field, named in (("post_link", "postLink"), ("back_link", "backLink"), ("language", "language")):
        assert link[field] == known[named]


@pytest.mark.parametrize("name", ["payment-object", "card-payment-request"])
def test_a_card_is_saved_for_somebody(name: str) -> None:
    nobody = {field: value for field, value in REQUESTS[name].items() if field != "accountId"}
    refusal = _refused(name, nobody)
    assert refusal is not None
    assert refusal.field == "accountId"
    assert _refused(name, nobody | {"cardSave": False}) is None


@pytest.mark.parametrize("name", ["payment-object", "card-payment-request"])
def test_a_card_is_verified_with_nothing_in_dollars(name: str) -> None:
    verified = REQUESTS[name] | {"paymentType": "cardVerification", "amount": 0, "currency": "USD"}
    assert _refused(name, verified) is None
    for field, value in (("amount", 100), ("currency", "KZT")):
        refusal = _refused(name, verified | {field: value})
        assert refusal is not None
        assert refusal.field == field
        assert "when a card is verified" in str(refusal)
        assert _refused(name, verified | {field: value, "paymentType": "card"}) is None


def test_a_user_of_the_cabinet_has_a_name_and_a_password() -> None:
    user = {"username": "epay@halykbank.kz", "password": "XZG1E@Mm"}
    asked = REQUESTS["token-request"] | {"grant_type": "password"}
    assert _refused("token-request", asked | user) is None
    for field in user:
        refusal = _refused("token-request", asked | {key: value for key, value in user.items() if key != field})
        assert refusal is not None
        assert refusal.field == field
    refusal = _refused("token-request", asked | user | {"password": "secret" * 50})
    assert refusal is not None
    assert "secret" not in str(refusal)
    refusal = _refused("token-request", asked | {"grant_type": "refresh_token"})
    assert refusal is not None
    assert refusal.error == "unsupported_grant_type"


def test_a_saved_card_says_so_or_nothing() -> None:
    name = "saved-card-payment-request"
    refusal = _refused(name, REQUESTS[name] | {"paymentType": "cardVerification"})
    assert refusal is not None
    assert refusal.field == "paymentType"
    refusal = _refused(name, REQUESTS[name] | {"cardId": {}})
    assert refusal is not None
    assert refusal.field == "cardId"


@pytest.mark.parametrize(
    ("period", "taken"),
    [("1d", True), ("999h", True), ("30m", True), ("0d", False), ("1000d", False), ("d", False), ("-1d", False)],
)
def test_a_link_lasts_days_hours_or_minutes(period: str, taken: bool) -> None:
    name = "invoice-link-request"
    assert (_refused(name, REQUESTS[name] | {"expire_period": period}) is None) is taken


@pytest.mark.parametrize("name", NAMES)
def test_lenient_are_only_fields_of_requests_that_neither_money_nor_safety_hangs_on(name: str) -> None:
    rows = list(_rows(resources.schema(name)))
    assert {field for field, row in rows if "x-lenient" in row} == LENIENT.get(name, set())
    assert all(row.get("x-lenient", True) is True for _, row in rows)
    assert not LENIENT.get(name, set()) & {
        *("amount", "currency", "terminal", "terminalId", "shop_id", "auth", "access_token", "cryptogram", "cardId"),
        *("id", "client_id", "client_secret", "grant_type", "username", "password", "secret_hash", "MD", "PaRes"),
        *("postLink", "failurePostLink", "backLink", "failureBackLink"),
        *("post_link", "failure_post_link", "back_link", "failure_back_link"),
    }


@pytest.mark.parametrize("name", sorted(LENIENT))
def test_a_lenient_rule_is_one_that_a_broken_request_can_do_without(name: str) -> None:
    for field in REQUESTS[name].keys() & BROKEN.keys():
        notes = Notes(lenient=True)
        refusal = _refused(name, REQUESTS[name] | {field: BROKEN[field]}, notes)
        assert (refusal is None) is (field in LENIENT[name]), field
        assert [hint.field for hint in notes.hints] == ([field] if refusal is None else [])


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_samples_are_valid_with_their_fields_in_order(name: str) -> None:
    contracts.encode(name, SAMPLES[name], check=True)
    fields = list(resources.schema(name)["properties"])
    assert [field for field in fields if field in SAMPLES[name]] == list(SAMPLES[name])


@pytest.mark.parametrize(("name", "sample"), [*SAMPLES.items(), ("card-payment-response", IN_3D)])
def test_what_we_send_is_strict(name: str, sample: dict[str, Any]) -> None:
    _is_strict(name, sample)


@pytest.mark.parametrize(
    ("name", "sample", "way"),
    [
        ("card-payment-response", IN_3D, ["secure3D"]),
        ("terminal-response", TERMINAL_INFO, ["shop"]),
        ("terminal-response", TERMINAL_INFO, ["shop", "merchant"]),
        ("status-response", SAMPLES["status-response"], ["transaction"]),
    ],
)
def test_what_we_send_is_strict_inside_too(name: str, sample: dict[str, Any], way: list[str]) -> None:
    inner = sample
    for step in way:
        inner = inner[step]
    for changed in _changes(inner):
        assert not _agrees(name, _put(sample, way, changed)), changed


def test_the_list_of_saved_cards_is_strict_and_not_empty() -> None:
    assert list(resources.schema("saved-cards")["items"]["properties"]) == list(SAVED_CARD)
    assert _agrees("saved-cards", [SAVED_CARD, SAVED_CARD | {"CardMask": "440563...5096"}])
    assert not _agrees("saved-cards", [])
    assert not _agrees("saved-cards", SAVED_CARD)
    for changed in _changes(SAVED_CARD):
        assert not _agrees("saved-cards", [SAVED_CARD, changed]), changed


@pytest.mark.parametrize(
    "wrong",
    [
        {"CardMask": "4405639704015096"},
        {"CardHash": "4405639704015096"},
        {"CreatedDate": "2025-02-08"},
        {"ID": ""},
        {"Terminal": "92061101"},
    ],
)
def test_a_saved_card_gives_nothing_away(wrong: dict[str, Any]) -> None:
    assert not _agrees("saved-cards", [SAVED_CARD | wrong])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("card-payment-response", {"status": "NEW"}),
        ("card-payment-response", {"code": 1}),
        ("card-payment-response", {"secure3D": SECURE | {"action": "/acs"}}),
        ("card-payment-response", {"secure3D": SECURE | {"paReq": ""}}),
        ("card-payment-response", {"fee": -1}),
        ("invoice-link-response", {"invoice_url": "/payform/"}),
        ("invoice-link-response", {"status": "PAID"}),
        ("invoice-link-response", {"expire_date": "1d"}),
        ("terminal-response", {"terminalId": TERMINAL}),
        ("terminal-response", {"singleMessageScheme": "true"}),
        ("terminal-response", {"shop": PLACE | {"id": "1"}}),
    ],
)
def test_values_have_limits(name: str, wrong: dict[str, Any]) -> None:
    assert not _agrees(name, SAMPLES[name] | wrong)


@pytest.mark.parametrize("status", ["CHARGE", "AUTH", "VERIFIED", "3D", "CANCEL", "CANCEL_OLD", "REFUND"])
def test_a_card_payment_ends_like_this(status: str) -> None:
    assert _agrees("card-payment-response", PAID | {"status": status, "amount": 0, "currency": "USD"})


@pytest.mark.parametrize("name", ["postlink-success", "postlink-failure"])
def test_a_postlink_may_be_about_a_verified_card_or_an_invoice_link(name: str) -> None:
    sample = SAMPLES[name]
    assert _agrees(name, sample | {"amount": 0, "currency": "USD", "secure": "yes", "invoiceId": "1" * 17})
    assert not _agrees(name, sample | {"invoiceId": "1" * 18})
    rows = resources.schema(f"{name}-observed")["properties"]
    assert {rows["invoiceId"]["pattern"]} == {resources.schema(name)["properties"]["invoiceId"]["pattern"]}


@pytest.mark.parametrize(("name", "zero"), [("status-response", "0"), ("status-response-observed", "00")])
@pytest.mark.parametrize("status", ["3D", "VERIFIED", "FAILED", "FINGERPRINT"])
def test_a_status_may_be_about_a_verified_card_or_an_invoice_link(name: str, zero: str, status: str) -> None:
    found = STATUS | {"statusName": status, "reasonCode": zero}
    assert _agrees(name, {"resultCode": "100", "resultMessage": "", "transaction": found})
    assert _agrees(name, {"resultCode": "103", "resultMessage": "", "transaction": None})
    longer = found | {"invoiceID": "1" * 18}
    assert not _agrees(name, {"resultCode": "100", "resultMessage": "", "transaction": longer})


@pytest.mark.parametrize(("name", "sample"), [one for one in CONTROL if one[0] in CONTROL_REQUESTS])
def test_a_test_is_told_which_field_of_its_request_is_wrong(name: str, sample: dict[str, Any]) -> None:
    contracts.check_closed(name, sample)
    for way, inner in _objects_in(sample):
        if way[:1] == ["fields"]:
            continue  # these are the bank's
        with pytest.raises(Refusal) as refused:
            contracts.check_closed(name, _put(sample, way, inner | {"more": 1}))
        assert refused.value.field in {".".join([*way, "more"]), ".".join(way)}
        for field, value in inner.items():
            with pytest.raises(Refusal) as refused:
                contracts.check_closed(name, _put(sample, way, inner | {field: _other(value)}))
            named = str(refused.value.field)
            assert named
            assert ".".join([*way, field]).startswith(named) or named.startswith(".".join([*way, field]))


@pytest.mark.parametrize(("name", "sample"), [one for one in CONTROL if one[0] not in CONTROL_REQUESTS])
def test_what_tests_are_told_is_strict_however_deep(name: str, sample: dict[str, Any]) -> None:
    assert _agrees(name, sample)
    for way, inner in _objects_in(sample):
        if ANYTHING & set(way):
            continue
        assert not _agrees(name, _put(sample, way, inner | {"more": 1})), way
        for field, value in inner.items():
            assert not _agrees(name, _put(sample, way, inner | {field: _other(value)})), [*way, field]
            less = {key: other for key, other in inner.items() if key != field}
            assert _agrees(name, _put(sample, way, less)) is bool(NOT_ALL & set(way)), [*way, field]


def test_the_control_api_knows_the_words_of_the_bank() -> None:
    def words(name: str, *way: str) -> list[str]:
        part: Any = resources.schema(f"control-{name}")
        for step in way:
            part = part[step] if step == "items" else part["properties"][step]
        found: list[str] = part["enum"]
        return found

    assert words("event", "kind") == list(EVENTS)
    assert words("transaction", "status") == list(Status)
    assert words("invoices", "invoices", "items", "status") == ["", *Status]
    assert words("postlink", "state") == list(DeliveryState)
    assert words("faults", "faults", "items", "at") == list(PLACES)
    assert words("faults-response", "faults", "items", "at") == list(PLACES)


def test_success_and_failure_are_told_apart() -> None:
    assert len(POSTLINK) == 30
    for name, other in (("postlink-success", FAILURE), ("postlink-failure", POSTLINK)):
        assert not _agrees(name, other)


def _is_strict(name: str, sample: dict[str, Any]) -> None:
    assert _agrees(name, sample)
    for changed in _changes(sample):
        assert not _agrees(name, changed), changed


def _changes(sample: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return what a strict schema must not take: a field too few, one of another type, one too many."""
    for field, value in sample.items():
        yield {key: other for key, other in sample.items() if key != field}
        yield sample | {field: [value]}
    yield sample | {"more": 1}


def _objects(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the parts of a schema that know their fields, however deep."""
    if "properties" in part:
        yield part
    inside = [
        *part.get("properties", {}).values(),
        *part.get("anyOf", []),
        *([part["items"]] if "items" in part else []),
    ]
    yield from chain.from_iterable(map(_objects, inside))


def _objects_in(sample: Any, way: Sequence[str] = ()) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Return the objects in a sample, however deep, and the ways there."""
    if isinstance(sample, dict):
        yield [*way], sample
    steps = sample.items() if isinstance(sample, dict) else enumerate(sample) if isinstance(sample, list) else ()
    for step, inner in steps:
        yield from _objects_in(inner, [*way, str(step)])


def _put(sample: Any, way: Sequence[str], inner: Any) -> Any:
    """Return a sample in which something else stands at the end of the way."""
    if not way:
        return inner
    step, *rest = way
    if isinstance(sample, list):
        return [_put(one, rest, inner) if str(number) == step else one for number, one in enumerate(sample)]
    return sample | {step: _put(sample[step], rest, inner)}


def _other(value: Any) -> Any:
    """Return what has another type than a value."""
    return [value] if isinstance(value, dict) else {"wrong": value}


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_served_to_everybody(http: httpx.Client, name: str) -> None:
    response = http.get(f"/schemas/{name}.json")
    assert response.headers["content-type"].startswith("application/schema+json")
    assert response.headers["access-control-allow-origin"] == "*"
    assert json.loads(response.text) == resources.schema(name)


def test_a_schema_that_is_not_there_lists_those_that_are(http: httpx.Client) -> None:
    response = http.get("/schemas/postlink.json")
    assert response.status_code == 404
    assert "postlink-success" in response.json()["message"]
