"""The bank's spelling: dates, money, languages."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import a_transaction

from mock_epay import lz, resources
from mock_epay.errors import BadField, Refusal
from mock_epay.notes import Notes
from mock_epay.wire import bodies, contracts, links, orders, outgoing, tokens


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2024, 2, 29, 17, 59, 59, 123456, UTC), "2024-02-29T23:59:59.12345+06:00"),
        (datetime(2024, 3, 1, 12, 0, 0, 0, UTC), "2024-03-01T17:00:00.00000+05:00"),
        (datetime(2026, 11, 24, 19, 0, 0, 999999, UTC), "2026-11-25T00:00:00.99999+05:00"),
    ],
)
def test_moments_are_almaty_time_with_five_digits(moment: datetime, written: str) -> None:
    assert outgoing.postlink(a_transaction(created_at=moment), "")["dateTime"] == written


@pytest.mark.parametrize(("amount", "written"), [("100", 100), ("100.00", 100), ("1500.5", 1500.5), ("0.01", 0.01)])
def test_money_is_a_number_and_whole_when_it_is_whole(amount: str, written: float) -> None:
    assert outgoing.number(Decimal(amount)) == written
    assert isinstance(outgoing.number(Decimal(amount)), type(written))


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("rus", "rus"),
        ("RUS", "rus"),
        ("ru-RU", "rus"),
        ("kaz", "kaz"),
        ("KZ", "kaz"),
        ("kk", "kaz"),
        ("eng", "eng"),
        ("EN", "eng"),
        ("en-US", "eng"),
        ("", "rus"),
        ("?", "rus"),
    ],
)
def test_a_language_is_known_in_each_of_its_spellings(text: str, reads: str) -> None:
    assert orders.page_language(text) == reads


def test_json_numbers_and_booleans_become_the_text_that_stood_there() -> None:
    body = b'{"amount": 100.00, "a": 12345678901234567890, "b": true, "c": false, "d": null, "e": "x"}'
    read = bodies.json_fields(body)
    assert read == {"amount": "100.00", "a": "12345678901234567890", "b": "true", "c": "false", "d": "", "e": "x"}


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\xff", b"1", b'{"a": {}}', b'{"a": []}'])
def test_json_that_holds_no_fields_is_refused(body: bytes) -> None:
    with pytest.raises(BadField):
        bodies.json_fields(body)


def test_only_http_addresses_are_links() -> None:
    assert links.link(" https://example.kz/a?b#c ") == "https://example.kz/a?b#c"
    for text in ("", "javascript:alert(1)", "//example.kz", "http://", "data:text/html,x", "ftp://example.kz/"):
        assert links.link(text) is None


def test_an_approved_reason_is_empty_and_others_have_words_in_the_pages_language() -> None:
    body = outgoing.postlink(a_transaction(reason_code=504), "")
    assert body["reason"] == outgoing.reason(504, "rus")
    assert outgoing.reason(504, "rus") != outgoing.reason(504, "kaz") != outgoing.reason(504, "eng")


def test_half_a_surrogate_pair_in_a_body_does_no_harm() -> None:
    assert contracts.encode("error", {"message": "\ud83d"}, check=False) == b'{"message":"?"}'


TEXTS = st.one_of(
    st.text(max_size=30), st.sampled_from(["1", "100.5", "true", "KZT", "rus", "payment", "9" * 500, "\0"])
)
REQUEST_FIELDS = st.sampled_from([*resources.schema("token-request")["properties"], "invoiceId", "curency", "other"])
OBJECT_FIELDS = st.sampled_from([*resources.schema("payment-object")["properties"], "other"])
ORDER = {
    "invoiceId": "000000001",
    "backLink": "https://example.kz/",
    "language": "rus",
    "description": "Order",
    "terminal": "67e34d63-102f-4bd1-898e-370781d0074d",
    "amount": "100",
    "currency": "KZT",
    "auth": "access_token=DCEB8O_ZM5U7SO_T_U5EJQ",
}
REQUEST = {"grant_type": "client_credentials", "scope": "payment", "client_id": "test", "client_secret": "secret"}


@settings(deadline=None)
@given(changes=st.dictionaries(REQUEST_FIELDS, TEXTS))
def test_any_token_request_is_read_or_refused_by_field(changes: dict[str, str]) -> None:
    fields = REQUEST | changes
    with suppress(BadField):
        assert tokens.token_request(fields, Notes()).scope == fields["scope"]


@settings(deadline=None)
@given(changes=st.dictionaries(OBJECT_FIELDS, TEXTS))
def test_any_payment_object_is_read_or_refused_by_field(changes: dict[str, str]) -> None:
    fields = ORDER | changes
    try:
        order, token = orders.payment_object(fields, orders.token_answer(fields), Notes())
    except Refusal as refusal:
        _check_refusal(refusal)
    else:
        assert order.description == fields["description"]
        assert token
        assert dict(orders.object_pairs(order))["invoiceId"] == order.invoice_id


def _check_refusal(refusal: Refusal) -> None:
    assert refusal.field
    assert json.loads(contracts.encode("error", outgoing.error(refusal), check=True))["field"] == refusal.field


def test_a_whole_payment_object_survives_the_way_to_the_page() -> None:
    order = {
        "invoiceId": "000000001",
        "invoiceIdAlt": "8564546",
        "backLink": "https://example.kz/success.html",
        "failureBackLink": "https://example.kz/failure.html",
        "postLink": "https://example.kz/",
        "failurePostLink": "https://example.kz/order/1123/fail",
        "language": "rus",
        "description": "Интернет дүкенде төлеу ",
        "accountId": "testuser1",
        "terminal": "67e34d63-102f-4bd1-898e-370781d0074d",
        "amount": 100,
        "data": '{"statement":{"name":"Arman Ali","invoiceID":"80000016"}}',
        "currency": "KZT",
        "phone": "77777777777",
        "name": "Arman Ali",
        "email": "example@example.com",
        "cardSave": True,
    }
    auth = {"access_token": "DCEB8O_ZM5U7SO_T_U5EJQ", "expires_in": 7200, "scope": " payment email_send"}
    pairs = orders.page_address(lz.compress(lz.flatten(order | {"auth": auth})))
    read, token = orders.payment_object(pairs, orders.token_answer(pairs), Notes())
    assert token == auth["access_token"]
    shown = {name: "true" if value is True else str(value) for name, value in order.items()}
    assert dict(orders.object_pairs(read)) == shown


def test_the_header_with_hints_stays_short_and_ascii() -> None:
    notes = Notes()
    for number in range(20):
        notes.remark("data-not-json", f"{number}{'ж' * 100}", "ж" * 100)
    text = outgoing.hints(notes.hints)
    assert len(text) <= 4096
    assert text.isascii()
    assert 0 < len(json.loads(text)) < 20


@pytest.mark.parametrize(("value", "found"), [({}, "an object"), ([], "an array")])
def test_a_value_that_is_no_text_is_named_for_what_it_is(value: object, found: str) -> None:
    with pytest.raises(BadField) as caught:
        bodies.json_fields(json.dumps({"a" * 200: value}).encode())
    assert caught.value.value == found
    assert contracts.encode("error", outgoing.error(caught.value), check=True)


@pytest.mark.parametrize(("amount", "taken"), [("999999999999.99", True), ("1000000000000", False)])
def test_the_largest_amount_is_the_same_for_everybody(amount: str, taken: bool) -> None:
    try:
        orders.payment_object(ORDER | {"amount": amount}, orders.token_answer(ORDER), Notes())
    except BadField as refused:
        assert (refused.field, taken) == ("amount", False)  # noqa: PT017
    else:
        assert taken
