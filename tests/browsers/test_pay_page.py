from typing import Final

import pytest
from browsers.conftest import Front
from browsers.windows import Window
from browsing import heard, pay_page
from selenium.webdriver.common.keys import Keys
from support import APPROVES, CHALLENGED, LOCKED, Receiver, Shop

from mock_epay.resources import words

BACK: Final = "/Paid.php?order=1&x=%20&y=a+b&&z=%D0%B0&q=(~)#/done?a=1&b=%23"
DARK_PAPER: Final = "rgb(18, 21, 29)"
PAPER: Final = "getComputedStyle(document.body).backgroundColor"

# WebKit brings the form back from its memory, where it asks anew; Firefox asks for the address, which is spent.
BEFORE_THE_RESULT: Final[dict[str, tuple[str, int | str]]] = {"firefox": ("refused", ""), "webkit": ("approved", 0)}


def test_a_card_that_is_pasted_and_typed_pays(window: Window, shop: Shop, shop_server: Receiver, front: Front) -> None:
    window.go(pay_page(shop, backLink=front.url() + BACK))
    window.sees("open")
    window.type("name", "4405-6397 04015096")
    window.press("a", "x", held=Keys.CONTROL)
    window.click("pan")
    window.press("v", held=Keys.CONTROL)
    assert window.value("pan") == "4405 6397 0401 5096"
    window.press(Keys.TAB, "1/25", Keys.TAB, "8a15")
    assert (window.value("expiry"), window.value("cvc")) == ("01/25", "815")
    window.fits()
    window.shoot("form")
    window.click("pay")
    window.sees("approved", 0)
    window.shoot("approved")
    window.click("back-to-shop")

    window.arrives(front.url() + BACK)
    assert heard(shop, shop_server, 1)[0].body["code"] == "ok"


def test_digits_are_grouped_while_they_are_typed_and_taken_back(window: Window, shop: Shop) -> None:
    window.go(pay_page(shop))
    window.type("pan", "44056")
    assert window.value("pan") == "4405 6"
    window.press(Keys.BACKSPACE, Keys.BACKSPACE)
    assert window.value("pan") == "440"
    window.press("5639704015096", *[Keys.ARROW_LEFT] * 14, Keys.BACKSPACE, "9")
    assert window.value("pan") == "4409 6397 0401 5096"


def test_a_problem_is_told_when_a_field_is_left_and_taken_back_when_it_is_gone(window: Window, shop: Shop) -> None:
    window.go(pay_page(shop))
    window.type("pan", "4405639704015097")
    window.press(Keys.TAB, "1325", Keys.TAB)

    window.reads("problem-pan", words("eng")["problems"]["pan_check_digit"])
    window.reads("problem-expiry", words("eng")["problems"]["expiry_month"])
    window.click("pay")
    assert window.driver.switch_to.active_element.get_dom_attribute("id") == "pan"
    window.shoot("problems")
    window.type("pan", APPROVES["pan"])
    window.reads("problem-pan", "")
    window.sees("open")


def test_a_decline_can_be_tried_again(window: Window, shop: Shop, shop_server: Receiver) -> None:
    window.go(pay_page(shop))
    window.pay(LOCKED)
    window.sees("declined", 465)
    window.shoot("declined")
    window.click("try-again")
    window.sees("open")
    window.pay()
    window.sees("approved", 0)

    assert [notice.body["code"] for notice in heard(shop, shop_server, 2)] == ["error", "ok"]


def test_the_issuer_s_page_is_answered_on_the_way(window: Window, shop: Shop, shop_server: Receiver) -> None:
    window.go(pay_page(shop))
    window.pay(CHALLENGED)
    window.sees("challenge")
    window.click("confirm")
    window.until(lambda: window.text("problem-code"), "nothing is said of the missing code")
    window.click("fill-code")
    window.shoot("challenge")
    window.click("confirm")
    window.sees("approved", 0)

    assert heard(shop, shop_server, 1)[0].body["secure"] == "yes"


@pytest.mark.parametrize(("language", "lang"), [("kaz", "kk"), ("rus", "ru")])
def test_the_page_changes_its_language(window: Window, shop: Shop, language: str, lang: str) -> None:
    window.go(pay_page(shop))
    window.click(f"language-{language}")
    window.until(lambda: window.evaluate("document.documentElement.lang") == lang, f"the page is not in {language}")

    assert words(language)["form"]["heading"] == window.evaluate("document.querySelector('h1').textContent")
    window.shoot(f"form-{language}")
    window.pay(LOCKED)
    window.sees("declined", 465)
    assert window.evaluate("document.documentElement.lang") == lang


def test_back_after_the_payment_shows_that_it_is_paid_and_never_the_form(
    window: Window, shop: Shop, shop_server: Receiver, front: Front
) -> None:
    window.go(pay_page(shop, backLink=f"{front.url()}/paid"))
    window.pay()
    window.sees("approved", 0)
    window.click("back-to-shop")
    window.arrives(f"{front.url()}/paid")
    window.driver.back()
    window.sees("approved", 0)
    result = window.driver.current_url
    window.driver.back()
    window.until(lambda: window.driver.current_url != result, "back leads nowhere")
    window.sees(*BEFORE_THE_RESULT[window.engine])

    assert window.count("form") == 0
    window.shoot("back-after-payment")
    assert len(heard(shop, shop_server, 1)) == 1


def test_the_page_is_dark_for_those_who_like_it(dark_window: Window, shop: Shop) -> None:
    dark_window.go(pay_page(shop))
    dark_window.sees("open")

    assert dark_window.evaluate(PAPER) == DARK_PAPER
    dark_window.shoot("dark-form")
    dark_window.pay(CHALLENGED)
    dark_window.sees("challenge")
    dark_window.shoot("dark-challenge")


def test_the_page_works_without_scripts(plain_window: Window, shop: Shop, shop_server: Receiver, front: Front) -> None:
    plain_window.go(pay_page(shop, backLink=f"{front.url()}/paid"))
    plain_window.pay({"pan": "44056397xyz", "expiry": "13/25", "cvc": "815"})
    plain_window.reads("problem-pan", words("eng")["problems"]["pan_short"])
    plain_window.shoot("without-scripts")
    plain_window.pay()
    plain_window.sees("approved", 0)

    plain_window.arrives(f"{front.url()}/paid")  # by itself: the page says when
    assert heard(shop, shop_server, 1)[0].body["code"] == "ok"
