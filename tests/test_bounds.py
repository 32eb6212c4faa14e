"""How much of a world is kept, seen from outside."""

import asyncio
from datetime import datetime

import httpx
import pytest
from support import Receiver, eventually, new_merchant
from worlds import CONTROL, World, new_world

from mock_epay.model import Delivery, Invoice
from mock_epay.postlinks import Courier
from mock_epay.server import Sandbox
from mock_epay.store.memory import MemoryStore


def counted(world: World, what: str = "transactions") -> tuple[int, int, int]:
    """Return how many there are, may be, and were that are forgotten."""
    row = world.get("/kept")[what]
    return row["kept"], row["limit"], row["forgotten"]


def number(index: int) -> str:
    return f"{index:09d}"


def test_an_order_that_is_forgotten_leaves_nothing_and_its_number_is_free_again(http: httpx.Client) -> None:
    world = new_world(http, keep_transactions=10)
    first, *_ = [world.pay(invoice_id=number(index)) for index in range(1, 13)]

    assert counted(world) == (10, 10, 2)
    assert [one["invoice_id"] for one in world.get("/invoices")["invoices"]] == [
        number(index) for index in range(3, 13)
    ]
    assert world.refused("GET", f"/transactions/{first['id']}")[0] == 404
    assert world.refused("GET", f"/invoices/{number(1)}")[0] == 404
    assert world.pay(invoice_id=number(1))["status"] == "CHARGE"
    assert world.token(invoiceID=number(12), amount=100).status_code == 400  # which is paid, and remembered
    world.do("DELETE")


def test_status_tokens_do_not_pile_up(http: httpx.Client) -> None:
    world = new_world(http, keep_transactions=10)
    paid = world.token(invoiceID=number(1), amount=100).json()["access_token"]
    tokens = [world.token().json()["access_token"] for _ in range(40)]

    answers = [_status(http, token) for token in (paid, *tokens)]

    assert answers == [401] * 11 + [200] * 30
    world.do("DELETE")


def test_a_postlink_that_is_still_to_go_out_goes_out(http: httpx.Client, shop_server: Receiver) -> None:
    world = new_world(http, keep_transactions=10, plan="on_release")
    path = f"/{world.client_id}"
    world.pay(invoice_id=number(1), post_link=f"{shop_server.url}{path}")
    for index in range(2, 14):
        world.pay(invoice_id=number(index))

    assert world.get("/invoices")["invoices"][0]["invoice_id"] == number(1)
    world.do("POST", "/postlinks/latest/release")
    assert shop_server.wait(1, path)[0].body["invoiceId"] == number(1)
    eventually(lambda: world.get("/postlinks")["postlinks"][0]["state"] == "delivered")
    for index in range(14, 24):
        world.pay(invoice_id=number(index))
    assert world.get("/postlinks")["postlinks"] == []
    world.do("DELETE")


def test_events_go_on_where_the_oldest_are_forgotten(http: httpx.Client) -> None:
    world = new_world(http, keep_events=10)
    for index in range(1, 10):
        world.pay(invoice_id=number(index))

    events = world.get("/events")["events"]
    kept, limit, forgotten = counted(world, "events")
    assert (kept, limit) == (len(events), 10)
    assert [event["number"] for event in events] == list(range(forgotten + 1, forgotten + 11))
    assert world.get("/wait", until="transaction.charged")["event"]["number"] > forgotten
    assert world.get("/events", after=forgotten + 8)["events"] == events[-2:]
    world.do("DELETE")


def test_without_bodies_a_postlink_says_nothing_once_it_is_taken(http: httpx.Client, shop_server: Receiver) -> None:
    world = new_world(http, keep_bodies=0, postlink_retry_s=[0.01])
    path = f"/{world.client_id}"
    shop_server.answers[path] = [500]
    world.pay(post_link=f"{shop_server.url}{path}")
    first, second = shop_server.wait(2, path)
    assert first.text == second.text

    eventually(lambda: world.get("/postlinks/latest")["state"] == "delivered")
    sent = world.get("/postlinks/latest")
    assert (sent["tries"], sent["text"], sent["attempts"]) == (2, "", [])
    assert counted(world, "bodies") == (0, 0, 0)
    assert world.get("/kept")["postlinks"] == {"waiting": 0, "lost": 0}
    status, message = world.refused("POST", "/postlinks/latest/resend", {})
    assert (status, message.partition(" (")[0]) == (
        409,
        "text is missing: needed, for what that postlink said is not kept: keep_bodies is 0",
    )
    world.do("POST", "/postlinks/latest/resend", {"text": "all of it"})
    assert shop_server.wait(3, path)[-1].text == "all of it"
    world.do("DELETE")


def test_postlinks_that_no_shop_takes_do_not_pile_up() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def story() -> tuple[int, int]:
        store = MemoryStore()
        await store.add_merchant(new_merchant("a", keep_transactions=10, postlink_timeout_s=60.0))
        shop = await asyncio.start_server(hang, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{shop.sockets[0].getsockname()[1]}/"
        most = 0
        async with shop, Courier(store) as courier:
            running = asyncio.create_task(courier.run())
            for index in range(3000):
                async with store.work("a") as work:
                    work.save(Invoice(number=number(index), tail=""), _postlink(url, index, work.now))
                await asyncio.sleep(0)
                most = max(most, len(asyncio.all_tasks()))
            left = (await store.tally("a")).waiting.kept
            running.cancel()
            await asyncio.wait([running])
        return most, left

    most, left = asyncio.run(story())
    assert left == 30
    assert 1000 < most < 1200  # a task for each postlink that waits, until somebody looks


def _postlink(url: str, index: int, now: datetime) -> Delivery:
    return Delivery(
        id=f"postlink {index}",
        invoice_id=number(index),
        transaction_id="",
        url=url,
        body=b"{}",
        queued_at=now,
        due_at=now,
    )


def test_health_counts_all_worlds_by_the_limits_of_the_server(http: httpx.Client) -> None:
    world = new_world(http, keep_transactions=10)
    before = http.get(f"{CONTROL}/health").json()
    world.pay()
    after = http.get(f"{CONTROL}/health").json()

    assert after["worlds"] == before["worlds"] >= 1
    assert after["kept"]["transactions"] == {
        "kept": before["kept"]["transactions"]["kept"] + 1,
        "limit": 20_000,
        "forgotten": before["kept"]["transactions"]["forgotten"],
    }
    assert after["kept"]["events"]["kept"] > before["kept"]["events"]["kept"]
    world.do("DELETE")


@pytest.mark.parametrize(("name", "least"), [("keep_transactions", 10), ("keep_events", 10), ("keep_bodies", 0)])
def test_a_limit_has_a_least(world: World, name: str, least: int) -> None:
    assert world.do("PATCH", "", {name: least})[name] == least
    status, message = world.refused("PATCH", "", {name: least - 1})
    assert status == 400
    assert f"a whole number from {least} to 999999999" in message


def test_a_limit_that_is_lowered_holds_from_the_next_payment_on(http: httpx.Client) -> None:
    world = new_world(http)
    for index in range(1, 21):
        world.pay(invoice_id=number(index))
    assert counted(world) == (20, 20_000, 0)

    world.do("PATCH", "", {"keep_transactions": 10})
    world.pay(invoice_id=number(21))

    assert counted(world) == (10, 10, 11)
    world.do("DELETE")


def _status(http: httpx.Client, token: str) -> int:
    asked = http.get(f"/check-status/payment/transaction/{number(1)}", headers={"Authorization": f"Bearer {token}"})
    return asked.status_code


def test_a_page_of_an_order_that_is_forgotten_has_no_end_of_its_own(sandbox: Sandbox) -> None:
    before = sandbox.do(sandbox.bank.store.tally("test"))
    sandbox.do(sandbox.bank.close_page("test", "a page that nobody has"))
    assert sandbox.do(sandbox.bank.store.tally("test")) == before
