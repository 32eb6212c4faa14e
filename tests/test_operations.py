"""Charge, cancel and refund, over HTTP and as a state machine."""

import asyncio
import socket
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Shop, a_transaction, an_order, new_merchant

from mock_epay.bank.operations import OPERATIONS
from mock_epay.errors import BadField
from mock_epay.fake import Fake
from mock_epay.model import Status, Transaction
from mock_epay.notes import Notes
from mock_epay.records import replace
from mock_epay.store.memory import MemoryStore


@pytest.fixture
def two_stage(shop: Shop) -> Shop:
    """Give the shop a terminal on which money is held first."""
    terminal = replace(shop.merchant.terminals[0], two_stage=True)
    merchant = new_merchant(shop.merchant.client_id, terminals=(terminal,))
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(merchant))
    return shop


def _paid(shop: Shop) -> str:
    shop.buy()
    return str(shop.status()["transaction"]["id"])


def _operate(shop: Shop, operation: str, transaction_id: str, **how: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {shop.status_token()}"} | how.pop("headers", {})
    return shop.http.post(f"/operation/{transaction_id}/{operation}", headers=headers, **how)


def _standing(shop: Shop, transaction_id: str) -> tuple[str, float]:
    response = shop.http.get(
        f"/api/check-status/payment/transactionId/{transaction_id}",
        headers={"Authorization": f"Bearer {shop.status_token()}"},
    )
    transaction = response.json()["transaction"]
    return transaction["statusName"], transaction["payoutAmount"]


def test_held_money_is_charged(two_stage: Shop) -> None:
    paid = _paid(two_stage)
    assert _standing(two_stage, paid) == ("AUTH", 0)
    response = _operate(two_stage, "charge", paid)
    assert (response.status_code, response.json()["code"]) == (200, 0)
    assert _standing(two_stage, paid) == ("CHARGE", 100)


def test_held_money_is_cancelled(two_stage: Shop) -> None:
    paid = _paid(two_stage)
    assert _operate(two_stage, "cancel", paid, headers={"Content-Type": "application/json"}).status_code == 200
    assert _standing(two_stage, paid) == ("CANCEL", 0)
    refused = _operate(two_stage, "charge", paid)
    assert (refused.status_code, refused.json()["code"]) == (400, 477)
    assert "CANCEL" in refused.json()["message"]


def test_a_part_is_charged_and_refunded_in_parts(two_stage: Shop) -> None:
    paid = _paid(two_stage)
    assert _operate(two_stage, "charge", paid, params={"amount": "60.00"}).status_code == 200
    assert _operate(two_stage, "refund", paid, json={"amount": 20}).status_code == 200
    assert _standing(two_stage, paid) == ("CHARGE", 40)
    assert _operate(two_stage, "refund", paid, data={"amount": "15.5"}).status_code == 200
    assert _standing(two_stage, paid) == ("CHARGE", 24.5)
    assert _operate(two_stage, "refund", paid).status_code == 200
    assert _standing(two_stage, paid) == ("REFUND", 0)
    assert _operate(two_stage, "refund", paid).json()["code"] == 477


def test_a_charge_that_is_repeated_is_refused_and_named(two_stage: Shop) -> None:
    paid = _paid(two_stage)
    _operate(two_stage, "charge", paid)
    again = _operate(two_stage, "charge", paid)
    assert (again.status_code, again.json()["code"], again.json()["field"]) == (400, 477, "status")
    assert _standing(two_stage, paid) == ("CHARGE", 100)


@pytest.mark.parametrize(
    ("operation", "amount", "code"),
    [("charge", "100.01", 488), ("cancel", "50", 400), ("charge", "0", 470), ("charge", "-5", 470)],
)
def test_amounts_that_a_hold_does_not_have_are_refused(two_stage: Shop, operation: str, amount: str, code: int) -> None:
    paid = _paid(two_stage)
    response = _operate(two_stage, operation, paid, params={"amount": amount})
    assert (response.status_code, response.json()["code"], response.json()["field"]) == (400, code, "amount")
    assert _standing(two_stage, paid) == ("AUTH", 0)


@pytest.mark.parametrize("amount", ["100.01", "9.99"])
def test_a_refund_has_its_limits(shop: Shop, amount: str) -> None:
    paid = _paid(shop)
    response = _operate(shop, "refund", paid, params={"amount": amount})
    assert (response.status_code, response.json()["code"]) == (400, 3141)
    assert _standing(shop, paid) == ("CHARGE", 100)


def test_address_and_body_must_name_the_same_amount(shop: Shop) -> None:
    paid = _paid(shop)
    response = _operate(shop, "refund", paid, params={"amount": "20"}, json={"amount": 30})
    assert (response.status_code, response.json()["field"]) == (400, "amount")
    assert _operate(shop, "refund", paid, params={"amount": "20"}, json={"amount": "20.0"}).status_code == 200


@pytest.mark.parametrize("how", [{"params": {"amont": "20"}}, {"json": {"Amount": "20"}}])
def test_a_field_that_is_nearly_called_amount_earns_a_hint(shop: Shop, how: dict[str, Any]) -> None:
    done = _operate(shop, "refund", _paid(shop), **how)
    assert done.status_code == 200
    assert "did you mean amount?" in done.headers["X-Mock-Epay-Hints"]


def test_an_operation_spends_its_token_and_a_refused_one_does_not(shop: Shop) -> None:
    paid = _paid(shop)
    headers = {"Authorization": f"Bearer {shop.status_token()}"}
    refused = shop.http.post(f"/operation/{paid}/charge", headers=headers)
    assert refused.status_code == 400
    assert shop.http.post(f"/operation/{paid}/refund?amount=50", headers=headers).status_code == 200
    spent = shop.http.post(f"/operation/{paid}/refund?amount=50", headers=headers)
    assert (spent.status_code, spent.json()["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_unknown_and_foreign_transactions_are_alike(shop: Shop, operation: str) -> None:
    paid = _paid(shop)
    other = new_merchant(shop.merchant.client_id + "-other")
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(other))
    stranger = Shop(shop.sandbox, shop.http, other, shop.post_link + "/other")
    foreign = _operate(stranger, operation, paid).json()
    unknown = _operate(stranger, operation, Fake("nothing").uuid("transaction")).json()
    assert foreign["code"] == unknown["code"] == 690
    assert foreign["rule"] == unknown["rule"]
    assert shop.http.post(f"/operation/{paid}/{operation}").status_code == 401


def test_a_status_by_id_needs_a_terminal_in_the_token(shop: Shop) -> None:
    paid = _paid(shop)
    token = shop.token(invoiceID=None, amount=None, currency=None, terminal=None)["access_token"]
    path = f"/check-status/payment/transactionId/{paid}"
    response = shop.http.get(path, headers={"Authorization": f"Bearer {token}"})
    assert response.json()["resultCode"] == "104"
    unknown = shop.http.get(path[:-1] + "0f", headers={"Authorization": f"Bearer {shop.status_token()}"})
    assert unknown.json()["resultCode"] == "102"


@pytest.mark.parametrize("chunked", [True, False])
def test_bodies_that_wait_for_leave_or_come_in_chunks_are_read(shop: Shop, chunked: bool) -> None:
    paid = _paid(shop)
    body = b'{"amount": 20}'
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    head = (
        f"POST /api/operation/{paid}/refund HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {shop.status_token()}\r\nExpect: 100-continue\r\nConnection: close\r\n"
    ).encode()
    url = httpx.URL(shop.sandbox.url)
    with socket.create_connection((url.host, url.port or 80), 10) as line:
        line.sendall(head + length + b"\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 100")
        line.sendall(sent)
        answer = b""
        while part := line.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200")
    assert _standing(shop, paid) == ("CHARGE", 80)


AMOUNTS = st.one_of(st.none(), st.decimals("0.01", "250", places=2))
STEPS = st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), AMOUNTS), max_size=12)


@given(steps=STEPS, held=st.decimals("10", "200", places=2), two_stage=st.booleans())
def test_no_sequence_of_operations_loses_or_makes_money(
    steps: list[tuple[str, Decimal | None]], held: Decimal, two_stage: bool
) -> None:
    store = MemoryStore()
    merchant = new_merchant("money")
    status, taken = (Status.AUTH, Decimal(0)) if two_stage else (Status.CHARGE, held)
    begun = a_transaction(an_order(amount=held), status=status, taken=taken)

    async def run() -> None:
        await store.add_merchant(merchant)
        async with store.work("money") as work:
            work.save(begun)
        before = begun
        codes: set[int] = set()
        for operation, amount in steps:
            carried_out = True
            try:
                async with store.work("money") as work:
                    await OPERATIONS[operation](work, begun.id, amount, Notes())
            except BadField as refused:
                carried_out = False
                codes.add(refused.code)
            async with store.work("money") as work:
                after = await work.get(Transaction, begun.id)
            assert after is not None
            assert (after != before) == carried_out
            _check(before, after, operation)
            before = after
        assert codes <= {477, 488, 3141, 400}

    def _check(before: Transaction, after: Transaction, operation: str) -> None:
        assert 0 <= after.returned <= after.taken <= held
        assert after.payout >= 0
        assert before.taken == after.taken or (before.status, operation) == (Status.AUTH, "charge")
        assert after.returned >= before.returned
        assert (after.status is Status.REFUND) == (after.taken > 0 and after.payout == 0)
        assert after.status is not Status.CANCEL or after.taken == 0

    asyncio.run(run())
