"""What a customer sees and does, in a real browser; whatever that browser complains of fails the test."""

import re
from typing import Final, Literal

import pytest
from browsing import (
    FAILED_LINK,
    PAID_LINK,
    SHOP,
    WIDGET,
    Customer,
    arrives,
    fill,
    fits,
    heard,
    hold_time,
    pay,
    pay_page,
    sees,
    shoot,
)
from playwright.sync_api import (
    FrameLocator,
    Locator,
    Page,
    Route,
    expect,
)
from support import APPROVES, LOCKED, Receiver, Shop

from mock_epay.resources import words

APPROVING: Final = [
    APPROVES,
    {"pan": "5522042705066736", "expiry": "01/25", "cvc": "525"},
]
DECLINING: Final = [
    {"pan": "377514500004820", "expiry": "01/25", "cvc": "4169"},
    LOCKED,
    {"pan": "5578342710750560", "expiry": "09/20", "cvc": "254"},
]
NO_TEST_CARD: Final = {"pan": "4111111111111111", "expiry": "12/30", "cvc": "123"}
TYPO: Final = {"pan": "4405639704015097", "expiry": "01/25", "cvc": "815"}

LANGUAGES: Final = {"rus": ("ru", "RU"), "kaz": ("kk", "KZ"), "eng": ("en", "EN")}
INK_AND_PAPER: Final = {
    "light": ("rgb(0, 0, 0)", "rgb(255, 255, 255)"),
    "dark": ("rgb(255, 255, 255)", "rgb(18, 21, 29)"),
}
PHONES: Final = [(390, 844), (320, 640)]

# Latin words that belong on a Russian and a Kazakh page too.
OWN_WORDS: Final = {"Email", "CVC", "QR", "Secure", "mock", "epay"}
SHOWN_WORDS: Final = """() => {
  const foreign = "[lang=en], [data-testid=shop], script, noscript";
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (!walker.currentNode.parentElement.closest(foreign)) texts.push(walker.currentNode.textContent);
  }
  for (const node of document.querySelectorAll("[title], [placeholder], [aria-label]")) {
    if (!node.closest("[lang=en]")) texts.push(node.title, node.placeholder ?? "", node.ariaLabel ?? "");
  }
  return texts.join(" ").match(/[A-Za-z]{2,}/g) ?? [];
}"""


# The demo shop.


def order_at_demo(customer: Customer, page: Page, mode: str = "redirect") -> None:
    page.goto(f"{customer.sandbox}/demo")
    page.get_by_test_id(f"mode-{mode}").check()
    page.get_by_test_id("pay").click()


def widget(page: Page) -> FrameLocator:
    return page.frame_locator(f"{WIDGET} iframe")


def sees_at_demo(page: Page, state: str, way: str) -> Locator:
    """Wait for the page of an order and return the notices on it."""
    page.wait_for_url(f"**/demo/orders/*/{way}")
    expect(page.get_by_test_id("order-state")).to_have_attribute("data-state", state)
    return page.get_by_test_id("notice")


@pytest.mark.parametrize("card", APPROVING, ids=lambda card: card["pan"])
def test_the_demo_shop_is_paid_with_a_card_that_approves(customer: Customer, card: dict[str, str]) -> None:
    page = customer.page()
    order_at_demo(customer, page)
    pay(page, card)
    sees(page, "approved", 0)
    page.get_by_test_id("back-to-shop").click()
    notices = sees_at_demo(page, "paid", "thanks")

    expect(notices).to_have_count(1)
    expect(notices).to_contain_text("accepted")
    expect(notices.locator("pre")).to_contain_text(f'"cardMask": "{card["pan"][:4]}...{card["pan"][-4:]}"')
    expect(page.get_by_role("heading", name="Paid. The kettle is on.")).to_be_visible()
    shoot(page, f"demo-paid-{card['pan'][-4:]}")


@pytest.mark.parametrize("card", DECLINING, ids=lambda card: card["pan"])
def test_the_demo_shop_hears_that_a_card_is_blocked(customer: Customer, card: dict[str, str]) -> None:
    page = customer.page()
    order_at_demo(customer, page)
    pay(page, card)
    sees(page, "declined", 465)
    expect(page.get_by_test_id("reason")).to_have_text("The card is blocked")
    expect(page.get_by_test_id("reason-code")).to_have_text("465")
    page.get_by_test_id("back-to-shop").click()
    notices = sees_at_demo(page, "failed", "failed")

    expect(notices).to_have_count(1)
    expect(notices.locator("pre")).to_contain_text('"reasonCode": 465')
    expect(page.get_by_role("heading", name="Not paid")).to_be_visible()
    shoot(page, f"demo-failed-{card['pan'][-4:]}")


def test_a_payment_in_the_widget_tells_the_shop_s_page(customer: Customer) -> None:
    page = customer.page()
    order_at_demo(customer, page, "widget")
    expect(widget(page).get_by_test_id("amount")).to_contain_text("18,500")
    expect(widget(page).get_by_test_id("panel")).to_have_count(0)
    shoot(page, "widget-form")
    pay(widget(page))

    expect(sees_at_demo(page, "paid", "thanks")).to_have_count(1)


def test_leaving_the_widget_after_a_decline_tells_the_shop_s_page(customer: Customer) -> None:
    page = customer.page()
    order_at_demo(customer, page, "widget")
    pay(widget(page), LOCKED)
    sees(widget(page), "declined", 465)
    shoot(page, "widget-declined")
    widget(page).get_by_test_id("back-to-shop").click()

    expect(sees_at_demo(page, "failed", "failed")).to_have_count(1)


def test_trying_again_in_the_widget_may_succeed(customer: Customer) -> None:
    page = customer.page()
    order_at_demo(customer, page, "widget")
    pay(widget(page), LOCKED)
    widget(page).get_by_test_id("try-again").click()
    sees(widget(page), "open")
    pay(widget(page))

    expect(sees_at_demo(page, "paid", "thanks")).to_have_count(2)


def test_the_cross_closes_the_widget(customer: Customer) -> None:
    page = customer.page()
    order_at_demo(customer, page, "widget")
    sees(widget(page), "open")
    page.get_by_role("button", name="Close").click()

    sees_at_demo(page, "waiting", "failed")


@pytest.mark.parametrize("place", ["outside", "in a field", "on a decline"])
def test_escape_closes_the_widget_once(customer: Customer, place: str) -> None:
    page = customer.page()
    page.goto(f"{customer.sandbox}/demo")
    page.evaluate("addEventListener('message', ({ data }) => (window.said = [...(window.said ?? []), data]))")
    page.get_by_test_id("mode-widget").check()
    page.route("**/demo/orders/*/failed", lambda route: route.fulfill(status=204))
    page.get_by_test_id("pay").click()
    sees(widget(page), "open")
    if place == "in a field":
        widget(page).get_by_test_id("email").focus()
    elif place == "on a decline":
        pay(widget(page), LOCKED)
        widget(page).get_by_test_id("try-again").focus()
    else:
        page.get_by_role("button", name="Close").focus()
    with page.expect_request("**/demo/orders/*/failed"):
        page.keyboard.press("Escape")

    expect(page.locator(WIDGET)).to_have_count(0)
    assert page.evaluate("window.said ?? []") == ([] if place == "outside" else ['{"success":false}'])


# A shop of one's own.


def test_a_shop_elsewhere_opens_the_page_with_halyk_pay(customer: Customer, shop: Shop, shop_server: Receiver) -> None:
    order = shop.order(shop.token(), backLink=PAID_LINK, failureBackLink=FAILED_LINK)
    api = f"{customer.sandbox}/payform/payment-api.js"
    customer.shop_pages["/cart"] = f'<!doctype html><title>Cart</title><script src="{api}"></script>'
    page = customer.page()
    page.goto(f"{SHOP}/cart")
    page.evaluate("(order) => { halyk.pay(order); }", order)
    sees(page, "open")
    expect(page.get_by_test_id("hints").locator(".count")).to_have_text("2")
    shoot(page, "form")
    pay(page)
    page.get_by_test_id("back-to-shop").click()

    arrives(page, PAID_LINK)
    assert heard(shop, shop_server, 1)[0].body["code"] == "ok"


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_is_whole(customer: Customer, shop: Shop, shop_server: Receiver, language: str) -> None:
    lang, told = LANGUAGES[language]
    word = words(language)
    page = customer.page()
    hold_time(page)

    def reads(heading: str, picture: str) -> None:
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        expect(page.locator("html")).to_have_attribute("lang", lang)
        if language != "eng":
            assert set(page.evaluate(SHOWN_WORDS)) <= OWN_WORDS
        shoot(page, f"{picture}-{language}")

    page.goto(pay_page(shop, language=language, description="Шай", accountId="7", cardSave=True))
    reads(word["form"]["heading"], "form")
    page.get_by_test_id("pay").click()
    expect(page.get_by_test_id("problem-pan")).to_have_text(word["problems"]["pan_missing"])
    pay(page, NO_TEST_CARD)
    reads(word["declined"]["title"], "declined")
    page.get_by_test_id("try-again").click()
    pay(page)
    reads(word["approved"]["title"], "approved")

    assert [notice.body["language"] for notice in heard(shop, shop_server, 2)] == [told, told]


def test_a_retry_after_a_decline_gives_two_postlinks_in_order(
    customer: Customer, shop: Shop, shop_server: Receiver
) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    expect(page.get_by_test_id("attempts-left")).to_have_text("3 attempts left")
    pay(page, LOCKED)
    sees(page, "declined", 465)
    expect(page.get_by_test_id("attempts-left")).to_have_text("2 attempts left")
    page.get_by_test_id("try-again").click()
    sees(page, "open")
    pay(page)
    sees(page, "approved", 0)

    told = [notice.body for notice in heard(shop, shop_server, 2)]
    assert [(body["code"], body["reasonCode"], body["invoiceId"]) for body in told] == [
        ("error", 465, "000000001"),
        ("ok", 0, "000000001"),
    ]
    assert told[0]["id"] != told[1]["id"]
    assert shop.events().count("transaction.charged") == 1


def test_three_declines_close_the_page(customer: Customer, shop: Shop, shop_server: Receiver) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    for card in (LOCKED, NO_TEST_CARD):
        pay(page, card)
        page.get_by_test_id("try-again").click()
    expect(page.get_by_test_id("attempts-left")).to_have_text("1 attempt left")
    pay(page, LOCKED)
    sees(page, "closed", 505)
    expect(page.get_by_role("heading")).to_have_text("No attempts left")
    expect(page.get_by_test_id("try-again")).to_have_count(0)
    shoot(page, "closed-505")
    page.get_by_test_id("back-to-shop").click()

    arrives(page, FAILED_LINK)
    assert [notice.body["reasonCode"] for notice in heard(shop, shop_server, 3)] == [465, 471, 465]


def test_an_open_page_finds_by_itself_that_the_time_is_up(
    customer: Customer, shop: Shop, shop_server: Receiver
) -> None:
    page = customer.page()
    page.clock.install()
    page.goto(pay_page(shop))
    expect(page.get_by_test_id("time-left")).to_have_text(re.compile("^(20:00|19:5[0-9])$"))
    page.clock.fast_forward(1145_000)
    expect(page.get_by_test_id("time-left")).to_have_class("soon")
    shop.advance(1201)
    page.clock.fast_forward(60_000)
    page.clock.fast_forward(2_000)
    sees(page, "closed", 504)
    expect(page.get_by_role("heading")).to_have_text("Time is up")
    shoot(page, "closed-504")

    assert [notice.body["reasonCode"] for notice in heard(shop, shop_server, 1)] == [504]
    page.get_by_test_id("back-to-shop").click()
    arrives(page, FAILED_LINK)


def test_a_reload_after_the_time_is_up_shows_the_page_closed(
    customer: Customer, shop: Shop, shop_server: Receiver
) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    pay(page, LOCKED)
    sees(page, "declined", 465)
    shop.advance(1201)
    page.reload()
    sees(page, "closed", 504)

    assert [notice.body["reasonCode"] for notice in heard(shop, shop_server, 1)] == [465]


def test_a_card_sent_after_the_time_is_up_is_not_tried(customer: Customer, shop: Shop, shop_server: Receiver) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    fill(page, APPROVES)
    shop.advance(1201)
    page.get_by_test_id("pay").click()
    sees(page, "closed", 504)

    assert [notice.body["reasonCode"] for notice in heard(shop, shop_server, 1)] == [504]


# The way back.


def test_the_countdown_goes_to_the_shop_by_itself(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.clock.install()
    page.goto(pay_page(shop))
    pay(page)
    sees(page, "approved", 0)
    page.wait_for_load_state()
    expect(page.get_by_test_id("countdown")).to_have_text(re.compile("in [2-5] s"))
    assert customer.visits == []
    page.clock.fast_forward(5_000)

    arrives(page, PAID_LINK)
    assert customer.visits == [PAID_LINK.partition("#")[0]]


def test_auto_back_link_leaves_at_once(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    hold_time(page)
    page.goto(pay_page(shop, autoBackLink=True))
    pay(page)

    arrives(page, PAID_LINK)
    assert customer.visits == [PAID_LINK.partition("#")[0]]


def test_back_from_the_shop_leads_to_no_form_and_no_payment(
    customer: Customer, shop: Shop, shop_server: Receiver
) -> None:
    customer.expected.append("status of 401")
    page = customer.page()
    page.clock.install()
    page.goto(pay_page(shop))
    pay(page)
    sees(page, "approved", 0)
    page.wait_for_load_state()
    page.clock.fast_forward(5_000)
    arrives(page, PAID_LINK)
    page.go_back()
    sees(page, "refused")

    expect(page.get_by_test_id("form")).to_have_count(0)
    expect(page.get_by_test_id("back-to-shop")).to_be_visible()
    shoot(page, "back-after-payment")
    assert len(customer.payments) == len(customer.visits) == 1
    assert len(heard(shop, shop_server, 1)) == 1


def test_the_back_button_of_the_result_page_leads_to_no_form(customer: Customer, shop: Shop) -> None:
    customer.expected.append("status of 401")
    page = customer.page()
    hold_time(page)
    page.goto(pay_page(shop))
    pay(page)
    sees(page, "approved", 0)
    page.go_back()
    sees(page, "refused")
    expect(page.get_by_test_id("form")).to_have_count(0)
    page.go_forward()
    sees(page, "approved", 0)

    assert len(customer.payments) == 1


def test_reloading_the_result_pays_no_second_time(customer: Customer, shop: Shop, shop_server: Receiver) -> None:
    page = customer.page()
    hold_time(page)
    page.goto(pay_page(shop))
    pay(page)
    sees(page, "approved", 0)
    reference = page.get_by_test_id("reference").inner_text()
    page.reload()
    sees(page, "approved", 0)

    expect(page.get_by_test_id("reference")).to_have_text(reference)
    assert len(customer.payments) == 1
    assert [notice.body["reference"] for notice in heard(shop, shop_server, 1)] == [reference]


def test_a_second_click_on_a_slow_line_makes_no_second_payment(
    customer: Customer, shop: Shop, shop_server: Receiver
) -> None:
    page = customer.page()
    sent: list[Route] = []
    page.route(
        "**/payform/*", lambda route: sent.append(route) if route.request.method == "POST" else route.continue_()
    )
    page.goto(pay_page(shop))
    fill(page, APPROVES)
    box = page.get_by_test_id("pay").bounding_box()
    assert box
    with page.expect_request(lambda request: request.method == "POST"):
        page.mouse.dblclick(box["x"] + 50, box["y"] + 20)
    page.mouse.click(box["x"] + 50, box["y"] + 20)
    page.keyboard.press("Enter")
    sent[0].continue_()
    sees(page, "approved", 0)

    assert len(sent) == len(customer.payments) == len(heard(shop, shop_server, 1)) == 1
    assert shop.events().count("transaction.charged") == 1


def test_a_page_that_is_sending_says_so(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    page.evaluate("document.querySelector('form').addEventListener('submit', (event) => event.preventDefault())")
    pay(page)

    expect(page.get_by_test_id("pay").locator(".busy")).to_be_visible()
    expect(page.get_by_test_id("pay").locator(".idle")).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("Processing…")
    shoot(page, "busy")


# Other customers.


def test_the_page_works_without_javascript(customer: Customer, shop: Shop, shop_server: Receiver) -> None:
    customer.expected.append("status of 422")
    page = customer.page(java_script_enabled=False)
    page.goto(pay_page(shop, name="AIGERIM S"))
    expect(page.get_by_test_id("time-left")).to_have_text(re.compile("^(20:00|19:5[0-9])$"))
    pay(page, {"pan": "44056397xyz", "expiry": "13/25", "cvc": "98765", "email": "nobody"})

    for name, problem in (
        ("pan", "pan_short"),
        ("expiry", "expiry_month"),
        ("cvc", "cvc_three"),
        ("email", "email_format"),
    ):
        expect(page.get_by_test_id(f"problem-{name}")).to_have_text(words("eng")["problems"][problem])
        expect(page.get_by_test_id(name)).to_have_attribute("aria-invalid", "true")
    html = page.content()
    assert "44056397" not in html.replace(APPROVES["pan"], "")
    assert "98765" not in html
    expect(page.get_by_test_id("name")).to_have_value("AIGERIM S")
    expect(page.get_by_test_id("email")).to_have_value("nobody")
    shoot(page, "without-javascript-problems")

    page.get_by_test_id(f"test-card-{APPROVES['pan']}").click()
    page.wait_for_url(f"**autofill={APPROVES['pan']}**")
    expect(page.get_by_test_id("cvc")).to_have_value(APPROVES["cvc"])
    fill(page, {"email": "a@b.kz"})
    page.get_by_test_id("pay").click()
    sees(page, "approved", 0)
    assert page.locator("meta[http-equiv=refresh]").get_attribute("content") == f"5; url={PAID_LINK}"
    assert heard(shop, shop_server, 1)[0].body["email"] == "a@b.kz"


def test_without_javascript_a_decline_can_be_tried_again_and_the_way_back_is_the_shop_s(
    customer: Customer, shop: Shop
) -> None:
    page = customer.page(java_script_enabled=False)
    page.goto(pay_page(shop, autoBackLink=True))
    pay(page, LOCKED)
    sees(page, "declined", 465)
    page.get_by_test_id("try-again").click()
    pay(page)
    page.wait_for_url(lambda url: url == PAID_LINK)

    assert customer.visits == [PAID_LINK.partition("#")[0]]


@pytest.mark.parametrize(("width", "height"), PHONES)
def test_a_phone_pays_by_touch_and_scrolls_one_way_only(
    customer: Customer, shop: Shop, width: int, height: int
) -> None:
    size = {"width": width, "height": height}
    page = customer.page(viewport=size, has_touch=True, is_mobile=True, device_scale_factor=2)
    hold_time(page)

    def looks(picture: str) -> None:
        fits(page, width)
        shoot(page, f"phone-{width}-{picture}")

    page.goto(pay_page(shop, language="kaz", description="ұзынсөз" * 8, accountId="7"))
    page.get_by_test_id("sent").locator("summary").tap()
    looks("form")
    page.get_by_test_id("pay").tap()
    expect(page.get_by_test_id("pan")).to_be_focused()
    looks("problems")
    fill(page, NO_TEST_CARD)
    page.get_by_test_id("pay").tap()
    sees(page, "declined", 471)
    looks("declined")
    page.get_by_test_id("try-again").tap()
    page.get_by_test_id(f"test-card-{APPROVES['pan']}").tap()
    page.get_by_test_id("pay").tap()
    sees(page, "approved", 0)
    looks("approved")
    page.get_by_test_id("back-to-shop").tap()
    arrives(page, PAID_LINK)


@pytest.mark.parametrize(("width", "height"), PHONES)
def test_the_widget_and_the_demo_fit_a_phone(customer: Customer, width: int, height: int) -> None:
    size = {"width": width, "height": height}
    page = customer.page(viewport=size, has_touch=True, is_mobile=True)
    page.goto(f"{customer.sandbox}/demo")
    fits(page, width)
    shoot(page, f"phone-{width}-demo")
    page.get_by_test_id("mode-widget").check()
    page.get_by_test_id("pay").tap()
    sees(widget(page), "open")
    fits(page, width)
    assert widget(page).locator("html").evaluate("(html) => html.scrollWidth") == width
    shoot(page, f"phone-{width}-widget")
    fill(widget(page), APPROVES)
    widget(page).get_by_test_id("pay").tap()
    sees_at_demo(page, "paid", "thanks")
    fits(page, width)


def test_the_keyboard_is_enough(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    keys = page.keyboard

    def tab_to(name: str, most: int = 12) -> None:
        while most and page.evaluate("document.activeElement.dataset.testid") != name:
            keys.press("Tab")
            most -= 1
        expect(page.get_by_test_id(name)).to_be_focused()
        expect(page.get_by_test_id(name)).to_have_css("outline-style", "solid")

    for name in ("pan", "expiry", "cvc"):
        tab_to(name, 1)
        keys.type(LOCKED[name].replace("/", ""))
    expect(page.get_by_test_id("pan")).to_have_value("4003 0327 0454 7597")
    expect(page.get_by_test_id("expiry")).to_have_value("09/20")
    keys.press("Enter")
    sees(page, "declined", 465)
    tab_to("try-again", 1)
    keys.press("Enter")
    sees(page, "open")
    tab_to(f"test-card-{APPROVES['pan']}")
    keys.press("Space")
    expect(page.get_by_test_id("pay")).to_be_focused()
    keys.press("Space")
    sees(page, "approved", 0)
    tab_to("back-to-shop", 1)
    keys.press("Enter")
    arrives(page, PAID_LINK)


# The card.


@pytest.mark.parametrize("card", [*APPROVING, *DECLINING], ids=lambda card: card["pan"])
def test_one_click_in_the_panel_fills_the_form(customer: Customer, shop: Shop, card: dict[str, str]) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    page.get_by_test_id("pay").click()
    expect(page.get_by_test_id("problem-cvc")).not_to_be_empty()
    page.get_by_test_id(f"test-card-{card['pan']}").click()

    for name, text in card.items():
        expect(page.get_by_test_id(f"problem-{name}")).to_be_empty()
        assert page.get_by_test_id(name).input_value().replace(" ", "") == text
    page.get_by_test_id("pay").click()
    sees(page, *(("approved", 0) if card in APPROVING else ("declined", 465)))


def test_a_card_that_is_no_test_card_is_declined_in_plain_words(
    customer: Customer, shop: Shop, shop_server: Receiver
) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    pay(page, NO_TEST_CARD)
    sees(page, "declined", 471)

    expect(page.get_by_test_id("not-a-test-card")).to_have_text(words("eng")["declined"]["not_a_test_card"])
    assert NO_TEST_CARD["pan"] not in page.content()
    assert heard(shop, shop_server, 1)[0].body["cardMask"] == "4111...1111"


def test_a_typo_in_the_number_is_stopped_beside_the_field(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    pay(page, TYPO)

    expect(page.get_by_test_id("problem-pan")).to_have_text("Check the number: it has a typo")
    expect(page.get_by_test_id("pan")).to_be_focused()
    shoot(page, "typo")
    assert customer.payments == []
    page.get_by_test_id("pan").fill(APPROVES["pan"])
    expect(page.get_by_test_id("problem-pan")).to_be_empty()


# Trust and looks.


def test_hostile_values_are_shown_and_run_nothing(customer: Customer, shop: Shop, shop_server: Receiver) -> None:
    description = "<script>evil()</script>\"'><b>\u202eabc\u2066 💥&lt;{{7*7}}</dd>"
    attack = "'\"><img src=x onerror=evil()></textarea></script><svg onload=evil()>\u202e💥"
    page = customer.page()
    hold_time(page)
    page.expose_function("evil", lambda: customer.complaints.append("the shop's words were run"))
    page.goto(pay_page(shop, description=description, name=attack, accountId=attack, data=attack, cardSave=True))
    expect(page.get_by_test_id("description")).to_have_text(description)
    expect(page.get_by_test_id("name")).to_have_value(attack)
    page.get_by_test_id("sent").locator("summary").click()
    expect(page.get_by_test_id("sent").locator("td").filter(has_text="onerror")).to_have_count(3)
    shoot(page, "hostile")
    pay(page, LOCKED)
    page.get_by_test_id("try-again").click()
    expect(page.get_by_test_id("name")).to_have_value(attack)
    pay(page)
    sees(page, "approved", 0)

    told = heard(shop, shop_server, 2)[1].body
    assert (told["description"], told["name"], told["accountId"]) == (description, attack, attack)


def test_a_page_that_refuses_shows_hostile_values_as_text(customer: Customer, shop: Shop) -> None:
    customer.expected.append("status of 400")
    attack = "<img src=x onerror=evil()>\"'"
    page = customer.page()
    page.goto(pay_page(shop, language=attack))
    sees(page, "refused")

    expect(page.get_by_test_id("error-value")).to_have_text(attack)
    shoot(page, "refused")
    page.get_by_test_id("back-to-shop").click()
    arrives(page, FAILED_LINK)


@pytest.mark.parametrize("scheme", INK_AND_PAPER)
def test_pages_come_in_light_and_dark(customer: Customer, shop: Shop, scheme: Literal["light", "dark"]) -> None:
    ink, paper = INK_AND_PAPER[scheme]
    page = customer.page(color_scheme=scheme)
    hold_time(page)
    page.goto(pay_page(shop, language="rus", invoiceIdAlt="0000001", data={"deep": 1}))
    expect(page.locator("body")).to_have_css("background-color", paper)
    fill(page, TYPO)
    page.get_by_test_id("pay").click()
    shoot(page, f"{scheme}-form")
    pay(page, NO_TEST_CARD)
    sees(page, "declined", 471)
    shoot(page, f"{scheme}-declined")
    page.get_by_test_id("try-again").click()
    pay(page)
    sees(page, "approved", 0)
    shoot(page, f"{scheme}-approved")
    order_at_demo(customer, page, "widget")
    sees(widget(page), "open")
    expect(page.get_by_role("button", name="Close")).to_have_css("color", ink)
    shoot(page, f"{scheme}-widget")


def test_what_breaks_the_security_policy_would_be_noticed(customer: Customer, shop: Shop) -> None:
    page = customer.page()
    page.goto(pay_page(shop))
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("document.body.append(Object.assign(new Image(), { src: 'http://elsewhere.example/' }))")
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("document.body.setAttribute('onclick', 'evil()'); document.body.click()")

    assert len(customer.complaints) == 2
    customer.complaints.clear()
