from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from support import new_merchant

from mock_epay.errors import BadField
from mock_epay.model import (
    TRANSITIONS,
    Card,
    CardMask,
    Checkout,
    CheckoutState,
    Payer,
    PaymentObject,
    Place,
    Status,
    Terminal,
    TokenRequest,
    Transaction,
    check_move,
)
from mock_epay.records import replace

NOW = datetime(2026, 7, 1, tzinfo=UTC)
LATER = datetime(2026, 7, 2, tzinfo=UTC)

# What a transaction in each status may become, written down once more.
MOVES = {
    "NEW": "FINGERPRINT 3D AUTH CHARGE VERIFIED REJECT FAILED",
    "FINGERPRINT": "3D AUTH CHARGE VERIFIED REJECT FAILED",
    "3D": "AUTH CHARGE VERIFIED REJECT FAILED",
    "AUTH": "CHARGE CANCEL CANCEL_OLD",
    "CHARGE": "REFUND",
    "CANCEL": "",
    "CANCEL_OLD": "",
    "REFUND": "",
    "REJECT": "",
    "FAILED": "",
    "VERIFIED": "",
}
PAIRS = [(Status(old), Status(new)) for old in MOVES for new in MOVES]
ALLOWED = [(old, new) for old, new in PAIRS if new in MOVES[old].split()]
REFUSED = [pair for pair in PAIRS if pair not in ALLOWED]

ORDER = PaymentObject(
    invoice_id="000000001",
    back_link="https://example.kz/back",
    language="rus",
    reads="rus",
    description="",
    terminal="67e34d63-102f-4bd1-898e-370781d0074d",
    amount=Decimal(100),
    currency="KZT",
)


def test_the_state_machine_knows_every_status() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert [status.value for status in Status] == list(MOVES)


@pytest.mark.parametrize(("old", "new"), ALLOWED)
def test_a_step_of_the_state_machine_is_allowed(old: Status, new: Status) -> None:
    check_move(old, new)

    assert new in TRANSITIONS[old]


@pytest.mark.parametrize(("old", "new"), REFUSED)
def test_any_other_step_is_refused_as_done_already(old: Status, new: Status) -> None:
    with pytest.raises(BadField) as refused:
        check_move(old, new)

    assert (refused.value.code, refused.value.field, refused.value.value) == (477, "status", old.value)


def test_a_refused_step_says_what_would_be_possible() -> None:
    with pytest.raises(BadField, match=r"^status is \"AUTH\": from AUTH .* become CANCEL, CANCEL_OLD, CHARGE; not REF"):
        check_move(Status.AUTH, Status.REFUND)
    with pytest.raises(BadField, match="nothing, it is final; not AUTH"):
        check_move(Status.REFUND, Status.AUTH)


def test_every_status_can_be_reached_and_no_way_leads_back() -> None:
    reached: dict[Status, None] = {Status.NEW: None}
    for status in Status:
        assert status in reached, f"{status} comes before what leads to it"
        reached |= dict.fromkeys(TRANSITIONS[status])
        assert not TRANSITIONS[status] & set(list(Status)[: list(Status).index(status) + 1])
    assert set(reached) == set(Status)


def test_a_merchant_knows_its_own_terminals() -> None:
    one, other = Terminal(id="one", tid="1"), Terminal(id="other", tid="2", two_stage=True)
    merchant = new_merchant("shop", terminals=(one, other))

    assert merchant.terminal("one") is one
    assert merchant.terminal("other") is other
    assert merchant.terminal("") is None
    assert merchant.terminal("1") is None


def test_a_customer_who_does_not_pay_goes_back_to_the_failure_link_where_there_is_one() -> None:
    with_link = replace(ORDER, failure_back_link="https://example.kz/failure")

    assert ORDER.leave_link == "https://example.kz/back"
    assert with_link.leave_link == "https://example.kz/failure"


@pytest.mark.parametrize(
    ("state", "due_at"),
    [(CheckoutState.OPEN, LATER), (CheckoutState.APPROVED, None), (CheckoutState.CLOSED, None)],
)
def test_a_page_s_time_matters_only_while_it_is_open(state: CheckoutState, due_at: datetime | None) -> None:
    page = Checkout(
        id="page",
        token="token",
        order=ORDER,
        secret_hash="",
        opened_at=NOW,
        expires_at=LATER,
        attempts_left=3,
        state=state,
        transaction_id="transaction",
    )

    assert page.due_at == due_at


def transaction(**changes: Any) -> Transaction:
    facts: dict[str, Any] = {
        "id": "transaction",
        "invoice_id": "000000001",
        "number": 1,
        "order": ORDER,
        "created_at": NOW,
        "payer": Payer(),
        "place": Place(ip="92.46.0.1", country="Kazakhstan", city="Almaty", longitude=76.9, latitude=43.2),
    }
    return Transaction(**facts | changes)


@pytest.mark.parametrize("status", list(Status))
def test_money_was_held_or_taken_in_three_statuses(status: Status) -> None:
    assert transaction(status=status).approved is (status in {"AUTH", "CHARGE", "VERIFIED"})


@pytest.mark.parametrize(
    ("taken", "returned", "payout"), [("0", "0", "0"), ("100.50", "0", "100.50"), ("100.50", "30.25", "70.25")]
)
def test_the_shop_gets_what_was_taken_and_not_returned(taken: str, returned: str, payout: str) -> None:
    assert transaction(taken=Decimal(taken), returned=Decimal(returned)).payout == Decimal(payout)


def test_a_mask_is_written_with_four_first_digits_or_six() -> None:
    mask = CardMask(first="440563", last="5096", brand="VISA", issuer="Halyk bank")

    assert mask.short() == "4405...5096"
    assert mask.short(6) == "440563...5096"


def test_secrets_are_not_in_what_is_printed_of_a_thing() -> None:
    merchant = new_merchant("shop", client_secret="hush-1", password="hush-2")
    request = TokenRequest(client_id="shop", client_secret="hush-3", scope="payment")
    card = Card(pan="4405639704015096", expiry="11/33", cvc="815")

    printed = f"{merchant!r} {merchant} {request!r} {request} {card!r} {card}"

    assert "client_id='shop'" in printed
    for secret in ("hush-1", "hush-2", "hush-3", "4405639704015096", "11/33", "815"):
        assert secret not in printed
