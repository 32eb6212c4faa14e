"""The sandbox's tools beside the pay form: what one does with them by mouse and by keyboard."""

import httpx
import pytest
from browsing import Customer, pay, pay_page, sees
from playwright.sync_api import Page, expect
from support import APPROVES, CHALLENGED, LOCKED, Shop, action, state
from worlds import of

from mock_epay import issuer
from mock_epay.settings import THREE_DS


def open_page(customer: Customer, shop: Shop, more: str = "") -> Page:
    page = customer.page()
    page.goto(pay_page(shop, more))
    sees(page, "open")
    return page


@pytest.mark.parametrize(("typed", "code"), [("484", 484), ("NOT ENOUGH MON", 484), ("secure code is wrong", 499)])
def test_a_reason_is_found_by_its_code_or_its_words_and_taken_by_enter(
    customer: Customer, shop: Shop, typed: str, code: int
) -> None:
    page = open_page(customer, shop)
    box = page.get_by_test_id("any-reason")
    box.press_sequentially(typed)
    expect(page.locator("[aria-selected]")).to_contain_text(f"{code}: ")
    assert box.get_attribute("aria-activedescendant") == f"reason-{code}"
    box.press("Enter")
    expect(page.get_by_test_id("reason-list")).to_be_hidden()
    assert box.input_value().startswith(f"{code}: ")
    assert page.get_by_test_id("pan").input_value().replace(" ", "") == issuer.card_for(code)
    expect(page.get_by_test_id("pay")).to_be_focused()
    page.keyboard.press("Enter")
    sees(page, "declined", code)


def test_reasons_are_walked_through_by_arrows_and_taken_by_a_click(customer: Customer, shop: Shop) -> None:
    page = open_page(customer, shop)
    box, options = page.get_by_test_id("any-reason"), page.get_by_test_id("reason-list").get_by_role("option")
    box.press("ArrowDown")
    expect(options.first).to_be_visible()
    box.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    box.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    box.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(options.first).not_to_have_attribute("aria-selected", "true")
    box.press("Escape")
    expect(options.first).to_be_hidden()
    assert page.get_by_test_id("pan").input_value() == ""
    box.click()
    chosen = options.nth(20).inner_text()
    options.nth(20).click()
    page.get_by_test_id("pay").click()
    sees(page, "declined", chosen.partition(":")[0])


def test_no_reason_is_said_to_be_none_and_the_form_stays(customer: Customer, shop: Shop) -> None:
    page = open_page(customer, shop)
    box = page.get_by_test_id("any-reason")
    box.press_sequentially("xyz")
    expect(page.get_by_test_id("reason-list")).to_have_text("No such reason")
    box.press("Enter")
    box.press("ArrowDown")
    assert page.get_by_test_id("pan").input_value() == ""
    page.get_by_test_id("email").focus()
    expect(page.get_by_test_id("reason-list")).to_be_hidden()
    assert customer.payments == []


def test_reasons_come_in_three_languages_and_no_other(http: httpx.Client) -> None:
    lists = {language: http.get(f"/payform/reasons/{language}.json").json() for language in ("rus", "kaz", "eng")}
    assert len({tuple(reason["code"] for reason in reasons) for reasons in lists.values()}) == 1
    assert len({str(reasons) for reasons in lists.values()}) == 3
    assert all(reason["pan"] == issuer.card_for(reason["code"]) for reason in lists["kaz"])
    missing = http.get("/payform/reasons/xyz.json")
    assert (missing.status_code, "rus, kaz, eng" in missing.text) == (404, True)


def test_folded_tools_stay_folded(customer: Customer, shop: Shop) -> None:
    page = open_page(customer, shop)
    cards = page.get_by_test_id(f"test-card-{APPROVES['pan']}")
    expect(cards).to_be_visible()
    page.get_by_test_id("drawer").locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(cards).to_be_hidden()
    page.reload()
    expect(page.get_by_test_id("pan")).to_be_visible()
    expect(cards).to_be_hidden()
    page.get_by_test_id("drawer").locator("summary").first.click()
    page.reload()
    expect(cards).to_be_visible()


def test_without_javascript_there_is_no_box_that_does_nothing(customer: Customer, shop: Shop) -> None:
    page = customer.page(java_script_enabled=False)
    page.goto(pay_page(shop))
    expect(page.get_by_test_id("any-reason")).to_be_hidden()
    page.get_by_test_id("three-ds").select_option("challenge")
    pay(page)
    sees(page, "challenge")
    page.get_by_test_id("fail").click()
    sees(page, "declined", 499)


def test_the_issuer_s_page_can_be_made_to_fail_by_one_press(customer: Customer, shop: Shop) -> None:
    page = open_page(customer, shop)
    pay(page, CHALLENGED)
    sees(page, "challenge")
    page.get_by_test_id("fail").click()
    sees(page, "declined", 499)


@pytest.mark.parametrize(
    ("policy", "seen"),
    [
        ("", ("approved", "0")),
        ("card", ("approved", "0")),
        ("none", ("approved", "0")),
        ("frictionless", ("approved", "0")),
        ("challenge", ("challenge", "")),
    ],
)
def test_the_form_says_what_becomes_of_3d_secure(shop: Shop, policy: str, seen: tuple[str, str]) -> None:
    assert state(shop.pay(action(shop.open()), APPROVES, three_ds=policy)) == seen
    paid = of(shop).get("/transactions/latest")
    assert paid["secure"] is (policy == "frictionless")


def test_the_form_overrules_the_merchant_and_a_script_overrules_the_form(shop: Shop) -> None:
    of(shop).do("PATCH", "", {"three_ds": "challenge"})
    page = shop.open()
    of(shop).do("POST", "/script", {"decisions": [{"challenge": "challenge"}]})
    assert state(shop.pay(action(page), LOCKED, three_ds="none")) == ("challenge", "")
    page = shop.open(invoiceId="000000002")
    assert state(shop.pay(action(page), APPROVES, three_ds="none")) == ("approved", "0")


def test_a_way_of_3d_secure_that_there_is_not_is_refused(shop: Shop) -> None:
    refused = shop.pay(action(shop.open()), APPROVES, three_ds="sometimes")
    assert (refused.status_code, state(refused)[0]) == (400, "refused")
    assert f"one of {', '.join(THREE_DS)}" in refused.text
    assert of(shop).get("/transactions/latest")["status"] == "NEW"


def test_what_was_sent_stands_side_by_side(customer: Customer, shop: Shop) -> None:
    page = open_page(customer, shop)
    page.get_by_test_id("sent").locator("summary").click()
    cells = {name: page.get_by_test_id(f"sent-{name}").locator("td") for name in ("amount", "backLink", "secret_hash")}
    expect(cells["amount"]).to_have_text(["100"])
    expect(cells["backLink"].first).to_have_text("")
    expect(cells["backLink"].last).to_contain_text("https://shop.example/")
    assert cells["secret_hash"].count() == 0
    expect(page.get_by_test_id("sent-postLink")).to_have_class("hinted")


def test_a_secret_is_not_shown(shop: Shop) -> None:
    page = shop.open(token=shop.token(secret_hash="hush-hush"))
    assert "hush-hush" not in page.text
    assert (
        '<tr class="" data-testid="sent-secret_hash"><th scope="row">secret_hash</th><td>***</td><td></td>' in page.text
    )


def test_the_tools_lead_to_the_time_line_of_the_order(shop: Shop) -> None:
    assert f'href="/cabinet/{shop.merchant.client_id}/invoices/000000001"' in shop.open().text
