"""3-D Secure, saved cards, invoice links and hints, in a real browser."""

from typing import Any, Final

import pytest
from browsing import (
    FAILED_LINK,
    PAID_LINK,
    SHOP,
    WIDGET,
    Customer,
    Form,
    arrives,
    fill,
    heard,
    hold_time,
    pay,
    pay_page,
    sees,
    shoot,
)
from playwright.sync_api import Page, expect
from support import APPROVES, CHALLENGED, LOCKED, SHOP_ID, Receiver, Shop, encrypted

FRICTIONLESS: Final = {"pan": "4000000000003055", "expiry": "12/30", "cvc": "123"}


def confirm(form: Form, code: str | None = None) -> None:
    """Answer the issuer with the code that the sandbox shows, or with another one."""
    if code is None:
        form.get_by_test_id("fill-code").click()
    else:
        form.get_by_test_id("code").fill(code)
    form.get_by_test_id("confirm").click()


@pytest.mark.parametrize("language", ["rus", "kaz", "eng"])
def test_the_right_code_pays(customer: Customer, shop: Shop, shop_server: Receiver, language: str) -> None:
    page = customer.page()
    page.goto(pay_page(shop, language=language))
    pay(page, CHALLENGED)
    sees(page, "challenge")
    expect(page.get_by_test_id("card-mask")).to_contain_text("4000...3220")
    expect(page.get_by_test_id("shop")).to_contain_text(shop.merchant.name)
    shoot(page, f"issuer-{language}")
    assert shop.status()["transaction"]["statusName"] == "3D"
    confirm(page)
    sees(page, "approved", 0)
    page.get_by_test_id("back-to-shop").click()
    arrives(page, PAID_LINK)

    assert heard(shop, shop_server, 1)[0].body["secure"] == "yes"


def test_wrong_codes_fail_the_attempt_and_the_next_may_succeed(
    customer: Customer, shop: Shop, shop_server: Receiver
) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    pay(page, CHALLENGED)
    for left in ("2", "1"):
        confirm(page, "000000")
        sees(page, "challenge")
        expect(page.get_by_test_id("tries-left")).to_contain_text(left)
    shoot(page, "issuer-wrong-code")
    confirm(page, "000000")
    sees(page, "declined", 499)
    shoot(page, "issuer-failed")
    page.get_by_test_id("try-again").click()
    pay(page, FRICTIONLESS)
    sees(page, "approved", 0)

    assert [notice.body["reasonCode"] for notice in heard(shop, shop_server, 2)] == [499, 0]


def test_who_cancels_at_the_issuer_is_back_on_the_pay_page(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    pay(page, CHALLENGED)
    page.get_by_test_id("cancel").click()
    sees(page, "declined", 473)
    page.get_by_test_id("back-to-shop").click()
    arrives(page, FAILED_LINK)


def test_who_leaves_finds_the_question_again_until_time_is_up(
    customer: Customer, shop: Shop, shop_server: Receiver
) -> None:
    page = customer.page()
    address = pay_page(shop)
    page.goto(address)
    pay(page, CHALLENGED)
    sees(page, "challenge")
    page.goto(f"{SHOP}/elsewhere")
    page.goto(address)
    sees(page, "challenge")
    shop.advance(1200)
    page.reload()
    sees(page, "closed", 504)

    assert heard(shop, shop_server, 1)[0].body["reasonCode"] == 504
    assert shop.status()["transaction"]["statusName"] == "FAILED"


def test_without_javascript_the_issuer_asks_too(customer: Customer, shop: Shop) -> None:
    page = customer.page(java_script_enabled=False)
    page.goto(pay_page(shop))
    pay(page, CHALLENGED)
    confirm(page, page.get_by_test_id("sandbox-code").inner_text())
    sees(page, "approved", 0)


def test_the_keyboard_is_enough(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    pay(page, CHALLENGED)
    sees(page, "challenge")
    code = page.get_by_test_id("sandbox-code").inner_text()
    expect(page.get_by_test_id("code")).to_be_focused()
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    sees(page, "approved", 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_issuers_page_fits_a_phone(customer: Customer, shop: Shop, scheme: Any) -> None:
    page = customer.page(viewport={"width": 320, "height": 640}, color_scheme=scheme)
    page.goto(pay_page(shop, language="kaz"))
    pay(page, CHALLENGED)
    sees(page, "challenge")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    shoot(page, f"issuer-phone-{scheme}")


def test_in_the_widget_the_issuer_asks_inside_the_frame(customer: Customer) -> None:
    page = customer.page()
    page.goto(f"{customer.sandbox}/demo")
    page.get_by_test_id("mode-widget").check()
    page.get_by_test_id("pay").click()
    frame = page.frame_locator(f"{WIDGET} iframe")
    pay(frame, CHALLENGED)
    sees(frame, "challenge")
    shoot(page, "issuer-widget")
    confirm(frame)
    page.wait_for_url("**/demo/orders/*/thanks")
    expect(page.get_by_test_id("order-state")).to_have_attribute("data-state", "paid")


OWN_FORM: Final = """<!doctype html><title>Own form</title>
<form method="post" action="{action}">
<input name="PaReq" value="{paReq}"><input name="MD" value="{md}"><input name="TermUrl" value="{termURL}">
<button>Pay</button></form>"""


@pytest.mark.parametrize("links", [True, False])
def test_a_card_form_of_the_shops_own_goes_to_the_issuer_and_back(
    customer: Customer, shop: Shop, shop_server: Receiver, links: bool
) -> None:
    # A redirect goes past the browser's routes, so the shop's page is one that is there.
    shop_page = f"{customer.sandbox}/demo?order=1"
    back = {"backLink": f"{shop_page}#end", "failureBackLink": f"{SHOP}/failed"} if links else {}
    body = {
        "amount": 100,
        "currency": "KZT",
        "cryptogram": encrypted(shop.http, CHALLENGED, shop.terminal),
        "invoiceId": "000000001",
        "terminalId": shop.terminal,
        "postLink": shop.post_link,
        "language": "eng",
    }
    token = shop.token()["access_token"]
    paid = shop.http.post("/payment/cryptopay", json=body | back, headers={"Authorization": f"Bearer {token}"}).json()
    customer.shop_pages["/own"] = OWN_FORM.format(**paid["secure3D"])
    page = customer.page()
    page.goto(f"{SHOP}/own")
    page.get_by_role("button").click()
    sees(page, "challenge")
    confirm(page)
    if links:
        page.wait_for_url(lambda url: url.startswith(shop_page))
        reference = heard(shop, shop_server, 1)[0].body["reference"]
        arrives(page, f"{shop_page}&reference={reference}#end")
    else:
        sees(page, "approved", 0)
        shoot(page, "own-form-outcome")


def with_cards(customer: Customer, shop: Shop, number: str = "000000009") -> Page:
    page = customer.page()
    auth = shop.token(invoiceID=number)
    links = {"backLink": PAID_LINK, "failureBackLink": FAILED_LINK}
    page.goto(shop.sandbox.url + shop.address(shop.order(auth, invoiceId=number, accountId="customer-1", **links)))
    return page


def save(customer: Customer, shop: Shop, card: dict[str, str], number: str) -> None:
    page = with_cards(customer, shop, number)
    if page.get_by_test_id("another-card").count():
        page.get_by_test_id("another-card").check()
    page.get_by_test_id("save-card").check()
    pay(page, card)
    if card is CHALLENGED:
        confirm(page)
    sees(page, "approved", 0)


def test_a_saved_card_pays_by_its_code_alone(customer: Customer, shop: Shop) -> None:
    save(customer, shop, APPROVES, "000000001")
    save(customer, shop, CHALLENGED, "000000002")
    page = with_cards(customer, shop)
    card_id = shop.status("000000001")["transaction"]["cardID"]
    expect(page.get_by_test_id(f"saved-card-{card_id}")).to_be_checked()
    expect(page.get_by_test_id("pan")).to_be_hidden()
    shoot(page, "saved-cards")
    page.get_by_test_id("cvc").fill("815")
    page.get_by_test_id("pay").click()
    sees(page, "approved", 0)

    assert shop.status("000000009")["transaction"]["cardID"] == card_id


def test_another_card_may_be_taken_instead(customer: Customer, shop: Shop) -> None:
    save(customer, shop, APPROVES, "000000001")
    page = with_cards(customer, shop)
    page.get_by_test_id("another-card").check()
    expect(page.get_by_test_id("pan")).to_be_visible()
    shoot(page, "saved-cards-another")
    pay(page, LOCKED)
    sees(page, "declined", 465)
    page.get_by_test_id("try-again").click()
    page.get_by_test_id("cvc").fill("111")
    page.get_by_test_id("pay").click()
    sees(page, "declined", 486)


def test_a_saved_card_works_without_javascript(customer: Customer, shop: Shop) -> None:
    save(customer, shop, APPROVES, "000000001")
    bare = customer.page(java_script_enabled=False)
    auth = shop.token(invoiceID="000000003")
    saved = {"invoiceId": "000000003", "accountId": "customer-1", "backLink": PAID_LINK}
    bare.goto(shop.sandbox.url + shop.address(shop.order(auth, **saved)))
    bare.get_by_test_id("cvc").fill("815")
    bare.get_by_test_id("pay").click()
    sees(bare, "approved", 0)


def test_a_card_is_verified_and_nothing_is_paid(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    auth = shop.token(amount="0", currency="USD")
    verified = {"amount": 0, "currency": "USD", "paymentType": "cardVerification", "accountId": "customer-1"}
    page.goto(shop.sandbox.url + shop.address(shop.order(auth, backLink=PAID_LINK, **verified)))
    hold_time(page)
    expect(page.get_by_role("button", name="Check the card")).to_be_visible()
    shoot(page, "verification")
    pay(page)
    sees(page, "approved", 0)
    shoot(page, "verified")
    assert shop.status()["transaction"]["statusName"] == "VERIFIED"


def test_an_invoice_link_is_paid(customer: Customer, shop: Shop, shop_server: Receiver) -> None:
    body = {
        "shop_id": SHOP_ID,
        "invoice_id": "00000000000000042",
        "amount": 10,
        "currency": "KZT",
        "description": "By letter",
        "language": "kaz",
        "post_link": shop.post_link,
        "back_link": PAID_LINK,
    }
    made = shop.http.post("/invoice", json=body, headers={"Authorization": f"Bearer {shop.status_token()}"}).json()
    page = customer.page()
    page.goto(made["invoice_url"])
    sees(page, "open")
    shoot(page, "invoice-link")
    pay(page)
    sees(page, "approved", 0)
    page.get_by_test_id("back-to-shop").click()
    arrives(page, PAID_LINK)
    page.goto(made["invoice_url"])
    sees(page, "approved", 0)

    assert heard(shop, shop_server, 1)[0].body["invoiceId"] == "00000000000000042"


def test_an_expired_invoice_link_says_so(customer: Customer, shop: Shop) -> None:
    body = {"shop_id": SHOP_ID, "invoice_id": "000000042", "amount": 10, "currency": "KZT", "description": "By letter"}
    made = shop.http.post("/invoice", json=body, headers={"Authorization": f"Bearer {shop.status_token()}"}).json()
    shop.advance(86_400)
    customer.expected.append("410 (Gone)")
    page = customer.page()
    page.goto(made["invoice_url"])
    sees(page, "refused")
    expect(page.get_by_test_id("refused")).to_have_attribute("data-kind", "link")
    shoot(page, "invoice-link-expired")


@pytest.mark.parametrize("more", ["", "&isShortForm=true"])
def test_hints_are_on_the_panel_and_in_the_console(customer: Customer, shop: Shop, more: str) -> None:
    page = customer.page()
    page.goto(pay_page(shop, more, language="RU", data="<script>alert(1)</script>"))
    sees(page, "open")
    rules = {hint.split(":")[0] for hint in customer.hints}
    assert rules == {"data-not-json", "language-spelling", "no-secret-hash", "postlink-local"}
    if not more:
        expect(page.get_by_test_id("hint")).to_have_count(4)
        shoot(page, "hints")


def test_three_hostile_values_stay_text_at_the_issuer(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.goto(pay_page(shop, description="<b id=x>"))
    fill(page, CHALLENGED | {"name": "<b id=x>"})
    page.get_by_test_id("pay").click()
    sees(page, "challenge")
    confirm(page, "<b id=x>")
    sees(page, "challenge")
    expect(page.locator("#x")).to_have_count(0)
