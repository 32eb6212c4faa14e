"""The list of invoices: live, searched, filtered, walked by keyboard, and quick with ten thousand of them."""

import re
from typing import Final

import httpx
import pytest
from browsing import Customer, shoot
from cabins import HOSTILE, enter, fill_world, home, known, line, sign_in
from playwright.sync_api import Page, expect
from support import LOCKED, Receiver
from worlds import TROUBLE, World, new_world

from mock_epay.server import Sandbox

MANY: Final = 10_000


@pytest.fixture
def page(customer: Customer) -> Page:
    return customer.page(viewport={"width": 1280, "height": 800})


def live(page: Page) -> None:
    expect(page.get_by_test_id("live")).to_have_attribute("data-live", "live")


def total(page: Page, count: int) -> None:
    expect(page.get_by_test_id("page")).to_have_attribute("data-rows", str(count))


def test_an_empty_world_teaches_the_first_payment(customer: Customer, page: Page, world: World) -> None:
    enter(page, customer.sandbox, world, state="empty")
    snippet = page.get_by_test_id("snippet")
    for language in ("curl", "python", "node", "php", "page"):
        page.get_by_test_id(f"snippet-{language}").click()
        expect(snippet).to_contain_text(world.facts["terminal"])
    shoot(page, "cabinet-empty")
    live(page)
    world.pay(invoice_id="000000001", amount=2500)
    expect(page.get_by_test_id("row-000000001")).to_contain_text("2,500")


def test_the_first_payment_is_one_click(customer: Customer, page: Page, world: World) -> None:
    enter(page, customer.sandbox, world, state="empty")
    page.get_by_test_id("first-payment").click()
    expect(page.get_by_test_id("page")).to_have_attribute("data-state", "invoice")


def test_a_row_tells_all_that_matters_and_changes_as_it_happens(
    customer: Customer, page: Page, world: World, link: str, shop_server: Receiver
) -> None:
    shop_server.answers[f"/{world.client_id}"] = [500, 500, 500]
    enter(page, customer.sandbox, world, state="empty")
    live(page)
    assert world.token(invoiceID="000000001", amount=700).status_code == 200
    one = page.get_by_test_id("row-000000001")
    expect(one.get_by_test_id("status")).to_have_text("Token only")
    world.do("POST", "/script", {"decisions": [{"reason_code": 484}]})
    world.pay(invoice_id="000000001", post_link=link, description="Tea set")
    expect(one.get_by_test_id("status")).to_have_text("Declined")
    expect(one).to_contain_text("484")
    expect(one).to_contain_text("Not enough money")
    expect(one).to_contain_text("Tea set")
    expect(one).to_contain_text(re.compile(r"4405.*5096"))
    expect(one.get_by_test_id("postlink-state")).to_contain_text("given up")
    world.pay(invoice_id="000000001", post_link=link)
    expect(one.get_by_test_id("status")).to_have_text("Paid")
    expect(one.get_by_test_id("postlink-state")).to_have_text("delivered")


def test_filters_live_in_the_address(customer: Customer, page: Page, world: World, link: str) -> None:
    world.pay(invoice_id="000000001", description="Green tea", post_link=link)
    world.pay(invoice_id="000000002", description="Black tea", plan="on_release", post_link=link)
    world.pay(invoice_id="000000003", description="Green cup", card=LOCKED)
    enter(page, customer.sandbox, world)
    total(page, 3)
    page.get_by_test_id("search").fill("gREEN")
    total(page, 2)
    assert known(page.get_by_test_id("rows")) == ["000000003", "000000001"]
    page.get_by_test_id("filter-order").select_option("oldest")
    expect(page.locator(".tr[data-id]").first).to_have_attribute("data-id", "000000001")
    page.get_by_test_id("filter-status").select_option("REJECT")
    total(page, 1)
    page.reload()
    total(page, 1)
    assert known(page.get_by_test_id("rows")) == ["000000003"]
    assert httpx.URL(page.url).params.multi_items() == [("q", "gREEN"), ("status", "REJECT"), ("order", "oldest")]
    expect(page.get_by_test_id("search")).to_have_value("gREEN")
    page.get_by_test_id("chip-status").click()
    page.get_by_test_id("chip-q").click()
    total(page, 3)
    page.get_by_test_id("filter-postlink").select_option("held")
    total(page, 1)
    assert known(page.get_by_test_id("rows")) == ["000000002"]
    page.get_by_test_id("chip-postlink").click()
    page.get_by_test_id("filter-reason").select_option("465")
    total(page, 1)
    page.get_by_test_id("search").fill("no such thing")
    expect(page.get_by_test_id("page")).to_have_attribute("data-state", "empty")
    page.get_by_test_id("clear").click()
    total(page, 3)


def test_what_happens_comes_into_a_filtered_list_only_where_it_fits(
    customer: Customer, page: Page, world: World, link: str
) -> None:
    world.pay(invoice_id="000000001", plan="on_release", post_link=link)
    enter(page, customer.sandbox, world, "?postlink=held", "list")
    live(page)
    world.pay(invoice_id="000000002", post_link=link)
    world.pay(invoice_id="000000003", plan="on_release", post_link=link)
    expect(page.get_by_test_id("row-000000003")).to_be_visible()
    world.do("POST", "/postlinks/latest/release")
    total(page, 1)
    assert known(page.get_by_test_id("rows")) == ["000000001"]


def test_the_keyboard_is_enough(customer: Customer, page: Page, world: World) -> None:
    for number in range(1, 6):
        world.pay(invoice_id=f"00000000{number}")
    enter(page, customer.sandbox, world)
    total(page, 5)
    page.keyboard.press("/")
    expect(page.get_by_test_id("search")).to_be_focused()
    page.keyboard.type("0000")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("search")).to_have_value("")
    for key in ("j", "ArrowDown", "j", "k"):
        page.keyboard.press(key)
    expect(page.get_by_test_id("row-000000004").locator("a")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("invoice")).to_have_text("000000004")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("page")).to_have_attribute("data-state", "list")
    page.keyboard.press("End")
    expect(page.get_by_test_id("row-000000001").locator("a")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.get_by_test_id("row-000000005").locator("a")).to_be_focused()
    page.go_back()
    expect(page.get_by_test_id("invoice")).to_have_text("000000004")


def test_a_search_that_was_given_up_does_not_come_back(customer: Customer, page: Page, world: World) -> None:
    world.pay(invoice_id="000000001")
    page.clock.install()
    enter(page, customer.sandbox, world)
    total(page, 1)
    page.keyboard.press("/")
    page.keyboard.type("0000")
    with page.expect_response(lambda response: "/invoices?" in response.url):  # all are asked for again, once
        page.keyboard.press("Escape")
    page.keyboard.press("j")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(1000)
    page.evaluate("fetch('/_control/health').then((answer) => answer.text())")
    assert [url.rpartition("/")[2] for url in asked] == ["health"]
    expect(page.get_by_test_id("row-000000001")).to_have_class(re.compile("chosen"))


def test_hostile_texts_stay_texts(customer: Customer, page: Page, world: World) -> None:
    world.pay(invoice_id="000000001", description=HOSTILE, account_id=HOSTILE, name=HOSTILE[:64])
    enter(page, customer.sandbox, world)
    expect(page.get_by_test_id("row-000000001")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("main img, main script").count() == 0
    page.get_by_test_id("search").fill("<img src=x")
    total(page, 1)
    expect(page.get_by_test_id("chip-q")).to_contain_text("<img src=x")


def test_a_list_catches_up_when_the_line_was_cut(customer: Customer, world: World, sandbox: Sandbox) -> None:
    world.pay(invoice_id="000000001", post_link=TROUBLE, plan="on_release")
    with line(sandbox.url) as laid:
        visitor = Customer(customer.browser, laid.url)
        visitor.expected += ["Failed to load resource", "net::ERR"]
        page = visitor.page(viewport={"width": 1280, "height": 800})
        enter(page, laid.url, world)
        live(page)
        laid.cut()
        expect(page.get_by_test_id("live")).to_have_attribute("data-live", "again")
        world.pay(invoice_id="000000002")
        world.do("POST", "/postlinks/latest/cancel")
        laid.mend()
        live(page)
        expect(page.get_by_test_id("row-000000002")).to_be_visible()
        expect(page.get_by_test_id("row-000000001").get_by_test_id("postlink-state")).to_have_text("cancelled")
        world.pay(invoice_id="000000003")
        expect(page.get_by_test_id("row-000000003")).to_be_visible()
        assert visitor.leave() == []


def test_a_list_empties_when_its_world_begins_anew(customer: Customer, page: Page, world: World) -> None:
    world.pay(invoice_id="000000001")
    enter(page, customer.sandbox, world)
    live(page)
    world.do("POST", "/reset")
    expect(page.get_by_test_id("page")).to_have_attribute("data-state", "empty")
    world.pay(invoice_id="000000002")
    expect(page.get_by_test_id("row-000000002")).to_be_visible()


def test_ten_thousand_invoices_stay_a_few_rows(
    customer: Customer, page: Page, http: httpx.Client, sandbox: Sandbox
) -> None:
    world = new_world(http)
    fill_world(sandbox, world, MANY)
    enter(page, customer.sandbox, world)
    total(page, MANY)
    rows = page.locator(".tr[data-key]")
    assert rows.count() < 50
    expect(page.get_by_test_id("row-000010000")).to_be_visible()
    shoot(page, "cabinet-ten-thousand")
    page.keyboard.press("End")
    expect(page.get_by_test_id("row-000000001")).to_be_visible(timeout=30_000)  # ten pages lie between
    assert rows.count() < 50
    frames = page.evaluate(
        """async () => {
          const view = document.querySelector(".scroll"), frames = [];
          for (let step = 0; step < 120; step += 1) {
            const began = performance.now();
            view.scrollTop = (view.scrollHeight * step * 7919 / 120) % view.scrollHeight;
            view.dispatchEvent(new Event("scroll"));
            view.getBoundingClientRect();
            frames.push(performance.now() - began);
            await new Promise(requestAnimationFrame);
          }
          return frames.sort((a, b) => a - b);
        }"""
    )
    undisturbed = frames[len(frames) // 10]  # a busy machine stops the others on the way
    assert undisturbed < 16, "a repaint takes longer than a frame of the screen"
    assert rows.count() < 50
    page.get_by_test_id("search").fill("Order 7777")
    total(page, 1)
    expect(page.get_by_test_id("row-000007777")).to_be_visible()
    page.get_by_test_id("search").fill("")
    total(page, MANY)
    live(page)
    page.locator(".scroll").evaluate("(view) => { view.scrollTop = 44000; }")
    expect(page.get_by_test_id("row-000009000")).to_be_visible()
    world.pay(invoice_id="000010001")
    expect(page.get_by_test_id("news")).to_be_visible()
    expect(page.get_by_test_id("row-000009000")).to_be_in_viewport()
    page.get_by_test_id("news").click()
    expect(page.get_by_test_id("row-000010001")).to_be_visible()


def test_failures_are_told_by_the_browser_only_if_asked_for(customer: Customer, page: Page, world: World) -> None:
    page.add_init_script(
        """window.told = [];
        window.Notification = class { constructor(text) { window.told.push(text); } };
        Notification.permission = "default";
        Notification.requestPermission = async () => { Notification.permission = "granted"; };
        Object.defineProperty(document, "hidden", { get: () => true });"""
    )
    world.pay(invoice_id="000000001")
    enter(page, customer.sandbox, world)
    live(page)
    world.pay(invoice_id="000000002", card=LOCKED)
    expect(page.get_by_test_id("row-000000002")).to_be_visible()
    assert page.evaluate("told") == []
    page.get_by_test_id("notify").click()
    expect(page.get_by_test_id("notify")).to_be_disabled()
    world.pay(invoice_id="000000003", card=LOCKED)
    expect(page.get_by_test_id("row-000000003")).to_be_visible()
    assert page.evaluate("told") == ["000000003: Declined"]


def test_signing_out_elsewhere_leads_to_the_door(customer: Customer, page: Page, world: World) -> None:
    world.pay(invoice_id="000000001")
    sign_in(page, customer.sandbox, world)
    page.goto(home(customer.sandbox, world))
    total(page, 1)
    page.context.clear_cookies()
    page.reload()
    page.wait_for_url("**/cabinet?next=*")
