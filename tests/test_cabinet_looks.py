"""The cabinet for everybody: what axe-core finds in each view, by day and by night, in three languages."""

import re

import pytest
from axe import LANGUAGES, found, unsound
from browsing import Customer, shoot
from cabins import enter
from playwright.sync_api import Page, expect
from support import LOCKED
from worlds import World

WIDE = {"width": 1280, "height": 860}


@pytest.fixture
def checked(customer: Customer) -> Page:
    """Give a page whose policy lets axe-core in."""
    return customer.page(bypass_csp=True, viewport=WIDE)


def lived_in(world: World, link: str) -> None:
    """Let much happen, well and badly."""
    world.pay(invoice_id="000000001", post_link=link)
    world.pay(invoice_id="000000002", card=LOCKED, post_link="http://127.0.0.1:9/nobody", description="Tea set")
    world.pay(invoice_id="000000002", card="4000000000003220", post_link=link, plan="on_release")
    world.pay(invoice_id="000000003", card="4000000000003220", challenge="leave")
    world.token(invoiceID="000000004", amount=1)
    world.do(
        "POST",
        "/script",
        {
            "decisions": [{"reason_code": 484, "times": 2}],
            "rules": [{"name": "r", "match": {"amount": 7}, "then": {"reason_code": 0}}],
        },
    )
    world.do("POST", "/faults", {"faults": [{"at": "status", "status": 503}]})


@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_nothing_grave_in_any_view(
    checked: Page, customer: Customer, world: World, link: str, language: str
) -> None:
    look = unsound if language == "eng" else found
    checked.goto(f"{customer.sandbox}/cabinet?lang={language}")
    expect(checked.get_by_test_id("page")).to_have_attribute("data-state", "open")
    assert look(checked) == []
    enter(checked, customer.sandbox, world, f"?lang={language}", "empty")
    assert look(checked) == []
    lived_in(world, link)
    for path, state in (
        ("", "list"),
        ("/invoices/000000002", "invoice"),
        ("/new", "new"),
        ("/script", "script"),
        ("/clock", "clock"),
        ("/settings", "settings"),
        ("/handler", "handler"),
    ):
        enter(checked, customer.sandbox, world, f"{path}?lang={language}", state)
        expect(checked.get_by_test_id("live")).to_have_attribute("data-live", "live")
        assert look(checked) == []
        shoot(checked, f"cabinet-dark-{state}-{language}")


def test_axe_finds_nothing_grave_in_what_opens_over_a_page(
    checked: Page, customer: Customer, world: World, link: str
) -> None:
    lived_in(world, link)
    enter(checked, customer.sandbox, world, "/invoices/000000002?lang=eng", "invoice")
    for button in ("copy-as", "do-refund"):
        checked.get_by_test_id(button).click()
        expect(checked.get_by_test_id("dialog")).to_be_visible()
        assert unsound(checked) == []
        checked.get_by_test_id("no").click()
    checked.locator("aside").get_by_test_id("edit").first.click()
    assert unsound(checked) == []


def test_a_phone_s_views_are_sound_too(customer: Customer, world: World, link: str) -> None:
    page = customer.page(bypass_csp=True, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    lived_in(world, link)
    for path, state in (("", "list"), ("/invoices/000000002", "invoice"), ("/settings", "settings")):
        enter(page, customer.sandbox, world, path, state)
        assert unsound(page) == []


def test_credentials_fit_the_narrowest_phone(customer: Customer, world: World) -> None:
    page = customer.page(viewport={"width": 320, "height": 780}, is_mobile=True, has_touch=True)
    enter(page, customer.sandbox, world, "/settings?lang=kaz", "settings")
    secret = page.get_by_test_id("is-ClientSecret").bounding_box()
    assert secret is not None
    assert secret["height"] < 2 * 20  # its dots stand in one line
    sticking_out = """card => [...card.querySelectorAll("dd > *")].map(one => one.getBoundingClientRect().right)
        .filter(right => right > card.getBoundingClientRect().right)"""
    assert page.locator(".card:has(.credentials)").evaluate(sticking_out) == []
    shoot(page, "cabinet-phone-320-settings")


@pytest.mark.parametrize(("language", "amount"), [("kaz", r"12\s345,67"), ("rus", r"12\s345,67"), ("eng", "12,345.67")])
def test_money_is_written_as_the_language_has_it(customer: Customer, world: World, language: str, amount: str) -> None:
    world.pay(invoice_id="000000001", amount=12345.67)
    page = customer.page()
    enter(page, customer.sandbox, world, f"?lang={language}", "list")
    expect(page.get_by_test_id("row-000000001")).to_contain_text(re.compile(amount))


def test_who_wants_little_motion_gets_none(customer: Customer, world: World) -> None:
    world.pay(invoice_id="000000001")
    page = customer.page(reduced_motion="reduce")
    enter(page, customer.sandbox, world)
    expect(page.get_by_test_id("nav-clock")).to_have_css("transition-property", "none")
    expect(page.get_by_test_id("row-000000001")).to_have_css("animation-name", "none")


def test_focus_comes_to_the_contents_at_once_by_the_skip_link(customer: Customer, world: World) -> None:
    page = customer.page()
    enter(page, customer.sandbox, world, "/clock")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_test_id("freeze")).to_be_focused()
