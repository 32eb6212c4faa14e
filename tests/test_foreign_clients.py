"""What a client library that others wrote for the bank makes of the sandbox; only its addresses are set."""

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from halyk_epay import CryptogramBuilder, HalykAPIError, HalykAuthError, HalykClient, InvoiceCreate, WebhookParser
from halyk_epay._endpoints import Endpoints
from halyk_epay.models.payment import CardData
from pydantic import ValidationError
from support import APPROVES, LOCKED, SHOP_ID, Receiver, Shop, action, in_dialect, state

Doing = Callable[[Any], Awaitable[Any]]

KEY_BYTES: Final = 512
FOREIGN_SHOP_ID: Final = "2b7f0c9e-41d3-4c58-8f6a-7e90a1c3d524"


@dataclass
class Office:
    """The part of a shop that talks to the bank through the library."""

    shop: Shop
    calls: list[str] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    def do(self, doing: Doing, *, secret: str = "", shop_id: str = SHOP_ID) -> Any:
        """Do something with a new client."""
        merchant, url = self.shop.merchant, self.shop.sandbox.url

        async def run() -> Any:
            async with (
                httpx.AsyncClient(event_hooks={"response": [self._hear]}) as http,
                HalykClient(
                    client_id=merchant.client_id,
                    client_secret=secret or merchant.client_secret,
                    shop_id=shop_id,
                    endpoints=Endpoints(oauth_url=url, api_url=url, public_key_url=f"{url}/public.rsa"),
                    http_client=http,
                ) as halyk,
            ):
                return await doing(halyk)

        return asyncio.run(run())

    def link(self, **changes: Any) -> Any:
        """Return an order as the library's own guide has it, but for its number and addresses."""
        fields = {
            "invoice_id": "000000001",
            "account_id": "user-42",
            "amount": 10_000,
            "currency": "KZT",
            "description": "Order #001",
            "back_link": "https://example.kz/return",
            "failure_back_link": "https://example.kz/failure",
            "post_link": self.shop.post_link,
        }
        return InvoiceCreate(**fields | changes)

    async def _hear(self, response: httpx.Response) -> None:
        await response.aread()
        self.calls.append(f"{response.request.method} {response.request.url.path} {response.status_code}")
        self.answers.append(response.json())


@pytest.fixture
def office(shop: Shop) -> Office:
    return Office(shop)


def heard(office: Office, receiver: Receiver) -> Any:
    """Return the postlink that the shop got, as the library reads it."""
    (notice,) = receiver.wait(1, urlsplit(office.shop.post_link).path)
    return WebhookParser.parse(notice.text.encode())


def test_an_invoice_link_is_paid_and_its_postlink_is_read(office: Office, shop_server: Receiver) -> None:
    invoice = office.do(lambda halyk: halyk.invoices.create(office.link()))
    page = office.shop.http.get(invoice.invoice_url, follow_redirects=True)
    paid = office.shop.pay(action(page))
    event = heard(office, shop_server)

    assert office.calls == ["POST /oauth2/token 200", "POST /invoice 200"]
    assert (invoice.invoice_id, invoice.amount, invoice.currency, invoice.status) == ("000000001", 10_000, "KZT", "NEW")
    assert state(paid) == ("approved", "0")
    assert event.is_success
    assert (event.invoice_id, event.amount) == ("000000001", 10_000)
    assert event.halyk_id == event.raw["id"]
    assert len(event.reference) == 12


def test_a_link_s_contacts_may_be_given(office: Office) -> None:
    contacts = {"recipient_contact": "arman@example.kz", "recipient_contact_sms": "+77770000000"}
    link = office.link(**contacts, failure_post_link=f"{office.shop.post_link}/failed", language="kaz")

    assert office.do(lambda halyk: halyk.invoices.create(link)).invoice_url


def test_a_declined_payment_of_a_link_is_read_as_one(office: Office, shop_server: Receiver) -> None:
    invoice = office.do(lambda halyk: halyk.invoices.create(office.link()))
    page = office.shop.http.get(invoice.invoice_url, follow_redirects=True)
    declined = office.shop.pay(action(page), LOCKED)
    event = heard(office, shop_server)

    assert state(declined) == ("declined", "465")
    assert not event.is_success
    assert event.raw["reasonCode"] == 465


def test_the_library_asks_for_another_token_once_its_own_is_spent(office: Office) -> None:
    async def two_links(halyk: Any) -> list[Any]:
        links = [office.link(invoice_id=number) for number in ("000000001", "000000002")]
        return [await halyk.invoices.create(link) for link in links]

    first, second = office.do(two_links)

    assert first.invoice_url != second.invoice_url
    again = ["POST /invoice 401", "POST /oauth2/token 200", "POST /invoice 200"]
    assert office.calls == ["POST /oauth2/token 200", "POST /invoice 200", *again]


def test_the_library_does_not_know_the_status_that_was_observed(shop: Shop) -> None:
    office = Office(in_dialect(shop, "observed"))

    with pytest.raises(ValidationError, match=r"status\n.*input_value='ACTIVE'"):
        office.do(lambda halyk: halyk.invoices.create(office.link()))

    # The link is made all the same.
    page = shop.http.get(office.answers[-1]["invoice_url"], follow_redirects=True)
    assert state(page) == ("open", "")


def test_a_wrong_secret_is_an_error_of_authorization(office: Office) -> None:
    with pytest.raises(HalykAuthError, match=r"HTTP 401 .*invalid_client"):
        office.do(lambda halyk: halyk.invoices.create(office.link()), secret="wrong")


@pytest.mark.parametrize(
    ("field", "value"),
    [("invoice_id", "ord-123"), ("description", "Ж" * 63), ("back_link", "shop.kz/return")],
    ids=["letters in a number", "letters of two bytes", "no scheme"],
)
def test_what_the_library_lets_pass_is_refused_by_name(office: Office, field: str, value: str) -> None:
    with pytest.raises(HalykAPIError, match=field) as refused:
        office.do(lambda halyk: halyk.invoices.create(office.link(**{field: value})))

    assert refused.value.status_code == 400


def test_a_shop_of_somebody_else_s_gets_no_link(office: Office) -> None:
    with pytest.raises(HalykAPIError, match="shop_id") as refused:
        office.do(lambda halyk: halyk.invoices.create(office.link()), shop_id=FOREIGN_SHOP_ID)

    assert refused.value.status_code == 400


def test_looking_a_link_up_is_not_in_the_bank_s_contract(office: Office) -> None:
    with pytest.raises(HalykAPIError) as refused:
        office.do(lambda halyk: halyk.invoices.get("67e34d63-102f-4bd1-898e-370781d0074d"))

    assert refused.value.status_code == 404


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_card_that_the_library_encrypts_pays(office: Office, prefix: str) -> None:
    shop = office.shop
    builder = CryptogramBuilder(shop.terminal, public_key_url=f"{shop.sandbox.url}{prefix}/public.rsa")
    card = CardData(pan=APPROVES["pan"], exp_month="01", exp_year="2027", cvc="321")
    cryptogram = builder.build(card)
    payment = {
        "amount": 100,
        "currency": "KZT",
        "name": "ARMAN ALI",
        "cryptogram": cryptogram,
        "invoiceId": "000000001",
        "description": "Order #001",
        "accountId": "user-42",
        "terminalId": shop.terminal,
        "postLink": shop.post_link,
    }
    headers = {"Authorization": f"Bearer {shop.token()['access_token']}"}
    paid = shop.http.post(f"{prefix}/payment/cryptopay", json=payment, headers=headers)

    assert len(b64decode(cryptogram)) == KEY_BYTES
    assert paid.status_code == 200, paid.text
    assert shop.status()["transaction"]["statusName"] == "CHARGE"


def test_the_library_s_own_card_payment_does_not_keep_to_the_contract(office: Office) -> None:
    payment = {"invoice_id": "000000001", "amount": 100, "currency": "KZT", "cryptogram": "A" * 684}

    with pytest.raises(HalykAPIError, match="invoiceId") as refused:
        office.do(lambda halyk: halyk.payments.charge(**payment))

    assert refused.value.status_code == 400
    assert office.calls[-1] == "POST /payment/cryptopay 400"
