"""The widget that one of the bank's own people published for React shops, as it is, with the sandbox for a bank."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import HINT
from playwright.sync_api import Browser, ConsoleMessage, FrameLocator, Page, Route, expect
from support import APPROVES, PATIENCE_S, Notice, Receiver, Shop

from mock_epay import lz

PACKAGES: Final = Path(__file__).parent / "js" / "node_modules"
SHOP: Final = "https://shop.example"
TEST_BANK: Final = {"test-epay.homebank.kz", "testoauth.homebank.kz"}
BANK: Final = {"epay.homebank.kz", "epay-oauth.homebank.kz"}

# The package asks for React as bundlers have it; the rest is what any React shop would write around it.
PAGE: Final = """<!doctype html>
<title>Shop</title>
<link rel="icon" href="data:,">
<div id="root"></div>
<script src="/react/umd/react.production.min.js"></script>
<script src="/react-dom/umd/react-dom.production.min.js"></script>
<script>
  const exports = {};
  const require = (name) => ({ react: React })[name];
</script>
<script src="/epay-payment-widget/dist/index.js"></script>
<script>
  const heard = [];
  function Shop() {
    const [visible, show] = React.useState(false);
    const onWidgetClose = (result) => {
      heard.push(result);
      show(false);
    };
    return React.createElement("main", null,
      React.createElement("button", { onClick: () => show(true) }, "Pay"),
      React.createElement(exports.default, { ...%s, visible, onWidgetClose }),
    );
  }
  ReactDOM.createRoot(document.getElementById("root")).render(React.createElement(Shop));
</script>
"""


@dataclass
class Street:
    """A shop and its customer's browser, in which the bank's names lead to the sandbox."""

    shop: Shop
    page: Page
    receiver: Receiver
    props: dict[str, Any] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def open(self, **changes: Any) -> FrameLocator:
        """Open the shop with the widget's properties, press its button, and return the widget."""
        payment = {"postLink": self.shop.post_link, "failurePostLink": self.shop.post_link}
        self.props = {
            "clientId": self.shop.merchant.client_id,
            "clientSecret": self.shop.merchant.client_secret,
            "terminalId": self.shop.terminal,
            "invoiceId": "000000001",
            "amount": 500,
            "paymentData": payment,
        } | changes
        self.page.goto(f"{SHOP}/")
        # The package calls `halyk` without having waited for it.
        self.page.wait_for_function("() => typeof halyk === 'object'")
        self.page.get_by_role("button", name="Pay").click()
        return self.page.frame_locator("iframe")

    def heard(self, count: int = 1) -> Any:
        """Return what the package has told the shop."""
        self.page.wait_for_function(f"heard.length === {count}")
        return self.page.evaluate("heard")

    def notice(self) -> Notice:
        (notice,) = self.receiver.wait(1, urlsplit(self.shop.post_link).path)
        return notice

    def read(self, said: ConsoleMessage) -> None:
        """Keep what the browser says, but for what the sandbox says to the shop's developer."""
        if said.type != "log" and not said.text.startswith(HINT):
            self.complaints.append(said.text)

    def serve(self, route: Route) -> None:
        """Be the shop's server, and the way to the bank."""
        address = urlsplit(route.request.url)
        if address.netloc in TEST_BANK | BANK:
            self.asked.add(f"{address.netloc}{address.path}")
            path = address._replace(scheme="", netloc="").geturl()
            route.fulfill(response=route.fetch(url=f"{self.shop.sandbox.url}{path}"))
        elif route.request.url == f"{SHOP}/":
            route.fulfill(body=PAGE % json.dumps(self.props), content_type="text/html; charset=utf-8")
        elif f"{address.scheme}://{address.netloc}" == SHOP:
            route.fulfill(path=PACKAGES / address.path[1:])
        else:
            self.complaints.append(f"went to {route.request.url}")
            route.abort()


@pytest.fixture
def street(browser: Browser, shop: Shop, shop_server: Receiver) -> Iterator[Street]:
    """Lay out a street; whatever the browser complains of there fails the test."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_S * 1000)
    street = Street(shop, context.new_page(), shop_server)
    context.route("**/*", street.serve)
    context.on("console", street.read)
    context.on("weberror", lambda fault: street.complaints.append(str(fault.error)))
    context.on("dialog", lambda dialog: street.complaints.append(dialog.message))
    yield street
    context.unroute_all(behavior="wait")
    context.close()
    assert street.complaints == []


def pay(widget: FrameLocator) -> None:
    for name, text in APPROVES.items():
        widget.get_by_test_id(name).fill(text)
    widget.get_by_test_id("pay").click()


@pytest.mark.parametrize(
    ("dev_mode", "asked"),
    [
        (True, {"test-epay.homebank.kz/payform/payment-api.js", "testoauth.homebank.kz/epay2/oauth2/token"}),
        (False, {"epay.homebank.kz/payform/payment-api.js", "epay-oauth.homebank.kz/oauth2/token"}),
    ],
    ids=["test bank", "bank"],
)
def test_the_widget_pays_with_a_token_of_its_own(street: Street, *, dev_mode: bool, asked: set[str]) -> None:
    pay(street.open(devMode=dev_mode))

    assert street.heard() == [{"success": True}]
    expect(street.page.locator("iframe")).to_have_count(0)
    assert asked <= street.asked
    body = street.notice().body
    assert (body["invoiceId"], body["amount"], body["code"]) == ("000000001", 500, "ok")
    assert street.shop.status()["transaction"]["statusName"] == "CHARGE"


def test_the_widget_pays_with_a_token_of_the_shop_s_server(street: Street) -> None:
    auth = street.shop.token(amount=500)
    pay(street.open(devMode=True, clientId=None, clientSecret=None, oauthData=auth))

    assert street.heard() == [{"success": True}]
    assert street.notice().body["code"] == "ok"
    assert not any(path.endswith("/oauth2/token") for path in street.asked)


def test_closing_the_widget_is_no_success_and_it_opens_again(street: Street) -> None:
    widget = street.open(devMode=True)
    expect(widget.get_by_test_id("pay")).to_be_visible()
    street.page.get_by_role("button", name="Закрыть").click()
    closed = street.heard()
    street.page.get_by_role("button", name="Pay").click()
    pay(widget)

    assert closed == [{"success": False}]
    assert street.heard(2) == [{"success": False}, {"success": True}]


def test_a_shop_that_gives_no_addresses_gets_those_of_an_example(street: Street) -> None:
    widget = street.open(devMode=True, paymentData={})
    expect(widget.get_by_test_id("pay")).to_be_visible()
    address = urlsplit(street.page.locator("iframe").get_attribute("src") or "")
    order = lz.parse(lz.decompress(parse_qs(address.query, keep_blank_values=True)["params"][0]))

    # What the shop would not expect: its notices go to somebody else, with somebody else's data.
    assert order["postLink"] == "https://example.kz/"
    assert order["failurePostLink"] == "https://example.kz/order/1123/fail"
    assert json.loads(order["data"])["statement"]["invoiceID"] == "80000016"
