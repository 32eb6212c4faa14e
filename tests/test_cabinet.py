"""The cabinet's door and its shell: who gets in, what the pages may do, and that scripts keep their promises."""

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest
from browsing import SHOP, Customer, fits, shoot
from cabins import enter, home, sign_in
from playwright.sync_api import Browser, Page, expect
from worlds import World, new_world

from mock_epay import resources
from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings

SCRIPTS: Final = {path.name: path.read_text("utf-8") for path in (resources.STATIC / "cabinet").glob("*.js")}
STYLE: Final = (resources.STATIC / "cabinet" / "cabinet.css").read_text("utf-8")
TEMPLATES: Final = "".join(path.read_text("utf-8") for path in sorted(Path(resources.TEMPLATES).glob("*cabinet*")))
LANGUAGES: Final = {"rus": "ru", "kaz": "kk", "eng": "en"}
ADDRESSES: Final = ("/", "/cabinet", "/cabinet/test", "/cabinet/test/invoices/000000001", "/cabinet/test/clock")
MOST_BYTES: Final = 150_000


def leaves(tree: dict[str, object], path: str = "") -> list[str]:
    found = []
    for key, branch in tree.items():
        found += leaves(branch, f"{path}{key}.") if isinstance(branch, dict) else [f"{path}{key}"]
    return found


def at_the_door(page: Page) -> None:
    expect(page.get_by_test_id("page")).to_have_attribute("data-state", "open")


# The door.


def test_one_click_signs_in_the_documented_merchant(customer: Customer) -> None:
    page = customer.page()
    page.goto(f"{customer.sandbox}/")
    at_the_door(page)
    expect(page.get_by_test_id("email")).to_have_value("epay@halykbank.kz")
    shoot(page, "cabinet-door")
    page.get_by_test_id("enter").click()
    page.wait_for_url("**/cabinet/test")
    expect(page.get_by_test_id("merchant")).to_contain_text("test")
    cookies = page.context.cookies()
    (session,) = [cookie for cookie in cookies if cookie["name"] == "mock_epay_session"]
    assert (session["httpOnly"], session["sameSite"]) == (True, "Strict")


def test_who_is_signed_in_goes_straight_on_and_who_signs_out_does_not(customer: Customer, world: World) -> None:
    page = customer.page()
    sign_in(page, customer.sandbox, world)
    page.goto(f"{customer.sandbox}/cabinet")
    page.wait_for_url(f"**/cabinet/{world.client_id}")
    page.get_by_test_id("sign-out").click()
    page.wait_for_url("**/cabinet")
    at_the_door(page)


def test_a_wrong_password_is_told_and_the_right_one_tried_next(customer: Customer, world: World) -> None:
    customer.expected.append("status of 401")
    page = customer.page()
    page.goto(f"{customer.sandbox}/cabinet")
    at_the_door(page)
    page.get_by_test_id("email").fill(world.facts["email"])
    page.get_by_test_id("password").fill("not this one")
    page.get_by_test_id("enter").click()
    expect(page.get_by_test_id("problem")).not_to_be_empty()
    page.get_by_test_id("password").fill(world.facts["password"])
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/cabinet/{world.client_id}")


def test_a_link_to_an_invoice_leads_there_by_way_of_the_door(customer: Customer, world: World) -> None:
    world.pay(invoice_id="000000007")
    page = customer.page()
    page.goto(home(customer.sandbox, world, "/invoices/000000007?lang=kaz"))
    at_the_door(page)
    page.get_by_test_id("email").fill(world.facts["email"])
    page.get_by_test_id("password").fill(world.facts["password"])
    page.get_by_test_id("enter").click()
    page.wait_for_url("**/invoices/000000007?lang=kaz")
    expect(page.get_by_test_id("invoice")).to_have_text("000000007")


@pytest.mark.parametrize(
    "wish",
    ["https://shop.example/", "//shop.example/", "/\\shop.example/", "/_control/health", "/cabinet/another", "x"],
)
def test_the_way_back_is_never_anything_but_the_own_cabinet(customer: Customer, world: World, wish: str) -> None:
    page = customer.page()
    sign_in(page, customer.sandbox, world)
    page.goto(f"{customer.sandbox}/cabinet?" + str(httpx.QueryParams({"next": wish})))
    page.wait_for_url(home(customer.sandbox, world))
    assert customer.visits == []


def test_another_merchant_s_cabinet_stays_shut(
    customer: Customer, http: httpx.Client, world: World, ends: ExitStack
) -> None:
    other = new_world(http, name="Other")
    ends.callback(other.ask, "DELETE")
    other.pay(invoice_id="000000009")
    page = customer.page()
    sign_in(page, customer.sandbox, world)
    page.goto(home(customer.sandbox, other, "/invoices/000000009"))
    page.wait_for_url(home(customer.sandbox, world))
    expect(page.get_by_test_id("row-000000009")).to_have_count(0)


def test_a_link_from_a_chat_opens_without_a_sign_of_the_door(customer: Customer, world: World) -> None:
    world.pay(invoice_id="000000007")
    address = home(customer.sandbox, world, "/invoices/000000007")
    customer.shop_pages["/chat"] = f'<!doctype html><title>Chat</title><a href="{address}">look</a>'
    page = customer.page()
    sign_in(page, customer.sandbox, world)
    page.goto(f"{SHOP}/chat")
    seen: list[str] = []
    page.on("framenavigated", lambda frame: seen.append(frame.url))
    page.get_by_text("look").click()
    expect(page.get_by_test_id("invoice")).to_have_text("000000007")
    assert seen == [address]


def test_a_page_of_another_site_can_do_nothing(customer: Customer, world: World) -> None:
    reset = f"{customer.sandbox}/_control/merchants/{world.client_id}/reset"
    customer.shop_pages["/evil"] = (
        f'<!doctype html><title>Evil</title><form method="post" action="{reset}" enctype="text/plain">'
        "<input name='{\"a\":\"' value='\"}'><button>free tea</button></form>"
    )
    customer.expected += ["CORS", "status of 4", "net::ERR"]
    world.pay(invoice_id="000000007")
    page = customer.page()
    sign_in(page, customer.sandbox, world)
    page.goto(f"{SHOP}/evil")
    tried = page.evaluate(
        """(reset) => fetch(reset, { method: "POST", mode: "no-cors", credentials: "include", body: "{}" })
          .then((answer) => answer.type, () => "failed")""",
        reset,
    )
    assert tried in {"opaque", "failed"}
    page.get_by_text("free tea").click()
    page.wait_for_url(reset)
    assert [row["invoice_id"] for row in world.get("/invoices")["invoices"]] == ["000000007"]


# The shell.


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_holds_nothing_of_a_world_and_may_do_little(http: httpx.Client, address: str) -> None:
    page = http.get(address)
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert "yF587AV9Ms94qN2QShFzVR3vFnWkhjbAK3sG" not in page.text
    assert not re.search(r"<script(?![^>]*(src=|application/json))|<style|style=| on\w+=", page.text)


@pytest.mark.parametrize("address", ["/cabinet/test/weather", "/cabinet/test/invoices/1/2", "/cabinet/a/b/c/d"])
def test_an_address_that_does_not_exist_has_a_page_that_says_so(http: httpx.Client, address: str) -> None:
    page = http.get(address)
    assert page.status_code == 404
    assert 'data-state="missing"' in page.text


@pytest.mark.parametrize("address", [*ADDRESSES, "/cabinet/test/", "/cabinet/nothing/here"])
def test_a_name_that_somebody_else_gave_this_machine_is_refused(http: httpx.Client, address: str) -> None:
    assert http.get(address, headers={"Host": "evil.example"}).status_code == 403


def test_a_slash_too_many_leads_to_the_address_without_it(http: httpx.Client) -> None:
    assert http.get("/cabinet/test/").headers["location"] == "/cabinet/test"
    assert http.get("/cabinet/").headers["location"] == "/cabinet"


def test_the_name_in_an_address_stays_text(http: httpx.Client) -> None:
    page = http.get("/cabinet/%22%3E%3Cscript%3Ealert(1)")
    assert "<script>alert" not in page.text
    assert 'data-client-id="&#34;&gt;&lt;script&gt;' in page.text


@pytest.mark.parametrize(
    ("asked", "wish", "spoken"),
    [
        ("", "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("", "kk", "kk"),
        ("", "de-DE, en-GB;q=0.5", "en"),
        ("", "fr", "en"),
        ("", "", "en"),
        ("?lang=kaz", "ru", "kk"),
        ("?lang=tlh", "ru", "ru"),
    ],
)
def test_a_page_speaks_the_browser_s_language_unless_asked_for_another(
    http: httpx.Client, asked: str, wish: str, spoken: str
) -> None:
    assert f'<html lang="{spoken}">' in http.get(f"/cabinet{asked}", headers={"Accept-Language": wish}).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_of_a_page_are_json_that_cannot_end_its_element(http: httpx.Client, language: str) -> None:
    text = http.get(f"/cabinet?lang={language}").text.partition('id="words">')[2].partition("</script>")[0]
    assert json.loads(text) == resources.words(language)["cabinet"]
    assert "<" not in text


def test_another_language_is_chosen_and_kept_from_view_to_view(customer: Customer, world: World) -> None:
    page = customer.page()
    enter(page, customer.sandbox, world, "/clock")
    page.get_by_test_id("language-rus").click()
    expect(page.locator("h1")).to_have_text("Часы")
    page.get_by_test_id("nav-settings").click()
    expect(page.locator("h1")).to_have_text("Настройки")
    assert page.url == home(customer.sandbox, world, "/settings?lang=rus")


@pytest.mark.parametrize("address", ["/cabinet", "/cabinet/test"])
def test_without_scripts_a_page_says_what_it_needs(http: httpx.Client, address: str) -> None:
    aside = http.get(f"{address}?lang=eng").text.partition("<noscript>")[2].partition("</noscript>")[0]
    assert resources.words("eng")["cabinet"]["needs_script"] in aside


def test_an_invoice_that_does_not_exist_is_told_with_those_that_do(customer: Customer, world: World) -> None:
    customer.expected.append("status of 404")
    world.pay(invoice_id="000000007")
    page = customer.page()
    enter(page, customer.sandbox, world, "/invoices/000000008", "refused")
    expect(page.get_by_test_id("refused")).to_contain_text("000000007")


def test_on_a_phone_nothing_has_to_be_scrolled_sideways(customer: Customer, world: World, link: str) -> None:
    world.pay(invoice_id="000000007", post_link=link, description="A" * 125)
    page = customer.page(viewport={"width": 360, "height": 780}, has_touch=True, is_mobile=True)
    for path, state in (
        ("", "list"),
        ("/invoices/000000007", "invoice"),
        ("/new", ""),
        ("/script", ""),
        ("/clock", ""),
        ("/settings", ""),
        ("/handler", ""),
    ):
        enter(page, customer.sandbox, world, f"{path}?lang=rus", state)
        fits(page, 360)
        shoot(page, f"cabinet-phone-{state or path.strip('/')}")
    page.get_by_test_id("nav-invoices").click()
    page.get_by_test_id("row-000000007").click()
    expect(page.get_by_test_id("invoice")).to_have_text("000000007")


# What scripts and style promise.


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_makes_no_markup_and_holds_no_words(name: str) -> None:
    script = SCRIPTS[name]
    assert script.isascii()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|\beval\b|new Function|srcdoc", script
    )
    assert not re.search(r"textContent = \"[a-z]", script)
    assert not re.search(r"@import|url\(|https?://(?!127\.0\.0\.1:3000|www\.w3\.org)", script + STYLE)


def test_every_word_of_the_cabinet_is_spoken_and_none_is_missing() -> None:
    words = set(leaves(resources.words("eng")["cabinet"]))
    text = "".join(SCRIPTS.values())
    plain = re.findall(r'"([a-z_0-9]+\.[a-z_0-9]+)"', text)
    made = [re.sub(r"\$\{[^}]*(\}[^}`]*)?\}", "[a-z_0-9]+", one) for one in re.findall(r"`([a-z_]+\.[^`]*)`", text)]
    shown = [rf"{re.escape(one)}(\..*)?" for one in re.findall(r"t\.cabinet\.([a-z_.]+)", TEMPLATES)]
    patterns = [*map(re.escape, plain), *made, *shown]
    assert [word for word in words if not any(re.fullmatch(pattern, word) for pattern in patterns)] == []
    assert set(re.findall(r'\bt\("([a-z_0-9.]+)"', text)) - words == set()


def test_all_scripts_and_the_style_weigh_less_than_a_photograph() -> None:
    assert sum(len(text) for text in [*SCRIPTS.values(), STYLE]) < MOST_BYTES


def test_the_files_are_served_and_nothing_beside_them(http: httpx.Client, sandbox: Sandbox) -> None:
    assert sandbox.url
    for name in (*SCRIPTS, "cabinet.css", "favicon.svg"):
        assert http.get(f"/cabinet/static/{name}").status_code == 200
    assert http.get("/cabinet/static/../../data/merchants.toml").status_code == 404


# Servers that are set up otherwise.


def test_an_open_cabinet_asks_nobody_who_they_are(browser: Browser) -> None:
    with running(Settings(port=0, cabinet_open=True)) as open_to_all:
        developer = Customer(browser, open_to_all.url)
        page = developer.page()
        page.goto(f"{open_to_all.url}/")
        page.wait_for_url("**/cabinet/test")
        expect(page.get_by_test_id("page")).to_have_attribute("data-state", "empty")
        expect(page.get_by_test_id("sign-out")).to_be_hidden()
        page.goto(f"{open_to_all.url}/cabinet/halykfinanceUSD/settings")
        expect(page.get_by_test_id("merchant")).to_contain_text("halykfinanceUSD")
        assert developer.leave() == []


def test_who_signs_in_needs_no_control_token_but_to_make_a_merchant(browser: Browser) -> None:
    with running(Settings(port=0, control_token="a control token")) as guarded:
        developer = Customer(browser, guarded.url, expected=["status of 401"])
        page = developer.page()
        page.goto(f"{guarded.url}/")
        page.get_by_test_id("enter").click()
        page.wait_for_url("**/cabinet/test")
        page.get_by_test_id("first-payment").click()
        expect(page.get_by_test_id("status")).to_have_text("Paid")
        page.get_by_test_id("nav-settings").click()
        page.get_by_test_id("new-merchant-button").click()
        page.get_by_test_id("dialog").get_by_test_id("yes").click()
        expect(page.get_by_test_id("dialog")).to_contain_text("control token")
        assert developer.leave() == []


def test_a_password_is_typed_in_vain_rather_than_shown_in_the_address(customer: Customer) -> None:
    page = customer.page(java_script_enabled=False)
    page.goto(f"{customer.sandbox}/cabinet")
    expect(page.get_by_test_id("enter")).to_be_disabled()
    expect(page.get_by_test_id("sign-in")).to_have_attribute("method", "post")
