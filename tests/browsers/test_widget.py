import json
from typing import Any, Final

import pytest
from browsers.conftest import Front
from browsers.windows import Window
from browsing import WIDGET, heard
from support import CHALLENGED, LOCKED, Receiver, Shop

PAGE: Final = """<!doctype html>
<html lang="en">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Shop</title>
<script src="%s/payform/payment-api.js"></script>
<script src="/order.js" defer></script>
<h1>A kettle</h1>
<button data-testid="buy">Buy</button>
<output data-testid="answers"></output>
"""
SCRIPT: Final = """
const answers = [];
const tell = (answer) => {
  answers.push(answer);
  document.querySelector("output").textContent = JSON.stringify(answers);
};
document.querySelector("button").addEventListener("click", () => halyk.showPaymentWidget(%s, tell));
"""


def open_widget(window: Window, shop: Shop, front: Front, host: str = "shop.localhost", **changes: Any) -> None:
    """Press the button of a shop that forbids all that it does not need."""
    sandbox = shop.sandbox.url
    order = json.dumps(shop.order(shop.token(), **changes))
    front.pages.update({"/": PAGE % sandbox, "/order.js": SCRIPT % order})
    front.policy = f"default-src 'none'; script-src 'self' {sandbox}; frame-src {sandbox}; img-src 'self'"
    window.go(front.url(host))
    window.click("buy")


def told(window: Window, *answers: bool) -> None:
    """Wait until the shop's page has got these answers, and see that the widget is gone."""
    window.until(
        lambda: json.loads(window.text("answers") or "[]") == [{"success": answer} for answer in answers],
        f"the shop did not hear {answers}",
    )
    assert window.count(WIDGET) == 0


@pytest.mark.parametrize("host", ["localhost", "shop.localhost"])
def test_the_widget_is_paid_in_a_strict_shop_of_another_name(
    window: Window, shop: Shop, shop_server: Receiver, front: Front, host: str
) -> None:
    open_widget(window, shop, front, host)
    with window.widget():
        window.sees("open")
        assert window.evaluate("innerWidth") == 400
        window.fits()
    window.shoot("widget")
    with window.widget():
        window.pay()

    told(window, True)
    assert window.driver.current_url == f"{front.url(host)}/"
    assert heard(shop, shop_server, 1)[0].body["code"] == "ok"


def test_the_issuer_asks_inside_the_widget(window: Window, shop: Shop, front: Front) -> None:
    open_widget(window, shop, front)
    with window.widget():
        window.pay(CHALLENGED)
        window.sees("challenge")
        window.fits()
        window.click("fill-code")
    window.shoot("widget-challenge")
    with window.widget():
        window.click("confirm")

    told(window, True)


def test_a_decline_in_the_widget_tells_the_shop_of_a_failure(
    window: Window, shop: Shop, shop_server: Receiver, front: Front
) -> None:
    open_widget(window, shop, front)
    with window.widget():
        window.pay(LOCKED)
        window.sees("declined", 465)
        window.fits()
    window.shoot("widget-declined")
    with window.widget():
        window.click("back-to-shop")

    told(window, False)
    assert heard(shop, shop_server, 1)[0].body["reasonCode"] == 465


@pytest.mark.parametrize("place", ["outside", "in a field"])
def test_escape_closes_the_widget_and_the_focus_returns(window: Window, shop: Shop, front: Front, place: str) -> None:
    open_widget(window, shop, front)
    with window.widget():
        window.sees("open")
        if place == "in a field":
            window.click("email")
            window.escape()
    if place == "outside":
        window.escape()

    told(window, False)
    assert window.driver.switch_to.active_element.get_dom_attribute("data-testid") == "buy"
