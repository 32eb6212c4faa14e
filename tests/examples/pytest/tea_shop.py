"""A tea shop that takes money through ePay, as a WSGI application.

POST /orders            {"amount": 2500} makes an order; the page gives `payment` of the answer to `halyk.pay`
GET  /orders/<number>   tells how it stands
POST /postlink          is where the bank tells of payments
"""

import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from wsgiref.types import StartResponse, WSGIEnvironment


@dataclass(frozen=True)
class Bank:
    """What the bank has given to the shop. In life it comes from the environment."""

    token_url: str
    api_url: str
    client_id: str
    client_secret: str
    terminal: str

    def token(self, **order: str) -> dict[str, Any]:
        """Ask for a token: for one order, or else to look things up."""
        credentials = {"client_id": self.client_id, "client_secret": self.client_secret, "terminal": self.terminal}
        asked = {"grant_type": "client_credentials", "scope": "payment"} | credentials | order
        return _json(Request(self.token_url, urlencode(asked).encode()))

    def status(self, number: str) -> dict[str, Any]:
        """Ask how an order stands."""
        bearer = {"Authorization": f"Bearer {self.token()['access_token']}"}
        return _json(Request(f"{self.api_url}/check-status/payment/transaction/{number}", headers=bearer))


@dataclass
class Order:
    """An order; `secret` is known to the shop and the bank alone."""

    number: str
    amount: int
    secret: str
    paid: bool = False
    why_not: str = ""


class TeaShop:
    """The application. `parcels` are the orders that were sent to their customers."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.orders: dict[str, Order] = {}
        self.parcels: list[str] = []
        self.closed = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        status, answer = self._answer(environ)
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _answer(self, environ: WSGIEnvironment) -> tuple[str, dict[str, Any]]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        try:
            body = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or "{}")
        except ValueError:
            return "400 Bad Request", {}
        if self.closed:
            return "503 Service Unavailable", {}
        if (method, path) == ("POST", "/orders"):
            return "201 Created", self.order(body["amount"], f"http://{environ['HTTP_HOST']}")
        if (method, path) == ("POST", "/postlink"):
            return self.postlink(body)
        order = self.orders[path.removeprefix("/orders/")]
        return "200 OK", {"paid": order.paid, "why_not": order.why_not}

    def order(self, amount: int, own_url: str) -> dict[str, Any]:
        """Make an order and what the page needs for its payment."""
        order = Order(f"{len(self.orders) + 1:09}", amount, secrets.token_hex(16))
        self.orders[order.number] = order
        link = f"{own_url}/postlink"
        named = {"invoiceID": order.number, "amount": str(amount), "currency": "KZT"}
        auth = self.bank.token(**named, postLink=link, failurePostLink=link, secret_hash=order.secret)
        payment = {
            "invoiceId": order.number,
            "amount": amount,
            "currency": "KZT",
            "terminal": self.bank.terminal,
            "description": "Tea",
            "language": "rus",
            "backLink": f"{own_url}/thanks",
            "postLink": link,
            "failurePostLink": link,
            "auth": auth,
        }
        return {"number": order.number, "payment": payment}

    def postlink(self, notice: object) -> tuple[str, dict[str, Any]]:
        """Take the bank's word for a payment, if it is the bank's, and whole."""
        if not isinstance(notice, dict) or not {"invoiceId", "code"} <= notice.keys():
            return "400 Bad Request", {}
        order = self.orders.get(str(notice["invoiceId"]))
        if order is None or not hmac.compare_digest(order.secret, str(notice.get("secret_hash"))):
            return "403 Forbidden", {}
        if notice["code"] != "ok":
            order.why_not = str(notice.get("reason"))
        elif (notice.get("amount"), notice.get("currency")) == (order.amount, "KZT"):
            self.send(order)
        else:
            return "409 Conflict", {}
        return "200 OK", {}

    def look_for_lost_postlinks(self) -> None:
        """Ask for the orders that nobody has told of; in life a job does this every few minutes."""
        for order in self.orders.values():
            found = self.bank.status(order.number).get("transaction", {})
            if found.get("statusName") == "CHARGE" and found["amount"] == order.amount:
                self.send(order)

    def send(self, order: Order) -> None:
        """Send a paid order, once."""
        if not order.paid:
            order.paid = True
            self.parcels.append(order.number)


def _json(request: Request) -> dict[str, Any]:
    with urlopen(request, timeout=10) as answer:
        read: dict[str, Any] = json.load(answer)
    return read
