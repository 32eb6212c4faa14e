"""The pay page over HTTP, as a client without a browser sees it."""

import httpx
import pytest
from support import APPROVES, LOCKED, Receiver, Shop, action, eventually, marked, new_merchant, state

from mock_epay import lz
from mock_epay.model import Attempt, Delivery, Transaction
from mock_epay.server import running
from mock_epay.settings import Settings


def test_a_post_to_the_address_itself_opens_and_pays(shop: Shop, shop_server: Receiver) -> None:
    address = shop.address(shop.order(shop.token()))
    page = shop.pay(address)
    assert state(page) == ("approved", "0")
    assert page.url.path.startswith("/payform/")
    shop_server.wait(path="/" + shop.post_link.rpartition("/")[2])


def test_the_page_shows_shop_order_and_amount(shop: Shop) -> None:
    page = shop.open(amount=1500.5, invoiceId="000000777")
    assert marked(page, "shop") == shop.merchant.name
    assert marked(page, "invoice") == "000000777"
    assert marked(page, "amount") == "1,500.50\N{NO-BREAK SPACE}₸"
    assert page.headers["content-security-policy"].endswith("frame-ancestors 'none'")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"


def test_the_widget_may_be_framed_and_has_no_panel(shop: Shop) -> None:
    page = shop.open(more="&isShortForm=true")
    assert page.headers["content-security-policy"].endswith("frame-ancestors *")
    assert 'data-testid="panel"' not in page.text
    assert action(page).endswith("?isShortForm=true")
    done = shop.pay(action(page))
    assert 'data-tell="success"' in done.text
    assert "example.kz" not in done.text


def test_a_plus_that_became_a_blank_is_still_read(shop: Shop) -> None:
    for number in range(1, 200):
        packed = lz.compress(lz.flatten(shop.order(shop.token(), accountId=str(number))))
        if "+" in packed:
            break
    page = shop.http.get(f"/payform/?params={packed.replace('+', '%20').replace('$', '%24')}")
    assert state(page)[0] == "open"


def test_wrong_input_is_told_beside_the_field_and_costs_no_attempt(shop: Shop) -> None:
    opened = shop.open()
    page = shop.pay(action(opened), {"pan": "4929 1111 2222", "expiry": "13/25", "cvc": "81", "name": "ARMAN ALI"})
    assert page.status_code == 422
    assert 'data-problem="expiry_month"' in page.text
    assert 'data-problem="cvc_three"' in page.text
    assert 'value="ARMAN ALI"' in page.text
    assert "492911112222" not in page.text.replace(" ", "")
    assert marked(page, "attempts-left") == "3 attempts left"
    assert state(shop.pay(action(page))) == ("approved", "0")


def test_a_page_that_is_over_takes_no_wrong_input_either(shop: Shop) -> None:
    opened = shop.open()
    shop.pay(action(opened))
    page = shop.pay(action(opened), {"pan": "", "expiry": "", "cvc": ""})
    assert (page.status_code, state(page)) == (200, ("approved", "0"))


def test_paying_twice_on_one_page_makes_one_transaction(shop: Shop, shop_server: Receiver) -> None:
    opened = shop.open()
    assert state(shop.pay(action(opened))) == state(shop.pay(action(opened))) == ("approved", "0")
    assert shop.events().count("transaction.charged") == 1
    assert len(shop_server.wait(path="/" + shop.post_link.rpartition("/")[2])) == 1


def test_reloading_the_address_gives_no_attempt_back(shop: Shop) -> None:
    address = shop.address(shop.order(shop.token()))
    opened = shop.http.get(address)
    shop.pay(action(opened), LOCKED)
    again = shop.http.get(address)
    assert (state(again)[0], marked(again, "attempts-left")) == ("declined", "2 attempts left")
    form = shop.http.get(action(opened) + "?again=1")
    assert (state(form)[0], marked(form, "attempts-left")) == ("open", "2 attempts left")


def test_the_address_of_a_paid_page_says_that_the_token_is_spent(shop: Shop) -> None:
    address = shop.address(shop.order(shop.token()))
    shop.pay(address)
    page = shop.http.get(address)
    assert (page.status_code, state(page)[0]) == (401, "refused")
    assert 'data-kind="finished"' in page.text
    assert 'href="https://example.kz/success.html?order=1&amp;x=%20"' in page.text


def test_the_address_of_a_closed_page_shows_how_it_closed(shop: Shop) -> None:
    address = shop.address(shop.order(shop.token()))
    opened = shop.http.get(address)
    shop.advance(1200)
    eventually(lambda: "transaction.failed" in shop.events())
    assert state(shop.http.get(address)) == state(shop.http.get(action(opened))) == ("closed", "504")


def test_a_page_without_attempts_left_tells_why_the_last_one_failed(shop: Shop) -> None:
    opened = shop.open()
    for _ in range(3):
        page = shop.pay(action(opened), LOCKED)
    assert state(page) == ("closed", "505")
    assert marked(page, "last-reason") == "The card is blocked"


def test_the_panel_shows_what_was_odd_about_the_token_request(shop: Shop) -> None:
    page = shop.open(token=shop.token(currency=None, curency="KZT"))
    assert "misspelling" in page.text


def test_an_invented_name_is_not_put_into_the_form(shop: Shop) -> None:
    opened = shop.open()
    shop.pay(action(opened), LOCKED)
    form = shop.http.get(action(opened) + "?again=1")
    assert 'autocomplete="cc-name" autocapitalize="characters" spellcheck="false" value=""' in form.text


def test_what_the_payer_clears_stays_cleared(shop: Shop, shop_server: Receiver) -> None:
    opened = shop.open(name="Arman Ali", email="old@example.kz", phone="oops")
    wrong = shop.pay(action(opened), phone="oops")
    assert 'data-problem="phone_format"' in wrong.text
    shop.pay(action(opened), email="", phone="")
    notice = shop_server.wait(path="/" + shop.post_link.rpartition("/")[2])[0].body
    assert (notice["name"], notice["email"], notice["phone"]) == ("Arman Ali", "", "")


def test_two_pages_of_one_invoice_are_paid_once(shop: Shop, shop_server: Receiver) -> None:
    first, second = shop.open(), shop.open()
    shop.pay(action(first))
    page = shop.pay(action(second))
    assert state(page) == ("closed", "477")
    notices = shop_server.wait(2, path="/" + shop.post_link.rpartition("/")[2])
    assert sorted(notice.body["reasonCode"] for notice in notices) == [0, 477]
    third = shop.http.get(shop.address(shop.order(shop.http.post("/oauth2/token", data=shop.request()).json())))
    assert state(third)[0] == "refused"


def test_an_invoice_that_was_paid_meanwhile_opens_no_page(shop: Shop) -> None:
    late = shop.token()
    shop.buy()
    page = shop.open(token=late)
    assert (page.status_code, marked(page, "error-field")) == (400, "invoiceId")


def test_a_second_number_belongs_to_one_order(shop: Shop) -> None:
    assert state(shop.open(invoiceId="000000001", invoiceIdAlt="8564546"))[0] == "open"
    assert state(shop.open(invoiceId="000000001", invoiceIdAlt="8564546"))[0] == "open"
    page = shop.open(invoiceId="000000002", invoiceIdAlt="8564546")
    assert marked(page, "error-field") == "invoiceIdAlt"


def test_after_twenty_minutes_the_page_closes_by_itself_and_the_shop_hears(shop: Shop, shop_server: Receiver) -> None:
    opened = shop.open()
    shop.advance(1200)
    notice = shop_server.wait(path="/" + shop.post_link.rpartition("/")[2])[0].body
    assert (notice["code"], notice["reasonCode"], notice["cardMask"]) == ("error", 504, "0000...0000")
    assert state(shop.http.get(action(opened))) == ("closed", "504")
    assert state(shop.pay(action(opened))) == ("closed", "504")
    answer = shop.status()
    assert (answer["resultCode"], answer["transaction"]["statusName"]) == ("101", "FAILED")


def test_when_the_shop_has_heard_of_the_decline_time_brings_no_second_notice(shop: Shop) -> None:
    opened = shop.open()
    shop.pay(action(opened), LOCKED)
    shop.advance(1200)
    eventually(lambda: state(shop.http.get(action(opened))) == ("closed", "504"))
    assert shop.events().count("postlink.queued") == 1


def test_an_expired_token_opens_no_page(shop: Shop) -> None:
    token = shop.token()
    shop.advance(7200)
    page = shop.open(token=token)
    assert (page.status_code, marked(page, "error-field")) == (401, "access_token")


def test_a_token_without_invoice_opens_no_page(shop: Shop) -> None:
    page = shop.open(token=shop.token(invoiceID=None, amount=None, currency=None))
    assert (page.status_code, marked(page, "error-field")) == (400, "invoiceId")
    assert "to be in the token as well" in page.text


def test_when_object_and_token_name_other_postlinks_the_panel_says_which_counts(shop: Shop) -> None:
    page = shop.open(token=shop.token(postLink="https://example.kz/other"))
    assert "the token names another address" in page.text


def test_failures_go_where_the_object_wants_its_notices_whatever_its_token_says(
    shop: Shop, shop_server: Receiver
) -> None:
    own, other = f"/{shop.merchant.client_id}-own", f"/{shop.merchant.client_id}-other"
    links = {"postLink": shop.post_link, "failurePostLink": f"{shop_server.url}{other}"}
    shop.pay(action(shop.open(token=shop.token(**links), postLink=f"{shop_server.url}{own}")), LOCKED)
    assert [notice.body["code"] for notice in shop_server.wait(1, own)] == ["error"]

    shop.pay(action(shop.open(token=shop.token(**links), postLink=None)), LOCKED)
    assert [notice.body["code"] for notice in shop_server.wait(1, other)] == ["error"]


def test_an_object_and_a_token_with_other_addresses_for_failures_earn_a_hint(shop: Shop) -> None:
    page = shop.open(token=shop.token(failurePostLink="https://example.kz/a"), failurePostLink="https://example.kz/b")
    assert "the token names another address" in page.text


def test_a_refused_page_tells_its_code(shop: Shop) -> None:
    assert state(shop.open(description="x" * 126)) == ("refused", "3298")
    assert state(shop.open(token=shop.token(), amount="many")) == ("refused", "470")
    assert state(shop.open(backLink=None)) == ("refused", "")


@pytest.mark.parametrize("path", ["/payform/", "/payform", "/payform/?params=", "/payform/?params=%00"])
def test_an_address_without_a_payment_object_is_refused(http: httpx.Client, path: str) -> None:
    page = http.get(path)
    assert (page.status_code, marked(page, "error-field")) == (400, "params")
    assert 'data-kind="address"' in page.text


def test_an_address_that_is_too_long_is_refused(http: httpx.Client) -> None:
    page = http.get("/payform/?params=" + "A" * 17_000)
    assert page.status_code == 413
    assert 'data-kind="too_large"' in page.text


def test_a_page_that_nobody_opened_is_missing(http: httpx.Client) -> None:
    page = http.get("/payform/6f1c7f8e-1f1a-4b7e-8a53-3f1c2b6f7a10")
    assert page.status_code == 404
    assert 'data-kind="missing"' in page.text


@pytest.mark.parametrize("service", ["p2p", "aft", "oct"])
def test_services_that_are_not_simulated_say_so(shop: Shop, service: str) -> None:
    page = shop.http.get(shop.address(shop.order(language="kaz")).replace("/?", f"/{service}?"))
    assert page.status_code == 501
    assert '<html lang="kk">' in page.text
    assert 'href="https://example.kz/success.html?order=1&amp;x=%20"' in page.text
    assert shop.http.get(f"/payform/{service}").status_code == 501


@pytest.mark.parametrize("field", ["amount", "auth"])
def test_what_every_order_needs_is_missed(shop: Shop, field: str) -> None:
    order = shop.order(shop.token()) | {field: ""}
    page = shop.http.get(shop.address(order))
    assert (page.status_code, marked(page, "error-field")) == (400, field)


@pytest.mark.parametrize(
    "payment_type",
    ["applePay", "GOOGLE_PAY", "qr", "installments", "instalment", "HalykID", "p2p", "aft", "oct", "credit"],
)
def test_what_is_not_paid_by_card_is_named_and_not_simulated(shop: Shop, payment_type: str) -> None:
    page = shop.open(paymentType=payment_type)
    assert (page.status_code, state(page)[0], marked(page, "error-field")) == (501, "refused", "paymentType")
    assert "pay by card" in marked(page, "error-message")


def test_a_payment_type_that_nobody_knows_earns_a_hint(shop: Shop) -> None:
    page = shop.open(paymentType="barter")
    assert state(page)[0] == "open"
    assert '"rule": "payment-type"' in page.headers["x-mock-epay-hints"]


@pytest.mark.parametrize(("amount", "rule"), [(0, "more than 0"), ("1.001", "at most 2 digits behind the point")])
def test_an_amount_that_nobody_can_pay_is_refused(shop: Shop, amount: object, rule: str) -> None:
    page = shop.http.get(shop.address(shop.order(shop.token(), amount=amount)))
    assert (page.status_code, marked(page, "error-rule")) == (400, rule)


def test_a_token_answer_that_cannot_be_read_is_no_token(shop: Shop) -> None:
    page = shop.http.get(shop.address(shop.order("access_token=%FF")))
    assert (page.status_code, marked(page, "error-field")) == (401, "auth")


def test_auto_back_link_returns_at_once(shop: Shop) -> None:
    page = shop.buy(autoBackLink=True)
    assert 'data-return-in="0"' in page.text
    assert 'href="https://example.kz/success.html?order=1&amp;x=%20"' in page.text


def test_the_payer_of_the_form_counts_before_the_shops(shop: Shop, shop_server: Receiver) -> None:
    opened = shop.open(name="Arman Ali", email="old@example.kz", phone="77000000000", accountId="a1", cardSave=True)
    assert 'value="Arman Ali"' in opened.text
    assert 'name="save_card" value="true" data-testid="save-card" checked' in opened.text
    fields = {"name": "AIDA S", "email": "new@example.kz", "save_card": "true"}
    shop.http.post(action(opened), data=APPROVES | fields)
    notice = shop_server.wait(path="/" + shop.post_link.rpartition("/")[2])[0].body
    assert (notice["name"], notice["email"], notice["phone"]) == ("AIDA S", "new@example.kz", "77000000000")


def test_without_any_name_the_holder_is_invented(shop: Shop, shop_server: Receiver) -> None:
    shop.buy()
    notice = shop_server.wait(path="/" + shop.post_link.rpartition("/")[2])[0].body
    assert notice["name"] == notice["name"].upper() != ""


def test_of_a_card_only_the_mask_is_kept(shop: Shop) -> None:
    card = {"pan": "4242424242424242", "expiry": "11/39", "cvc": "937"}
    page = shop.buy(card)
    store, client_id = shop.sandbox.bank.store, shop.merchant.client_id

    async def everything() -> str:
        async with store.work(client_id) as work:
            kept = [await work.find(kind, "invoice_id", "000000001") for kind in (Transaction, Delivery, Attempt)]
        return repr(kept) + repr(await store.events(client_id))

    kept = shop.sandbox.do(everything())
    assert "4242...4242" in kept
    for text in (kept, page.text):
        assert card["pan"] not in text.replace(" ", "")
        assert card["expiry"] not in text
        assert "'937'" not in text


def test_only_the_last_failure_is_told_where_the_setting_says_so(shop_server: Receiver) -> None:
    with running(Settings(port=0, panel=False)) as sandbox:
        for name, attempts, code in (("closed", 3, 465), ("late", 1, 465)):
            merchant = new_merchant(f"quiet-{name}", notify_each_failure=False)
            sandbox.do(sandbox.bank.store.add_merchant(merchant))
            with httpx.Client(base_url=sandbox.url) as client:
                shop = Shop(sandbox, client, merchant, f"{shop_server.url}/quiet-{name}")
                opened = shop.open()
                assert 'data-testid="panel"' not in opened.text
                for _ in range(attempts):
                    shop.pay(action(opened), LOCKED)
                shop.advance(1200)
                notices = shop_server.wait(path=f"/quiet-{name}")
                assert [notice.body["reasonCode"] for notice in notices] == [code]
                assert shop.events().count("postlink.queued") == 1


@pytest.mark.parametrize("path", ["/payform/payment-api.js", "/redesign-payform/payment-api.js"])
def test_the_script_is_served_to_every_origin(http: httpx.Client, path: str) -> None:
    response = http.get(path)
    assert response.status_code == 200
    assert "javascript" in response.headers["content-type"]
    assert response.headers["access-control-allow-origin"] == "*"
