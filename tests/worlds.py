"""What tests of the control API share: a merchant's world, seen through that door alone."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import httpx
from support import Shop

from mock_epay.desk import payments
from mock_epay.desk.payments import DirectPayment
from mock_epay.issuer import card_of
from mock_epay.model import Payer
from mock_epay.server import Sandbox

CONTROL: Final = "/_control"
TROUBLE: Final = "http://127.0.0.1:9/nobody"  # nothing listens there

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class World:
    """One merchant and what can be done with it."""

    http: httpx.Client
    facts: dict[str, Any]

    @property
    def client_id(self) -> str:
        return str(self.facts["client_id"])

    def ask(self, method: str, path: str = "", body: object = None, **query: object) -> httpx.Response:
        """Make one request about this merchant."""
        params: dict[str, Any] = {name: value for name, value in query.items() if value is not None}
        address = f"{CONTROL}/merchants/{self.client_id}{path}"
        return self.http.request(method, address, json=body, params=params)

    def get(self, path: str = "", **query: object) -> Any:
        """Look something up that must be there."""
        return _told(self.ask("GET", path, **query))

    def do(self, method: str, path: str = "", body: object = None) -> Any:
        """Do something that must be possible."""
        return _told(self.ask(method, path, {} if body is None and method != "DELETE" else body))

    def pay(self, **payment: object) -> dict[str, Any]:
        """Pay without a browser."""
        paid: dict[str, Any] = self.do("POST", "/payments", payment)
        return paid

    def refused(self, method: str, path: str = "", body: object = None, **query: object) -> tuple[int, str]:
        """Do something that must be refused; return the status and the message."""
        response = self.ask(method, path, body, **query)
        assert response.status_code >= 400, response.text
        return response.status_code, str(response.json()["message"])

    def token(self, **changes: object) -> httpx.Response:
        """Ask for a token as the shop's server does."""
        fields = {
            "grant_type": "client_credentials",
            "scope": "payment",
            "client_id": self.client_id,
            "client_secret": self.facts["client_secret"],
            "terminal": self.facts["terminal"],
            "currency": "KZT",
        }
        asked = {name: str(text) for name, text in (fields | changes).items() if text is not None}
        return self.http.post("/oauth2/token", data=asked)

    def kinds(self) -> list[str]:
        """Return what happened, by kind."""
        return [event["kind"] for event in self.get("/events")["events"]]

    def dump(self) -> str:
        """Return all that can be seen of this world, but what the clock shows, which never stands still."""
        places = ("", "/script", "/faults", "/transactions", "/invoices", "/postlinks", "/events")
        seen: dict[str, Any] = {place: self.get(place) for place in places}
        for invoice in seen["/invoices"]["invoices"]:
            seen[invoice["invoice_id"]] = self.get(f"/invoices/{invoice['invoice_id']}")
        return json.dumps(seen, sort_keys=True)


def of(shop: Shop) -> World:
    """Return a shop's world as the control API has it."""
    return World(shop.http, {"client_id": shop.merchant.client_id})


def new_world(http: httpx.Client, **facts: object) -> World:
    """Make a merchant."""
    response = http.post(f"{CONTROL}/merchants", json=facts)
    assert response.status_code == 201, response.text
    return World(http, response.json())


def fill(sandbox: Sandbox, client_id: str, count: int) -> None:
    """Fill a world with so many invoices, paid and declined ones, in seconds: through the same doors, without HTTP."""
    bank = sandbox.bank
    cards = [card for card in map(card_of, ("4405639704015096", "5522042705066736", "4000000000009995")) if card]

    async def pay(numbers: Iterable[int]) -> None:
        merchant = await bank.store.merchant(client_id)
        assert merchant is not None
        for number in numbers:
            fields = {"invoiceId": f"{number:09}", "amount": f"{100 + number % 900}", "description": f"Order {number}"}
            payment = DirectPayment(fields=fields, card=cards[number % 3], payer=Payer(email=f"c{number}@example.kz"))
            await payments.pay(bank, merchant, payment)

    for numbers in _chunks(1, count + 1, 100):
        sandbox.do(pay(numbers))


def _chunks(start: int, stop: int, size: int) -> Iterator[range]:
    """Return the numbers from `start`, so many at a time."""
    return (range(first, min(first + size, stop)) for first in range(start, stop, size))


def _told(response: httpx.Response) -> Any:
    assert response.status_code < 300, response.text
    return response.json() if response.content else None
