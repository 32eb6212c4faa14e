"""The demo shop at `/demo`: an honest merchant that meets the sandbox over HTTP only, as any outsider would.

It imports nothing of the bank, so what it does can be copied into a real shop. The order of events:

    browser  POST /demo/orders ──▶ shop ── token for this order ──▶ sandbox
    browser  halyk.pay(payment) ─────────────────────────────────▶ sandbox
                                   shop ◀── POST /demo/postlink ── sandbox
    browser  GET /demo/orders/{n}/thanks: believes the notice, never the return
"""

import asyncio
import functools
import hmac
import itertools
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    import jinja2

CURRENCY = "KZT"
CUSTOMER = "shai-guest-1"  # saved cards belong to a customer of the shop; the demo has one
SCOPE = " webapi usermanagement email_send verification statement statistics payment"
LANGUAGES = {"rus": "Русский", "kaz": "Қазақша", "eng": "English"}

MOST_BYTES = 64 * 1024
MOST_ORDERS = 200
MOST_NOTICES = 20
MOST_PIECES = 9
MOST_LETTERS = 100
SHOWN_ORDERS = 6
ANSWER_SECONDS = 10
OK, BAD_REQUEST = 200, 400

HEADERS_KEPT = ("content-type", "user-agent")
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - "every address" is no address to call

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One thing on the shelf; the price is in tenge."""

    slug: str
    name: str
    note: str
    price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A documented test card, as the page shows it."""

    pan: str
    brand: str
    expires: str
    code: str
    approves: bool


PRODUCTS = {
    product.slug: product
    for product in (
        Product(slug="teapot", name="Shainek", note="Teapot, cobalt on white, 900\N{NO-BREAK SPACE}ml", price=18_500),
        Product(slug="bowls", name="Kese", note="Three tea bowls that fit a palm", price=7_200),
        Product(slug="tea", name="Qara shai", note="Black leaf tea in a tin, 250\N{NO-BREAK SPACE}g", price=2_450),
    )
}

CARDS = (
    Card(pan="4405 6397 0401 5096", brand="Visa", expires="01/25", code="815", approves=True),
    Card(pan="5522 0427 0506 6736", brand="Mastercard", expires="01/25", code="525", approves=True),
    Card(pan="3775 145000 04820", brand="Amex", expires="01/25", code="4169", approves=False),
    Card(pan="4003 0327 0454 7597", brand="Visa", expires="09/20", code="170", approves=False),
    Card(pan="5578 3427 1075 0560", brand="Mastercard", expires="09/20", code="254", approves=False),
)


class State(StrEnum):
    """What the shop believes about an order."""

    WAITING = "waiting"
    PAID = "paid"
    FAILED = "failed"


STATE_BY_CODE = {"ok": State.PAID, "error": State.FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A postlink as it arrived: its text is whole but for the secret hash."""

    arrived: str
    headers: Mapping[str, str]
    body: str
    verdict: str

    def shown(self) -> dict[str, object]:
        """Give what the order's page may read."""
        return {
            "arrived": self.arrived,
            "verdict": self.verdict,
            "headers": dict(self.headers),
            "body": self.body,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a customer wants to buy, the proof the bank must bring, and what the bank said so far."""

    number: str
    product: Product
    quantity: int
    secret_hash: str
    created: str
    state: State = State.WAITING
    transactions: frozenset[str] = frozenset()
    notices: tuple[Notice, ...] = ()

    @property
    def amount(self) -> int:
        """The sum in tenge."""
        return self.product.price * self.quantity

    def noted(self, notice: Notice) -> "Order":
        """Remember one more notice; the oldest make room."""
        return replace(self, notices=(*self.notices, notice)[-MOST_NOTICES:])

    def moved(self, transaction: str, code: str) -> "Order":
        """Follow an accepted notice; a failed attempt after a payment changes nothing."""
        state = State.PAID if self.state is State.PAID else STATE_BY_CODE[code]
        return replace(self, state=state, transactions=self.transactions | {transaction})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the customer's browser asks for, checked."""

    product: Product
    quantity: int
    language: str
    card_save: bool
    person: Mapping[str, str]


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an accident
    """The shop says no; `field` names what to mend, where there is one."""

    def __init__(self, status: int, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


class Answer(JSONResponse):
    """JSON that people read in a browser: letters stay letters, nobody caches it."""

    def __init__(self, content: Mapping[str, object], status_code: int = OK) -> None:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        super().__init__(content, status_code, headers)

    def render(self, content: object) -> bytes:
        """Escape only what UTF-8 cannot hold: half of a surrogate pair, which JSON writes the same way."""
        return json.dumps(content, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace")


Endpoint = Callable[[Request], Awaitable[Response]]


def demo_shop(*, client_id: str, client_secret: str, terminal: str) -> list[BaseRoute]:
    """Build the shop of one merchant: routes for the top level of the sandbox's application."""
    shop = Shop(client_id=client_id, client_secret=client_secret, terminal=terminal, numbers=_numbers())
    return [
        Route("/demo", shop.shelf),
        Route("/demo/orders", _answering(shop.order), methods=["POST"]),
        Route("/demo/postlink", _answering(shop.postlink), methods=["POST"]),
        Route("/demo/orders/{number}", _answering(shop.report)),
        Route("/demo/orders/{number}/thanks", functools.partial(shop.returned, by="backLink")),
        Route("/demo/orders/{number}/failed", functools.partial(shop.returned, by="failureBackLink")),
        Mount("/demo/static", StaticFiles(directory=HOME / "static" / "demo"), name="demo-static"),
    ]


@dataclass(slots=True, kw_only=True)
class Shop:
    """A merchant with its credentials, a book of the latest orders and a page to sell from."""

    client_id: str
    client_secret: str
    terminal: str
    numbers: Iterator[str]
    orders: dict[str, Order] = field(default_factory=dict)

    async def shelf(self, _request: Request) -> Response:
        """Show the shop."""
        latest = list(reversed(self.orders.values()))[:SHOWN_ORDERS]
        return _page("demo.html", products=PRODUCTS.values(), cards=CARDS, languages=LANGUAGES, orders=latest)

    async def order(self, request: Request) -> Response:
        """Write an order down, fetch a token for it and hand the browser what `halyk.pay` wants."""
        _refuse_other_sites(request)
        wish = _wish(_object(_parsed(await _body(request))))
        bank = _socket(request)
        order = Order(
            number=next(self.numbers),
            product=wish.product,
            quantity=wish.quantity,
            secret_hash=secrets.token_hex(16),
            created=_now(),
        )
        token = await self._token(bank, self._token_for(order, bank))
        self._keep(order)
        return Answer(
            {
                "order": order.number,
                "auth": token,
                "payment": self._payment(order, wish, bank=bank, shop=_origin(request)),
            }
        )

    async def postlink(self, request: Request) -> Response:
        """Hear the bank: believe what proves itself, once; keep whatever came."""
        body = _object(_parsed(await _body(request)))
        order = self._known(body.get("invoiceId"))
        fault = _fault(order, body, terminal=self.terminal)
        verdict = f"refused: {fault}" if fault else _first_or_again(order, body)
        if verdict == "accepted":
            order = order.moved(str(body["id"]), str(body["code"]))
        headers = {name: request.headers[name][:200] for name in HEADERS_KEPT if name in request.headers}
        notice = Notice(arrived=_now(), headers=headers, body=_lines(body), verdict=verdict)
        self._keep(order.noted(notice))
        return Answer({"verdict": verdict}, BAD_REQUEST if fault else OK)

    async def report(self, request: Request) -> Response:
        """Tell an order's state; with `?status=1` ask the bank too."""
        order = self._known(request.path_params["number"])
        report: dict[str, object] = {
            "order": order.number,
            "state": order.state,
            "product": order.product.slug,
            "quantity": order.quantity,
            "amount": order.amount,
            "currency": CURRENCY,
            "created": order.created,
            "notices": [notice.shown() for notice in order.notices],
        }
        if request.query_params.get("status") == "1":
            report["status"] = await self._status(_socket(request), order.number)
        return Answer(report)

    async def returned(self, request: Request, *, by: str) -> Response:
        """Greet a customer who comes back; what the link says proves nothing."""
        number = request.path_params["number"]
        order = self.orders.get(number)
        if order is None:
            return _page("demo_missing.html", status=404, number=number)
        return _page("demo_order.html", order=order, by=by)

    def _known(self, number: object) -> Order:
        order = self.orders.get(number) if isinstance(number, str) else None
        if order is None:
            raise Refused(404, f"invoiceId: {_brief(number)} is no order of this shop", field="invoiceId")
        return order

    def _keep(self, order: Order) -> None:
        self.orders[order.number] = order
        while len(self.orders) > MOST_ORDERS:
            del self.orders[next(iter(self.orders))]

    def _token_for(self, order: Order, bank: str) -> dict[str, str]:
        return {
            "invoiceID": order.number,
            "amount": str(order.amount),
            "currency": CURRENCY,
            "postLink": f"{bank}/demo/postlink",
            "failurePostLink": f"{bank}/demo/postlink",
            "secret_hash": order.secret_hash,
        }

    def _payment(self, order: Order, wish: Wish, *, bank: str, shop: str) -> dict[str, object]:
        page = f"{shop}/demo/orders/{order.number}"
        return {
            "invoiceId": order.number,
            "backLink": f"{page}/thanks",
            "failureBackLink": f"{page}/failed",
            "postLink": f"{bank}/demo/postlink",
            "failurePostLink": f"{bank}/demo/postlink",
            "language": wish.language,
            "description": f"Шәй: {order.product.name} × {order.quantity}",
            "terminal": self.terminal,
            "amount": order.amount,
            "currency": CURRENCY,
            "cardSave": wish.card_save,
            **({"accountId": CUSTOMER} if wish.card_save else {}),
            **wish.person,
        }

    async def _token(self, bank: str, purpose: Mapping[str, str]) -> dict[str, object]:
        form = {
            "grant_type": "client_credentials",
            "scope": SCOPE,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "terminal": self.terminal,
            **purpose,
        }
        status, token = await _call("POST", f"{bank}/epay2/oauth2/token", form=form)
        if status != OK:
            raise Refused(502, f"the sandbox gave no token: {_reason(status, token)}")
        return token

    async def _status(self, bank: str, number: str) -> dict[str, object]:
        token = await self._token(bank, {})
        bearer = {"Authorization": f"Bearer {token.get('access_token')}"}
        _, answer = await _call("GET", f"{bank}/check-status/payment/transaction/{number}", headers=bearer)
        return answer


def _answering(endpoint: Endpoint) -> Endpoint:
    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refused as refusal:
            named = {"field": refusal.field} if refusal.field else {}
            return Answer({"message": str(refusal), **named}, refusal.status)

    return answer


def _numbers() -> Iterator[str]:
    # The bank wants 6-15 digits whose last six are unique too. Counting gives that for a million orders, and a
    # random start keeps a restarted shop away from numbers that the sandbox's database may still hold.
    start = secrets.randbelow(900_000_000)
    return (str(100_000_000 + (start + step) % 900_000_000) for step in itertools.count())


def _now() -> str:
    # An outsider has a clock of its own: the sandbox may stand still or run ahead, the shop does not.
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _socket(request: Request) -> str:
    """Where this very server listens, for calls from one process to itself.

    Never the request's Host: a browser may reach a container by another name and port, and whoever writes
    that header must not choose who is told the client secret.
    """
    host, port = request.scope.get("server") or ("", None)
    if port is None:
        raise Refused(501, "the demo shop needs a sandbox that listens on a TCP port")
    host = LOOPBACK.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _refuse_other_sites(request: Request) -> None:
    # Browsers send Sec-Fetch-Site to https and localhost only; Origin covers a sandbox on a plain address.
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if site in {"cross-site", "same-site"} or (origin and origin.partition("://")[2] != request.url.netloc):
        raise Refused(403, "orders are taken from the shop's own page only")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Refused(413, f"the body is larger than {MOST_BYTES} bytes")
    return bytes(body)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused(BAD_REQUEST, f"the body is not JSON: {error}") from error


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is not a number of JSON")


def _object(parsed: object) -> dict[str, object]:
    if not isinstance(parsed, dict):
        raise Refused(BAD_REQUEST, "the body is not a JSON object")
    return parsed


def _wish(body: Mapping[str, object]) -> Wish:
    return Wish(
        product=PRODUCTS[_one_of(body, "product", PRODUCTS)],
        quantity=_quantity(body),
        language=_one_of(body, "language", LANGUAGES),
        card_save=_card_save(body),
        person={name: text for name in ("name", "email", "phone") if (text := _text(body, name))},
    )


def _one_of(body: Mapping[str, object], name: str, known: Mapping[str, object]) -> str:
    value = body.get(name)
    if not isinstance(value, str) or value not in known:
        raise _wrong(name, value, f"is none of {', '.join(known)}")
    return value


def _quantity(body: Mapping[str, object]) -> int:
    value = body.get("quantity", 1)
    if type(value) is not int or not 1 <= value <= MOST_PIECES:
        raise _wrong("quantity", value, f"is not a whole number from 1 to {MOST_PIECES}")
    return value


def _card_save(body: Mapping[str, object]) -> bool:
    value = body.get("card_save", False)
    if not isinstance(value, bool):
        raise _wrong("card_save", value, "is neither true nor false")
    return value


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str) or len(value) > MOST_LETTERS:
        raise _wrong(name, value, f"is not a text of at most {MOST_LETTERS} letters")
    return value.strip()


def _wrong(name: str, value: object, rule: str) -> Refused:
    return Refused(BAD_REQUEST, f"{name}: {_brief(value)} {rule}", field=name)


def _brief(value: object) -> str:
    # Not json.dumps, which climbs into whatever depth was sent.
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= MOST_LETTERS else f"{shown[:MOST_LETTERS]}…"


def _fault(order: Order, body: Mapping[str, object], *, terminal: str) -> str | None:
    """Why a notice is not believed; the proof of its origin comes first."""
    if not _same_secret(order.secret_hash, body.get("secret_hash")):
        return "secret_hash is not the one of this order"
    expected = {"currency": CURRENCY, "terminal": terminal}
    for name, value in expected.items():
        if body.get(name) != value:
            return f"{name}: {_brief(body.get(name))} is not {value}"
    if not _same_amount(order.amount, body.get("amount")):
        return f"amount: {_brief(body.get('amount'))} is not {order.amount}"
    if not isinstance(body.get("id"), str) or not body["id"]:
        return f"id: {_brief(body.get('id'))} is not a transaction"
    if body.get("code") not in ("ok", "error"):
        return f"code: {_brief(body.get('code'))} is neither ok nor error"
    return None


def _same_secret(ours: str, theirs: object) -> bool:
    given = theirs if isinstance(theirs, str) else ""
    return hmac.compare_digest(ours.encode(), given.encode("utf-8", "surrogatepass"))


def _same_amount(ours: int, theirs: object) -> bool:
    is_number = isinstance(theirs, int | float) and not isinstance(theirs, bool)
    return is_number and Decimal(str(theirs)) == ours


def _first_or_again(order: Order, body: Mapping[str, object]) -> str:
    return "duplicate" if body["id"] in order.transactions else "accepted"


def _lines(body: Mapping[str, object]) -> str:
    """Write a notice one field a line, in the order it came in and with every number as the bank wrote it.

    The secret hash stays in the shop: it is all the proof a notice has, and pages are for the customer.
    """
    shown = {**body, "secret_hash": "(kept by the shop)"} if "secret_hash" in body else body
    lines = [f"  {_compact(name)}: {_compact(value)}" for name, value in shown.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _compact(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise Refused(BAD_REQUEST, "the body is nested too deeply") from None


async def _call(
    method: str, url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, object]]:
    status, answer = await asyncio.to_thread(_ask, method, url, form, headers)
    try:
        return status, _object(_parsed(answer))
    except Refused:
        raise Refused(502, f"the sandbox answers HTTP {status} at {url}, without a JSON object") from None


def _ask(method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str] | None) -> tuple[int, bytes]:
    import urllib3  # noqa: PLC0415 - takes a moment that a sandbox whose demo nobody opens need not spend

    with urllib3.PoolManager(timeout=ANSWER_SECONDS, retries=False) as pool:
        try:
            answer = pool.request(method, url, fields=form, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise Refused(502, f"the sandbox does not answer at {url}: {error}") from error
        return answer.status, answer.data


def _reason(status: int, answer: Mapping[str, object]) -> str:
    said = answer.get("message") or answer.get("error_description") or answer.get("error")
    return f"{said} (HTTP {status})" if said else f"HTTP {status}"


def _page(template: str, *, status: int = OK, **words: object) -> Response:
    return HTMLResponse(_templates().get_template(template).render(words), status, PAGE_HEADERS)


def _tenge(amount: int) -> str:
    return f"{amount:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") + "\N{NO-BREAK SPACE}₸"


HOME = Path(__file__).resolve().parent.parent


@functools.cache
def _templates() -> "jinja2.Environment":
    import jinja2  # noqa: PLC0415 - likewise

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HOME / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tenge"] = _tenge
    return environment
