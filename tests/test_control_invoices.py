"""The list of invoices as the cabinet wants it, and what a time line says of tokens, objects and their differences."""

import json
from typing import Any, Final

import httpx
import pytest
from support import Shop
from worlds import CONTROL, TROUBLE, World, fill

from mock_epay.client import EpayServer
from mock_epay.clock import stopwatch
from mock_epay.server import Sandbox, running

MANY: Final = 10_000
MOST_MS: Final = 1000  # on a machine that has much else to do; alone it takes a twentieth of that


def _numbers(world: World, **query: object) -> list[str]:
    return [row["invoice_id"] for row in world.get("/invoices", **query)["invoices"]]


@pytest.fixture
def varied(world: World) -> World:
    """Give a world with an invoice of each kind."""
    world.pay(invoice_id="000000001", post_link=TROUBLE, description="Чай зелёный", email="tea@example.kz")
    world.pay(invoice_id="000000002", card="4000000000009995", account_id="Account-7")
    world.token(invoiceID="000000003", amount="12.50", currency="USD")
    world.do("POST", "/links", {"invoice_id": "000000004", "amount": 70, "description": "Linked"})
    world.pay(invoice_id="000000005", post_link=TROUBLE, plan="on_release")
    return world


def test_a_line_tells_how_an_invoice_stands(varied: World) -> None:
    paid, declined, asked, linked, held = varied.get("/invoices")["invoices"]
    transaction = varied.get("/transactions")["transactions"][0]
    assert paid["transaction_id"] == paid["paid_by"] == transaction["id"]
    assert (paid["amount"], paid["currency"], paid["description"]) == (100, "KZT", "Чай зелёный")
    assert (paid["card_mask"], paid["card_type"], paid["attempts"]) == ("4405...5096", "VISA", 1)
    assert (paid["reason_code"], paid["reason"], paid["decided_by"]) == (0, "", "test card, unlock")
    assert paid["postlink_id"] == varied.get("/postlinks")["postlinks"][0]["id"]
    assert paid["hints"] == len(varied.get("/invoices/000000001")["hints"]) > 0
    assert paid["first_at"] <= transaction["created_at"] <= paid["last_at"]
    assert (declined["status"], declined["reason_code"], declined["postlink"]) == ("REJECT", 484, "")
    assert declined["reason"] == "Not enough money on the card"
    assert (asked["status"], asked["amount"], asked["currency"], asked["tokens"]) == ("", 12.5, "USD", 1)
    assert (asked["attempts"], asked["card_mask"], asked["transaction_id"]) == (0, "", "")
    assert (linked["amount"], linked["description"], linked["status"]) == (70, "Linked", "")
    assert (held["postlink"], held["tries"]) == ("held", 0)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "12345"),
        ({"order": "newest"}, "54321"),
        ({"order": "newest", "limit": 2}, "54"),
        ({"order": "newest", "limit": 2, "before": "000000004"}, "32"),
        ({"before": "000000005"}, ""),
        ({"q": "чАЙ"}, "1"),
        ({"q": "TEA@"}, "1"),
        ({"q": "account-7"}, "2"),
        ({"q": "4000...9995"}, "2"),
        ({"q": "linked"}, "4"),
        ({"q": "00003"}, "3"),
        ({"q": "nowhere"}, ""),
        ({"status": "REJECT"}, "2"),
        ({"status": "none"}, "34"),
        ({"postlink": "held"}, "5"),
        ({"postlink": "none"}, "234"),
        ({"reason": 484}, "2"),
        ({"reason": 0}, "15"),
        ({"status": "CHARGE", "postlink": "held"}, "5"),
        ({"status": "none", "before": "000000003"}, "4"),
        ({"status": "none", "before": "000000002", "order": "newest"}, ""),
        ({"status": "none", "before": "000000005", "order": "newest"}, "43"),
        ({"status": "none", "before": "000000001", "limit": 1}, "3"),
        ({"ids": "000000005,000000001,000000099,000000005"}, "51"),
        ({"ids": "000000001,000000002", "status": "REJECT"}, "2"),
    ],
)
def test_the_list_is_searched_and_paged(varied: World, query: dict[str, object], found: str) -> None:
    assert _numbers(varied, **query) == [f"00000000{one}" for one in found]


def test_the_list_says_how_many_fit_and_where_a_stream_goes_on(varied: World) -> None:
    before = varied.get("/events")["last"]
    page = varied.get("/invoices", limit=1, status="none")
    assert (len(page["invoices"]), page["total"]) == (1, 2)
    assert before <= page["last_event"] <= varied.get("/events")["last"]  # a postlink is tried again meanwhile
    varied.do("POST", "/reset")
    anew = varied.get("/invoices")
    assert (anew["invoices"], anew["total"]) == ([], 0)
    assert anew["last_event"] >= page["last_event"], "events go on with the old world's numbers"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"order": "random"}, "order"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"before": "000000099"}, "before"),
        ({"before": "000000099", "status": "none"}, "before"),
        ({"status": "PAID"}, "status"),
        ({"postlink": "lost"}, "postlink"),
        ({"reason": "x"}, "reason"),
        ({"page": 2}, "page"),
    ],
)
def test_a_search_that_means_nothing_is_refused(varied: World, query: dict[str, object], said: str) -> None:
    status, message = varied.refused("GET", "/invoices", **query)
    assert (status, message.partition(" ")[0]) == (400, said)


def test_the_client_reads_each_line(varied: World, sandbox: Sandbox) -> None:
    with EpayServer(sandbox.url) as server:
        lines = server.merchant(varied.client_id).invoices()
    assert [str(line.amount) for line in lines] == ["100", "100", "12.5", "70", "100"]
    assert [line.postlink for line in lines][4] == "held"
    assert lines[0].first_at is not None


def test_ten_thousand_invoices_are_listed_in_a_blink() -> None:
    with running() as sandbox, httpx.Client(base_url=sandbox.url, timeout=30) as http:
        fill(sandbox, "test", MANY)
        for query in ({}, {"q": "order 9876"}, {"status": "REJECT"}, {"before": "000005000"}):
            took = []
            for _ in range(5):
                elapsed = stopwatch()
                asked: dict[str, Any] = {"order": "newest", "limit": 100, **query}
                answer = http.get(f"{CONTROL}/merchants/test/invoices", params=asked)
                took.append(elapsed())
            assert (
                answer.json()["total"] == {"": MANY, "q": 1, "status": MANY // 3, "before": MANY}[next(iter(query), "")]
            )
            assert min(took) < MOST_MS, (query, took)


# Time lines.


def _compared(world: World, number: str = "000000001") -> dict[str, tuple[object, ...]]:
    rows = world.get(f"/invoices/{number}")["compared"]
    return {row["field"]: (row["token"], row["object"], row["postlink"], row["same"]) for row in rows}


def test_a_time_line_has_tokens_without_their_secrets(shop: Shop, http: httpx.Client) -> None:
    world = World(http, {"client_id": shop.merchant.client_id})
    token = shop.token(secret_hash="hush", postLink=shop.post_link, scope="payment")["access_token"]
    line = world.get("/invoices/000000001")
    (told,) = line["tokens"]
    assert (told["amount"], told["currency"], told["terminal"]) == (100, "KZT", shop.terminal)
    assert (told["spent"], told["secret_hash"], told["post_link"]) == (False, True, shop.post_link)
    assert {hint["rule"] for hint in told["hints"]} <= {hint["rule"] for hint in line["hints"]}
    assert "hush" not in json.dumps(line)
    assert token not in json.dumps(line)
    assert (line["objects"], line["challenge"]) == ([], None)


def test_a_time_line_has_the_payment_object(shop: Shop, http: httpx.Client) -> None:
    world = World(http, {"client_id": shop.merchant.client_id})
    shop.buy(description='"><script>alert(1)</script>', amount=100)
    (told,) = world.get("/invoices/000000001")["objects"]
    fields = {row["name"]: row["value"] for row in told["fields"]}
    assert fields["description"] == '"><script>alert(1)</script>'
    assert fields["amount"] == "100"
    assert "auth" not in fields
    assert told["transaction"] == world.get("/transactions/latest")["id"]


def test_what_token_object_and_postlink_say_is_compared(shop: Shop, http: httpx.Client) -> None:
    world = World(http, {"client_id": shop.merchant.client_id})
    shop.buy(token=shop.token(postLink=TROUBLE, amount="100.00"))
    compared = _compared(world)
    assert compared["amount"] == ("100", "100", "100", True)
    assert compared["language"] == (None, "eng", "EN", True)
    assert compared["postLink"] == (TROUBLE, shop.post_link, shop.post_link, False)
    assert "phone" not in compared
    assert all(row[3] for field, row in compared.items() if field != "postLink"), compared


@pytest.mark.parametrize(
    ("plan", "field", "told"),
    [("wrong_amount", "amount", False), ("unknown_invoice", "invoiceId", False), ("truncated", "amount", True)],
)
def test_a_spoilt_postlink_differs_where_it_is_spoilt(world: World, plan: str, field: str, *, told: bool) -> None:
    world.pay(invoice_id="000000001", post_link=TROUBLE, plan=plan)
    compared = _compared(world)
    assert compared[field][3] is told
    assert compared["postLink"][2] == TROUBLE


def test_a_notice_of_failure_went_where_those_go(world: World) -> None:
    world.pay(invoice_id="000000001", post_link=f"{TROUBLE}/ok", failure_post_link=TROUBLE, card="4000000000009995")
    compared = _compared(world)
    assert compared["failurePostLink"] == (TROUBLE, TROUBLE, TROUBLE, True)
    assert compared["postLink"][2] is None


def test_a_body_that_is_no_object_and_an_amount_that_is_none_are_compared_all_the_same(world: World) -> None:
    world.pay(invoice_id="000000001", post_link=TROUBLE)
    world.do("POST", "/postlinks/latest/resend", {"text": "[1]"})
    assert _compared(world)["amount"] == ("100", "100", None, True)
    world.do("POST", "/postlinks/latest/resend", {"text": '{"amount": "much", "data": {"a": 1.5}}'})
    assert _compared(world)["amount"] == ("100", "100", "much", False)
    assert _compared(world)["data"] == (None, None, '{"a": 1.5}', True)


def test_an_invoice_with_a_link_alone_has_nothing_to_compare(world: World) -> None:
    world.do("POST", "/links", {"invoice_id": "000000001"})
    assert _compared(world) == {}


def test_an_open_question_of_the_issuer_is_in_the_time_line(world: World) -> None:
    asked = world.pay(invoice_id="000000001", card="4000000000003220", challenge="leave")
    challenge = world.get("/invoices/000000001")["challenge"]
    assert (challenge["transaction"], challenge["url"]) == (asked["id"], asked["challenge_url"])
    assert challenge["tries_left"] == 3
    assert challenge["expires_at"] > asked["created_at"]
