"""Every state of every page, in each language: what axe-core finds, and pictures for telephone, tablet and desk."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
from axe import LANGUAGES, unsound
from browsing import Customer, fits, hold_time, pay, pay_page, sees, shoot
from playwright.sync_api import Page, expect
from support import APPROVES, CHALLENGED, LOCKED, SHOP_ID, Shop, encrypted
from worlds import of

PICTURED: Final = "rus"
SIZES: Final = {"phone": (390, 844), "tablet": (820, 1180), "desk": (1366, 800)}
OWN_FORM: Final = """<!doctype html><title>Own form</title>
<form method="post" action="{action}">
<input name="PaReq" value="{paReq}"><input name="MD" value="{md}"><input name="TermUrl" value="https://shop.example/slow">
<button>Pay</button></form>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody who wants to see a page in a language."""

    customer: Customer
    page: Page
    shop: Shop
    language: str

    def open(self, more: str = "", **changes: Any) -> None:
        """Open a pay page."""
        self.page.goto(pay_page(self.shop, f"&lang={self.language}{more}", **changes))

    def go(self, path: str) -> None:
        """Open another page of the sandbox."""
        self.page.goto(f"{self.shop.sandbox.url}{path}{'&' if '?' in path else '?'}lang={self.language}")


def form(visit: Visit) -> None:
    visit.shop.buy(accountId="7", cardSave=True)
    order = visit.shop.order(visit.shop.token(invoiceID="000000002"), accountId="7", invoiceId="000000002", data="x")
    visit.page.goto(visit.shop.sandbox.url + visit.shop.address(order, f"&lang={visit.language}"))
    sees(visit.page, "open")


def form_without_tools(visit: Visit) -> None:
    visit.open("&panel=off")
    sees(visit.page, "open")


def problems(visit: Visit) -> None:
    visit.open()
    visit.page.get_by_test_id("pay").click()
    expect(visit.page.get_by_test_id("problem-pan")).not_to_be_empty()


def reasons(visit: Visit) -> None:
    visit.open()
    visit.page.get_by_test_id("any-reason").press_sequentially("50")
    expect(visit.page.get_by_test_id("reason-list").get_by_role("option").first).to_be_visible()


def verification(visit: Visit) -> None:
    visit.page.goto(
        visit.shop.sandbox.url
        + visit.shop.address(
            visit.shop.order(
                visit.shop.token(amount="0", currency="USD"),
                amount=0,
                currency="USD",
                accountId="7",
                paymentType="cardVerification",
            ),
            f"&lang={visit.language}",
        )
    )
    sees(visit.page, "open")


def declined(visit: Visit) -> None:
    visit.open()
    pay(visit.page, LOCKED)
    sees(visit.page, "declined", 465)


def not_a_test_card(visit: Visit) -> None:
    visit.open()
    pay(visit.page, {"pan": "4111111111111111", "expiry": "12/30", "cvc": "123"})
    sees(visit.page, "declined", 471)


def approved(visit: Visit) -> None:
    visit.open()
    pay(visit.page, APPROVES)
    sees(visit.page, "approved", 0)


def too_late(visit: Visit) -> None:
    visit.open()
    visit.shop.advance(1201)
    visit.page.reload()
    sees(visit.page, "closed", 504)


def too_often(visit: Visit) -> None:
    of(visit.shop).do("PATCH", "", {"page_attempts": 1})
    visit.open()
    pay(visit.page, LOCKED)
    sees(visit.page, "closed", 505)


def issuer(visit: Visit) -> None:
    visit.open()
    pay(visit.page, CHALLENGED)
    sees(visit.page, "challenge")


def wrong_code(visit: Visit) -> None:
    issuer(visit)
    visit.page.get_by_test_id("code").fill("000001")
    visit.page.get_by_test_id("confirm").click()
    expect(visit.page.get_by_test_id("problem-code")).not_to_be_empty()


def returning(visit: Visit) -> None:
    """Be sent back by the issuer, and stay on its page, as somebody with a slow line does."""
    body = {"amount": 100, "currency": "KZT", "invoiceId": "000000001", "terminalId": visit.shop.terminal}
    body |= {"cryptogram": encrypted(visit.shop.http, CHALLENGED, visit.shop.terminal), "language": visit.language}
    body |= {"postLink": visit.shop.post_link}
    token = {"Authorization": f"Bearer {visit.shop.token()['access_token']}"}
    paid = visit.shop.http.post("/payment/cryptopay", json=body, headers=token).json()
    visit.customer.shop_pages["/own"] = OWN_FORM.format(**paid["secure3D"])
    visit.page.goto("https://shop.example/own")
    visit.page.route("https://shop.example/slow", lambda route: route.abort("aborted"))
    visit.page.get_by_role("button").click()
    sees(visit.page, "challenge")
    visit.page.get_by_test_id("fill-code").click()
    visit.page.get_by_test_id("confirm").click()
    sees(visit.page, "returning")


def outcome(visit: Visit) -> None:
    paid = of(visit.shop).pay(post_link=visit.shop.post_link)
    visit.go(f"/payform/outcome/{paid['id']}")
    sees(visit.page, "approved", 0)


def bad_outcome(visit: Visit) -> None:
    card = {"pan": LOCKED["pan"], "expiry": LOCKED["expiry"], "cvc": LOCKED["cvc"]}
    paid = of(visit.shop).pay(post_link=visit.shop.post_link, card=card)
    visit.go(f"/payform/outcome/{paid['id']}")
    sees(visit.page, "declined", 465)


def refused(visit: Visit, kind: str) -> None:
    sees(visit.page, "refused")
    expect(visit.page.get_by_test_id("refused")).to_have_attribute("data-kind", kind)


def wrong_object(visit: Visit) -> None:
    visit.open(language="xyz" * 9)
    refused(visit, "object")


def damaged_address(visit: Visit) -> None:
    visit.go("/payform/?params=abc")
    refused(visit, "address")


def wrong_token(visit: Visit) -> None:
    visit.go(visit.shop.address(visit.shop.order({"access_token": "NOBODY"})))
    refused(visit, "token")


def spent_token(visit: Visit) -> None:
    order = visit.shop.order(visit.shop.token())
    visit.page.goto(visit.shop.sandbox.url + visit.shop.address(order))
    pay(visit.page)
    sees(visit.page, "approved", 0)
    visit.go(visit.shop.address(order))
    refused(visit, "finished")


def too_large(visit: Visit) -> None:
    visit.go("/payform/?params=" + "a" * 20_000)
    refused(visit, "too_large")


def missing(visit: Visit) -> None:
    visit.go("/payform/6f1c7f8e-1f1a-4b7e-8a53-3f1c2b6f7a10")
    refused(visit, "missing")


def not_simulated(visit: Visit) -> None:
    visit.go("/payform/p2p")
    refused(visit, "not_simulated")


def late_link(visit: Visit) -> None:
    body = {"shop_id": SHOP_ID, "invoice_id": "000000042", "amount": 10, "currency": "KZT", "description": "By letter"}
    token = {"Authorization": f"Bearer {visit.shop.status_token()}"}
    made = visit.shop.http.post("/invoice", json=body, headers=token).json()
    visit.shop.advance(86_400)
    visit.page.goto(f"{made['invoice_url']}?lang={visit.language}")
    refused(visit, "link")


pytestmark = pytest.mark.slow

STATES: Final[tuple[Callable[[Visit], None], ...]] = (
    form,
    form_without_tools,
    problems,
    reasons,
    verification,
    declined,
    not_a_test_card,
    approved,
    too_late,
    too_often,
    issuer,
    wrong_code,
    returning,
    outcome,
    bad_outcome,
    wrong_object,
    damaged_address,
    wrong_token,
    spent_token,
    too_large,
    missing,
    not_simulated,
    late_link,
)
IN_THE_WIDGET: Final = (form, problems, declined, approved, too_late, issuer)


def visit_of(customer: Customer, shop: Shop, language: str) -> Visit:
    """Let a visitor in whose browser lets axe-core in; in all other tests pages keep their policy."""
    customer.expected += ["Failed to load resource", "net::ERR_ABORTED"]
    page = customer.page(bypass_csp=True)
    hold_time(page)
    return Visit(customer=customer, page=page, shop=shop, language=language)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_each_state_is_sound_and_fits(
    customer: Customer, shop: Shop, state: Callable[[Visit], None], language: str
) -> None:
    visit = visit_of(customer, shop, language)
    state(visit)
    for size, (width, height) in SIZES.items():
        visit.page.set_viewport_size({"width": width, "height": height})
        fits(visit.page, width)
        if language == PICTURED:
            shoot(visit.page, f"gallery/{state.__name__}-{size}")
    assert unsound(visit.page) == []


@pytest.mark.parametrize("state", IN_THE_WIDGET, ids=lambda state: state.__name__)
def test_each_state_is_sound_at_the_widget_s_width(
    customer: Customer, shop: Shop, state: Callable[[Visit], None]
) -> None:
    visit = visit_of(customer, shop, "kaz&isShortForm=true")
    visit.page.set_viewport_size({"width": 400, "height": 720})
    state(visit)
    fits(visit.page, 400)
    shoot(visit.page, f"gallery/widget-{state.__name__}")
    assert unsound(visit.page) == []


def test_axe_would_find_a_field_without_a_name_and_words_too_pale(customer: Customer, shop: Shop) -> None:
    visit = visit_of(customer, shop, "eng")
    form(visit)
    visit.page.evaluate("document.querySelector('label[for=email]').remove()")
    visit.page.evaluate("document.querySelector('h1').style.color = '#ddd'")
    found = {text.partition(":")[0] for text in unsound(visit.page)}
    assert "color-contrast" in found
    assert {"label", "label-title-only"} & found
