"""An example shop that knows only the bank's own addresses, with nothing but Python's library."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import Request, urlopen

TOKENS: Final = "https://testoauth.homebank.kz/epay2/oauth2/token"
SCRIPT: Final = "https://test-epay.homebank.kz/payform/payment-api.js"
STATUS: Final = "https://testepay.homebank.kz/api/check-status/payment/transaction/"
TERMINAL: Final = "67e34d63-102f-4bd1-898e-370781d0074d"
CREDENTIALS: Final = {"client_id": "test", "client_secret": "yF587AV9Ms94qN2QShFzVR3vFnWkhjbAK3sG"}

PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Tea shop</title>
<script src="{script}"></script><h1>Tea, 100 tenge</h1><button id="pay">Pay</button>
<script>document.getElementById("pay").onclick = () => halyk.pay({payment})</script>"""

orders: dict[str, str] = {}
numbers = count(1)


def token(**order: str) -> dict[str, Any]:
    """Ask the bank for a token."""
    fields = {"grant_type": "client_credentials", "scope": "payment", "terminal": TERMINAL} | CREDENTIALS | order
    with urlopen(Request(TOKENS, urlencode(fields).encode()), timeout=10) as answer:
        given: dict[str, Any] = json.load(answer)
        return given


def status(invoice: str) -> str:
    """Ask the bank how an order stands, for a notice may be anybody's."""
    headers = {"Authorization": f"Bearer {token()['access_token']}"}
    with urlopen(Request(STATUS + invoice, headers=headers), timeout=10) as answer:
        return str(json.load(answer)["transaction"]["statusName"])


class Shop(BaseHTTPRequestHandler):
    """`/` sells, `/postlink` hears of payments, `/orders` tells."""

    def do_GET(self) -> None:
        """Show a page."""
        if self.path == "/orders":
            self._answer(json.dumps(orders), "application/json")
        elif self.path == "/":
            self._answer(self._page(), "text/html; charset=utf-8")
        else:
            self._answer("<!doctype html><title>Thank you</title>Thank you", "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """Take a notice."""
        notice = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        invoice = str(notice["invoiceId"])
        orders[invoice] = status(invoice)
        print(f"order {invoice}: {orders[invoice]}", flush=True)
        self._answer("ok", "text/plain")

    def _page(self) -> str:
        invoice = f"{next(numbers):09}"
        orders[invoice] = "open"
        payment = {
            "invoiceId": invoice,
            "amount": 100,
            "currency": "KZT",
            "terminal": TERMINAL,
            "description": "Tea",
            "language": "eng",
            "backLink": f"http://{self.headers['Host']}/thanks",
            "postLink": "http://shop:3000/postlink",
            "auth": token(invoiceID=invoice, amount="100", currency="KZT"),
        }
        return PAGE.format(script=SCRIPT, payment=json.dumps(payment))

    def _answer(self, body: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("", 3000), Shop).serve_forever()
