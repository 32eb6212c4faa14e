"""The cabinet's tools: paying, the script, the clock, the settings and the check of a handler."""

from contextlib import ExitStack

import httpx
import pytest
from browsing import Customer, shoot
from cabins import enter
from playwright.sync_api import Page, expect
from support import Receiver, eventually
from worlds import World, new_world


@pytest.fixture
def page(customer: Customer) -> Page:
    return customer.page(viewport={"width": 1280, "height": 900})


# Paying.


def test_a_link_is_made_with_its_qr_code_and_paid_on(customer: Customer, page: Page, world: World) -> None:
    enter(page, customer.sandbox, world, "/new")
    form = page.get_by_test_id("link-form")
    form.get_by_test_id("amount").fill("2500")
    form.get_by_test_id("description").fill("Tea <b>set</b>")
    form.get_by_test_id("make-link").click()
    code = page.get_by_test_id("qr")
    expect(code).to_be_visible()
    expect(code).not_to_have_js_property("naturalWidth", 0)
    shoot(page, "cabinet-new")
    address = page.get_by_test_id("link").inner_text()
    assert page.get_by_test_id("open-link").get_attribute("href") == address
    page.goto(address)
    expect(page.get_by_test_id("amount")).to_have_text("2,500\N{NO-BREAK SPACE}₸")


def test_a_payment_without_a_browser_leads_to_its_invoice(
    customer: Customer, page: Page, world: World, link: str
) -> None:
    enter(page, customer.sandbox, world, "/new")
    form = page.get_by_test_id("pay-form")
    form.get_by_test_id("invoice_id").fill("12")
    customer.expected.append("status of 400")
    form.get_by_test_id("pay-now").click()
    expect(form.locator(".problem:not(:empty)")).to_have_count(1)
    form.get_by_test_id("invoice_id").fill("000000012")
    form.get_by_test_id("post_link").fill(link)
    form.get_by_test_id("card").select_option("4003032704547597")
    form.get_by_test_id("pay-now").click()
    expect(page.get_by_test_id("invoice")).to_have_text("000000012")
    expect(page.get_by_test_id("status")).to_have_text("Declined")


# The script.


def test_decisions_are_queued_used_and_taken_out(customer: Customer, page: Page, world: World) -> None:
    enter(page, customer.sandbox, world, "/script")
    form = page.get_by_test_id("decision-form")
    form.get_by_test_id("reason_code").fill("not a code")
    form.get_by_test_id("add-decision").click()
    expect(form.get_by_test_id("problem-reason_code")).not_to_be_empty()
    for code in ("484 Not enough money on the card", "2740"):
        form.get_by_test_id("reason_code").fill(code)
        form.get_by_test_id("add-decision").click()
        expect(page.get_by_test_id("decisions")).to_contain_text(code[:4].strip())
    form.get_by_test_id("plan").fill("delay(5)")
    form.get_by_test_id("add-decision").click()
    queue = page.get_by_test_id("decisions").locator("li")
    expect(queue).to_have_count(3)
    shoot(page, "cabinet-script")
    queue.nth(1).get_by_test_id("remove").click()
    expect(queue).to_have_count(2)
    assert world.pay()["reason_code"] == 484
    expect(queue).to_have_count(1)
    expect(queue).to_contain_text("delay(5)")


def test_rules_are_checked_kept_counted_and_taken_out(customer: Customer, page: Page, world: World) -> None:
    customer.expected.append("status of 400")
    enter(page, customer.sandbox, world, "/script")
    form = page.get_by_test_id("rule-form")
    form.get_by_test_id("name").fill("dear")
    form.get_by_test_id("amount").fill("1000")
    form.get_by_test_id("plan").fill("sometimes")
    form.get_by_test_id("add-rule").click()
    expect(form.get_by_test_id("problem-plan")).to_contain_text("immediate")
    form.get_by_test_id("plan").fill("")
    form.get_by_test_id("reason_code").fill("484")
    form.get_by_test_id("add-rule").click()
    entry = page.get_by_test_id("entry-dear")
    expect(entry).to_contain_text("amount ≥ 1000")
    form.get_by_test_id("name").fill("one card")
    form.get_by_test_id("pan").fill("4405 6397 0401 5096")
    form.get_by_test_id("reason_code").fill("455")
    form.get_by_test_id("add-rule").click()
    expect(page.get_by_test_id("entry-one card")).to_be_visible()
    assert world.pay(amount=2000)["decided_by"] == "rule dear"
    expect(entry).to_contain_text("used 1 time")
    entry.get_by_test_id("remove").click()
    expect(entry).to_have_count(0)
    assert world.pay(amount=2000)["decided_by"] == "rule one card"
    page.get_by_test_id("clear-script").click()
    page.get_by_test_id("dialog").get_by_test_id("yes").click()
    expect(page.get_by_test_id("entry-one card")).to_have_count(0)
    assert world.get("/script") == {"decisions": [], "rules": []}


def test_faults_are_planned_and_ended(customer: Customer, page: Page, world: World) -> None:
    enter(page, customer.sandbox, world, "/script")
    form = page.get_by_test_id("fault-form")
    form.get_by_test_id("at").select_option("token")
    form.get_by_test_id("status").fill("503")
    form.get_by_test_id("times").fill("2")
    form.get_by_test_id("add-fault").click()
    faults = page.get_by_test_id("faults")
    expect(faults).to_contain_text("HTTP 503")
    assert world.token(invoiceID="000000001", amount=1).status_code == 503
    expect(faults).to_contain_text("struck 1 time")
    page.get_by_test_id("clear-faults").click()
    page.get_by_test_id("dialog").get_by_test_id("yes").click()
    expect(faults).not_to_contain_text("HTTP 503")
    assert world.token(invoiceID="000000001", amount=1).status_code == 200


# The clock.


def test_the_clock_is_frozen_advanced_set_and_let_go(customer: Customer, page: Page, world: World, link: str) -> None:
    world.pay(invoice_id="000000001", post_link=link, plan="delay(60)")
    enter(page, customer.sandbox, world, "/clock")
    expect(page.get_by_test_id("due")).to_contain_text("000000001")
    page.get_by_test_id("freeze").click()
    expect(page.get_by_test_id("world-time")).to_contain_text("frozen")
    assert world.get("/clock")["frozen"] is True
    shoot(page, "cabinet-clock")
    page.get_by_test_id("jump").first.click()
    expect(page.get_by_test_id("fired")).to_contain_text("delivered")
    page.locator("[name=set]").fill("2027-01-01T12:00:00")
    page.get_by_test_id("set-clock").click()
    expect(page.get_by_test_id("now")).to_have_text("12:00:00")
    page.get_by_test_id("advance-1200").click()
    expect(page.get_by_test_id("now")).to_have_text("12:20:00")
    page.get_by_test_id("freeze").click()
    expect(page.get_by_test_id("world-time")).not_to_contain_text("frozen")
    assert world.get("/clock")["frozen"] is False


def test_a_clock_that_others_turn_is_seen_to_turn(customer: Customer, page: Page, world: World) -> None:
    enter(page, customer.sandbox, world, "/clock")
    expect(page.get_by_test_id("live")).to_have_attribute("data-live", "live")
    world.do("PUT", "/clock", {"freeze": True})
    expect(page.get_by_test_id("world-time")).to_contain_text("frozen")


# The settings.


def test_secrets_are_shown_only_when_asked_for(customer: Customer, page: Page, world: World) -> None:
    enter(page, customer.sandbox, world, "/settings")
    secret = page.get_by_test_id("is-ClientSecret")
    expect(secret).not_to_contain_text(world.facts["client_secret"])
    shoot(page, "cabinet-settings")
    page.get_by_test_id("show-ClientSecret").click()
    expect(secret).to_have_text(world.facts["client_secret"])
    page.get_by_test_id("show-ClientSecret").click()
    expect(secret).not_to_contain_text(world.facts["client_secret"])


def test_settings_are_changed_one_by_one_and_refused_beside_their_field(
    customer: Customer, page: Page, world: World
) -> None:
    customer.expected.append("status of 400")
    enter(page, customer.sandbox, world, "/settings")
    form = page.get_by_test_id("settings-form")
    form.get_by_test_id("page_attempts").fill("1000")
    form.get_by_test_id("save").click()
    expect(form.get_by_test_id("problem-page_attempts")).to_contain_text("from 1 to 100")
    form.get_by_test_id("page_attempts").fill("5")
    form.get_by_test_id("name").fill("Чай <b>&</b>")
    form.get_by_test_id("dialect").select_option("observed")
    form.get_by_test_id("notify_operations").select_option("true")
    form.get_by_test_id("postlink_retry_s").fill("1, 2.5")
    form.get_by_test_id("save").click()
    expect(page.get_by_test_id("merchant")).to_contain_text("Чай <b>&</b>")
    now = world.get()
    names = ("page_attempts", "dialect", "notify_operations", "postlink_retry_s", "checks")
    assert [now[name] for name in names] == [5, "observed", True, [1, 2.5], "strict"]


def test_the_settings_tell_how_much_is_kept(customer: Customer, page: Page, http: httpx.Client) -> None:
    world = new_world(http, keep_transactions=10, keep_bodies=1500)
    for number in range(12):
        world.pay(invoice_id=f"{number + 1:09d}")
    enter(page, customer.sandbox, world, "/settings")
    expect(page.get_by_test_id("kept-transactions")).to_have_text(
        "10\N{NO-BREAK SPACE}/\N{NO-BREAK SPACE}10 · forgotten: 2"
    )
    expect(page.get_by_test_id("kept-bodies")).to_have_text("0\N{NO-BREAK SPACE}/\N{NO-BREAK SPACE}1,500")
    page.get_by_test_id("kept-transactions").scroll_into_view_if_needed()
    shoot(page, "cabinet-kept")
    world.do("DELETE")


def test_a_terminal_is_made_two_stage(customer: Customer, page: Page, world: World) -> None:
    enter(page, customer.sandbox, world, "/settings")
    page.get_by_test_id(f"stage-{world.facts['terminal']}").select_option("two")
    expect(page.get_by_test_id("toast")).to_be_visible()
    assert world.pay()["status"] == "AUTH"


def test_a_new_merchant_is_made_and_signs_in(
    customer: Customer, page: Page, world: World, http: httpx.Client, ends: ExitStack
) -> None:
    enter(page, customer.sandbox, world, "/settings")
    page.get_by_test_id("new-merchant-button").click()
    page.get_by_test_id("dialog").get_by_test_id("name").fill("Coffee")
    page.get_by_test_id("dialog").get_by_test_id("yes").click()
    facts = {name: page.get_by_test_id(f"new-{name}").inner_text() for name in ("ClientID", "email", "password")}
    page.get_by_test_id("dialog").get_by_test_id("yes").click()
    ends.callback(http.delete, f"/_control/merchants/{facts['ClientID']}")
    page.get_by_test_id("sign-out").click()
    page.get_by_test_id("email").fill(facts["email"])
    page.get_by_test_id("password").fill(facts["password"])
    page.get_by_test_id("enter").click()
    page.wait_for_url(f"**/cabinet/{facts['ClientID']}")
    expect(page.get_by_test_id("merchant")).to_contain_text("Coffee")
    expect(page.get_by_test_id("page")).to_have_attribute("data-state", "empty")


def test_a_world_is_reset_and_a_merchant_ended_only_when_confirmed(
    customer: Customer, page: Page, http: httpx.Client
) -> None:
    world = new_world(http)
    world.pay(invoice_id="000000001")
    enter(page, customer.sandbox, world, "/settings")
    page.get_by_test_id("reset").click()
    page.get_by_test_id("dialog").get_by_test_id("no").click()
    assert len(world.get("/invoices")["invoices"]) == 1
    page.get_by_test_id("reset").click()
    page.get_by_test_id("dialog").get_by_test_id("yes").click()
    expect(page.get_by_test_id("page")).to_have_attribute("data-state", "empty")
    page.get_by_test_id("nav-settings").click()
    page.get_by_test_id("end").click()
    customer.expected.append("status of 4")
    page.get_by_test_id("dialog").get_by_test_id("yes").click()
    page.wait_for_url("**/cabinet")
    assert world.ask("GET").status_code == 404


# The check of a handler.


def test_a_scorecard_fills_while_a_handler_is_checked(customer: Customer, page: Page, world: World, link: str) -> None:
    enter(page, customer.sandbox, world, "/handler")
    page.get_by_test_id("post_link").fill(link)
    page.get_by_test_id("start").click()
    scores = page.get_by_test_id("score")
    expect(scores.first).to_have_attribute("data-outcome", "passed")
    expect(scores).to_have_count(19, timeout=60_000)
    expect(page.get_by_test_id("summary")).to_contain_text("failed.")
    assert page.locator('[data-outcome="failed"]').count() > 0
    shoot(page, "cabinet-handler")


def test_a_handler_s_address_that_is_none_is_told_beside_its_field(
    customer: Customer, page: Page, world: World
) -> None:
    customer.expected.append("status of 400")
    enter(page, customer.sandbox, world, "/handler")
    page.get_by_test_id("post_link").fill("ftp://127.0.0.1/")
    page.get_by_test_id("start").click()
    expect(page.locator(".problem:not(:empty)")).to_have_count(1)


def test_a_check_is_stopped(customer: Customer, page: Page, http: httpx.Client, shop_server: Receiver) -> None:
    world = new_world(http)  # it outlives the test, for the check puts back its clock when it has been stopped
    enter(page, customer.sandbox, world, "/handler")
    page.get_by_test_id("post_link").fill(f"{shop_server.url}/{world.client_id}")
    page.get_by_test_id("start").click()
    expect(page.get_by_test_id("score").first).to_be_visible()
    page.get_by_test_id("stop").click()
    expect(page.get_by_test_id("start")).to_be_enabled()
    assert page.get_by_test_id("score").count() < 19
    eventually(lambda: bool(world.get()["postlink_retry_s"] == world.facts["postlink_retry_s"]))
