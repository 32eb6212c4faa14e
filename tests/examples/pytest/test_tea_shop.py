"""The tea shop's tests. Its customers pay through `epay`, which comes with mock-epay."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from tea_shop import Bank, TeaShop

from mock_epay.client import Epay


@dataclass(frozen=True)
class Website:
    """The shop as its customers meet it."""

    url: str
    shop: TeaShop

    def order(self, amount: int) -> str:
        """Order tea for so much money and return the order's number."""
        return str(self.post("/orders", {"amount": amount})["number"])

    def post(self, path: str, body: object) -> dict[str, Any]:
        """Send JSON."""
        return self._read(Request(self.url + path, json.dumps(body).encode()))

    def get(self, path: str) -> dict[str, Any]:
        """Ask for JSON."""
        return self._read(Request(self.url + path))

    def _read(self, request: Request) -> dict[str, Any]:
        with urlopen(request, timeout=10) as answer:
            read: dict[str, Any] = json.load(answer)
        return read


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def website(epay: Epay) -> Iterator[Website]:
    shop = TeaShop(Bank(epay.urls.token, epay.urls.api, epay.client_id, epay.client_secret, epay.terminal))
    with make_server("127.0.0.1", 0, shop, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Website(f"http://127.0.0.1:{server.server_port}", shop)
        server.shutdown()
        thread.join()


def test_a_paid_order_is_sent(website: Website, epay: Epay) -> None:
    number = website.order(2500)

    epay.pay(number)  # the customer does, with a test card
    epay.wait_for_postlink(number)

    assert website.get(f"/orders/{number}") == {"paid": True, "why_not": ""}
    assert website.shop.parcels == [number]


def test_a_customer_without_money_learns_why_and_tries_again(website: Website, epay: Epay) -> None:
    number = website.order(2500)
    epay.decline_next(484)

    epay.pay(number)
    declined = epay.wait_for_postlink(number)
    assert website.get(f"/orders/{number}") == {"paid": False, "why_not": declined.body["reason"]}

    so_far = epay.events()[-1].number
    epay.pay(number)
    epay.wait_for_postlink(number, after=so_far)
    assert website.shop.parcels == [number]


def test_an_order_is_sent_once_though_the_bank_tells_twice(website: Website, epay: Epay) -> None:
    number = website.order(2500)
    epay.decide_next(plan="duplicate(2, 5)")

    epay.pay(number)
    epay.clock.advance(60)

    assert [postlink.state for postlink in epay.postlinks()] == ["delivered", "delivered"]
    assert website.shop.parcels == [number]


def test_a_shop_that_was_closed_hears_of_the_payment_later(website: Website, epay: Epay) -> None:
    number = website.order(2500)
    website.shop.closed = True
    epay.pay(number)
    epay.wait_for("postlink.failed")
    website.shop.closed = False

    epay.clock.advance(60)  # nothing waits: the world's clock is put forward

    assert website.shop.parcels == [number]


def test_a_payment_whose_postlink_is_lost_is_found(website: Website, epay: Epay) -> None:
    number = website.order(2500)
    epay.decide_next(plan="never")
    epay.pay(number)
    epay.assert_no_postlink(number)

    website.shop.look_for_lost_postlinks()

    assert website.shop.parcels == [number]


def test_nobody_but_the_bank_is_believed(website: Website) -> None:
    number = website.order(2500)
    forged = {"invoiceId": number, "amount": 2500, "currency": "KZT", "code": "ok", "secret_hash": "a guess"}

    with pytest.raises(HTTPError, match="403"):
        website.post("/postlink", forged)

    assert website.shop.parcels == []
