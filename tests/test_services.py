"""The services with a token: alike in what they refuse, and what no story tells of each."""

import json
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import httpx
import pytest
from support import (
    APPROVES,
    CHALLENGED,
    LOCKED,
    SHOP_ID,
    Receiver,
    Shop,
    action,
    encrypted,
    hidden,
    marked,
    new_merchant,
    state,
)

from mock_epay import issuer, records
from mock_epay.bank import payments
from mock_epay.model import Card
from mock_epay.notes import Notes
from mock_epay.server import Sandbox

SOMETHING: Final = "8f7c1f2e-6a40-4d0c-9d0e-0f0a3f5b7c11"
ROUTES: Final = (
    "GET /check-status/payment/transaction/000000001",
    f"GET /check-status/payment/transactionId/{SOMETHING}",
    f"POST /operation/{SOMETHING}/charge",
    f"POST /operation/{SOMETHING}/cancel",
    f"POST /operation/{SOMETHING}/refund",
    "POST /payment/cryptopay",
    "POST /payment/confirm",
    "POST /payments/cards/auth",
    "GET /cards/customer-1",
    f"POST /card/deactivate/{SOMETHING}",
    "POST /invoice",
    f"GET /terminals/{SOMETHING}",
)


def ask(
    shop: Shop, route: str, token: str | None, body: Any = None, prefix: str = "", **options: Any
) -> httpx.Response:
    method, path = route.split()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    more = {} if body is None else {"json": body}
    return shop.http.request(method, prefix + path, headers=headers, **more, **options)


def payment(shop: Shop, card: dict[str, str] = APPROVES, **changes: Any) -> dict[str, Any]:
    fields = {
        "amount": 100,
        "currency": "KZT",
        "cryptogram": encrypted(shop.http, card, shop.terminal),
        "invoiceId": "000000001",
        "terminalId": shop.terminal,
        "postLink": shop.post_link,
        "language": "rus",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def pay(shop: Shop, card: dict[str, str] = APPROVES, **changes: Any) -> httpx.Response:
    token = shop.token(**({"invoiceID": changes["invoiceId"]} if "invoiceId" in changes else {}))["access_token"]
    return ask(shop, "POST /payment/cryptopay", token, payment(shop, card, **changes))


def hints(response: httpx.Response) -> dict[str, dict[str, str]]:
    """Return an answer's hints by field."""
    return {hint["field"]: hint for hint in json.loads(response.headers.get("x-mock-epay-hints", "[]"))}


def saved_card(shop: Shop, account_id: str = "customer-1", card: dict[str, str] = APPROVES) -> str:
    token = shop.token(amount="0", currency="USD", invoiceID="000000900")
    body = payment(
        shop,
        card,
        amount=0,
        currency="USD",
        paymentType="cardVerification",
        accountId=account_id,
        invoiceId="000000900",
    )
    response = ask(shop, "POST /payment/cryptopay", token["access_token"], body)
    assert response.status_code == 200, response.text
    return str(response.json()["cardID"])


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_refuses_bad_tokens_alike(shop: Shop, route: str, prefix: str) -> None:
    spent = shop.token()
    shop.buy(token=spent)
    expired = shop.status_token()
    shop.advance(7200)
    for token, why in (
        (None, "missing"),
        ("DCEB8O_ZM5U7SO_T_U5EJQ", "unknown"),
        (spent["access_token"], "spent"),
        (expired, "expired"),
    ):
        response = ask(shop, route, token, None if route.startswith("GET") else {"no": "sense"}, prefix)
        answer = response.json()
        assert (response.status_code, answer["code"], answer["error"]) == (401, 401, "invalid_token"), why
        assert why in answer["message"]
        assert response.headers["www-authenticate"] == "Bearer"


def test_a_foreign_token_finds_nothing_of_another_merchants(shop: Shop) -> None:
    card_id = saved_card(shop)
    begun = pay(shop, CHALLENGED).json()
    other = new_merchant(f"{shop.merchant.client_id}-other")
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(other))
    stranger = replace(shop, merchant=other)
    by_card = {"amount": 100, "currency": "KZT", "invoiceId": "000000001", "cardId": {"id": card_id}}
    for route, body, code in (
        (f"GET /check-status/payment/transactionId/{begun['id']}", None, "102"),
        (f"POST /operation/{begun['id']}/refund", {}, 690),
        ("POST /payment/confirm", {"ID": begun["id"], "MD": begun["secure3D"]["md"], "PaRes": "x"}, 690),
        ("POST /payments/cards/auth", by_card, 1373),
        ("GET /cards/customer-1", None, 1373),
        (f"POST /card/deactivate/{card_id}", {}, 1373),
    ):
        token = stranger.token()["access_token"] if "auth" in route else stranger.status_token()
        answer = ask(stranger, route, token, body).json()
        assert answer.get("code", answer.get("resultCode")) == code, route
    assert ask(shop, "GET /cards/customer-1", shop.status_token()).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"amount": 101}, "amount", 400),
        ({"amount": 0}, "amount", 470),
        ({"amount": "much"}, "amount", 470),
        ({"amount": 1.005}, "amount", 470),
        ({"currency": "USD"}, "currency", 400),
        ({"currency": "EUR"}, "currency", 400),
        ({"invoiceId": None}, "invoiceId", 400),
        ({"invoiceId": "000000002"}, "invoiceId", 400),
        ({"invoiceIdAlt": "12"}, "invoiceIdAlt", 400),
        ({"terminalId": "d9d7978c-d6ee-4ec0-8cda-165251a4bf16"}, "terminalId", 400),
        ({"description": "я" * 63}, "description", 3298),
        ({"cardSave": True}, "accountId", 400),
        ({"cardSave": "true"}, "cardSave", 400),
        ({"postLink": "javascript:1"}, "postLink", 400),
        ({"cryptogram": None}, "cryptogram", 400),
        ({"cryptogram": "not base64!"}, "cryptogram", 469),
        ({"cryptogram": "bm90IGEgY3J5cHRvZ3JhbQ=="}, "cryptogram", 469),
        ({"paymentType": "cardVerification"}, "amount", 470),
    ],
)
def test_a_card_payment_is_refused_by_field(shop: Shop, changes: dict[str, Any], field: str, code: int) -> None:
    token = shop.token()["access_token"]
    body = {name: value for name, value in (payment(shop) | changes).items() if value is not None}
    response = ask(shop, "POST /payment/cryptopay", token, body)
    assert (response.status_code, response.json()["field"]) == (400, field)
    assert response.json()["code"] == code
    assert APPROVES["pan"] not in response.text
    assert shop.status()["resultCode"] == "102"
    # A refusal leaves the token as it was.
    assert ask(shop, "POST /payment/cryptopay", token, payment(shop)).status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"amount": NaN}'])
def test_what_is_no_json_object_is_refused(shop: Shop, body: bytes) -> None:
    token = shop.token()["access_token"]
    response = shop.http.post("/payment/cryptopay", content=body, headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_the_card_inside_must_be_for_the_terminal_outside(shop: Shop) -> None:
    elsewhere = encrypted(shop.http, APPROVES, "d9d7978c-d6ee-4ec0-8cda-165251a4bf16")
    assert pay(shop, cryptogram=elsewhere).json()["field"] == "terminalId"
    assert pay(shop, terminalId=None).status_code == 200


def test_one_token_begins_one_payment(shop: Shop) -> None:
    token = shop.token()["access_token"]
    first = ask(shop, "POST /payment/cryptopay", token, payment(shop, CHALLENGED))
    assert first.json()["status"] == "3D"
    again = ask(shop, "POST /payment/cryptopay", token, payment(shop))
    assert (again.status_code, "spent" in again.json()["message"]) == (401, True)
    assert shop.status()["transaction"]["statusName"] == "3D"


def test_a_declined_card_spends_the_token_too(shop: Shop) -> None:
    token = shop.token()["access_token"]
    declined = ask(shop, "POST /payment/cryptopay", token, payment(shop, LOCKED))
    assert (declined.status_code, declined.json()["code"]) == (400, 465)
    assert ask(shop, "POST /payment/cryptopay", token, payment(shop)).status_code == 401


def test_without_a_postlink_nobody_is_told_and_a_hint_says_so(shop: Shop) -> None:
    response = pay(shop, postLink=None)
    assert response.status_code == 200
    assert hints(response)["postLink"]["rule"] == "no-postlink"
    assert "postlink.queued" not in shop.events()


def test_numbers_and_nested_data_are_read_as_the_texts_they_mean(shop: Shop, shop_server: Receiver) -> None:
    response = pay(
        shop, invoiceId="123456789", accountId=42, data={"order": [1, 2.5]}, email=None, description=" ", phone=""
    )
    assert response.json()["accountId"] == "42"
    assert hints(response)["accountId"]["rule"] == "number-for-text"
    notice = shop_server.wait(path=shop.post_link.removeprefix(shop_server.url))[0].body
    assert json.loads(notice["data"]) == {"order": [1, 2.5]}


def test_a_payment_that_waits_too_long_fails_and_the_shop_hears_of_it(shop: Shop, shop_server: Receiver) -> None:
    begun = pay(shop, CHALLENGED).json()
    shop.advance(1200)
    notice = shop_server.wait(path=shop.post_link.removeprefix(shop_server.url))[0].body
    assert (notice["code"], notice["reasonCode"], notice["secure"]) == ("error", 504, "no")
    assert shop.status()["transaction"]["statusName"] == "FAILED"
    late = shop.http.get(f"/acs/{begun['secure3D']['md']}")
    assert state(late)[0] == "returning"


def test_a_payment_that_is_finished_in_time_is_not_ended_by_the_clock(shop: Shop) -> None:
    begun = pay(shop, CHALLENGED).json()
    secure = begun["secure3D"]
    enter(shop, secure)
    back = answer(shop, secure["md"])
    shop.http.post(secure["termURL"], data={"MD": secure["md"], "PaRes": hidden(back, "PaRes")})
    before = shop.events()
    shop.advance(3600)
    assert shop.status()["transaction"]["statusName"] == "CHARGE"
    assert [event for event in shop.events()[len(before) :] if event.startswith("transaction")] == []


def enter(shop: Shop, secure: dict[str, str], **changes: str) -> httpx.Response:
    fields = {"PaReq": secure["paReq"], "MD": secure["md"], "TermUrl": secure["termURL"]}
    return shop.http.post("/acs", data=fields | changes, follow_redirects=True)


def answer(shop: Shop, md: str) -> httpx.Response:
    code = marked(shop.http.get(f"/acs/{md}"), "sandbox-code")
    return shop.http.post(f"/acs/{md}", data={"code": code})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"PaReq": ""}, "PaReq"),
        ({"MD": ""}, "MD"),
        ({"TermUrl": ""}, "TermUrl"),
        ({"TermUrl": "javascript:alert(1)"}, "TermUrl"),
        ({"PaReq": "another"}, "PaReq"),
        ({"MD": SOMETHING}, "3-D Secure check"),
    ],
)
def test_the_issuer_refuses_what_does_not_belong_together(shop: Shop, changes: dict[str, str], field: str) -> None:
    secure = pay(shop, CHALLENGED).json()["secure3D"]
    page = enter(shop, secure, **changes)
    assert state(page)[0] == "refused"
    assert marked(page, "error-field") == field


def test_without_an_address_of_the_shops_the_way_back_ends_on_a_page_of_ours(shop: Shop) -> None:
    for number, code, expected in ((1, True, "approved"), (2, False, "declined")):
        secure = pay(shop, CHALLENGED, invoiceId=f"00000000{number}").json()["secure3D"]
        enter(shop, secure)
        back = answer(shop, secure["md"]) if code else shop.http.post(f"/acs/{secure['md']}", data={"answer": "cancel"})
        fields = {"MD": secure["md"], "PaRes": hidden(back, "PaRes")}
        page = shop.http.post(secure["termURL"], data=fields, follow_redirects=True)
        assert state(page)[0] == expected
        assert page.url.params.get("reference" if code else "errorCode")


def test_the_way_back_needs_the_token_that_began(shop: Shop) -> None:
    secure = pay(shop, CHALLENGED).json()["secure3D"]
    fields = {"MD": secure["md"], "PaRes": "x"}
    nothing = shop.http.post("/payments/cards/confirmPayment", data=fields)
    assert (nothing.status_code, nothing.json()["field"]) == (401, "Access")
    other = shop.http.post(f"/payments/cards/confirmPayment?Access={shop.status_token()}", data=fields)
    assert (other.status_code, other.json()["code"]) == (400, 690)
    unknown = shop.http.post("/payments/cards/confirmPayment?Access=unknown", data=fields)
    assert unknown.status_code == 401
    assert shop.status()["transaction"]["statusName"] == "3D"


@pytest.mark.parametrize(
    ("change", "field"), [({"MD": ""}, "MD"), ({"PaRes": None}, "PaRes"), ({"ID": SOMETHING}, "MD")]
)
def test_a_confirmation_is_refused_by_field(shop: Shop, change: dict[str, Any], field: str) -> None:
    begun = pay(shop, CHALLENGED).json()
    body = {"ID": begun["id"], "MD": begun["secure3D"]["md"], "PaRes": "x"} | change
    response = ask(shop, "POST /payment/confirm", shop.status_token(), body)
    assert (response.status_code, response.json()["field"]) == (400, field)


def test_a_pay_page_challenge_is_not_for_servers_to_confirm(shop: Shop) -> None:
    page = shop.buy(CHALLENGED)
    md = str(page.url).rpartition("/")[2].partition("?")[0]
    body = {"ID": shop.status()["transaction"]["id"], "MD": md, "PaRes": "x"}
    assert ask(shop, "POST /payment/confirm", shop.status_token(), body).json()["code"] == 690


def test_an_answer_that_comes_twice_changes_nothing(shop: Shop) -> None:
    page = shop.buy(CHALLENGED)
    code = {"code": marked(page, "sandbox-code")}
    assert state(shop.pay(action(page), code)) == ("approved", "0")
    before = shop.status()
    assert state(shop.pay(action(page), code)) == ("approved", "0")
    assert state(shop.pay(action(page), {"answer": "cancel"})) == ("approved", "0")
    assert shop.status() == before


def test_two_payments_of_one_invoice_take_the_money_once(shop: Shop) -> None:
    secure = pay(shop, CHALLENGED).json()["secure3D"]
    assert pay(shop).status_code == 200
    enter(shop, secure)
    back = answer(shop, secure["md"])
    fields = {"MD": secure["md"], "PaRes": hidden(back, "PaRes")}
    response = shop.http.post(secure["termURL"], data=fields, follow_redirects=False)
    assert "errorCode=477" in response.headers["location"]


def test_a_card_saved_twice_is_one_card(shop: Shop) -> None:
    for number in ("000000001", "000000002"):
        shop.buy(invoiceId=number, accountId="customer-2", cardSave=True)
    cards = ask(shop, "GET /cards/customer-2", shop.status_token()).json()
    assert len(cards) == 1
    assert APPROVES["pan"] not in str(cards)
    assert cards[0]["CardHash"] != sha256(APPROVES["pan"].encode()).hexdigest()


def test_a_card_that_was_taken_away_may_be_saved_again(shop: Shop) -> None:
    card_id = saved_card(shop)
    ask(shop, f"POST /card/deactivate/{card_id}", shop.status_token())
    assert ask(shop, f"POST /card/deactivate/{card_id}", shop.status_token()).json()["code"] == 1373
    shop.buy(invoiceId="000000002", accountId="customer-1", cardSave=True)
    cards = ask(shop, "GET /cards/customer-1", shop.status_token()).json()
    assert [card["ID"] for card in cards] == [card_id]


def test_a_verified_card_without_an_account_pays_by_its_id_alone(shop: Shop) -> None:
    token = shop.token(amount="0", currency="USD")["access_token"]
    body = payment(shop, amount=0, currency="USD", paymentType="cardVerification")
    verified = ask(shop, "POST /payment/cryptopay", token, body)
    assert hints(verified)["accountId"]["rule"] == "verification-account"
    by_card = {"amount": 100, "currency": "KZT", "invoiceId": "000000002", "cardId": {"id": verified.json()["cardID"]}}
    paid = ask(shop, "POST /payments/cards/auth", shop.token(invoiceID="000000002")["access_token"], by_card)
    assert (paid.status_code, paid.json()["accountId"]) == (200, "")


def test_the_pay_page_offers_the_accounts_cards_and_takes_one_by_its_code(shop: Shop) -> None:
    card_id = saved_card(shop)
    for code, expected in (("", None), ("12", None), ("000", ("declined", "486")), ("815", ("approved", "0"))):
        page = shop.open(accountId="customer-1")
        assert f'data-testid="saved-card-{card_id}"' in page.text
        paid = shop.http.post(action(page), data={"card_id": card_id, "cvc": code}, follow_redirects=True)
        if expected is None:
            assert (paid.status_code, state(paid)[0]) == (422, "open")
        else:
            assert state(paid) == expected
    assert shop.status()["transaction"]["cardID"] == card_id
    assert shop.status()["transaction"]["cardMask"] == "4405...5096"


def test_another_accounts_card_does_not_pay_on_the_page(shop: Shop) -> None:
    card_id = saved_card(shop, "customer-1")
    page = shop.open(accountId="customer-2")
    assert card_id not in page.text
    form = action(page)
    paid = shop.http.post(form, data={"card_id": card_id, "cvc": "815"})
    assert (paid.status_code, state(paid)[0]) == (400, "refused")


def test_the_customer_has_the_last_word_on_saving(shop: Shop) -> None:
    page = shop.open(accountId="customer-3", cardSave=True)
    form = action(page)
    shop.pay(form, save_card="false")
    assert ask(shop, "GET /cards/customer-3", shop.status_token()).json()["code"] == 1373


def link(shop: Shop, **changes: Any) -> httpx.Response:
    body = {
        "shop_id": SHOP_ID,
        "invoice_id": "000000001",
        "amount": 10,
        "currency": "KZT",
        "description": "Order",
        "post_link": shop.post_link,
        "language": "eng",
    }
    return ask(shop, "POST /invoice", shop.status_token(), body | changes)


def test_a_link_that_was_closed_opens_another_page_until_it_expires(shop: Shop) -> None:
    made = link(shop, expire_period="1h").json()
    pages = [shop.http.get(made["invoice_url"], follow_redirects=True)]
    pages.append(shop.http.get(made["invoice_url"], follow_redirects=True))
    shop.advance(1200)
    pages.append(shop.http.get(made["invoice_url"], follow_redirects=True))
    shop.advance(3600)
    late = shop.http.get(made["invoice_url"], follow_redirects=True)
    assert [state(page)[0] for page in pages] == ["open"] * 3
    assert pages[0].url == pages[1].url != pages[2].url
    assert (late.status_code, state(late)[0]) == (410, "refused")
    assert 'data-kind="link"' in late.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"shop_id": ""}, "shop_id"),
        ({"invoice_id": "12"}, "invoice_id"),
        ({"amount": 0}, "amount"),
        ({"expire_period": "soon"}, "expire_period"),
        ({"back_link": "//example.kz"}, "back_link"),
        ({"description": "я" * 63}, "description"),
    ],
)
def test_a_link_is_refused_by_field(shop: Shop, changes: dict[str, Any], field: str) -> None:
    response = link(shop, **changes)
    assert (response.status_code, response.json()["field"]) == (400, field)


def test_links_without_postlink_and_for_one_invoice(shop: Shop) -> None:
    first = link(shop, post_link="")
    assert hints(first)["post_link"]["rule"] == "no-postlink"
    second = link(shop)
    assert first.json()["id"] != second.json()["id"]
    for made in (first, second):
        opened = shop.http.get(made.json()["invoice_url"], follow_redirects=True)
        assert state(opened)[0] == "open"
    unknown = shop.http.get(f"/redirect/invoice-link/{SOMETHING}")
    assert (unknown.status_code, state(unknown)[0]) == (404, "refused")


def test_what_is_not_documented_for_a_code_that_is_not_final(shop: Shop) -> None:
    shop.buy({"pan": "4000000000000341", "expiry": "12/30", "cvc": "123"})
    assert shop.status()["resultCode"] == "103"
    shop.advance(60)
    assert shop.status()["resultCode"] == "101"


def test_held_money_earns_a_hint(shop: Shop) -> None:
    terminal = records.replace(shop.merchant.terminals[0], two_stage=True)
    merchant = records.replace(shop.merchant, terminals=(terminal,))
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(merchant))
    shop.buy()
    found = ask(shop, "GET /check-status/payment/transaction/000000001", shop.status_token())
    assert hints(found)["statusName"]["rule"] == "money-held"


def test_a_card_of_the_sandboxs_own_may_be_assumed_too() -> None:
    assert issuer.card_of(CHALLENGED["pan"]) == Card(**CHALLENGED)
    assert issuer.card_of("4111111111111111") is None


@pytest.fixture
def lenient(sandbox: Sandbox, http: httpx.Client, shop_server: Receiver) -> Shop:
    merchant = new_merchant(
        "lenient", checks="lenient", foreign_key_card=APPROVES["pan"], three_ds="frictionless", self_check=False
    )
    sandbox.do(sandbox.bank.store.add_merchant(merchant))
    return Shop(sandbox, http, merchant, f"{shop_server.url}/lenient")


def test_lenient_checks_turn_documented_rules_into_hints(lenient: Shop, shop_server: Receiver) -> None:
    token = lenient.http.post("/oauth2/token", data=lenient.request(invoiceID="A-1", curency="KZT", currency=None))
    assert hints(token)["invoiceID"]["rule"] == "rule-broken"
    assert hints(token)["curency"]["rule"] == "misspelt"
    changes = {
        "invoiceId": "A-1",
        "description": "я" * 63,
        "cardSave": "true",
        "accountId": "customer-1",
        "language": None,
        "amount": 101,
        "postlink": "https://example.kz",
    }
    page = lenient.http.get(lenient.address(lenient.order(token.json(), **changes)))
    told = hints(page)
    assert state(page)[0] == "open"
    assert {"description", "language", "amount", "postlink"} <= set(told)
    assert (told["amount"]["tag"], told["postlink"]["rule"]) == ("documented", "near-name")
    paid = lenient.pay(action(page))
    assert state(paid)[0] == "approved"
    notice = shop_server.wait(path="/lenient")[-1].body
    assert (notice["invoiceId"], notice["secure"]) == ("A-1", "yes")
    refund = ask(lenient, f"POST /operation/{notice['id']}/refund", lenient.status_token(), {"amount": 1})
    assert (refund.status_code, hints(refund)["amount"]["rule"]) == (200, "rule-broken")


def test_lenient_checks_leave_out_what_no_rule_can_use(lenient: Shop) -> None:
    token = lenient.token()["access_token"]
    nameless = ask(lenient, "POST /payment/cryptopay", token, payment(lenient, invoiceId={"no": "number"}))
    assert (nameless.status_code, nameless.json()["field"]) == (400, "invoiceId")
    paid = ask(lenient, "POST /payment/cryptopay", token, payment(lenient, cardSave="yes"))
    assert (paid.status_code, hints(paid)["cardSave"]["rule"]) == (200, "rule-broken")


def test_a_cryptogram_of_another_key_stands_for_the_card_of_the_setting(lenient: Shop) -> None:
    token = lenient.token()["access_token"]
    body = payment(lenient, cryptogram="A" * 683 + "=")
    paid = ask(lenient, "POST /payment/cryptopay", token, body)
    assert paid.status_code == 200, paid.text
    assert hints(paid)["cryptogram"]["rule"] == "cryptogram-key"  # the last of two
    assert lenient.status()["transaction"]["cardMask"] == "4405...5096"


def test_lenient_checks_are_not_lenient_about_money_links_and_secrets(lenient: Shop) -> None:
    for changes, field in (({"amount": "x"}, "amount"), ({"client_secret": "x"}, "client_secret")):
        assert lenient.http.post("/oauth2/token", data=lenient.request(**changes)).json()["field"] == field
    page = lenient.http.get(lenient.address(lenient.order(lenient.token(), backLink="javascript:1")))
    assert marked(page, "error-field") == "backLink"
    page = lenient.http.get(lenient.address(lenient.order(lenient.token(), invoiceId=None)))
    assert marked(page, "error-field") == "invoiceId"


def test_hints_of_a_token_request(shop: Shop) -> None:
    asked = shop.request(scope="webapi", postLink="http://localhost/x", secret_has="x")
    response = shop.http.post("/oauth2/token", data=asked, headers={"Origin": "http://localhost:3000"})
    told = hints(response)
    assert {field: hint["rule"] for field, hint in told.items()} == {
        "client_secret": "secret-in-browser",
        "scope": "scope-payment",
        "secret_has": "near-name",
        "secret_hash": "no-secret-hash",
    }
    page = shop.open(token=response.json(), language="ru-RU", data="no json", postLink=shop.post_link)
    assert {hint["rule"] for hint in hints(page).values()} >= {"language-spelling", "data-not-json"}
    assert 'data-testid="hint"' in page.text


def test_a_refusal_has_hints_too(shop: Shop) -> None:
    response = shop.http.post("/oauth2/token", data=shop.request(curency="KZT", scope=""))
    assert response.status_code == 400
    assert hints(response)["curency"]["rule"] == "misspelt"


def test_a_cryptogram_of_another_key_is_refused_unless_the_setting_names_a_card(shop: Shop) -> None:
    response = pay(shop, cryptogram=b64encode(bytes([1] * 512)).decode())
    assert (response.status_code, response.json()["field"]) == (400, "cryptogram")
    assert "foreign_key_card" in response.json()["rule"]


def test_a_request_has_so_many_hints_and_none_twice() -> None:
    notes = Notes()
    for number in range(50):
        notes.remark("near-name", f"field{number % 30}")
    assert len(notes.hints) == 20
    assert len(set(notes.hints)) == 20


def test_what_falls_due_for_a_payment_that_is_over_changes_nothing(shop: Shop) -> None:
    secure = pay(shop, CHALLENGED).json()["secure3D"]
    enter(shop, secure)
    back = answer(shop, secure["md"])
    shop.http.post(secure["termURL"], data={"MD": secure["md"], "PaRes": hidden(back, "PaRes")})
    before = shop.status()

    async def give_up(md: str) -> None:
        async with shop.sandbox.bank.store.work(shop.merchant.client_id) as work:
            await payments.give_up(work, md)

    shop.sandbox.do(give_up(secure["md"]))
    shop.sandbox.do(give_up(SOMETHING))
    assert shop.status() == before
    assert before["transaction"]["statusName"] == "CHARGE"


def test_the_scripts_declarations_are_served(shop: Shop) -> None:
    response = shop.http.get("/payform/payment-api.d.ts")
    assert "showPaymentWidget" in response.text
    assert response.headers["access-control-allow-origin"] == "*"
