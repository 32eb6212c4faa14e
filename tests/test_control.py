"""The control API: worlds, clocks, payments, postlinks, events and waiting, over HTTP."""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import APPROVES, CHALLENGED, LOCKED, Receiver, Shop, action, encrypted, eventually
from worlds import CONTROL, TROUBLE, World, new_world

from mock_epay import __version__, lz, resources
from mock_epay.server import running
from mock_epay.settings import SettingError, Settings


def seconds_between(before: str, after: str) -> float:
    return (datetime.fromisoformat(after) - datetime.fromisoformat(before)).total_seconds()


def test_the_server_says_that_it_is_well_and_what_it_knows(http: httpx.Client) -> None:
    health = http.get(f"{CONTROL}/health").json()
    assert (health["status"], health["version"]) == ("ok", __version__)
    rows = {row["name"]: row for row in http.get(f"{CONTROL}/settings").json()["settings"]}
    assert (rows["postlink_timeout_s"]["value"], rows["page_ttl_s"]["per_merchant"]) == (1.0, True)
    assert (rows["control_token"]["value"], rows["port"]["per_merchant"]) == (False, False)
    cards = http.get(f"{CONTROL}/cards").json()["cards"]
    assert {"pan": LOCKED["pan"], "expiry": LOCKED["expiry"], "cvc": LOCKED["cvc"]}.items() <= next(
        card for card in cards if card["pan"] == LOCKED["pan"]
    ).items()
    assert {(card["of"], card["three_ds"]) for card in cards} >= {("bank", "none"), ("sandbox", "challenge")}
    reasons = {row["code"]: row for row in http.get(f"{CONTROL}/reasons").json()["reasons"]}
    assert len(reasons) == len(resources.table("reasons"))
    assert reasons[484]["eng"]


def test_a_card_number_of_each_reason_leads_to_it(http: httpx.Client, world: World) -> None:
    for row in http.get(f"{CONTROL}/reasons").json()["reasons"]:
        if row["code"]:
            assert world.pay(card=row["pan"])["reason_code"] == row["code"]


def test_a_merchant_is_made_shown_changed_and_dropped(http: httpx.Client) -> None:
    world = new_world(http, name="Tea & Co", two_stage=True, token_ttl_s=60, postlink_retry_s=[1, 2.5], seed="s")
    facts = world.facts
    assert (facts["name"], facts["token_ttl_s"], facts["postlink_retry_s"]) == ("Tea & Co", 60, [1.0, 2.5])
    assert (facts["terminals"][0]["two_stage"], facts["built_in"]) == (True, False)
    assert facts["urls"]["token"] == f"{http.base_url}/oauth2/token".replace("//oauth2", "/oauth2")
    assert world.get() == facts
    assert facts in http.get(f"{CONTROL}/merchants").json()["merchants"]
    assert world.token().json()["expires_in"] == 60
    assert world.pay()["status"] == "AUTH"

    changed = world.do("PATCH", "", {"dialect": "observed", "two_stage": False, "name": "Tea"})
    assert changed == facts | {
        "dialect": "observed",
        "name": "Tea",
        "terminals": [facts["terminals"][0] | {"two_stage": False}],
    }
    assert world.token().json()["expires_in"] == "60"
    assert world.pay()["status"] == "CHARGE"

    world.do("DELETE")
    status, message = world.refused("GET")
    assert status == 404
    assert f"there is no merchant {world.client_id}; there are " in message
    assert world.token().status_code == 401


def test_credentials_may_be_chosen(http: httpx.Client) -> None:
    terminal = "11111111-2222-3333-4444-555555555555"
    world = new_world(
        http, client_id="my.shop-1", client_secret="S", terminal=terminal, email="a@b.kz", password="p", seed="1"
    )
    assert (world.facts["terminal"], world.facts["email"], world.facts["password"]) == (terminal, "a@b.kz", "p")
    assert world.token(client_secret="S", terminal=terminal, invoiceID="000000001", amount=5).status_code == 200
    response = http.post(f"{CONTROL}/merchants", json={"client_id": "my.shop-1"})
    assert (response.status_code, response.json()["field"]) == (409, "client_id")
    assert "can be reset or deleted" in response.json()["message"]
    world.do("DELETE")


def test_a_built_in_merchant_can_be_reset_but_not_dropped(http: httpx.Client) -> None:
    response = http.delete(f"{CONTROL}/merchants/test")
    assert (response.status_code, response.json()["error"]) == (409, "conflict")
    assert http.get(f"{CONTROL}/merchants/test").json()["built_in"] is True


def test_with_a_seed_everything_is_the_same_again(http: httpx.Client) -> None:
    def tell() -> tuple[dict[str, Any], list[Any]]:
        world = new_world(http, seed="the same")
        world.do("PUT", "/clock", {"freeze": True, "set": "2026-07-01T12:00:00Z"})
        paid = [world.pay(card=card["pan"], post_link=TROUBLE) for card in (APPROVES, LOCKED, CHALLENGED)]
        token = world.token(invoiceID="000000777", amount=5).json()
        world.do("DELETE")
        return world.facts, [paid, token]

    assert tell() == tell()


def test_the_same_seed_twice_at_once_makes_two_merchants(http: httpx.Client) -> None:
    worlds = [new_world(http, seed="twice") for _ in range(3)]
    assert [one.client_id.removeprefix(worlds[0].client_id) for one in worlds] == ["", "-2", "-3"]
    assert len({one.pay()["id"] for one in worlds}) == 3
    for one in worlds:
        one.do("DELETE")


def test_a_server_with_a_seed_makes_the_same_merchants_in_the_same_order() -> None:
    def tell() -> list[str]:
        with running(Settings(port=0, seed="server")) as sandbox, httpx.Client(base_url=sandbox.url) as http:
            return [new_world(http).client_id for _ in range(3)] + [new_world(http).pay()["id"]]

    first = tell()
    assert first == tell()
    assert len(set(first)) == 4


@pytest.mark.parametrize(
    ("asked", "body", "field", "said"),
    [
        ("PATCH ", {"colour": "red"}, "colour", "name, email, password"),
        ("PATCH ", {"dialct": "observed"}, "dialct", "did you mean dialect?"),
        ("PATCH ", {"client_id": "x"}, "client_id", "means nothing here"),
        ("PATCH ", {"dialect": "french"}, "dialect", "documented or observed"),
        ("PATCH ", {"token_ttl_s": 1.5}, "token_ttl_s", "a whole number of seconds"),
        ("PATCH ", {"token_ttl_s": True}, "token_ttl_s", "a whole number of seconds"),
        ("PATCH ", {"postlink_retry_s": [0]}, "postlink_retry_s", "above 0"),
        ("PATCH ", {"foreign_key_card": "4111111111111111"}, "foreign_key_card", "GET /_control/cards"),
        ("PATCH ", [], "body", "a JSON object"),
        ("POST /reset", {"x": 1}, "x", "nothing is taken here"),
        ("PUT /clock", {"advance": 5}, "advance", "did you mean advance_s?"),
        ("PUT /clock", {"advance_s": -1}, "advance_s", "from 0 to"),
        ("PUT /clock", {"set": "tomorrow"}, "set", "ISO 8601"),
        ("PUT /clock", {"set": "2026-02-31T00:00:00Z"}, "set", "ISO 8601"),
        ("PUT /clock", {"set": "2026-02-03T00:00:00"}, "set", "with its zone"),
        ("PUT /clock", {"set": "2099-12-31T00:00:00Z", "advance_s": 1e10}, "advance_s", "from 0 to"),
        ("POST /script", {"decisions": [{"reason": 484}]}, "decisions.0.reason", "did you mean reason_code?"),
        ("POST /script", {"decisions": [{}, {"reason_code": 1}]}, "decisions.1.reason_code", "a reason code of GET"),
        ("POST /script", {"decisions": [{"plan": "later"}]}, "plan", "one of immediate, before_redirect"),
        ("POST /script", {"decisions": [{"times": 0}]}, "decisions.0.times", "from 1 to"),
        ("POST /script", {"rules": [{"match": {}}]}, "rules.0.then", "needed: an object with match and then"),
        ("POST /script", {"rules": [{"match": {"pan": "4111111111111111"}, "then": {}}]}, "rules.0.match.pan", "test"),
        ("POST /script", {"rules": [{"match": {"amount": {"gt": 1}}, "then": {}}]}, "rules.0.match.amount", "gte, lte"),
        ("POST /script", {"rules": [{"match": {}, "then": {"reason_code": 9998}}]}, "rules.0.then.reason_code", "GET"),
        ("POST /faults", {"faults": [{"at": "moon"}]}, "faults.0.at", "token or script or page"),
        ("POST /faults", {"faults": [{"at": "token", "status": 200}]}, "faults.0.status", "from 400 to 599"),
        ("POST /faults", {"faults": []}, "faults", "1 to 100"),
        ("POST /faults", {}, "faults", "needed"),
        ("POST /payments", {"sum": 5}, "sum", "means nothing here"),
        ("POST /payments", {"amount": 0}, "amount", "more than 0"),
        ("POST /payments", {"card": 4405639704015096}, "card", "(not shown)"),
        (
            "POST /payments",
            {"card": {"pan": "4405639704015096", "expiry": "13/25", "cvc": "815"}},
            "card.expiry",
            "month",
        ),
        ("POST /payments", {"token": "somebody's"}, "token", "an access token of"),
        ("POST /payments", {"saved_card": "nobody's"}, "cardId", "was saved"),
        ("POST /payments", {"invoice_id": "12"}, "invoiceID", "6 to 15 digits"),
        ("POST /payments", {"challenge": "perhaps"}, "challenge", "pass or fail or cancel or leave"),
        ("POST /payments", {"card_save": True}, "accountId", "needed"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(world: World, asked: str, body: object, field: str, said: str) -> None:
    method, path = asked.split(" ")
    response = world.ask(method, path, body)
    assert response.status_code == 400, response.text
    told = response.json()
    assert told["field"] == field
    assert said in told["message"]
    assert "4111111111111111" not in response.text
    assert world.get("/script") == {"decisions": [], "rules": []}


@pytest.mark.parametrize("wrong", [{"amount": 0}, {"language": "xx"}, {"payment_type": "p2p"}])
def test_a_payment_that_is_refused_leaves_nothing_behind(world: World, wrong: dict[str, Any]) -> None:
    address = f"{CONTROL}/merchants/{world.client_id}/payments"
    assert world.http.post(address, json={"invoice_id": "000000050"} | wrong).status_code in {400, 501}
    assert world.get("/events")["events"] == []
    assert world.pay(invoice_id="000000050")["amount"] == 100


@pytest.mark.parametrize(
    "text", ["{", "[1]", '"text"', '{"amount": 1e99999999999999999999}', '{"amount": 1' + "0" * 5000]
)
def test_what_is_no_json_object_is_refused(world: World, text: str) -> None:
    address = f"{CONTROL}/merchants/{world.client_id}/payments"
    response = world.http.post(address, content=text, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["field"]) == (400, "body")
    assert "a JSON object of whole characters, or nothing" in response.json()["message"]


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/transactions", {"state": "CHARGE"}, "there are invoice_id, status"),
        ("/transactions", {"status": "PAID"}, "one of NEW, FINGERPRINT, 3D"),
        ("/postlinks", {"state": "lost"}, "one of queued, delivered, given up, held"),
        ("/postlinks", {"count": "-1"}, "a whole number"),
        ("/postlinks", {"count": "1" * 16}, "a whole number"),
        ("/postlinks", {"wait_s": "61"}, "from 0 to 60"),
        ("/events", {"after": "x"}, "a whole number"),
        ("/events", {"kind": "token.lost"}, "one of token.issued"),
        ("/wait", {"until": "postlink.deliverd"}, "one of token.issued"),
        ("/wait", {}, "one of token.issued"),
        ("/wait", {"until": "token.issued", "timeout_s": "nan"}, "from 0 to 60"),
        ("/wait", {"until": "token.issued", "timeout_s": "long"}, "from 0 to 60"),
    ],
)
def test_what_is_asked_for_wrongly_is_refused_by_name(
    world: World, path: str, query: dict[str, str], said: str
) -> None:
    status, message = world.refused("GET", path, **query)
    assert status == 400
    assert said in message


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/transactions/latest"),
        ("GET", "/transactions/8f7c1f2e-6a40-4d0c-9d0e-0f0a3f5b7c11"),
        ("GET", "/postlinks/latest"),
        ("POST", "/postlinks/latest/resend"),
        ("POST", "/postlinks/8f7c1f2e-6a40-4d0c-9d0e-0f0a3f5b7c11/release"),
        ("GET", "/invoices/000000001"),
    ],
)
def test_what_there_is_not_is_not_found(world: World, method: str, path: str) -> None:
    status, message = world.refused(method, path)
    assert status == 404
    assert world.client_id in message


@pytest.mark.parametrize("path", ["", "/clock", "/script", "/events", "/wait?until=token.issued", "/transactions"])
def test_a_merchant_there_is_not_is_not_found_and_the_nearest_are_named(http: httpx.Client, path: str) -> None:
    response = http.get(f"{CONTROL}/merchants/tset{path}")
    assert response.status_code == 404
    assert response.json()["field"] == "client_id"
    assert "there are test" in response.json()["message"]


def test_a_payment_without_a_browser_is_a_payment(world: World, link: str, shop_server: Receiver) -> None:
    paid = world.pay(
        invoice_id="000000042",
        amount=1234.5,
        description="Tea",
        post_link=link,
        account_id="customer",
        name="A B",
        email="a@b.kz",
        phone="+77010000000",
        secret_hash="hush",
        data='{"a": 1}',
    )
    assert (paid["status"], paid["amount"], paid["taken"], paid["card_mask"]) == (
        "CHARGE",
        1234.5,
        1234.5,
        "4405...5096",
    )
    notice = shop_server.wait(path=f"/{world.client_id}")[0].body
    assert (notice["id"], notice["invoiceId"], notice["secret_hash"]) == (paid["id"], "000000042", "hush")
    assert (notice["name"], notice["email"], notice["accountId"], notice["data"]) == (
        "A B",
        "a@b.kz",
        "customer",
        '{"a": 1}',
    )
    assert world.get("/transactions/latest") == world.get(f"/transactions/{paid['id']}") == paid
    assert world.http.get(paid["page_url"]).text.count('data-state="approved"') == 1
    assert world.kinds()[:4] == ["token.issued", "checkout.opened", "transaction.charged", "postlink.queued"]


def test_declines_are_payments_too(world: World) -> None:
    paid = world.pay(card=LOCKED)
    assert (paid["status"], paid["reason_code"], paid["reason"]) == ("REJECT", 465, "The card is blocked")
    again = world.pay(invoice_id=paid["invoice_id"])
    assert (again["status"], again["number"], again["page_url"]) == ("CHARGE", 2, paid["page_url"])
    status, message = world.refused("POST", "/payments", {"invoice_id": paid["invoice_id"]})
    assert status == 400
    assert "has paid this one" in message
    listed = world.get("/transactions", invoice_id=paid["invoice_id"])["transactions"]
    assert [one["status"] for one in listed] == ["REJECT", "CHARGE"]
    assert [one["id"] for one in world.get("/transactions", status="REJECT")["transactions"]] == [paid["id"]]
    (line,) = world.get("/invoices")["invoices"]
    facts = {"invoice_id": paid["invoice_id"], "paid_by": again["id"], "tokens": 1, "status": "CHARGE", "attempts": 2}
    assert facts.items() <= line.items()


@pytest.mark.parametrize(
    "card", ["4405 6397 0401 5096", "4405-6397-0401-5096", APPROVES, "4111111111111111", "4000000000003055"]
)
def test_a_card_may_be_named_by_its_number(world: World, card: object) -> None:
    paid = world.pay(card=card)
    assert paid["reason_code"] == (471 if card == "4111111111111111" else 0)


@pytest.mark.parametrize(
    ("answer", "status", "reason_code"),
    [
        (None, "CHARGE", 0),
        ("pass", "CHARGE", 0),
        ("fail", "FAILED", 499),
        ("cancel", "FAILED", 473),
        ("leave", "3D", 0),
    ],
)
def test_the_cardholder_answers_as_the_test_says(
    world: World, answer: str | None, status: str, reason_code: int
) -> None:
    paid = world.pay(card=CHALLENGED["pan"], **({"challenge": answer} if answer else {}))
    assert (paid["status"], paid["reason_code"], paid["secure"]) == (status, reason_code, status == "CHARGE")
    assert bool(paid["challenge_url"]) is (status == "3D")
    if status == "3D":
        assert 'data-state="challenge"' in world.http.get(paid["challenge_url"]).text
        assert world.get(f"/invoices/{paid['invoice_id']}")["transactions"] == [paid]


def test_the_token_that_the_shop_has_asked_for_pays(world: World, link: str, shop_server: Receiver) -> None:
    first = world.token(invoiceID="000000005", amount=77, postLink=link).json()["access_token"]
    world.token(invoiceID="000000005", amount=88, postLink=link)
    paid = world.pay(invoice_id="000000005")
    assert paid["amount"] == 88
    assert shop_server.wait(path=f"/{world.client_id}")[0].body["amount"] == 88
    assert world.refused("POST", "/payments", {"token": first})[0] == 400  # the order is paid

    other = world.token(invoiceID="000000006", amount=5).json()["access_token"]
    assert world.pay(token=other)["invoice_id"] == "000000006"
    status, message = world.refused("POST", "/payments", {"token": other})
    assert status == 401
    assert "spent" in message


def test_a_token_that_is_too_old_is_not_taken(world: World) -> None:
    world.token(invoiceID="000000005", amount=77)
    world.do("PUT", "/clock", {"advance_s": 7200})
    assert world.pay(invoice_id="000000005")["amount"] == 100


def test_the_page_that_the_customer_has_open_is_the_one_that_is_paid(world: World, shop: Shop) -> None:
    token = world.token(invoiceID="000000005", amount=100).json()
    order = shop.order(token, invoiceId="000000005", terminal=world.facts["terminal"])
    page = world.http.get(f"/payform/?params={lz.compress(lz.flatten(order))}")
    paid = world.pay(invoice_id="000000005")
    assert paid["page_url"].endswith(action(page))
    assert paid["status"] == "CHARGE"


def test_a_saved_card_pays_again(world: World) -> None:
    saved = world.pay(account_id="customer", card_save=True)
    again = world.pay(account_id="customer", saved_card=saved["card_id"], card={"pan": "", "expiry": "", "cvc": "815"})
    assert (again["status"], again["card_id"]) == ("CHARGE", saved["card_id"])


def test_invoice_numbers_are_found_where_none_is_said(world: World) -> None:
    world.pay(invoice_id="999000002")
    assert [world.pay()["invoice_id"] for _ in range(2)] == ["000000003", "000000004"]


def test_a_world_that_is_reset_is_empty_and_has_the_same_credentials(world: World, link: str) -> None:
    world.pay(post_link=link)
    world.do("POST", "/script", {"decisions": [{}]})
    world.do("PUT", "/clock", {"freeze": True, "advance_s": 1000})
    assert world.do("POST", "/reset") == world.facts
    assert world.get("/transactions")["transactions"] == world.get("/postlinks")["postlinks"] == []
    assert world.get("/script")["decisions"] == []
    assert world.get("/clock")["frozen"] is False
    assert world.pay()["invoice_id"] == "000000001"


def test_what_is_on_its_way_ends_with_the_world(world: World) -> None:
    for ending in (("POST", "/reset"), ("DELETE", "")):
        gate, arrived = threading.Event(), threading.Event()
        with _slow_shop(gate, arrived) as url:
            world.pay(post_link=url, invoice_id="000000001")
            assert arrived.wait(10)
            world.do(*ending)
            gate.set()
    new = new_world(world.http, client_id=world.client_id, seed=world.facts["seed"])
    assert new.get("/postlinks")["postlinks"] == []
    assert new.kinds() == []
    new.do("DELETE")


@contextmanager
def _slow_shop(gate: threading.Event, arrived: threading.Event) -> Iterator[str]:
    """Run a shop that says when a notice has arrived, and answers once it may."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.set()
            gate.wait(10)
            with suppress(OSError):  # nobody waits any more
                self.send_response(500)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(10)


def test_a_clock_is_frozen_set_put_forward_and_let_go(world: World) -> None:
    frozen = world.do("PUT", "/clock", {"freeze": True})
    assert frozen["frozen"] is True
    assert world.get("/clock")["now"] == frozen["now"]
    put = world.do("PUT", "/clock", {"set": "2026-12-31T23:59:00+05:00", "advance_s": 90})
    assert (put["now"], put["frozen"]) == ("2026-12-31T19:00:30+00:00", True)
    assert world.pay()["created_at"] == put["now"]
    going = world.do("PUT", "/clock", {"resume": True})
    assert going["frozen"] is False
    eventually(lambda: world.get("/clock")["now"] > going["now"])
    assert world.do("PUT", "/clock", {})["fired"] == []
    back = world.do("PUT", "/clock", {"set": "2026-01-01T00:00:00Z"})
    assert back["now"].startswith("2026-01-01T00:00:")


def test_a_clock_does_not_leave_the_calendar(world: World) -> None:
    for _ in range(60):
        response = world.ask("PUT", "/clock", {"advance_s": 100_000_000})
        if response.status_code == 400:
            break
    assert response.json()["field"] == "advance_s"
    assert "2200" in response.json()["message"]


def test_a_schedule_of_hours_is_replayed_at_once_and_in_order(world: World, link: str, shop_server: Receiver) -> None:
    world.do("PATCH", "", {"postlink_retry_s": [60, 3600, 36000], "page_ttl_s": 7200})
    shop_server.answers[f"/{world.client_id}"] = [500, 500, 500, 200]
    world.do("PUT", "/clock", {"freeze": True, "set": "2026-07-01T12:00:00Z"})
    paid = world.pay(post_link=link)
    world.pay(card=LOCKED)  # a page that is not paid
    world.pay(card=CHALLENGED["pan"], challenge="leave")
    eventually(lambda: bool(world.get("/postlinks/latest")["attempts"]))
    due = world.get("/clock")["due"]
    assert [(one["what"], one["at"][11:19]) for one in due] == [
        ("postlink", "12:01:00"),
        ("page", "14:00:00"),
        ("page", "14:00:00"),
    ]

    face = world.do("PUT", "/clock", {"advance_s": 12 * 3600})

    assert [(one["what"], one["at"][11:19], one["result"]) for one in face["fired"]] == [
        ("postlink", "12:01:00", "status 500"),
        ("postlink", "13:01:00", "status 500"),
        ("page", "14:00:00", "closed"),
        ("page", "14:00:00", "closed"),
        ("postlink", "23:01:00", "delivered"),
    ]
    assert (face["due"], face["now"][11:19]) == ([], "00:00:00")
    assert face["fired"][0]["id"] == world.get("/postlinks", invoice_id=paid["invoice_id"])["postlinks"][0]["id"]
    assert len(shop_server.wait(4, f"/{world.client_id}")) == 4


def test_a_payment_by_api_whose_cardholder_never_answers_falls_due_too(shop: Shop, http: httpx.Client) -> None:
    world = World(http, {"client_id": shop.merchant.client_id})
    assert cryptopay(shop, CHALLENGED).json()["secure3D"]
    fired = world.do("PUT", "/clock", {"advance_s": 1201})["fired"]
    assert [(one["what"], one["result"]) for one in fired][:1] == [("challenge", "closed")]
    assert world.get("/transactions/latest")["reason_code"] == 504


def test_turns_of_one_clock_at_once_come_one_after_the_other(world: World) -> None:
    world.do("PUT", "/clock", {"freeze": True, "set": "2026-07-01T12:00:00Z"})
    with ThreadPoolExecutor(8) as pool:
        turns = [pool.submit(world.do, "PUT", "/clock", {"advance_s": 60}) for _ in range(8)]
        shown = sorted(turn.result()["now"] for turn in turns)
    assert world.get("/clock")["now"] == "2026-07-01T12:08:00+00:00"
    assert shown[-1] == "2026-07-01T12:08:00+00:00"


def test_a_script_decides_in_order_and_tells_what_is_left(world: World) -> None:
    told = world.do(
        "POST",
        "/script",
        {
            "decisions": [
                {"reason_code": 484, "times": 2},
                {"reason_code": 0, "invoice_id": "000000009"},
                {"challenge": "challenge"},
            ]
        },
    )
    assert [(one["id"], one["left"]) for one in told["decisions"]] == [(1, 2), (2, 1), (3, 1)]
    paid = [world.pay() for _ in range(4)]
    assert [(one["reason_code"], one["secure"], one["decided_by"]) for one in paid] == [
        (484, False, "decision 1"),
        (484, False, "decision 1"),
        (0, True, "decision 3"),
        (0, False, "test card, unlock"),
    ]
    assert [one["id"] for one in world.get("/script")["decisions"]] == [2]
    rescued = world.pay(invoice_id="000000009", card=LOCKED)
    assert (rescued["status"], rescued["decided_by"]) == ("CHARGE", "decision 2")
    assert world.get("/script")["decisions"] == []
    world.do("POST", "/script", {"decisions": [{}], "rules": [{"match": {}, "then": {}}]})
    world.do("DELETE", "/script")
    assert world.get("/script") == {"decisions": [], "rules": []}


def test_no_script_makes_a_card_that_nobody_knows_good(world: World) -> None:
    world.do("POST", "/script", {"decisions": [{"reason_code": 0}]})
    assert world.pay(card="4111111111111111")["reason_code"] == 471
    assert len(world.get("/script")["decisions"]) == 1


def test_rules_decide_by_condition_and_say_who_did(world: World) -> None:
    rules = [
        {"name": "dear", "match": {"amount": {"gte": 5000, "lte": 9000}}, "then": {"reason_code": 488}},
        {"match": {"pan": APPROVES["pan"], "amount": 7}, "then": {"reason_code": 484, "delay_s": 0.01}},
    ]
    told = world.do("POST", "/script", {"rules": rules})["rules"]
    assert told == [
        {
            "name": "dear",
            "match": {"amount": {"gte": 5000, "lte": 9000}},
            "then": {"reason_code": 488},
            "used": 0,
            "from": "api",
        },
        {
            "name": "2",
            "match": {"amount": {"gte": 7, "lte": 7}, "pan": "4405...5096"},
            "then": {"reason_code": 484, "delay_s": 0.01},
            "used": 0,
            "from": "api",
        },
    ]
    dear, near, exact = world.pay(amount=6000), world.pay(amount=4999), world.pay(amount=7)
    assert (dear["reason_code"], dear["decided_by"]) == (488, "rule dear")
    assert near["nearest_rule"] == "rule dear did not apply: amount is 4999, less than 5000"
    assert (exact["reason_code"], exact["decided_by"]) == (484, "rule 2")
    assert [one["used"] for one in world.get("/script")["rules"]] == [1, 1]
    story = world.get(f"/invoices/{near['invoice_id']}")["story"]
    assert any("rule dear did not apply: amount is 4999, less than 5000" in line for line in story)


def cryptopay(shop: Shop, card: dict[str, str], **changes: object) -> httpx.Response:
    """Pay as the server of a shop with a card form of its own does."""
    order = {"amount": 100, "currency": "KZT", "invoiceId": "000000001", "terminalId": shop.terminal}
    order |= {"cryptogram": encrypted(shop.http, card, shop.terminal)} | changes
    headers = {"Authorization": f"Bearer {shop.token(invoiceID=order['invoiceId'])['access_token']}"}
    return shop.http.post("/payment/cryptopay", json=order, headers=headers)


def test_scripts_decide_payments_by_api_as_well(shop: Shop, http: httpx.Client) -> None:
    world = World(http, {"client_id": shop.merchant.client_id})
    world.do("POST", "/script", {"decisions": [{"reason_code": 484}, {}, {"reason_code": 465}]})
    assert cryptopay(shop, APPROVES).json()["code"] == 484
    saved = cryptopay(shop, APPROVES, invoiceId="000000002", accountId="a", cardSave=True).json()["cardID"]
    headers = {"Authorization": f"Bearer {shop.token(invoiceID='000000003')['access_token']}"}
    order = {"amount": 100, "currency": "KZT", "invoiceId": "000000003", "terminalId": shop.terminal}
    order |= {"accountId": "a", "cardId": {"id": saved}}
    assert http.post("/payments/cards/auth", json=order, headers=headers).json()["code"] == 465
    assert world.get("/script")["decisions"] == []


def test_a_late_answer_comes_after_its_postlink(world: World, link: str, shop_server: Receiver) -> None:
    world.do("POST", "/script", {"decisions": [{"delay_s": 1}]})
    token = world.token(invoiceID="000000001", amount=5, postLink=link).json()
    fields = {
        "invoiceId": "000000001",
        "amount": 5,
        "currency": "KZT",
        "terminal": world.facts["terminal"],
        "language": "eng",
        "description": "Tea",
        "backLink": "https://example.kz",
        "auth": token,
    }
    address = f"/payform/?params={lz.compress(lz.flatten(fields))}"
    with ThreadPoolExecutor(1) as pool:
        answer: Future[httpx.Response] = pool.submit(world.http.post, address, data=APPROVES)
        assert shop_server.wait(path=f"/{world.client_id}")
        assert not answer.done()
        assert answer.result().status_code == 303


@pytest.mark.parametrize(
    ("plan", "states"),
    [
        (None, ["delivered"]),
        ("never", []),
        ("on_release", ["held"]),
        ("delay(30)", ["queued"]),
        ("duplicate(3, 0)", ["delivered"] * 3),
        ("duplicate(2, 60)", ["delivered", "queued"]),
    ],
)
def test_a_plan_says_when_the_postlink_goes_out(world: World, link: str, plan: str | None, states: list[str]) -> None:
    world.do("PUT", "/clock", {"freeze": True})
    if plan:
        world.do("POST", "/script", {"decisions": [{"plan": plan}]})
    paid = world.pay(post_link=link)
    assert paid["plan"] == (plan or "")

    def seen() -> list[str]:
        return [one["state"] for one in world.get("/postlinks")["postlinks"]]

    eventually(lambda: seen() == states)
    world.do("PUT", "/clock", {"advance_s": 3600})
    assert seen() == ["delivered" if one == "queued" else one for one in states]
    assert ("postlink.withheld" in world.kinds()) is (plan == "never")


def test_a_held_postlink_is_released_once(world: World, link: str, shop_server: Receiver) -> None:
    world.do("POST", "/script", {"decisions": [{"plan": "on_release"}]})
    world.pay(post_link=link)
    held = world.get("/postlinks/latest")
    assert (held["state"], held["due_at"], held["tries"]) == ("held", None, 0)
    released = world.do("POST", f"/postlinks/{held['id']}/release")
    assert released["state"] == "queued"
    assert len(shop_server.wait(path=f"/{world.client_id}")) == 1
    event = world.get("/wait", until="postlink.delivered")
    assert event["postlink"]["id"] == held["id"]
    status, message = world.refused("POST", f"/postlinks/{held['id']}/release")
    assert status == 409
    assert 'is "delivered"' in message


def test_a_postlink_is_sent_again_as_another(world: World, link: str, shop_server: Receiver) -> None:
    world.pay(post_link=link)
    first = world.get("/postlinks", wait_s=5, state="delivered")["postlinks"][0]
    again = [world.do("POST", f"/postlinks/{key}/resend") for key in (first["id"], "latest")]
    assert len({first["id"], *(one["id"] for one in again)}) == 3
    assert all((one["body"], one["url"]) == (first["body"], first["url"]) for one in again)
    assert len(shop_server.wait(3, f"/{world.client_id}")) == 3
    transaction = first["transaction_id"]
    found = world.get("/postlinks", wait_s=5, count=3, state="delivered", transaction_id=transaction)["postlinks"]
    assert [one["id"] for one in found] == [first["id"], *(one["id"] for one in again)]
    assert [one["status"] for one in found[0]["attempts"]] == [200]


def test_waiting_for_postlinks_ends_with_what_there_is(world: World) -> None:
    assert world.get("/postlinks", wait_s=0.05, count=2)["postlinks"] == []
    assert world.get("/postlinks", count=0)["postlinks"] == []


def test_waiting_ends_when_it_happens_or_has_happened(world: World, link: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(world.get, "/wait", until="postlink.delivered", invoice_id="000000002", timeout_s=10)
        world.pay(post_link=link)
        paid = world.pay(post_link=link)
        found = waiting.result()
    assert (found["event"]["kind"], found["event"]["invoice_id"]) == ("postlink.delivered", "000000002")
    assert found["transaction"]["id"] == found["postlink"]["transaction_id"] == paid["id"]
    assert world.get("/wait", until="postlink.delivered", invoice_id="000000002") == found
    first = world.get("/wait", until="transaction.charged")["event"]
    second = world.get("/wait", until="transaction.charged", after=first["number"])["event"]
    assert (first["invoice_id"], second["invoice_id"]) == ("000000001", "000000002")
    asked = world.get("/wait", until="token.issued")
    assert (asked["transaction"], asked["postlink"]) == (None, None)


def misses(world: World, until: str = "postlink.delivered", **query: object) -> str:
    status, message = world.refused("GET", "/wait", until=until, timeout_s=0.02, **query)
    assert status == 408
    return message


def test_waiting_in_vain_says_how_near_it_came(world: World, link: str, shop_server: Receiver, shop: Shop) -> None:
    who = world.client_id
    assert misses(world) == f"no postlink.delivered within 0.02 s: {who} has asked for no token yet"
    told = misses(world, invoice_id="000000001")
    assert told.endswith(f"there is no invoice 000000001: {who} has asked for no token yet")
    token = world.token(invoiceID="000000001", amount=100, postLink=link).json()
    assert misses(world, invoice_id="000000001").endswith("the pay page was never opened with it")
    assert "there is no invoice 000000010;" in misses(world, invoice_id="000000010")
    assert misses(world, invoice_id="777").endswith(f"{who} has 000000001")
    world.http.get(shop.address(shop.order(token, terminal=world.facts["terminal"], postLink=link)))
    assert "the pay page is open, and nobody has paid yet" in misses(world, "transaction.charged")

    shop_server.answers[f"/{who}"] = [404] * 3
    world.do("PATCH", "", {"postlink_retry_s": []})
    world.pay(invoice_id="000000001", card=LOCKED)
    world.get("/wait", until="postlink.failed")
    assert misses(world, invoice_id="000000001") == (
        "no postlink.delivered for 000000001 within 0.02 s: the payment was declined with 465 (The card is blocked); "
        f"failurePostLink is empty, so postLink counts; {link} answered 404 to try 1: given up"
    )

    world.pay(invoice_id="000000002", card=LOCKED)
    assert misses(world).endswith(
        "of the latest invoice, 000000002, the payment was declined with 465 (The card is blocked); "
        "failurePostLink is empty; postLink is empty"
    )
    world.pay(
        invoice_id="000000003", card=CHALLENGED["pan"], challenge="cancel", failure_post_link=link, post_link=link
    )
    world.get("/wait", until="postlink.failed", invoice_id="000000003")
    assert "failed before the issuer's answer, with 473" in misses(world, invoice_id="000000003")

    world.do("PATCH", "", {"two_stage": True})
    world.pay(invoice_id="000000004", post_link=TROUBLE)
    world.get("/wait", until="postlink.failed", invoice_id="000000004")
    assert misses(world, "transaction.charged", invoice_id="000000004").endswith(
        "held until it is charged or cancelled"
    )
    assert f"{TROUBLE} did not answer (refused) to try 1: given up" in misses(world, invoice_id="000000004")


def test_waiting_in_vain_knows_of_clocks_plans_and_settings(world: World) -> None:
    world.do("PUT", "/clock", {"freeze": True, "set": "2026-07-01T12:00:00Z"})
    world.do("PATCH", "", {"postlink_retry_s": [60]})
    world.pay(post_link=TROUBLE)
    world.get("/wait", until="postlink.failed")
    assert (
        f"{TROUBLE} did not answer (refused) to try 1: the next is due at 12:01:00.000, and it is 12:00:00.000 now"
        in (misses(world))
    )
    for plan, said in (
        ("delay(30)", f"the postlink to {TROUBLE} is due at 12:00:30.000, and it is 12:00:00.000 now"),
        ("on_release", f"the postlink to {TROUBLE} is held until it is released"),
        ("never", "the script withholds its postlink (decision "),
    ):
        world.do("POST", "/script", {"decisions": [{"plan": plan}]})
        world.pay(post_link=TROUBLE)
        assert said in misses(world)
    world.do("PATCH", "", {"notify_each_failure": False})
    world.pay(post_link=TROUBLE, card=LOCKED)
    assert "the page goes on, and notify_each_failure is off" in misses(world)


def test_an_invoice_has_a_time_line(world: World, link: str) -> None:
    world.do("PUT", "/clock", {"freeze": True, "set": "2026-07-01T12:00:00Z"})
    world.do("PATCH", "", {"two_stage": True})
    world.pay(invoice_id="000000001", card=LOCKED, post_link=link)
    paid = world.pay(invoice_id="000000001", card=CHALLENGED["pan"])
    world.get("/postlinks", wait_s=5, count=2, state="delivered")
    access = world.token().json()["access_token"]
    headers = {"Authorization": f"Bearer {access}"}
    world.http.get("/check-status/payment/transaction/000000001", headers=headers)
    assert world.http.post(f"/operation/{paid['id']}/charge", headers=headers).status_code == 200
    world.pay(invoice_id="000000002")

    line = world.get("/invoices/000000001")

    assert (line["invoice_id"], line["paid_by"]) == ("000000001", paid["id"])
    assert [one["status"] for one in line["transactions"]] == ["REJECT", "CHARGE"]
    assert [one["body"]["reasonCode"] for one in line["postlinks"]] == [465, 0]
    assert "no-secret-hash" in [hint["rule"] for hint in line["hints"]]
    assert {event["invoice_id"] for event in line["events"]} == {"000000001"}
    assert line["story"][0] == "12:00:00.000 the shop asked for a token and got it: 100, hints no-secret-hash"
    assert line["story"][2] == (
        "12:00:00.000 the issuer said no: reason code 465, card 4003...7597, decided by: test card, lock"
    )
    assert "12:00:00.000 the shop took a postlink: " + link + ", try 1" in line["story"]
    assert line["story"][-1] == "12:00:00.000 the money is taken: 100"


def test_an_invoice_link_is_in_the_time_line(shop: Shop, http: httpx.Client) -> None:
    world = World(http, {"client_id": shop.merchant.client_id})
    order = {"invoice_id": "000000031", "amount": 10, "currency": "KZT", "description": "Tea"}
    order["shop_id"] = shop.merchant.terminals[0].shop_id
    headers = {"Authorization": f"Bearer {shop.status_token()}"}
    assert http.post("/invoice", json=order, headers=headers).status_code == 200
    line = world.get("/invoices/000000031")
    assert [hint["rule"] for hint in line["hints"]] == ["no-postlink"]
    assert [event["kind"] for event in line["events"]] == ["link.made"]
    assert world.get("/invoices")["invoices"][0]["status"] == ""


def test_events_are_told_from_where_one_left_off(world: World) -> None:
    world.pay()
    seen = world.get("/events")
    assert [event["number"] for event in seen["events"]] == list(range(1, seen["last"] + 1))
    assert world.get("/events", after=seen["last"]) == {"events": [], "last": seen["last"]}
    world.pay()
    later = world.get("/events", after=seen["last"], kind="transaction.charged")["events"]
    assert [event["invoice_id"] for event in later] == ["000000002"]
    assert world.get("/events", invoice_id="000000002")["events"][0]["kind"] == "token.issued"
    assert world.get("/events", kind="token.issued")["events"][0]["facts"]["amount"] == 100


def lines(response: httpx.Response) -> Iterator[dict[str, str]]:
    """Return the events of a stream as they come."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
        elif not line and fields:
            yield fields
            fields = {}


def test_events_are_streamed_and_gone_on_with(world: World) -> None:
    stream = {"Accept": "text/event-stream"}
    address = f"{CONTROL}/merchants/{world.client_id}/events"
    world.pay()
    with world.http.stream("GET", address, headers=stream) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        told = lines(response)
        first = [next(told) for _ in range(3)]
        assert [one["event"] for one in first] == ["token.issued", "checkout.opened", "transaction.charged"]
        world.pay()
        later = next(told)
        assert (later["event"], json.loads(later["data"])["invoice_id"]) == ("token.issued", "000000002")
    with world.http.stream("GET", address, headers=stream | {"Last-Event-ID": first[1]["id"]}) as response:
        assert next(lines(response))["id"] == first[2]["id"]
    query = {"after": first[2]["id"], "kind": "checkout.opened", "invoice_id": "000000002"}
    with world.http.stream("GET", address, headers=stream | {"Last-Event-ID": "x"}, params=query) as response:
        told = lines(response)
        assert json.loads(next(told)["data"])["kind"] == "checkout.opened"
        world.do("DELETE")
        assert list(told) == []


def test_a_stream_that_has_nothing_to_tell_says_that_it_is_open(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mock_epay.web.stream._PING_S", 0.02)
    address = f"{CONTROL}/merchants/{world.client_id}/events"
    with world.http.stream("GET", address, headers={"Accept": "text/event-stream"}) as response:
        told = response.iter_lines()
        comments = [line for line in itertools.islice(told, 6) if line]
    assert comments == [": here are the events", ": still here", ": still here"]


def test_moments_are_in_the_future_and_the_past_of_the_worlds_own_clock(world: World) -> None:
    world.do("PUT", "/clock", {"set": "2031-01-01T00:00:00Z"})
    paid = world.pay()
    assert paid["created_at"].startswith("2031-01-01T00:00:")
    assert seconds_between(paid["created_at"], world.get("/clock")["now"]) < timedelta(minutes=1).total_seconds()


RULES = """
[[rules]]
name = "dear"
match = { amount = { gte = 5000.5 } }
then = { reason_code = 488 }

[[rules]]
match = { description = "*gift*", pan = "4405639704015096" }
then = { reason_code = 484, plan = "never" }
"""


def test_rules_of_a_file_hold_for_every_merchant(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES, "utf-8")
    with running(Settings(port=0, rules=str(file))) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        for world in (World(http, {"client_id": "test"}), new_world(http)):
            assert world.pay(amount=5001)["decided_by"] == "rule dear"
            world.do("POST", "/script", {"rules": [{"match": {}, "then": {"reason_code": 465}}]})
            gift = world.pay(description="a gift for you")
            assert (gift["reason_code"], gift["decided_by"]) == (484, "rule 2")
            assert world.pay()["decided_by"] == "rule 3"
            world.do("DELETE", "/script")
            told = world.get("/script")["rules"]
            assert [(one["name"], one["from"], one["used"]) for one in told] == [("dear", "file", 0), ("2", "file", 0)]
            world.do("POST", "/reset")
            assert world.get("/script")["rules"] == told
            assert world.pay()["status"] == "CHARGE"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("rules = [", "TOML is needed"),
        ("[[rule]]", "did you mean rules?"),
        ("[[rules]]\nmatch = {}\nthen = { plan = 'soon' }", "one of immediate"),
        ("[[rules]]\nmatch = {}\nthen = { reason_code = 1 }", "rules.0.then.reason_code"),
        ("[[rules]]\nthen = {}", "rules.0.match is missing"),
        (b"\xff", "UTF-8 is needed"),
    ],
)
def test_a_file_of_rules_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, text: str | bytes | None, said: str
) -> None:
    file = tmp_path / "rules.toml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingError, match=re.escape(said)) as wrong:
        running(Settings(port=0, rules=str(file))).__enter__()
    assert str(wrong.value).startswith(f'MOCK_EPAY_RULES (--rules) is "{file}": ')
