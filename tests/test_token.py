"""The token endpoint over HTTP."""

import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support import SCOPE, Shop

PATHS = ("/oauth2/token", "/epay2/oauth2/token")


def _as_form(shop: Shop, path: str) -> httpx.Response:
    return shop.http.post(path, data=shop.request())


def _as_multipart(shop: Shop, path: str) -> httpx.Response:
    return shop.http.post(path, files={name: (None, text) for name, text in shop.request().items()})


def _as_json(shop: Shop, path: str) -> httpx.Response:
    return shop.http.post(path, json=shop.request() | {"amount": 100, "postLink": None})


def _with_basic(shop: Shop, path: str) -> httpx.Response:
    fields = shop.request(client_id=None, client_secret=None)
    # A raw pair, as most clients send it; `%41` in the secret shows what decoding would do to it.
    return shop.http.post(path, data=fields, auth=(shop.merchant.client_id, shop.merchant.client_secret))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("ask", [_as_form, _as_multipart, _as_json, _with_basic])
def test_a_token_is_given_in_every_way_of_asking(
    shop: Shop, path: str, ask: Callable[[Shop, str], httpx.Response]
) -> None:
    response = ask(shop, path)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert list(answer) == ["access_token", "expires_in", "refresh_token", "scope", "token_type"]
    assert re.fullmatch("[A-Z0-9_]{22}", answer.pop("access_token"))
    assert answer == {"expires_in": 7200, "refresh_token": "", "scope": SCOPE, "token_type": "Bearer"}
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cache-control"] == "no-store"


def test_the_documented_merchant_is_there(http: httpx.Client) -> None:
    fields = {
        "grant_type": "client_credentials",
        "scope": SCOPE,
        "client_id": "test",
        "client_secret": "yF587AV9Ms94qN2QShFzVR3vFnWkhjbAK3sG",
        "invoiceID": "000000001",
        "amount": "100",
        "currency": "KZT",
        "terminal": "67e34d63-102f-4bd1-898e-370781d0074d",
        "postLink": "",
        "failurePostLink": "",
    }
    response = http.post("/epay2/oauth2/token", files={name: (None, text) for name, text in fields.items()})
    assert response.status_code == 200, response.text


def test_each_request_gets_another_token(shop: Shop) -> None:
    tokens = {shop.token()["access_token"] for _ in range(20)}
    assert len(tokens) == 20


@pytest.mark.parametrize(
    ("name", "alias"), [("invoiceID", "invoiceId"), ("terminal", "terminalId"), ("currency", "curency")]
)
def test_other_spellings_of_a_field_are_taken(shop: Shop, name: str, alias: str) -> None:
    fields = shop.request()
    fields[alias] = fields.pop(name)
    response = shop.http.post("/oauth2/token", data=fields)
    assert response.status_code == 200, response.text
    assert ("misspelling" in response.headers.get("x-mock-epay-hints", "")) == (alias == "curency")


@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "client_secret"])
@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_missing_or_blank_field_is_named(shop: Shop, name: str, text: str | None) -> None:
    response = shop.http.post("/oauth2/token", data=shop.request(**{name: text}))
    assert response.status_code == (401 if name.startswith("client") else 400)
    answer = response.json()
    assert answer["field"] == name
    assert answer["message"].startswith(f"{name} is missing: ")
    assert "documented" in answer["source"]
    assert "value" not in answer


def test_a_field_in_the_wrong_case_is_recognized_as_the_cause(shop: Shop) -> None:
    fields = shop.request()
    fields["Client_Id"] = fields.pop("client_id")
    response = shop.http.post("/oauth2/token", data=fields)
    assert 'there is a "Client_Id", but case matters' in response.json()["message"]


@pytest.mark.parametrize("name", ["amount", "currency", "terminal"])
def test_a_token_for_an_invoice_needs_what_belongs_to_it(shop: Shop, name: str) -> None:
    response = shop.http.post("/oauth2/token", data=shop.request(**{name: None}))
    assert (response.status_code, response.json()["field"]) == (400, name)


def test_a_refused_secret_is_not_repeated(shop: Shop) -> None:
    secret = "Zq9-not-the-secret"
    response = shop.http.post("/oauth2/token", data=shop.request(client_secret=secret))
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_client"
    assert secret not in response.text
    too_long = shop.http.post("/oauth2/token", data=shop.request(client_secret=secret * 40))
    assert too_long.json()["field"] == "client_secret"
    assert secret not in too_long.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_only_post_asks_for_a_token(http: httpx.Client, method: str) -> None:
    response = http.request(method, "/oauth2/token")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST, OPTIONS"


def test_browsers_are_let_in_by_preflight(http: httpx.Client) -> None:
    response = http.options(
        "/oauth2/token", headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    )
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "Authorization" in response.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b'{"scope": ["payment"]}'),
        ("application/json", b"[" * 60_000),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb'),
        ("application/x-www-form-urlencoded", b"a=%ff"),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(200))),
        ("text/xml", b"<a/>"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(http: httpx.Client, kind: str, body: bytes) -> None:
    response = http.post("/oauth2/token", content=body, headers={"Content-Type": kind})
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"
    assert response.json()["field"] in {"body", "Content-Type", "scope"}


def test_a_body_that_is_too_long_is_refused_unread(http: httpx.Client) -> None:
    response = http.post("/oauth2/token", data={"scope": "x" * 70_000})
    assert response.status_code == 413
    assert response.json()["field"] == "body"


def test_a_broken_basic_header_is_refused(shop: Shop) -> None:
    for value in ("Basic ???", "Basic " + b64encode(b"no colon").decode(), "Basic " + b64encode(b"\xff:").decode()):
        response = shop.http.post("/oauth2/token", data=shop.request(), headers={"Authorization": value})
        assert (response.status_code, response.json()["field"]) == (400, "Authorization")


def test_credentials_in_the_body_count_before_those_in_the_header(shop: Shop) -> None:
    response = shop.http.post("/oauth2/token", data=shop.request(), auth=("nobody", "nothing"))
    assert response.status_code == 200


def test_an_unpaid_invoice_may_ask_again_and_a_paid_one_may_not(shop: Shop) -> None:
    shop.token()
    shop.buy()
    response = shop.http.post("/oauth2/token", data=shop.request())
    answer = response.json()
    assert (response.status_code, answer["field"], answer["code"]) == (400, "invoiceID", 477)


def test_the_last_six_digits_are_unique_by_themselves(shop: Shop) -> None:
    shop.token(invoiceID="123456")
    response = shop.http.post("/oauth2/token", data=shop.request(invoiceID="900123456"))
    answer = response.json()
    assert (response.status_code, answer["field"]) == (400, "invoiceID")
    assert "123456 of this merchant ends in the same ones" in answer["rule"]
    shop.token(invoiceID="900123457")


@pytest.mark.parametrize("amount", ["1e3", "-1", "100,5", "1.234", "0x10", "1000000000000000", "NaN"])
def test_an_amount_is_a_plain_decimal_number(shop: Shop, amount: str) -> None:
    response = shop.http.post("/oauth2/token", data=shop.request(amount=amount))
    answer = response.json()
    assert (response.status_code, answer["field"], answer["value"], answer["code"]) == (400, "amount", amount, 470)


def test_with_a_seed_tokens_and_ids_repeat(shop: Shop) -> None:
    def life() -> tuple[Any, ...]:
        shop.sandbox.do(shop.sandbox.bank.store.add_merchant(shop.merchant))
        token = shop.token()
        shop.pay(shop.http.get(shop.address(shop.order(token))).url.path, {})
        page = shop.open(token=token)
        return token["access_token"], page.text.partition("/payform/")[2][:36]

    assert life() == life()


def test_unknown_fields_are_ignored(shop: Shop) -> None:
    assert shop.http.post("/oauth2/token", data=shop.request(anything="else")).status_code == 200


def test_addresses_that_lead_nowhere_are_answered_in_json(http: httpx.Client) -> None:
    response = http.get("/nowhere")
    assert (response.status_code, response.json()["code"], response.json()["field"]) == (404, 404, "path")
    wrong = http.delete("/check-status/payment/transaction/000000001")
    assert (wrong.status_code, wrong.json()["rule"]) == (405, "GET, HEAD")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD"}
