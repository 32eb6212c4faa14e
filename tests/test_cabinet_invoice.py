"""One invoice in the cabinet: its life on a line, why it stands where it stands, and what can be done about it."""

import json
import re

import httpx
import pytest
from browsing import Customer, shoot
from cabins import HOSTILE, enter, home
from playwright.sync_api import Locator, Page, expect
from support import LOCKED, Receiver
from worlds import TROUBLE, World

from mock_epay import lz

CHALLENGED = "4000000000003220"
ONE = "000000001"
INVOICE = f"/invoices/{ONE}"


@pytest.fixture
def page(customer: Customer) -> Page:
    return customer.page(viewport={"width": 1280, "height": 900})


def look(page: Page, customer: Customer, world: World, number: str = ONE) -> None:
    enter(page, customer.sandbox, world, f"/invoices/{number}", "invoice")
    expect(page.get_by_test_id("live")).to_have_attribute("data-live", "live")


def unfold(page: Page, kind: str) -> Locator:
    step = page.get_by_test_id(f"step-{kind}").first
    step.locator("summary").click()
    return step


def stops(page: Page) -> list[str]:
    return page.get_by_test_id("track").locator(".stop .name").all_inner_texts()


def test_the_whole_life_stands_on_one_line_with_its_reasons(
    customer: Customer, page: Page, world: World, link: str, shop_server: Receiver
) -> None:
    shop_server.answers[f"/{world.client_id}"] = [500]
    world.token(invoiceID=ONE, amount=2500, postLink=link)
    world.do("POST", "/script", {"rules": [{"name": "poor", "match": {"amount": 2500}, "then": {"reason_code": 484}}]})
    world.pay(invoice_id=ONE, post_link=link)
    world.do("DELETE", "/script")
    world.pay(invoice_id=ONE, post_link=link, card=CHALLENGED)
    world.get("/wait", until="postlink.delivered")
    look(page, customer, world)
    expect(page.get_by_test_id("verdict")).to_contain_text("Paid with 4000...3220")
    expect(page.get_by_test_id("verdict")).to_contain_text("The shop took the postlink, HTTP 200")
    seen = stops(page)
    for name in ("token", "page", "declined", "asks", "code", "charge", "not taken", "delivered"):
        assert name in seen, seen
    declined = unfold(page, "transaction.declined")
    expect(declined.get_by_test_id("fact-decided_by")).to_have_text("rule poor")
    failed = unfold(page, "postlink.failed")
    expect(failed.get_by_test_id("fact-result")).to_contain_text("HTTP 500")
    expect(failed.get_by_test_id("sent")).to_contain_text('"reasonCode": 484')
    expect(failed.get_by_test_id("answer")).to_have_text("ok")
    token = unfold(page, "token.issued")
    expect(token.get_by_test_id("hints")).to_contain_text("secret_hash")
    expect(unfold(page, "checkout.opened").get_by_test_id("object")).to_contain_text("invoiceId")
    shoot(page, "cabinet-invoice")


def test_a_stop_on_the_line_opens_its_step(customer: Customer, page: Page, world: World) -> None:
    world.pay(invoice_id=ONE)
    look(page, customer, world)
    page.locator(".stop").first.click()
    step = page.get_by_test_id("step-token.issued")
    expect(step).to_have_attribute("open", "")
    expect(step.locator("summary")).to_be_focused()


def test_json_is_shown_pretty_or_as_it_came_and_copied(customer: Customer, page: Page, world: World, link: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write", "local-network-access"])
    world.pay(invoice_id=ONE, post_link=link)
    world.get("/wait", until="postlink.delivered")
    look(page, customer, world)
    step = unfold(page, "postlink.delivered")
    shown = step.get_by_test_id("sent")
    assert json.loads(shown.inner_text())["invoiceId"] == ONE
    step.get_by_test_id("raw").first.click()
    text = world.get("/postlinks/latest")["text"]
    expect(shown).to_have_text(text)
    step.get_by_test_id("copy").first.click()
    expect(step.get_by_test_id("copy").first).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == text
    page.get_by_test_id("copy-link").click()
    expect(page.get_by_test_id("copy-link")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == home(customer.sandbox, world, INVOICE)


def test_an_open_step_stays_open_while_more_happens(customer: Customer, page: Page, world: World, link: str) -> None:
    world.pay(invoice_id=ONE, post_link=link, plan="on_release")
    look(page, customer, world)
    expect(page.get_by_test_id("waits")).to_contain_text("to be released")
    unfold(page, "token.issued")
    world.do("POST", "/postlinks/latest/release")
    expect(page.get_by_test_id("step-postlink.delivered")).to_be_visible()
    expect(page.get_by_test_id("step-token.issued")).to_have_attribute("open", "")
    expect(page.get_by_test_id("waits")).to_have_count(0)


def test_what_differs_on_the_way_is_marked(
    customer: Customer, page: Page, world: World, http: httpx.Client, link: str
) -> None:
    auth = world.token(invoiceID=ONE, amount="100.00", postLink=TROUBLE).json()
    fields = {"invoiceId": ONE, "amount": 100, "currency": "KZT", "terminal": world.facts["terminal"], "postLink": link}
    more = {"description": "Tea", "language": "rus", "backLink": "https://shop.example/", "auth": auth}
    opened = http.get("/payform/?params=" + lz.compress(lz.flatten(fields | more)))
    assert opened.status_code == 200
    world.pay(invoice_id=ONE, post_link=link)
    look(page, customer, world)
    table = page.get_by_test_id("compared")
    expect(table.locator(".differs")).to_have_count(1)
    expect(page.get_by_test_id("compared-postLink")).to_have_class("differs")
    expect(page.get_by_test_id("compared-postLink")).to_contain_text(TROUBLE)
    expect(page.get_by_test_id("compared-amount")).not_to_have_class("differs")


def test_hostile_names_descriptions_and_answers_stay_texts(
    customer: Customer, page: Page, world: World, shop_server: Receiver
) -> None:
    world.pay(
        invoice_id=ONE,
        description=HOSTILE,
        account_id=HOSTILE,
        name=HOSTILE[:64],
        post_link=f"{shop_server.url}/<b>{world.client_id}",
    )
    world.do("POST", "/postlinks/latest/resend", {"text": HOSTILE})
    look(page, customer, world)
    expect(page.get_by_test_id("description")).to_contain_text("<img src=x onerror=alert(1)>")
    for summary in page.locator("details.step summary").all():
        summary.click()
    expect(page.get_by_test_id("sent").last).to_contain_text("<img src=x")
    assert page.locator("main img, main script").count() == 0


def test_money_is_charged_and_given_back_in_part(customer: Customer, page: Page, world: World) -> None:
    world.do("PATCH", "", {"two_stage": True})
    world.pay(invoice_id=ONE, amount=1000)
    look(page, customer, world)
    expect(page.get_by_test_id("waits")).to_contain_text("charge")
    page.get_by_test_id("do-charge").click()
    dialog = page.get_by_test_id("dialog")
    dialog.get_by_test_id("amount").fill("2000")
    customer.expected.append("status of 400")
    dialog.get_by_test_id("yes").click()
    expect(dialog.locator(".problem:not(:empty)")).to_have_count(1)
    dialog.get_by_test_id("amount").fill("800")
    dialog.get_by_test_id("yes").click()
    expect(page.get_by_test_id("status")).to_have_text("Paid")
    page.get_by_test_id("do-refund").click()
    expect(dialog.get_by_test_id("amount")).to_have_value("800")
    dialog.get_by_test_id("amount").fill("300.5")
    dialog.get_by_test_id("yes").click()
    expect(page.get_by_test_id("step-transaction.refunded")).to_be_visible()
    (paid,) = world.get("/transactions")["transactions"]
    assert (paid["taken"], paid["returned"], paid["status"]) == (800, 300.5, "CHARGE")


def test_held_money_is_let_go_only_when_that_is_confirmed(customer: Customer, page: Page, world: World) -> None:
    world.do("PATCH", "", {"two_stage": True})
    world.pay(invoice_id=ONE)
    look(page, customer, world)
    page.get_by_test_id("do-cancel").click()
    page.get_by_test_id("dialog").get_by_test_id("no").click()
    expect(page.get_by_test_id("dialog")).to_have_count(0)
    assert world.get("/transactions")["transactions"][0]["status"] == "AUTH"
    page.get_by_test_id("do-cancel").click()
    page.get_by_test_id("yes").click()
    expect(page.get_by_test_id("status")).to_have_text("Cancelled")


@pytest.mark.parametrize(("button", "status"), [("pass", "Paid"), ("give_up", "Declined|Failed")])
def test_an_open_challenge_is_answered_for_the_cardholder(
    customer: Customer, page: Page, world: World, button: str, status: str
) -> None:
    world.pay(invoice_id=ONE, card=CHALLENGED, challenge="leave")
    look(page, customer, world)
    expect(page.get_by_test_id("verdict")).to_contain_text("waits for the cardholder's code")
    page.get_by_test_id(f"do-{button}").click()
    expect(page.get_by_test_id("status")).to_have_text(re.compile(status))


def test_a_postlink_is_released_sent_again_changed_and_stopped(
    customer: Customer, page: Page, world: World, link: str, shop_server: Receiver
) -> None:
    world.pay(invoice_id=ONE, post_link=link, plan="on_release")
    look(page, customer, world)
    aside = page.locator("aside")
    aside.get_by_test_id("release").click()
    expect(aside.get_by_test_id("postlink-state")).to_have_text("delivered")
    aside.get_by_test_id("resend").first.click()
    expect(aside.get_by_test_id("postlink-state")).to_have_count(2)
    aside.get_by_test_id("edit").first.click()
    dialog = page.get_by_test_id("dialog")
    dialog.get_by_test_id("url").fill("no address")
    customer.expected.append("status of 400")
    dialog.get_by_test_id("yes").click()
    expect(dialog.get_by_test_id("problem-url")).not_to_be_empty()
    dialog.get_by_test_id("url").fill(link)
    dialog.get_by_test_id("text").fill('{"id": "changed"}')
    dialog.get_by_test_id("yes").click()
    expect(aside.get_by_test_id("postlink-state")).to_have_count(3)
    assert shop_server.wait(3, f"/{world.client_id}")[-1].text == '{"id": "changed"}'


def test_a_held_postlink_can_be_stopped(customer: Customer, page: Page, world: World, link: str) -> None:
    world.pay(invoice_id=ONE, post_link=link, plan="on_release")
    look(page, customer, world)
    page.locator("aside").get_by_test_id("withhold").click()
    expect(page.get_by_test_id("verdict")).to_contain_text("cancelled")
    assert world.get("/postlinks/latest")["state"] == "cancelled"


@pytest.mark.parametrize(
    ("form", "word"), [("curl", "curl"), ("pytest", "def test_"), ("playwright", "test("), ("phpunit", "TestCase")]
)
def test_what_happened_is_copied_as_a_test(customer: Customer, page: Page, world: World, form: str, word: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write", "local-network-access"])
    world.pay(invoice_id=ONE, card=LOCKED, description=HOSTILE)
    look(page, customer, world)
    page.get_by_test_id("copy-as").click()
    page.get_by_test_id(f"as-{form}").click()
    recipe = page.get_by_test_id("recipe")
    expect(recipe).to_contain_text(word)
    page.get_by_test_id("copy-recipe").click()
    expect(page.get_by_test_id("copy-recipe")).to_have_text("Copied")
    told = world.ask("GET", f"{INVOICE}/test", **{"as": form}).text
    assert page.evaluate("navigator.clipboard.readText()") == told
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("dialog")).to_have_count(0)


def test_its_next_attempt_is_decided_from_here(customer: Customer, page: Page, world: World) -> None:
    world.pay(invoice_id=ONE, card=LOCKED)
    look(page, customer, world)
    page.get_by_test_id("decide-next").click()
    form = page.get_by_test_id("decision-form")
    expect(form.get_by_test_id("invoice_id")).to_have_value(ONE)
    form.get_by_test_id("reason_code").fill("2740")
    form.get_by_test_id("add-decision").click()
    expect(page.get_by_test_id("decisions")).to_contain_text("2740")
    assert world.pay(invoice_id=ONE)["reason_code"] == 2740
