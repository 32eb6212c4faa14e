"""What tests share: a shop with a world of its own, a receiver of postlinks, and a real browser's flags."""

import json
import signal
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from mock_epay import lz, records
from mock_epay.clock import Clock
from mock_epay.dialects import SPELLINGS
from mock_epay.fake import Fake
from mock_epay.model import Dialect, Merchant, Payer, PaymentObject, Terminal, Transaction
from mock_epay.server import Sandbox

SCOPE: Final = " webapi usermanagement email_send verification statement statistics payment"
APPROVES: Final = {"pan": "4405639704015096", "expiry": "01/25", "cvc": "815"}
LOCKED: Final = {"pan": "4003032704547597", "expiry": "09/20", "cvc": "170"}
SHOP_ID: Final = "04f25a4b-d2bd-4dd8-b3a7-9390be4774c4"
CHALLENGED: Final = {"pan": "4000000000003220", "expiry": "12/30", "cvc": "123"}
PATIENCE_S: Final = 10

CHROMIUM: Final = "/usr/bin/chromium"
CHROMIUM_FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True, slots=True)
class Notice:
    """A request that a receiver got."""

    path: str
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.text)
        return read


@dataclass
class Receiver:
    """A shop's address for postlinks; answers 200 unless `answers` has another status for the path."""

    url: str
    answers: dict[str, list[int]] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, count: int = 1, path: str | None = None) -> list[Notice]:
        """Return what came (to `path`) once there are `count` of it."""

        def there() -> list[Notice]:
            return [notice for notice in self.notices if path in {None, notice.path}]

        with self.news:
            assert self.news.wait_for(lambda: len(there()) >= count, PATIENCE_S), f"only {there()}"
            return there()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with got.news:
                got.notices.append(Notice(self.path, dict(self.headers), text))
                got.news.notify_all()
            statuses = got.answers.get(self.path, [])
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)


@dataclass(frozen=True)
class Shop:
    """A merchant with its own world in a running sandbox, and what its server would do."""

    sandbox: Sandbox
    http: httpx.Client
    merchant: Merchant
    post_link: str

    @property
    def terminal(self) -> str:
        return self.merchant.terminals[0].id

    def request(self, **changes: Any) -> dict[str, str]:
        """Return the fields of a token request; None takes one away."""
        fields = {
            "grant_type": "client_credentials",
            "scope": SCOPE,
            "client_id": self.merchant.client_id,
            "client_secret": self.merchant.client_secret,
            "invoiceID": "000000001",
            "amount": "100",
            "currency": "KZT",
            "terminal": self.terminal,
            "postLink": "",
            "failurePostLink": "",
        }
        return {name: str(text) for name, text in (fields | changes).items() if text is not None}

    def token(self, **changes: Any) -> dict[str, Any]:
        """Ask for a token that must be given."""
        response = self.http.post("/oauth2/token", data=self.request(**changes))
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def status_token(self) -> str:
        """Ask for a token that only looks things up."""
        return str(self.token(invoiceID=None, amount=None, currency=None)["access_token"])

    def order(self, auth: object = None, **changes: Any) -> dict[str, Any]:
        """Return a payment object; None takes a field away."""
        fields = {
            "invoiceId": "000000001",
            "backLink": "https://example.kz/success.html?order=1&x=%20",
            "failureBackLink": "https://example.kz/failure.html",
            "postLink": self.post_link,
            "language": "eng",
            "description": "Order in a shop",
            "terminal": self.terminal,
            "amount": 100,
            "currency": "KZT",
            "auth": auth,
        }
        return {name: value for name, value in (fields | changes).items() if value is not None}

    def address(self, order: dict[str, Any], more: str = "") -> str:
        """Return the pay page address that `halyk.pay` would go to."""
        return f"/payform/?params={lz.compress(lz.flatten(order))}{more}"

    def open(self, *, token: dict[str, Any] | None = None, more: str = "", **changes: Any) -> httpx.Response:
        """Open the pay page for an order that has the token's invoice, amount and currency."""
        named = {"invoiceID": changes.get("invoiceId"), "amount": changes.get("amount")}
        auth = token or self.token(**{name: value for name, value in named.items() if value is not None})
        return self.http.get(self.address(self.order(auth, **changes), more))

    def pay(self, address: str, card: dict[str, str] = APPROVES, **fields: str) -> httpx.Response:
        """Send the form of a page and follow to where it leads."""
        return self.http.post(address, data=card | fields, follow_redirects=True)

    def buy(self, card: dict[str, str] = APPROVES, **changes: Any) -> httpx.Response:
        """Open a page and pay on it."""
        return self.pay(action(self.open(**changes)), card)

    def status(self, invoice_id: str = "000000001") -> dict[str, Any]:
        """Ask for the status of an invoice."""
        response = self.http.get(
            f"/check-status/payment/transaction/{invoice_id}",
            headers={"Authorization": f"Bearer {self.status_token()}"},
        )
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def events(self) -> list[str]:
        """Return what happened in this world, by kind."""
        found = self.sandbox.do(self.sandbox.bank.store.events(self.merchant.client_id))
        return [event.kind for event in found]

    def advance(self, seconds: float) -> None:
        """Put this world's clock forward."""
        store, client_id = self.sandbox.bank.store, self.merchant.client_id

        async def turn() -> None:
            await store.set_clock(client_id, (await store.clock(client_id)).advance(seconds))

        self.sandbox.do(turn())


def new_merchant(name: str, **changes: Any) -> Merchant:
    """Return a merchant whose ids are made of its name."""
    facts: dict[str, Any] = {
        "client_id": name,
        "client_secret": f"secret of {name} #&+%41",
        "name": f"Shop {name}",
        "email": f"{name}@example.kz",
        "password": "a password",
        "terminals": (Terminal(id="67e34d63-102f-4bd1-898e-370781d0074d", tid="92061101", shop_id=SHOP_ID),),
        "seed": "tests",
        # Checked as they go out, and quick to try again.
        "self_check": True,
        "postlink_timeout_s": 1.0,
        "postlink_retry_s": (0.02, 0.02),
    }
    return Merchant(**facts | changes)


def an_order(**changes: Any) -> PaymentObject:
    """Return a payment object as it is kept."""
    facts: dict[str, Any] = {
        "invoice_id": "000000001",
        "back_link": "https://example.kz/",
        "language": "rus",
        "reads": "rus",
        "description": "Order",
        "terminal": "67e34d63-102f-4bd1-898e-370781d0074d",
        "amount": Decimal(100),
        "currency": "KZT",
    }
    return PaymentObject(**facts | changes)


def a_transaction(order: PaymentObject | None = None, **changes: Any) -> Transaction:
    """Return the record of an attempt to pay an order."""
    order = order or an_order()
    fakes = Fake("tests", order.invoice_id)
    facts: dict[str, Any] = {
        "id": fakes.uuid("transaction"),
        "invoice_id": order.invoice_id,
        "number": 1,
        "order": order,
        "created_at": Clock().now(),
        "payer": Payer(),
        "place": fakes.place(),
    }
    return Transaction(**facts | changes)


def in_dialect(shop: Shop, dialect: Dialect) -> Shop:
    """Give a shop's merchant another dialect, with the terminal that goes with it, in a new world."""
    spelling = SPELLINGS[dialect]
    terminals = tuple(records.replace(terminal, two_stage=spelling.two_stage) for terminal in shop.merchant.terminals)
    merchant = records.replace(shop.merchant, dialect=dialect, terminals=terminals, token_ttl_s=spelling.token_ttl_s)
    shop.sandbox.do(shop.sandbox.bank.store.add_merchant(merchant))
    return replace(shop, merchant=merchant)


def marked(page: httpx.Response, test_id: str) -> str:
    """Return the text of the element with this test id."""
    return _between(page.text, f'data-testid="{test_id}"', "<").partition(">")[2].strip()


def state(page: httpx.Response) -> tuple[str, str]:
    """Return the state and reason code that a page says it shows."""
    return _between(page.text, 'data-state="', '"'), _between(page.text, 'data-reason-code="', '"')


def action(page: httpx.Response) -> str:
    """Return where a page's form goes."""
    return _between(page.text, '<form method="post" action="', '"').replace("&amp;", "&")


def hidden(page: httpx.Response, name: str) -> str:
    """Return the value of a page's hidden field."""
    return _between(page.text, f'name="{name}" value="', '"')


def encrypted(http: httpx.Client, card: dict[str, str], terminal: str) -> str:
    """Encrypt a card as a shop's own form does, with the key that the sandbox publishes."""
    key = load_pem_public_key(http.get("/public.rsa").content)
    assert isinstance(key, RSAPublicKey)
    expiry = card["expiry"].replace("/", "")
    inside = {"hpan": card["pan"], "expDate": expiry, "cvc": card["cvc"], "terminalId": terminal}
    return b64encode(key.encrypt(json.dumps(inside).encode(), PKCS1v15())).decode()


def _between(text: str, before: str, after: str) -> str:
    _, found, rest = text.partition(before)
    assert found, f"no {before} in {text[:2000]}"
    return rest.partition(after)[0]


def eventually(condition: Callable[[], bool], patience_s: int = PATIENCE_S) -> None:
    """Wait until a condition holds that nothing announces."""
    waiting = threading.Event()
    for _ in range(patience_s * 200):
        if condition():
            return
        waiting.wait(0.005)
    raise AssertionError("it never came to be")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let children hear SIGINT even where this run does not, as in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
