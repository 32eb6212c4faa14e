"""What the address of a page asks of its looks: another language, the sandbox's tools shown or not."""

import re

import httpx
import pytest
from support import CHALLENGED, LOCKED, Receiver, Shop, action, marked, state

from mock_epay.resources import words
from mock_epay.server import running
from mock_epay.settings import Settings

LANGUAGES = {"rus": "ru", "kaz": "kk", "eng": "en"}


def switch(page: httpx.Response, language: str) -> str:
    """Return where the link to a language leads."""
    (link,) = re.findall(f'<a href="([^"]*)"[^>]* data-testid="language-{language}"', page.text)
    return str(page.url.join(link.replace("&amp;", "&")))


def speaks(page: httpx.Response, language: str) -> None:
    assert f'<html lang="{LANGUAGES[language]}">' in page.text
    assert re.findall('aria-current="true" data-testid="language-([a-z]*)"', page.text) == [language]


def follow(shop: Shop, page: httpx.Response, language: str) -> httpx.Response:
    """Switch to a language, and see to it that nothing else changes."""
    other = shop.http.get(switch(page, language))
    assert (other.status_code, state(other)) == (page.status_code, state(page))
    speaks(other, language)
    return other


def test_each_state_of_the_page_can_be_read_in_another_language(shop: Shop, shop_server: Receiver) -> None:
    opened = shop.open()
    speaks(opened, "eng")
    form = follow(shop, opened, "kaz")
    assert words("kaz")["form"]["heading"] in form.text
    declined = shop.pay(action(form), LOCKED)
    speaks(declined, "kaz")
    follow(shop, declined, "rus")
    again = shop.http.get(action(form) + "&again=1")
    assert state(again)[0] == "open"
    follow(shop, again, "eng")
    approved = shop.pay(action(again))
    speaks(approved, "kaz")
    assert state(follow(shop, approved, "rus")) == ("approved", "0")
    notices = shop_server.wait(2, path="/" + shop.post_link.rpartition("/")[2])
    assert [notice.body["language"] for notice in notices] == ["EN", "EN"]


def test_a_closed_page_can_be_read_in_another_language(shop: Shop) -> None:
    opened = shop.open()
    shop.advance(1200)
    closed = shop.http.get(action(opened))
    assert words("kaz")["closed"]["time"] in follow(shop, closed, "kaz").text


def test_the_issuer_speaks_the_language_too_and_leads_back_to_it(shop: Shop) -> None:
    opened = follow(shop, shop.open(), "kaz")
    issuer = shop.pay(action(opened), CHALLENGED)
    assert state(issuer)[0] == "challenge"
    speaks(issuer, "kaz")
    other = follow(shop, issuer, "rus")
    wrong = shop.http.post(action(other), data={"code": "0"}, follow_redirects=True)
    speaks(wrong, "rus")
    done = shop.http.post(action(wrong), data={"code": marked(wrong, "sandbox-code")}, follow_redirects=True)
    assert state(done) == ("approved", "0")
    speaks(done, "rus")


@pytest.mark.parametrize("more", ["", "&lang=kaz", "&lang=kaz&x=%D0%B0&y="])
def test_a_refusal_can_be_read_in_another_language(shop: Shop, more: str) -> None:
    refused = shop.open(token=shop.token(amount=200), more=more)
    speaks(refused, "kaz" if more else "eng")
    assert marked(follow(shop, refused, "rus"), "error-field") == "amount"


def test_a_refusal_of_something_sent_has_no_address_to_be_read_at_again(shop: Shop) -> None:
    refused = shop.pay(shop.address(shop.order()))
    assert state(refused)[0] == "refused"
    assert "language-" not in refused.text


def test_a_page_that_is_missing_speaks_the_language_asked_for(http: httpx.Client) -> None:
    speaks(http.get("/payform/6f1c7f8e-1f1a-4b7e-8a53-3f1c2b6f7a10?lang=kaz"), "kaz")


@pytest.mark.parametrize("language", ["", "xyz", "KAZ", "kk"])
def test_a_language_that_nobody_knows_leaves_the_shop_s(shop: Shop, language: str) -> None:
    page = shop.open(more=f"&lang={language}")
    speaks(page, "eng")
    assert action(page).partition("?")[2] == ""


def test_the_widget_keeps_the_language_and_has_no_links(shop: Shop) -> None:
    page = shop.open(more="&isShortForm=true&lang=kaz")
    assert '<html lang="kk">' in page.text
    assert "language-" not in page.text
    assert action(page).endswith("?isShortForm=true&lang=kaz")


def test_the_panel_can_be_left_out_of_all_pages(shop: Shop) -> None:
    page = shop.open(more="&panel=off")
    assert 'data-testid="panel"' not in page.text
    issuer = shop.pay(action(page), CHALLENGED)
    assert state(issuer)[0] == "challenge"
    assert "sandbox-code" not in issuer.text
    assert switch(issuer, "kaz").endswith("?lang=kaz&panel=off")
    assert "sandbox-code" in shop.http.get(str(issuer.url).partition("?")[0]).text


def test_the_panel_can_be_shown_in_the_widget(shop: Shop) -> None:
    page = shop.open(more="&isShortForm=true&panel=on")
    assert 'data-testid="panel"' in page.text
    assert action(page).endswith("?isShortForm=true&panel=on")


def test_a_panel_that_the_server_has_not_is_not_shown() -> None:
    with running(Settings(port=0, panel=False)) as sandbox, httpx.Client(base_url=sandbox.url) as client:
        merchant = sandbox.do(sandbox.bank.store.merchant("test"))
        assert merchant is not None
        shop = Shop(sandbox, client, merchant, "http://127.0.0.1:9/postlink")
        assert 'data-testid="panel"' not in shop.open(more="&panel=on").text
