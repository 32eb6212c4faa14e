"""What the cabinet's user may do that a shop or a cardholder does: operations, 3-D Secure, links, terminals, checks."""

import json
import threading
from typing import Any, Final
from xml.etree import ElementTree as ET

import httpx
import pytest
from support import CHALLENGED, Receiver, Shop, encrypted, eventually, state
from worlds import CONTROL, TROUBLE, World, new_world

from mock_epay.bank import Bank
from mock_epay.handler_check.checks import CHECKS, ORDERS
from mock_epay.handler_check.judging import IN_TIME
from mock_epay.settings import Settings
from mock_epay.store import UnknownMerchantError
from mock_epay.store.memory import MemoryStore
from mock_epay.store.memory.work import MemoryWork
from mock_epay.web import create_app

THREAD: Final = "the check of a handler"


def test_held_money_is_charged_and_given_back(http: httpx.Client) -> None:
    world = new_world(http, two_stage=True)
    paid = world.pay(amount=1000)
    address = f"/transactions/{paid['id']}"
    charged = world.do("POST", f"{address}/charge", {"amount": 500.5})
    assert (charged["status"], charged["taken"]) == ("CHARGE", 500.5)
    refunded = world.do("POST", f"{address}/refund", {"amount": 100})
    assert (refunded["status"], refunded["returned"]) == ("CHARGE", 100)
    assert world.do("POST", "/transactions/latest/refund")["status"] == "REFUND"
    assert world.kinds()[-3:] == ["transaction.charged", "transaction.refunded", "transaction.refunded"]


def test_held_money_is_let_go(http: httpx.Client) -> None:
    world = new_world(http, two_stage=True)
    paid = world.pay()
    assert world.do("POST", f"/transactions/{paid['id']}/cancel")["status"] == "CANCEL"


@pytest.mark.parametrize(
    ("operation", "body", "said"),
    [
        ("charge", {}, "only what is AUTH can be charged"),
        ("cancel", {}, "only what is AUTH can be cancelled"),
        ("refund", {"amount": 200}, "at most what is left, 100"),
        ("refund", {"amount": 20.555}, "2 digits behind the point"),
        ("refund", {"amount": 0}, "a number above 0"),
        ("refund", {"amount": "all"}, "a number above 0"),
        ("refund", {"sum": 1}, "one of amount"),
    ],
)
def test_an_operation_is_refused_as_the_bank_refuses_it(world: World, operation: str, body: object, said: str) -> None:
    paid = world.pay()
    before = world.get(f"/transactions/{paid['id']}")
    status, message = world.refused("POST", f"/transactions/{paid['id']}/{operation}", body)
    assert (status, said in message) == (400, True), message
    assert world.get(f"/transactions/{paid['id']}") == before


def test_an_operation_on_nothing_is_not_found(world: World) -> None:
    assert world.refused("POST", "/transactions/latest/refund", {})[0] == 404


@pytest.mark.parametrize(
    ("answer", "reason_code", "status"), [("pass", 0, "CHARGE"), ("fail", 499, "FAILED"), ("cancel", 473, "FAILED")]
)
def test_an_open_question_is_answered(world: World, answer: str, reason_code: int, status: str) -> None:
    asked = world.pay(card="4000000000003220", challenge="leave", post_link=TROUBLE)
    ended = world.do("POST", f"/transactions/{asked['id']}/challenge", {"answer": answer})
    assert (ended["status"], ended["reason_code"], ended["challenge_url"]) == (status, reason_code, "")
    assert len(world.get("/postlinks")["postlinks"]) == 1
    assert world.refused("POST", f"/transactions/{asked['id']}/challenge", {"answer": answer})[0] == 409


def test_a_question_of_a_form_of_the_shops_own_is_answered_to_the_end(shop: Shop, http: httpx.Client) -> None:
    world = World(http, {"client_id": shop.merchant.client_id})
    order = {
        "amount": 100,
        "currency": "KZT",
        "name": "A B",
        "invoiceId": "000000001",
        "description": "x",
        "cryptogram": encrypted(http, CHALLENGED, shop.terminal),
        "postLink": shop.post_link,
        "terminalId": shop.terminal,
        "email": "a@b.kz",
        "phone": "1",
        "cardSave": False,
    }
    headers = {"Authorization": f"Bearer {shop.token()['access_token']}"}
    answer = http.post("/payment/cryptopay", json=order, headers=headers)
    assert answer.json()["status"] == "3D", answer.text
    ended = world.do("POST", "/transactions/latest/challenge", {"answer": "pass"})
    assert (ended["status"], ended["secure"]) == ("CHARGE", True)


def test_a_question_that_came_too_late_is_not_answered(world: World) -> None:
    asked = world.pay(card="4000000000003220", challenge="leave")
    assert world.refused("POST", f"/transactions/{asked['id']}/challenge", {"answer": "yes"})[0] == 400
    assert world.refused("POST", f"/transactions/{asked['id']}/challenge", {})[0] == 400
    assert world.refused("POST", f"/transactions/{'0' * 36}/challenge", {"answer": "pass"})[0] == 404


def test_a_link_leads_to_the_pay_page(world: World) -> None:
    made = world.do("POST", "/links", {"amount": 2500.5, "description": "Чай", "email": "a@b.kz", "language": "rus"})
    page = world.http.get(made["url"], follow_redirects=True)
    assert state(page)[0] == "open"
    assert "2 500,50" in page.text.replace("\N{NO-BREAK SPACE}", " ")
    order = {row["name"]: row["value"] for row in world.get(f"/invoices/{made['invoice_id']}")["objects"][0]["fields"]}
    assert (order["description"], order["email"]) == ("Чай", "a@b.kz")


def test_links_without_a_word_get_the_next_free_numbers(world: World) -> None:
    made = [world.do("POST", "/links")["invoice_id"] for _ in range(2)]
    assert made == ["000000001", "000000002"]


@pytest.mark.parametrize(
    ("body", "field"), [({"amount": 0}, "amount"), ({"invoice_id": "1"}, "invoice_id"), ({"sum": 1}, "sum")]
)
def test_a_link_is_refused_as_the_bank_refuses_it(world: World, body: object, field: str) -> None:
    status, message = world.refused("POST", "/links", body)
    assert (status, message.partition(" ")[0]) == (400, field)


def test_an_address_is_drawn_for_a_telephone(http: httpx.Client) -> None:
    drawn = http.get(f"{CONTROL}/qr", params={"text": "http://192.168.1.5:8080/?a=1&b=<script>"})
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert {element.tag.rpartition("}")[2] for element in ET.fromstring(drawn.content).iter()} == {"svg", "path"}


@pytest.mark.parametrize(
    "text", ["", "javascript:alert(1)", "shop.kz", "ftp://a/b", "http://", "http://[", "http://a/" + "x" * 1000]
)
def test_what_is_no_address_is_not_drawn(http: httpx.Client, text: str) -> None:
    refused = http.get(f"{CONTROL}/qr", params={"text": text})
    assert (refused.status_code, refused.json()["field"]) == (400, "text")


def test_a_merchant_has_several_terminals(http: httpx.Client) -> None:
    named = "5f7bdf8b-f34c-4aed-bd0c-47fa1e323496"
    world = new_world(http, terminals=[{"two_stage": True}, {"id": named}], seed="two terminals")
    first, second = world.facts["terminals"]
    assert (first["two_stage"], second["two_stage"], second["id"]) == (True, False, named)
    assert world.facts["terminal"] == first["id"]
    assert len({first["tid"], second["tid"]}) == len({first["shop_id"], second["shop_id"]}) == 2
    assert world.pay()["status"] == "AUTH"
    assert world.pay(terminal=named)["status"] == "CHARGE"
    changed = world.do("PATCH", "", {"terminals": [{"id": named, "two_stage": True}]})
    assert [one["two_stage"] for one in changed["terminals"]] == [True, True]
    both = world.do("PATCH", "", {"two_stage": False})
    assert [one["two_stage"] for one in both["terminals"]] == [False, False]


def test_a_terminal_of_somebody_else_is_not_changed(world: World) -> None:
    foreign = {"id": "00000000-0000-4000-8000-000000000000", "two_stage": True}
    status, message = world.refused("PATCH", "", {"terminals": [foreign]})
    assert (status, message.partition(" ")[0]) == (400, "terminals.0.id")


# The check of a handler.


def _check(world: World, **facts: object) -> list[dict[str, Any]]:
    answer = world.ask("POST", "/check-handler", facts)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_handler_is_checked_line_by_line(world: World, link: str, shop_server: Receiver) -> None:
    before = world.get()
    *verdicts, card = _check(world, post_link=link)
    assert [one["name"] for one in verdicts] == [*(check.name for check in CHECKS), IN_TIME]
    assert card["checks"] == verdicts
    assert (card["post_link"], card["safe"]) == (link, False)
    assert next(one for one in verdicts if one["name"] == "refuses another amount")["state"] == "failed"
    assert len(shop_server.wait(20, path=f"/{world.client_id}")) == sum(len(one["notices"]) for one in verdicts)
    assert world.get() == before


def test_a_handler_that_knows_its_own_orders_is_told_of_those(world: World, link: str, shop_server: Receiver) -> None:
    order = {"invoice_id": "000000777", "amount": 50.5, "secret_hash": "hush"}
    *verdicts, _ = _check(world, post_link=link, orders=[order], timeout_s=0.5)
    told = shop_server.wait(path=f"/{world.client_id}")[0].body
    assert (told["invoiceId"], told["amount"], told["secret_hash"]) == ("000000777", 50.5, "hush")
    assert verdicts[1]["why"] == f"no order is left for it: all checks together need {ORDERS}, orders has fewer"


def test_a_handler_that_refuses_everything_is_told_what_may_help(
    world: World, link: str, shop_server: Receiver
) -> None:
    shop_server.answers[f"/{world.client_id}"] = [404] * 100
    card = _check(world, post_link=link)[-1]
    assert "orders, if it knows only its own; secret_hash, if it expects one" in card["advice"]
    assert "--" not in card["advice"]


def test_nobody_at_the_address_is_a_refusal(world: World) -> None:
    status, message = world.refused("POST", "/check-handler", {"post_link": TROUBLE})
    assert (status, "nobody listens there" in message) == (400, True)
    assert world.refused("POST", "/check-handler", {"post_link": TROUBLE, "new_order": "rm -rf /"})[0] == 400
    assert world.refused("POST", "/check-handler", {"post_link": TROUBLE, "orders": [{"amount": 1}]})[0] == 400


def test_a_check_ends_when_nobody_listens(world: World, link: str) -> None:
    before = world.get()
    address = f"{CONTROL}/merchants/{world.client_id}/check-handler"
    with world.http.stream("POST", address, json={"post_link": link}) as answer:
        assert json.loads(next(answer.iter_lines()))["name"] == CHECKS[0].name
    eventually(lambda: THREAD not in {thread.name for thread in threading.enumerate()})
    assert world.get() == before
    assert len(world.get("/invoices")["invoices"]) < len(CHECKS)


def test_a_world_that_ends_meanwhile_ends_the_check(world: World, link: str) -> None:
    address = f"{CONTROL}/merchants/{world.client_id}/check-handler"
    with world.http.stream("POST", address, json={"post_link": link}) as answer:
        lines = answer.iter_lines()
        next(lines)
        world.do("DELETE")
        told = [json.loads(line) for line in lines]
    assert all(one.get("state", "not known") for one in told)
    eventually(lambda: THREAD not in {thread.name for thread in threading.enumerate()})


def test_a_check_whose_visitor_and_world_are_both_gone_ends_quietly(world: World, link: str) -> None:
    address = f"{CONTROL}/merchants/{world.client_id}/check-handler"
    with world.http.stream("POST", address, json={"post_link": link}) as answer:
        next(answer.iter_lines())
    world.do("DELETE")
    eventually(lambda: THREAD not in {thread.name for thread in threading.enumerate()})


def test_an_application_without_a_server_checks_nothing() -> None:
    async def ask() -> httpx.Response:
        app = create_app(Bank(MemoryStore(), Settings()))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                return await http.post(f"{CONTROL}/merchants/test/check-handler", json={"post_link": TROUBLE})

    import asyncio  # noqa: PLC0415

    answer = asyncio.run(ask())
    assert (answer.status_code, "mock-epay serve" in answer.json()["message"]) == (404, True)


class Vanishing(MemoryStore):
    """A store whose worlds, once they begin to vanish, end as soon as somebody has found the way there."""

    vanishes = False

    def work(self, client_id: str) -> MemoryWork:
        """See `Store`."""
        if self.vanishes:
            raise UnknownMerchantError(client_id)
        return super().work(client_id)


def test_a_merchant_that_is_deleted_while_somebody_asks_is_gone() -> None:
    async def ask() -> httpx.Response:
        store = Vanishing()
        app = create_app(Bank(store, Settings()))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                paid = (await http.post(f"{CONTROL}/merchants/test/payments", json={})).json()
                store.vanishes = True
                return await http.get(paid["page_url"])

    import asyncio  # noqa: PLC0415

    answer = asyncio.run(ask())
    assert (answer.status_code, "no such pay page" in answer.text) == (404, True), answer.text


@pytest.mark.parametrize("link", ["", "shop", "ftp://shop/x", "http://shop /x"])
def test_a_handler_without_an_address_is_not_checked(world: World, link: str) -> None:
    status, message = world.refused("POST", "/check-handler", {"post_link": link})
    assert (status, message.partition(" ")[0]) == (400, "post_link")
