"""What a robot may ask in the address of the pay page: a form that is filled, a payment without a click."""

import re
from dataclasses import replace

import httpx
import pytest
from support import APPROVES, Shop, action, state

from mock_epay import records
from mock_epay.server import Sandbox

FILLED = [re.compile(rf'<input [^>]*name="{name}" [^>]*value="{text}"') for name, text in APPROVES.items()]


def hints(page: httpx.Response) -> str:
    return str(page.headers.get("x-mock-epay-hints", ""))


@pytest.fixture
def auto_shop(shop: Shop, sandbox: Sandbox) -> Shop:
    """Give a shop whose merchant lets addresses pay."""
    merchant = records.replace(shop.merchant, auto_pay=True)
    sandbox.do(sandbox.bank.store.add_merchant(merchant))
    return replace(shop, merchant=merchant)


def at_once(shop: Shop, word: str, **changes: object) -> tuple[httpx.Response, str]:
    address = shop.address(shop.order(shop.token(), **changes), f"&auto={word}")
    return shop.http.get(address, follow_redirects=True), address


def test_an_address_fills_the_form_with_a_test_card(shop: Shop) -> None:
    page = shop.open(more=f"&autofill={APPROVES['pan']}")
    assert all(len(value.findall(page.text)) == 1 for value in FILLED)
    assert f"again=1&amp;autofill={APPROVES['pan']}" in page.text
    assert action(page).partition("?")[2] == ""
    wrong = shop.pay(action(page), {"pan": "", "expiry": "", "cvc": ""})
    assert not any(value.search(wrong.text) for value in FILLED)


def test_a_number_of_no_test_card_is_not_shown_and_a_hint_says_so(shop: Shop) -> None:
    page = shop.open(more="&autofill=4111111111111111")
    assert state(page)[0] == "open"
    assert "4111111111111111" not in page.text
    assert '"rule": "autofill-card"' in hints(page)
    assert page.text.count("<code>autofill-card</code>") == 1


def test_a_card_that_is_filled_in_comes_before_one_that_is_saved(shop: Shop) -> None:
    shop.buy(accountId="7", cardSave=True)
    more = f"&autofill={APPROVES['pan']}"
    page = shop.open(more=more, accountId="7", invoiceId="000000002")
    assert 'data-testid="another-card" checked' in page.text


@pytest.mark.parametrize(("word", "ends"), [("approve", ("approved", "0")), ("decline", ("declined", "462"))])
def test_an_address_pays_without_a_click(auto_shop: Shop, word: str, ends: tuple[str, str]) -> None:
    page, _ = at_once(auto_shop, word)
    assert [answer.status_code for answer in page.history] == [303]
    assert state(page) == ends


def test_an_address_pays_once(auto_shop: Shop) -> None:
    _, address = at_once(auto_shop, "decline")
    assert state(auto_shop.http.get(address)) == ("declined", "462")
    assert auto_shop.events().count("transaction.declined") == 1


def test_who_only_looks_whether_a_page_is_there_does_not_pay(auto_shop: Shop) -> None:
    address = auto_shop.address(auto_shop.order(auto_shop.token()), "&auto=approve")
    assert auto_shop.http.head(address).status_code == 200
    assert "transaction.charged" not in auto_shop.events()


def test_without_the_setting_the_page_opens_and_a_hint_says_why(shop: Shop) -> None:
    page, _ = at_once(shop, "approve")
    assert (state(page)[0], page.history) == ("open", [])
    assert '"rule": "auto-pay"' in hints(page)
    assert page.text.count("<code>auto-pay</code>") == 1


def test_another_word_pays_nothing(auto_shop: Shop) -> None:
    page, _ = at_once(auto_shop, "maybe")
    assert state(page)[0] == "open"
    assert '"rule": "auto-word"' in hints(page)
