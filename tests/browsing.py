"""What tests in a browser share: a customer who notices everything, and what customers do."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, FrameLocator, Page, Request, Route, expect
from support import APPROVES, Notice, Receiver, Shop

PATIENCE_MS: Final = 10_000
PICTURES: Final = Path(__file__).parents[1] / "test-artifacts"
HINT: Final = "[mock-epay] hint "

SHOP: Final = "https://shop.example"
PAID_LINK: Final = f"{SHOP}/Paid.php?order=1&x=%20&y=a+b&&z=%D0%B0&q=(~)#/done?a=1&b=%23"
FAILED_LINK: Final = f"{SHOP}/failed/;v=1?=&order=1%2F2#no"
WIDGET: Final = "#mock-epay-widget"


@dataclass
class Customer:
    """Somebody with a browser, who notices all that it complains of, and a shop at `shop.example` to come from."""

    browser: Browser
    sandbox: str
    shop_pages: dict[str, str] = field(default_factory=dict)
    visits: list[str] = field(default_factory=list)
    payments: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def page(self, **options: Any) -> Page:
        """Open an empty page in a browser that remembers nothing."""
        context = self.browser.new_context(**options)
        self.contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.grant_permissions(["local-network-access"])
        context.on("console", self._read)
        context.on("weberror", lambda fault: self.complaints.append(f"uncaught: {fault.error}"))
        context.on("request", self._count)
        context.route(lambda url: not url.startswith(f"{self.sandbox}/"), self._leave)
        return context.new_page()

    def leave(self) -> list[str]:
        """Close everything and return the complaints that nobody expected."""
        for context in self.contexts:
            context.close()
        return [text for text in self.complaints if not any(part in text for part in self.expected)]

    def _read(self, message: ConsoleMessage) -> None:
        if message.text.startswith(HINT):
            self.hints.append(message.text.removeprefix(HINT))
        elif message.type in {"error", "warning", "assert"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _count(self, request: Request) -> None:
        if request.method == "POST" and "/payform/" in request.url:
            self.payments.append(request.url)

    def _leave(self, route: Route) -> None:
        """Be the shop; there is nothing else outside the sandbox."""
        if route.request.url.startswith(f"{SHOP}/"):
            self.visits.append(route.request.url)
            body = self.shop_pages.get(urlsplit(route.request.url).path, "<!doctype html><title>Shop</title>")
            route.fulfill(body=body, content_type="text/html; charset=utf-8")
        else:
            self.complaints.append(f"went to {route.request.url}")
            route.abort()


# What the shop does.


def pay_page(shop: Shop, more: str = "", **changes: Any) -> str:
    """Return the address of the pay page of a new order."""
    links = {"backLink": PAID_LINK, "failureBackLink": FAILED_LINK}
    return shop.sandbox.url + shop.address(shop.order(shop.token(), **(links | changes)), more)


def heard(shop: Shop, receiver: Receiver, count: int) -> list[Notice]:
    """Return the postlinks that the shop got, once there are `count`."""
    return receiver.wait(count, urlsplit(shop.post_link).path)


# What the customer does.

Form = Page | FrameLocator


def fill(form: Form, card: dict[str, str]) -> None:
    for name, text in card.items():
        form.get_by_test_id(name).fill(text)


def pay(form: Form, card: dict[str, str] = APPROVES) -> None:
    fill(form, card)
    form.get_by_test_id("pay").click()


def sees(form: Form, state: str, reason_code: int | str = "") -> None:
    """Wait for a page in this state."""
    body = form.get_by_test_id("page")
    expect(body).to_have_attribute("data-state", state)
    expect(body).to_have_attribute("data-reason-code", str(reason_code))


def arrives(page: Page, address: str) -> None:
    """Wait for a page of the shop, at an address that is right to the last letter."""
    page.wait_for_url(lambda url: url == address)
    assert page.evaluate("location.href") == address


def hold_time(page: Page) -> None:
    """Stop the clock of a page, so that its countdown never ends."""
    page.clock.set_fixed_time(datetime.now(UTC))


def shoot(page: Page, name: str) -> None:
    """Keep a picture; of the whole page, unless the widget covers it."""
    whole = page.locator(WIDGET).count() == 0
    page.screenshot(path=PICTURES / f"{name}.png", full_page=whole, animations="disabled")


def fits(page: Page, width: int) -> None:
    """See to it that nothing has to be scrolled sideways."""
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("visualViewport.scale") == 1
