"""The demo shop, against a bank small enough to fit in this file."""

import ast
import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mock_epay.web import demo

SECRET = "yF587AV9Ms94q##$N2"
TERMINAL = "67e34d63-102f-4bd1-898e-370781d0074d"
TOKEN = {
    "access_token": "DCEB8O_ZM5U7SO_T_U5EJQ",
    "expires_in": 7200,
    "refresh_token": "",
    "scope": "payment",
    "token_type": "Bearer",
}
WISH = {"product": "teapot", "language": "kaz"}


@dataclass
class FakeBank:
    """What the sandbox answers, and what it was asked."""

    token: Response = field(default_factory=lambda: JSONResponse(TOKEN))
    forms: list[dict[str, str]] = field(default_factory=list)
    content_type: str = ""
    bearer: str = ""

    async def give_token(self, request: Request) -> Response:
        self.content_type = request.headers["content-type"]
        async with request.form() as form:
            self.forms.append({name: str(value) for name, value in form.items()})
        return self.token

    async def give_status(self, request: Request) -> Response:
        self.bearer = request.headers["authorization"]
        found = {"resultCode": "100", "transaction": {"invoiceID": request.path_params["number"]}}
        return JSONResponse(found)


@dataclass(frozen=True)
class Town:
    """A bank and a shop behind one real socket, as in the sandbox."""

    app: Starlette
    bank: FakeBank
    port: int
    browser: httpx.Client

    def order(self, **wish: object) -> str:
        answer = self.browser.post("/demo/orders", json=WISH | wish)
        assert answer.status_code == 200, answer.text
        number: str = answer.json()["order"]
        return number

    def notice(self, **changes: object) -> dict[str, object]:
        """Build the postlink that the bank would send for the latest token."""
        form = self.bank.forms[-1]
        return {
            "id": "ffffffff-0000-000f-f000-00f0000f000f",
            "invoiceId": form["invoiceID"],
            "amount": int(form["amount"]),
            "currency": form["currency"],
            "terminal": form["terminal"],
            "code": "ok",
            "reasonCode": 0,
            "secret_hash": form["secret_hash"],
        } | changes

    def tell(self, **changes: object) -> httpx.Response:
        # httpx writes letters as they are, and half a letter is none.
        return self.browser.post("/demo/postlink", content=json.dumps(self.notice(**changes)))

    def state(self, number: str) -> object:
        return self.browser.get(f"/demo/orders/{number}").json()["state"]

    def verdicts(self, number: str) -> list[str]:
        return [notice["verdict"] for notice in self.browser.get(f"/demo/orders/{number}").json()["notices"]]


def _build(bank: FakeBank) -> Starlette:
    return Starlette(
        routes=[
            Route("/epay2/oauth2/token", bank.give_token, methods=["POST"]),
            Route("/check-status/payment/transaction/{number}", bank.give_status),
            *demo.demo_shop(client_id="test", client_secret=SECRET, terminal=TERMINAL),
        ]
    )


@pytest.fixture(scope="module")
def served() -> Iterator[Town]:
    bank = FakeBank()
    app = _build(bank)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:  # listens already: callers queue until it serves
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        port = listener.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as browser:
            yield Town(app, bank, port, browser)
        server.should_exit = True
        thread.join()


@pytest.fixture
def town(served: Town) -> Town:
    fresh = FakeBank()
    served.bank.token, served.bank.forms = fresh.token, fresh.forms
    return served


def _through(town: Town, base: str, path: str = "/demo/orders") -> httpx.Response:
    """Post an order as if the request had come in at the socket `base`."""

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(app=town.app)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.post(path, json=WISH)

    return asyncio.run(post())


def test_the_shop_shows_products_cards_and_where_the_bank_s_script_comes_from(town: Town) -> None:
    page = town.browser.get("/demo")
    assert page.status_code == 200
    assert '<script src="/payform/payment-api.js"></script>' in page.text
    for product in demo.PRODUCTS:
        assert f'data-testid="product-{product}"' in page.text
    for pan in (
        "4405639704015096",
        "5522042705066736",
        "377514500004820",
        "4003032704547597",
        "5578342710750560",
    ):
        assert f'data-testid="card-{pan}"' in page.text


def test_pages_carry_a_strict_policy_and_nothing_that_breaks_it(town: Town) -> None:
    number = town.order()
    for path, status in (
        ("/demo", 200),
        (f"/demo/orders/{number}/thanks", 200),
        ("/demo/orders/1/failed", 404),
    ):
        page = town.browser.get(path)
        assert page.status_code == status
        assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)|https?://", page.text)


def test_the_secret_reaches_no_page_and_no_answer(town: Town) -> None:
    number = town.order(card_save=True)
    town.tell()
    said = town.browser.post("/demo/orders", json=WISH).text
    for path in ("/demo", f"/demo/orders/{number}", f"/demo/orders/{number}/thanks"):
        said += town.browser.get(path).text
    assert SECRET not in said
    assert town.bank.forms[0]["secret_hash"] not in said


def test_scripts_styles_and_drawings_are_served(town: Town) -> None:
    for name in ("shop.css", "shop.js", "page.js", "order.js", "cup.svg", "band.svg"):
        assert town.browser.get(f"/demo/static/{name}").status_code == 200


def test_latest_orders_stand_on_the_shelf_with_the_newest_first(town: Town) -> None:
    orders = [town.order() for _ in range(demo.SHOWN_ORDERS + 1)]
    shown = re.findall(r'class="number">(\d+)<', town.browser.get("/demo").text)
    assert shown == orders[:0:-1]


def test_a_failed_order_is_linked_by_its_failure_page(town: Town) -> None:
    number = town.order()
    town.tell(code="error")
    assert f"/demo/orders/{number}/failed" in town.browser.get("/demo").text


def test_the_shop_imports_nothing_of_the_bank() -> None:
    tree = ast.parse(Path(demo.__file__).read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert not [module for module in modules if module.startswith("mock_epay")]


def test_an_order_asks_a_token_as_documented(town: Town) -> None:
    number = town.order(product="bowls", quantity=2)
    assert town.bank.content_type.startswith("multipart/form-data")
    form = town.bank.forms[-1]
    assert len(form.pop("secret_hash")) == 32
    assert form == {
        "grant_type": "client_credentials",
        "scope": " webapi usermanagement email_send verification statement statistics payment",
        "client_id": "test",
        "client_secret": SECRET,
        "invoiceID": number,
        "amount": "14400",
        "currency": "KZT",
        "terminal": TERMINAL,
        "postLink": f"http://127.0.0.1:{town.port}/demo/postlink",
        "failurePostLink": f"http://127.0.0.1:{town.port}/demo/postlink",
    }


def test_an_order_answers_the_token_and_the_payment_object(town: Town) -> None:
    person = {"name": " Aigerim ", "email": "a@example.com", "phone": ""}
    headers = {"Host": "shop.localhost:8080"}
    answer = town.browser.post("/demo/orders", json=WISH | person | {"card_save": True}, headers=headers).json()
    number = answer["order"]
    assert answer == {
        "order": number,
        "auth": TOKEN,
        "payment": {
            "invoiceId": number,
            "backLink": f"http://shop.localhost:8080/demo/orders/{number}/thanks",
            "failureBackLink": f"http://shop.localhost:8080/demo/orders/{number}/failed",
            "postLink": f"http://127.0.0.1:{town.port}/demo/postlink",
            "failurePostLink": f"http://127.0.0.1:{town.port}/demo/postlink",
            "language": "kaz",
            "description": "Шәй: Shainek × 1",
            "terminal": TERMINAL,
            "amount": 18500,
            "currency": "KZT",
            "cardSave": True,
            "accountId": demo.CUSTOMER,
            "name": "Aigerim",
            "email": "a@example.com",
        },
    }


def test_a_card_that_is_not_saved_needs_no_customer(town: Town) -> None:
    payment = town.browser.post("/demo/orders", json=WISH).json()["payment"]
    assert payment["cardSave"] is False
    assert "accountId" not in payment


def test_every_description_fits_the_bank_s_125_bytes() -> None:
    longest = max(f"Шәй: {product.name} × {demo.MOST_PIECES}" for product in demo.PRODUCTS.values())
    assert len(longest.encode()) <= 125


def test_order_numbers_are_nine_digits_and_their_last_six_differ(town: Town) -> None:
    numbers = [town.order() for _ in range(5)]
    assert all(re.fullmatch(r"\d{9}", number) for number in numbers)
    assert len({number[-6:] for number in numbers}) == 5


def test_a_shop_that_starts_again_counts_from_elsewhere() -> None:
    assert len({next(demo._numbers()) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("wish", "name", "message"),
    [
        ({"product": "car"}, "product", 'product: "car" is none of teapot, bowls, tea'),
        ({"product": ["tea"]}, "product", "product: a list is none of teapot, bowls, tea"),
        ({"language": {}}, "language", "language: an object is none of rus, kaz, eng"),
        ({"language": "x" * 500}, "language", f'language: "{"x" * 99}… is none of rus, kaz, eng'),
        ({"quantity": 0}, "quantity", "quantity: 0 is not a whole number from 1 to 9"),
        ({"quantity": 10}, "quantity", "quantity: 10 is not a whole number from 1 to 9"),
        ({"quantity": True}, "quantity", "quantity: true is not a whole number from 1 to 9"),
        ({"card_save": "true"}, "card_save", 'card_save: "true" is neither true nor false'),
        ({"name": 7}, "name", "name: 7 is not a text of at most 100 letters"),
        ({"email": "e" * 101}, "email", f'email: "{"e" * 99}… is not a text of at most 100 letters'),
    ],
)
def test_a_wrong_field_is_named(town: Town, wish: dict[str, object], name: str, message: str) -> None:
    answer = town.browser.post("/demo/orders", json=WISH | wish)
    assert answer.status_code == 400
    assert answer.json() == {"field": name, "message": message}


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"quantity": NaN}', b"[" * 60_000])
def test_what_is_not_json_is_refused(town: Town, body: bytes) -> None:
    answer = town.browser.post("/demo/orders", content=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("the body is not JSON: ")


def test_json_that_is_no_object_is_refused(town: Town) -> None:
    answer = town.browser.post("/demo/orders", content="[]")
    assert (answer.status_code, answer.json()) == (400, {"message": "the body is not a JSON object"})


@pytest.mark.parametrize("path", ["/demo/orders", "/demo/postlink"])
def test_a_body_that_is_too_large_is_refused(town: Town, path: str) -> None:
    answer = town.browser.post(path, content=b" " * (demo.MOST_BYTES + 1))
    assert (answer.status_code, answer.json()) == (413, {"message": "the body is larger than 65536 bytes"})


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_cannot_order(town: Town, headers: dict[str, str]) -> None:
    assert town.browser.post("/demo/orders", json=WISH, headers=headers).status_code == 403
    assert not town.bank.forms


def test_the_shop_s_own_page_can_order_also_behind_a_proxy_that_speaks_https(town: Town) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": f"https://127.0.0.1:{town.port}"}
    assert town.browser.post("/demo/orders", json=WISH, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (
            JSONResponse({"error": "invalid_client", "message": "client_secret: wrong"}, 401),
            "the sandbox gave no token: client_secret: wrong (HTTP 401)",
        ),
        (
            JSONResponse({"error": "invalid_client"}, 401),
            "the sandbox gave no token: invalid_client (HTTP 401)",
        ),
        (JSONResponse({}, 503), "the sandbox gave no token: HTTP 503"),
    ],
)
def test_the_sandbox_s_own_words_reach_the_customer(town: Town, token: Response, message: str) -> None:
    town.bank.token = token
    answer = town.browser.post("/demo/orders", json=WISH)
    assert (answer.status_code, answer.json()) == (502, {"message": message})


@pytest.mark.parametrize("token", [PlainTextResponse("oops"), JSONResponse([])])
def test_a_token_answer_of_another_kind_is_reported(town: Town, token: Response) -> None:
    town.bank.token = token
    answer = town.browser.post("/demo/orders", json=WISH)
    assert answer.status_code == 502
    assert answer.json()["message"] == (
        f"the sandbox answers HTTP 200 at http://127.0.0.1:{town.port}/epay2/oauth2/token, without a JSON object"
    )


def test_a_server_that_listens_everywhere_is_called_on_loopback(town: Town) -> None:
    answer = _through(town, f"http://0.0.0.0:{town.port}")
    assert answer.json()["payment"]["postLink"] == f"http://127.0.0.1:{town.port}/demo/postlink"


def test_a_sandbox_that_does_not_answer_is_reported_with_its_address(town: Town) -> None:
    with socket.socket() as closed:  # bound and not listening: nobody else can take the port meanwhile
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        answer = _through(town, f"http://[::]:{port}")
    assert answer.status_code == 502
    assert answer.json()["message"].startswith(
        f"the sandbox does not answer at http://[::1]:{port}/epay2/oauth2/token: "
    )


def test_a_sandbox_without_a_port_has_no_demo(town: Town) -> None:
    answer = _through(town, "http://shop")
    assert answer.status_code == 501
    assert answer.json() == {"message": "the demo shop needs a sandbox that listens on a TCP port"}


def test_the_oldest_orders_are_forgotten(town: Town) -> None:
    first = town.order()
    for _ in range(demo.MOST_ORDERS):
        latest = town.order()
    assert town.browser.get(f"/demo/orders/{first}").status_code == 404
    assert town.browser.get(f"/demo/orders/{latest}").status_code == 200


def test_a_new_order_waits(town: Town) -> None:
    number = town.order(quantity=2)
    answer = town.browser.get(f"/demo/orders/{number}")
    assert answer.headers["cache-control"] == "no-store"
    order = answer.json()
    assert order.pop("created").endswith("Z")
    assert order == {
        "order": number,
        "state": "waiting",
        "product": "teapot",
        "quantity": 2,
        "amount": 37000,
        "currency": "KZT",
        "notices": [],
    }


def test_a_notice_that_proves_itself_makes_an_order_paid(town: Town) -> None:
    number = town.order()
    answer = town.tell()
    assert (answer.status_code, answer.json()) == (200, {"verdict": "accepted"})
    assert town.state(number) == "paid"


def test_a_notice_is_kept_as_it_came_but_for_the_secret(town: Town) -> None:
    number = town.order()
    sent = town.notice(amount=18500.0, data='{"a": "<b>Әже</b>"}', ipLongitude=76.9293)
    headers = {"User-Agent": "bank/1", "Content-Type": "application/json", "Cookie": "a=b"}
    town.browser.post("/demo/postlink", content=json.dumps(sent), headers=headers)
    (notice,) = town.browser.get(f"/demo/orders/{number}").json()["notices"]
    assert notice["arrived"].endswith("Z")
    assert notice["headers"] == {"content-type": "application/json", "user-agent": "bank/1"}
    assert notice["body"].splitlines()[3] == '  "amount": 18500.0,'
    assert json.loads(notice["body"]) == sent | {"secret_hash": "(kept by the shop)"}


def test_the_same_transaction_told_again_changes_nothing(town: Town) -> None:
    number = town.order()
    town.tell()
    again = town.tell()
    assert (again.status_code, again.json()) == (200, {"verdict": "duplicate"})
    assert town.verdicts(number) == ["accepted", "duplicate"]
    assert town.state(number) == "paid"


def test_an_order_may_fail_and_then_be_paid_but_not_the_other_way_round(town: Town) -> None:
    number = town.order()
    states = []
    for transaction, code in (("1", "error"), ("2", "error"), ("3", "ok"), ("4", "error")):
        town.tell(id=transaction, code=code)
        states.append(town.state(number))
    assert states == ["failed", "failed", "paid", "paid"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"secret_hash": "guess"}, "secret_hash is not the one of this order"),
        ({"secret_hash": "\ud800"}, "secret_hash is not the one of this order"),
        ({"secret_hash": None}, "secret_hash is not the one of this order"),
        ({"currency": "USD"}, 'currency: "USD" is not KZT'),
        ({"terminal": None}, f"terminal: null is not {TERMINAL}"),
        ({"amount": 1}, "amount: 1 is not 18500"),
        ({"amount": "18500"}, 'amount: "18500" is not 18500'),
        ({"amount": True}, "amount: true is not 18500"),
        ({"id": 7}, "id: 7 is not a transaction"),
        ({"id": ""}, 'id: "" is not a transaction'),
        ({"code": "maybe"}, 'code: "maybe" is neither ok nor error'),
        ({"code": []}, "code: a list is neither ok nor error"),
    ],
)
def test_a_notice_that_does_not_prove_itself_is_refused_and_kept(
    town: Town, changes: dict[str, object], reason: str
) -> None:
    number = town.order()
    answer = town.tell(**changes)
    assert (answer.status_code, answer.json()) == (400, {"verdict": f"refused: {reason}"})
    assert town.verdicts(number) == [f"refused: {reason}"]
    assert town.state(number) == "waiting"


def test_a_notice_without_a_secret_is_refused(town: Town) -> None:
    number = town.order()
    notice = town.notice()
    del notice["secret_hash"]
    assert town.browser.post("/demo/postlink", json=notice).status_code == 400
    assert town.state(number) == "waiting"


@pytest.mark.parametrize("number", ["1", None, ["1"]])
def test_a_notice_for_an_unknown_invoice_is_refused(town: Town, number: object) -> None:
    town.order()
    answer = town.tell(invoiceId=number)
    assert answer.status_code == 404
    assert answer.json()["field"] == "invoiceId"
    assert answer.json()["message"].endswith(" is no order of this shop")


def test_a_nested_notice_is_shown_on_one_line_a_field(town: Town) -> None:
    number = town.order()
    town.tell(secureDetails={"a": [1, {"b": 2}]})
    (notice,) = town.browser.get(f"/demo/orders/{number}").json()["notices"]
    assert '  "secureDetails": {"a": [1, {"b": 2}]}' in notice["body"].splitlines()


def test_a_notice_nested_beyond_reason_is_refused() -> None:
    endless: list[object] = []
    for _ in range(5000):
        endless = [endless]
    with pytest.raises(demo.Refused, match="nested too deeply"):
        demo._lines({"data": endless})


def test_half_a_letter_in_a_notice_survives(town: Town) -> None:
    number = town.order()
    town.tell(reason="\ud83d")
    (notice,) = town.browser.get(f"/demo/orders/{number}").json()["notices"]
    assert json.loads(notice["body"])["reason"] == "\ud83d"


def test_only_the_latest_notices_are_kept(town: Town) -> None:
    number = town.order()
    for step in range(demo.MOST_NOTICES + 2):
        town.tell(id=str(step))
    notices = town.browser.get(f"/demo/orders/{number}").json()["notices"]
    assert [json.loads(notice["body"])["id"] for notice in (notices[0], notices[-1])] == ["2", "21"]


def test_the_status_is_asked_only_on_demand_with_a_token_of_its_own(town: Town) -> None:
    number = town.order()
    assert "status" not in town.browser.get(f"/demo/orders/{number}").json()
    assert len(town.bank.forms) == 1
    order = town.browser.get(f"/demo/orders/{number}?status=1").json()
    assert order["status"] == {"resultCode": "100", "transaction": {"invoiceID": number}}
    assert town.bank.bearer == f"Bearer {TOKEN['access_token']}"
    assert "invoiceID" not in town.bank.forms[-1]
    assert town.bank.forms[-1]["terminal"] == TERMINAL


def test_coming_back_does_not_make_an_order_paid(town: Town) -> None:
    number = town.order()
    page = town.browser.get(f"/demo/orders/{number}/thanks")
    assert 'data-testid="order-state" data-state="waiting"' in page.text
    assert town.state(number) == "waiting"


@pytest.mark.parametrize(
    ("code", "path", "words"),
    [
        ("ok", "thanks", "secret hash, amount, currency and terminal said so"),
        ("ok", "failed", "came back by <code>failureBackLink</code>, yet the bank’s notice says paid"),
        ("error", "thanks", "came back by <code>backLink</code>, yet the bank’s notice says declined"),
        ("error", "failed", "A later attempt may still succeed"),
    ],
)
def test_the_page_explains_which_word_counts(town: Town, code: str, path: str, words: str) -> None:
    number = town.order()
    town.tell(code=code)
    assert words in town.browser.get(f"/demo/orders/{number}/{path}").text


def test_an_unknown_order_has_a_page_that_says_so_and_escapes_what_was_asked(town: Town) -> None:
    page = town.browser.get("/demo/orders/%3Cscript%3E1/thanks")
    assert page.status_code == 404
    assert "No such order" in page.text
    assert "<b>&lt;script&gt;1</b>" in page.text


def test_an_unknown_order_has_no_report(town: Town) -> None:
    answer = town.browser.get("/demo/orders/1")
    assert (answer.status_code, answer.json()) == (
        404,
        {"field": "invoiceId", "message": 'invoiceId: "1" is no order of this shop'},
    )
