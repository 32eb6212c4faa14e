"""The application as a whole: what it does when it is at fault itself."""

import asyncio
from typing import NoReturn

import httpx
import pytest
from support import Shop, action, eventually, new_merchant

from mock_epay.bank import Bank
from mock_epay.model import Terminal
from mock_epay.settings import Settings
from mock_epay.store import Due
from mock_epay.store.memory import MemoryStore
from mock_epay.web import create_app


def test_what_our_own_schema_forbids_is_not_sent_and_nothing_leaks(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    merchant = new_merchant(shop.merchant.client_id, terminals=(Terminal(id=shop.terminal, tid="not a number"),))
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(merchant))
    shop.buy()
    response = shop.http.get(
        "/check-status/payment/transaction/000000001", headers={"Authorization": f"Bearer {shop.status_token()}"}
    )
    assert response.status_code == 500
    assert response.json()["error"] == "server_error"
    assert "Traceback" not in response.text
    assert "not a number" not in response.text
    shop.sandbox.do(shop.sandbox.bank.store.drop_merchant(merchant.client_id))  # or nobody could list merchants
    eventually(lambda: "ValidationError" in caplog.text)  # written once the answer is out


def test_a_fault_on_a_page_is_a_page(shop: Shop) -> None:
    shop.advance(-4_000_000_000)  # a time when Almaty's zone was not whole hours, which no postlink can spell
    page = shop.pay(action(shop.open()))
    assert page.status_code == 500
    assert 'data-kind="internal"' in page.text
    assert "Traceback" not in page.text
    assert shop.events().count("transaction.charged") == 0


def test_worlds_with_the_same_numbers_do_not_meet(shop: Shop) -> None:
    other = new_merchant(shop.merchant.client_id + "-other", seed=shop.merchant.seed)
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(other))
    neighbour = Shop(shop.sandbox, shop.http, other, shop.post_link + "/other")
    ours, theirs = shop.token(), neighbour.token()
    assert ours["access_token"] != theirs["access_token"]
    shop.buy(token=ours)
    assert shop.status()["resultCode"] == "100"
    assert neighbour.status()["resultCode"] == "102"
    assert "transaction.charged" not in neighbour.events()
    shop.advance(100_000)
    assert httpx.codes.is_success(neighbour.open(token=theirs).status_code)


def test_a_status_of_a_number_that_is_no_order_leaves_no_trace(shop: Shop) -> None:
    token = shop.status_token()
    before = shop.events()
    for number in ("999999", "x" * 5000):
        response = shop.http.get(
            f"/check-status/payment/transaction/{number}", headers={"Authorization": f"Bearer {token}"}
        )
        assert response.json()["resultCode"] == "102"
    assert shop.events() == before


class Broken(MemoryStore):
    """A store that loses its agenda."""

    async def claim(self, kind: type[Due], limit: int) -> NoReturn:
        raise OSError(f"cannot claim {limit} of {kind.__name__}")


def test_work_in_the_background_does_not_end_silently(caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Bank(Broken(), Settings()))

    async def run() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.wait({task for task in asyncio.all_tasks() if task.get_name().startswith("the ")}, timeout=10)

    asyncio.run(run())
    assert "the delivery of postlinks has stopped" in caplog.text
    assert "the closing of late pages has stopped" in caplog.text
    assert "cannot claim 100 of Checkout" in caplog.text
