"""Pages for everybody: the keyboard alone, paper, little motion, and their weight. What axe-core finds: the gallery."""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urljoin

import httpx
import pytest
from browsing import PAID_LINK, Customer, arrives, hold_time, pay, pay_page, sees, shoot
from playwright.sync_api import expect
from support import APPROVES, CHALLENGED, LOCKED, Shop, action, marked, state

LANGUAGES: Final = ("rus", "kaz", "eng")
MOST_BYTES: Final = 60_000


def test_tab_and_enter_are_enough_to_pay_with_3d_secure(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    for name in ("pan", "expiry", "cvc"):
        page.keyboard.press("Tab")
        expect(page.get_by_test_id(name)).to_be_focused()
        page.keyboard.type(CHALLENGED[name].replace("/", ""))
    page.keyboard.press("Enter")
    sees(page, "challenge")
    expect(page.get_by_test_id("code")).to_be_focused()
    page.keyboard.type(page.get_by_test_id("sandbox-code").inner_text())
    page.keyboard.press("Enter")
    sees(page, "approved", 0)
    page.keyboard.press("Tab")
    expect(page.get_by_test_id("back-to-shop")).to_be_focused()
    page.keyboard.press("Enter")
    arrives(page, PAID_LINK)


def test_a_form_that_its_address_has_filled_is_paid_by_one_press(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.goto(pay_page(shop, f"&autofill={APPROVES['pan']}"))
    expect(page.get_by_test_id("pan")).to_have_value("4405 6397 0401 5096")
    page.get_by_test_id("pay").click()
    sees(page, "approved", 0)


def test_another_language_is_chosen_by_keyboard_and_mouse(customer: Customer, shop: Shop) -> None:
    page = customer.page(java_script_enabled=False)
    page.goto(pay_page(shop))
    page.get_by_test_id("language-kaz").click()
    expect(page.locator("html")).to_have_attribute("lang", "kk")
    expect(page.get_by_test_id("language-kaz")).to_have_attribute("aria-current", "true")
    page.get_by_test_id("language-rus").focus()
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    sees(page, "open")


def test_paper_shows_neither_tools_nor_buttons(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    hold_time(page)
    page.goto(pay_page(shop))
    page.emulate_media(media="print")
    for name in ("panel", "pay", "language-rus"):
        expect(page.get_by_test_id(name)).to_be_hidden()
    expect(page.get_by_test_id("amount")).to_be_visible()
    page.emulate_media(media="screen")
    pay(page, CHALLENGED)
    sees(page, "challenge")
    code = page.get_by_test_id("sandbox-code").inner_text()
    page.emulate_media(media="print")
    for name in ("sandbox-code", "confirm", "language-rus"):
        expect(page.get_by_test_id(name)).to_be_hidden()
    page.emulate_media(media="screen")
    page.get_by_test_id("code").fill(code)
    page.get_by_test_id("confirm").click()
    sees(page, "approved", 0)
    page.emulate_media(media="print")
    expect(page.get_by_test_id("back-to-shop")).to_be_hidden()
    expect(page.get_by_test_id("reference")).to_be_visible()
    shoot(page, "print-approved")


def test_who_wants_little_motion_gets_little(customer: Customer, shop: Shop) -> None:
    page = customer.page(reduced_motion="reduce")
    page.goto(pay_page(shop))
    expect(page.get_by_test_id("pay")).to_have_css("transition-property", "none")


def weight(shop: Shop, page: httpx.Response) -> int:
    """Return the bytes of a page and of all it loads, none of them compressed, and all from the sandbox."""
    files: list[Any] = re.findall(r'<(?:link|script)[^>]* (?:href|src)="([^"]*)"', page.text)
    assert len(files) == 3 + ('data-testid="panel"' in page.text)
    loaded = [shop.http.get(urljoin(str(page.url), file)) for file in files]
    assert all(str(file.url).startswith(f"{shop.sandbox.url}/") for file in loaded)
    return sum(len(answer.content) for answer in (page, *loaded))


def pages(shop: Shop, more: str) -> Iterator[httpx.Response]:
    """Show each state, the form with all that it can have."""
    opened = shop.open(more=more, accountId="7", data="no JSON", description="Ж" * 60)
    yield opened
    yield shop.pay(action(opened), LOCKED)
    yield shop.pay(action(opened), CHALLENGED)
    issuer = shop.http.get(action(opened), follow_redirects=True)
    yield issuer
    yield shop.pay(action(issuer), {"code": marked(issuer, "sandbox-code")})
    yield shop.open(more=more, language="xyz" * 9, invoiceId="000000003")
    late = shop.open(more=more, invoiceId="000000002")
    shop.advance(1201)
    yield shop.http.get(action(late))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_page_weighs_less_than_sixty_kilobytes_uncompressed(shop: Shop, language: str) -> None:
    weights = {state(page): weight(shop, page) for page in pages(shop, f"&lang={language}")}
    assert {name for name, _ in weights} == {"open", "declined", "challenge", "approved", "refused", "closed"}
    assert max(weights.values()) < MOST_BYTES, weights
