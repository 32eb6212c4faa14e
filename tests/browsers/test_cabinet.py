"""The cabinet in Firefox and WebKit: one signs in, sees a payment come, opens it, and gives the money back."""

from browsers.windows import Window
from support import Receiver
from worlds import World

from mock_epay.server import Sandbox


def _shows(window: Window, state: str) -> None:
    window.until(lambda: window.find("page").get_dom_attribute("data-state") == state, f"no {state}")


def test_a_payment_comes_in_by_itself_and_is_refunded(
    window: Window, sandbox: Sandbox, world: World, link: str, shop_server: Receiver
) -> None:
    window.go(f"{sandbox.url}/cabinet/{world.client_id}")
    window.type("email", str(world.facts["email"]))
    window.type("password", str(world.facts["password"]))
    window.click("enter")
    _shows(window, "empty")
    window.until(lambda: window.find("live").get_dom_attribute("data-live") == "live", "not live")

    world.pay(invoice_id="000000001", amount=2500, post_link=link)
    shop_server.wait(1, path=f"/{world.client_id}")
    window.find("row-000000001")
    window.shoot("cabinet-list")
    window.click("row-000000001")
    _shows(window, "invoice")
    window.reads("invoice", "000000001")
    window.find("step-postlink.delivered")
    window.fits()
    window.shoot("cabinet-invoice")
    window.click("do-refund")
    window.click("yes")
    window.find("step-transaction.refunded")

    assert world.get("/transactions/latest")["status"] == "REFUND"
