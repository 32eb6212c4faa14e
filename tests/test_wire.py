"""The bank's spelling: dates, money, languages."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mock_epay.errors import BadField
from mock_epay.fake import Fake
from mock_epay.model import Payer, PaymentObject, Transaction
from mock_epay.wire import contracts, incoming, outgoing


def _transaction(moment: datetime) -> Transaction:
    order = PaymentObject(
        invoice_id="000000001",
        back_link="https://example.kz/",
        language="rus",
        reads="rus",
        description="Order",
        terminal="67e34d63-102f-4bd1-898e-370781d0074d",
        amount=Decimal("10.50"),
        currency="KZT",
    )
    return Transaction(
        id="ffffffff-0000-400f-b000-00f0000f000f",
        invoice_id=order.invoice_id,
        number=1,
        order=order,
        created_at=moment,
        reason_code=504,
        payer=Payer(),
        place=Fake("a place").place(),
    )


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2024, 2, 29, 17, 59, 59, 123456, UTC), "2024-02-29T23:59:59.12345+06:00"),
        (datetime(2024, 3, 1, 12, 0, 0, 0, UTC), "2024-03-01T17:00:00.00000+05:00"),
        (datetime(2026, 11, 24, 19, 0, 0, 999999, UTC), "2026-11-25T00:00:00.99999+05:00"),
    ],
)
def test_moments_are_almaty_time_with_five_digits(moment: datetime, written: str) -> None:
    assert outgoing.postlink(_transaction(moment), "")["dateTime"] == written


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
    assert incoming.page_language(text) == reads


def test_json_numbers_and_booleans_become_the_text_that_stood_there() -> None:
    body = b'{"amount": 100.00, "a": 12345678901234567890, "b": true, "c": false, "d": null, "e": "x"}'
    read = incoming.json_fields(body)
    assert read == {"amount": "100.00", "a": "12345678901234567890", "b": "true", "c": "false", "d": "", "e": "x"}


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\xff", b"1", b'{"a": {}}', b'{"a": []}'])
def test_json_that_holds_no_fields_is_refused(body: bytes) -> None:
    with pytest.raises(BadField):
        incoming.json_fields(body)


def test_only_http_addresses_are_links() -> None:
    assert incoming.link(" https://example.kz/a?b#c ") == "https://example.kz/a?b#c"
    for text in ("", "javascript:alert(1)", "//example.kz", "http://", "data:text/html,x", "ftp://example.kz/"):
        assert incoming.link(text) is None


def test_an_approved_reason_is_empty_and_others_have_words_in_the_pages_language() -> None:
    body = outgoing.postlink(_transaction(datetime(2026, 1, 1, tzinfo=UTC)), "")
    assert body["reason"] == outgoing.reason(504, "rus")
    assert outgoing.reason(504, "rus") != outgoing.reason(504, "kaz") != outgoing.reason(504, "eng")


def test_half_a_surrogate_pair_in_a_body_does_no_harm() -> None:
    assert contracts.encode("error", {"message": "\ud83d"}, check=False) == b'{"message":"?"}'
