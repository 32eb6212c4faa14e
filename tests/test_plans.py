"""Plans for postlinks: when they go out, what they wait for, and what is wrong with them on purpose."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final

import httpx
import pytest
from browsing import Customer, arrives, fill, hold_time, pay, pay_page, sees
from support import APPROVES, CHALLENGED, LOCKED, Receiver, Shop, action, encrypted, eventually, marked, state
from worlds import World, of

NEEDED: Final = {"amount", "currency", "dateTime", "invoiceId", "reasonCode", "reference", "secret_hash", "terminal"}
LINK: Final = "https://example.kz/success.html?order=1&x=%20"  # as `Shop.order` has it


def path(world: World) -> str:
    return f"/{world.client_id}"


def decide(world: World, plan: str) -> None:
    world.do("POST", "/script", {"decisions": [{"plan": plan}]})


def texts(world: World, receiver: Receiver, count: int) -> list[str]:
    return [notice.text for notice in receiver.wait(count, path(world))]


def bodies(world: World, receiver: Receiver, count: int) -> list[dict[str, Any]]:
    return [json.loads(text) for text in texts(world, receiver, count)]


@contextmanager
def slow_shop(
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
) -> Iterator[tuple[str, threading.Event]]:
    """Run a shop that answers one notice once it may."""
    may_answer = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                may_answer.wait(10)
                connection.sendall(answer)

        served = pool.submit(serve)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", may_answer
        may_answer.set()
        served.result(10)


@pytest.mark.parametrize("way", ["page", "challenge", "control"])
def test_before_redirect_holds_the_page_until_the_shop_has_answered(shop: Shop, way: str) -> None:
    world = of(shop)
    decide(world, "before_redirect")
    with slow_shop() as (url, may_answer), ThreadPoolExecutor(1) as pool:
        if way == "control":
            paid = pool.submit(lambda: world.pay(post_link=url)["status"])
        else:
            opened = shop.open(postLink=url)
            if way == "challenge":
                asked = shop.pay(action(opened), CHALLENGED)
                answered = {"answer": "confirm", "code": marked(asked, "sandbox-code")}
                paid = pool.submit(
                    lambda: state(shop.http.post(str(asked.url), data=answered, follow_redirects=True))[0]
                )
            else:
                paid = pool.submit(lambda: state(shop.pay(action(opened)))[0])
        world.get("/wait", until="postlink.queued")
        assert not world.get("/postlinks/latest")["attempts"]
        assert not paid.done()
        may_answer.set()
        assert paid.result(10) in {"approved", "CHARGE"}
        assert world.get("/postlinks/latest")["state"] == "delivered"


def test_a_page_is_not_held_longer_than_the_shop_may_take(shop: Shop) -> None:
    world = of(shop)
    world.do("PATCH", "", {"postlink_timeout_s": 0.2, "plan": "before_redirect", "postlink_retry_s": []})
    with slow_shop() as (url, _):
        assert world.pay(post_link=url)["status"] == "CHARGE"
    assert world.pay()["status"] == "CHARGE"  # no address, nothing to wait for


def test_after_redirect_waits_until_the_customer_has_gone_back(shop: Shop, shop_server: Receiver) -> None:
    world = of(shop)
    world.do("PUT", "/clock", {"freeze": True})
    decide(world, "after_redirect(30)")
    page = shop.buy()
    (waiting,) = world.get("/clock")["due"]
    assert waiting["what"] == "postlink"
    leave = page.text.partition('data-testid="back-to-shop"')[0].rpartition('href="')[2].partition('"')[0]
    left = shop.http.get(leave)
    assert (left.status_code, left.headers["location"]) == (303, LINK)
    assert "page.left" in world.kinds()
    assert not shop_server.notices or all(notice.path != path(world) for notice in shop_server.notices)
    fired = world.do("PUT", "/clock", {"advance_s": 30})["fired"]
    assert [(one["what"], one["result"]) for one in fired] == [("postlink", "delivered")]
    assert len(shop_server.wait(path=path(world))) == 1
    # Once nothing waits any more, the page leads to the shop itself.
    again = shop.http.get(str(page.url))
    assert f'href="{LINK.replace("&", "&amp;")}"' in again.text


def test_a_customer_who_never_goes_back_is_waited_for_until_the_page_ends(shop: Shop) -> None:
    world = of(shop)
    decide(world, "after_redirect")
    shop.buy()
    assert world.do("PUT", "/clock", {"advance_s": 1100})["fired"] == []
    assert [one["result"] for one in world.do("PUT", "/clock", {"advance_s": 101})["fired"]] == ["delivered"]


def test_a_customer_who_gives_up_goes_to_the_failure_link(shop: Shop, shop_server: Receiver) -> None:
    world = of(shop)
    world.do("PATCH", "", {"plan": "after_redirect"})
    declined = shop.buy(LOCKED)
    leave = declined.text.partition('data-testid="back-to-shop"')[0].rpartition('href="')[2].partition('"')[0]
    assert shop.http.get(leave).headers["location"] == "https://example.kz/failure.html"
    assert shop_server.wait(path=path(world))[0].body["reasonCode"] == 465


def test_where_there_is_no_way_back_nobody_is_led_round_in_a_circle(shop: Shop) -> None:
    world = of(shop)
    world.do("PATCH", "", {"plan": "after_redirect"})
    order = {
        "invoice_id": "000000031",
        "amount": 10,
        "currency": "KZT",
        "description": "Tea",
        "post_link": shop.post_link,
    }
    order["shop_id"] = shop.merchant.terminals[0].shop_id
    link = shop.http.post("/invoice", json=order, headers={"Authorization": f"Bearer {shop.status_token()}"}).json()
    page = shop.http.get(f"/redirect/invoice-link/{link['id']}", follow_redirects=True)
    paid = shop.pay(action(page))
    assert "/leave" not in paid.text
    page_url = str(paid.url)
    assert shop.http.get(f"{page_url}/leave").headers["location"] == page_url.removeprefix(shop.sandbox.url)


def test_in_the_widget_the_page_that_tells_the_shop_counts_as_gone(shop: Shop, shop_server: Receiver) -> None:
    world = of(shop)
    decide(world, "after_redirect")
    opened = shop.open(more="&isShortForm=true")
    assert state(shop.pay(action(opened)))[0] == "approved"
    assert len(shop_server.wait(path=path(world))) == 1


def test_a_payment_without_a_page_does_not_wait_for_one(world: World, link: str, shop_server: Receiver) -> None:
    decide(world, "after_redirect(10)")
    world.pay(post_link=link)
    assert [one["what"] for one in world.do("PUT", "/clock", {"advance_s": 10})["fired"]] == ["postlink"]
    assert len(shop_server.wait(path=path(world))) == 1


def test_a_payment_by_api_has_no_page_to_be_left(shop: Shop, shop_server: Receiver) -> None:
    world = of(shop)
    decide(world, "after_redirect(10)")
    order = {"amount": 100, "currency": "KZT", "invoiceId": "000000001", "terminalId": shop.terminal}
    order |= {"cryptogram": encrypted(shop.http, APPROVES, shop.terminal), "postLink": shop.post_link}
    headers = {"Authorization": f"Bearer {shop.token()['access_token']}"}
    assert shop.http.post("/payment/cryptopay", json=order, headers=headers).status_code == 200
    assert [one["what"] for one in world.do("PUT", "/clock", {"advance_s": 10})["fired"]] == ["postlink"]
    assert len(shop_server.wait(path=path(world))) == 1


def test_nobody_leaves_a_page_that_there_is_not(http: httpx.Client) -> None:
    response = http.get("/payform/8f7c1f2e-6a40-4d0c-9d0e-0f0a3f5b7c11/leave")
    assert (response.status_code, state(response)[0]) == (404, "refused")


def test_the_two_outcomes_come_one_after_the_other(world: World, link: str, shop_server: Receiver) -> None:
    world.do("PUT", "/clock", {"freeze": True})
    for plan, card, codes in (
        ("failure_then_success", APPROVES, ["error", "ok"]),
        ("success_then_failure(10)", APPROVES, ["ok", "error"]),
        ("failure_then_success", LOCKED, ["error", "ok"]),
        ("success_then_failure", LOCKED, ["ok", "error"]),
    ):
        decide(world, plan)
        paid = world.pay(card=card, post_link=link)
        world.do("PUT", "/clock", {"advance_s": 10})
        got = [body for body in bodies(world, shop_server, 2) if body["id"] == paid["id"]]
        assert [body["code"] for body in got] == codes
        assert all(bool(body["reference"]) is (body["code"] == "ok") for body in got)
        assert {body["invoiceId"] for body in got} == {paid["invoice_id"]}
        shop_server.notices.clear()


def test_what_is_wrong_is_wrong_alone(world: World, link: str, shop_server: Receiver) -> None:
    def told(plan: str, **payment: object) -> tuple[dict[str, Any], str]:
        decide(world, plan)
        paid = world.pay(post_link=link, secret_hash="hush", **payment)
        (text,) = texts(world, shop_server, 1)
        shop_server.notices.clear()
        assert world.get("/postlinks/latest")["spoilt"] == plan
        return paid, text

    right = {"amount": 100, "secret_hash": "hush"}
    paid, text = told("wrong_amount")
    body = json.loads(text)
    assert (body["amount"], body["secret_hash"], body["invoiceId"]) == (1, "hush", paid["invoice_id"])
    assert json.loads(told("wrong_amount", amount=1)[1])["amount"] == 2

    paid, text = told("wrong_secret_hash")
    body = json.loads(text)
    assert (body["amount"], body["invoiceId"]) == (right["amount"], paid["invoice_id"])
    assert body["secret_hash"] not in {"hush", ""}

    paid, text = told("unknown_invoice")
    body = json.loads(text)
    assert body.items() >= right.items()
    assert body["invoiceId"] != paid["invoice_id"]
    assert body["invoiceId"].isdecimal()

    body = json.loads(told("missing_fields")[1])
    assert len(NEEDED - body.keys()) == 3

    text = told("truncated")[1]
    assert text.startswith("{")
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    seen = world.get("/postlinks/latest")
    assert (seen["body"], seen["text"]) == (None, text)


def test_a_notice_without_a_secret_gets_a_wrong_one(world: World, link: str, shop_server: Receiver) -> None:
    decide(world, "wrong_secret_hash")
    world.pay(post_link=link)
    assert bodies(world, shop_server, 1)[0]["secret_hash"]


def test_out_of_order_waits_for_another_invoice(world: World, link: str, shop_server: Receiver) -> None:
    decide(world, "out_of_order")
    first = world.pay(post_link=link)
    assert world.get("/postlinks/latest")["state"] == "held"
    assert "waits" in world.get("/invoices/" + first["invoice_id"])["story"][-1]
    second = world.pay(post_link=link)
    assert [body["id"] for body in bodies(world, shop_server, 2)] == [second["id"], first["id"]]
    assert [one["state"] for one in world.get("/postlinks", wait_s=5, count=2, state="delivered")["postlinks"]] == [
        "delivered"
    ] * 2


def test_two_notices_of_one_invoice_do_not_wait_for_each_other(world: World, link: str) -> None:
    world.do("POST", "/script", {"decisions": [{"reason_code": 484, "plan": "out_of_order"}, {}]})
    paid = world.pay(post_link=link)
    world.pay(post_link=link, invoice_id=paid["invoice_id"])
    world.get("/wait", until="postlink.delivered")
    assert [one["state"] for one in world.get("/postlinks")["postlinks"]] == ["held", "delivered"]


def test_a_slow_body_comes_drop_by_drop(world: World) -> None:
    decide(world, "slow_body(0.5)")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        world.pay(post_link=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            start = perf_counter()
            pieces: list[bytes] = []
            while not pieces or not b"".join(pieces).endswith(b"}"):
                pieces.append(connection.recv(65536))
            took = perf_counter() - start
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head.lower()
    assert len(pieces) > 5
    assert took > 0.4
    assert world.get("/wait", until="postlink.delivered")["postlink"]["attempts"][0]["status"] == 204


def test_a_merchant_has_a_plan_that_pages_and_scripts_overrule(shop: Shop, shop_server: Receiver) -> None:
    world = of(shop)
    world.do("PATCH", "", {"plan": "never"})
    shop.buy(invoiceId="000000001")
    assert world.get("/postlinks")["postlinks"] == []
    assert 'data-testid="plan"' in shop.open(invoiceId="000000002").text

    shop.pay(action(shop.open(invoiceId="000000002")), APPROVES, plan="duplicate(2)")
    assert len(shop_server.wait(2, path(world))) == 2
    decide(world, "on_release")
    shop.pay(action(shop.open(invoiceId="000000003")), APPROVES, plan="duplicate(2)")
    assert world.get("/postlinks/latest")["state"] == "held"


def test_a_payment_without_a_browser_may_have_a_plan(world: World, link: str) -> None:
    assert world.pay(post_link=link, plan="on_release")["plan"] == "on_release"
    assert world.get("/postlinks/latest")["state"] == "held"
    assert "one of immediate" in world.refused("POST", "/payments", {"plan": "soon"})[1]


def test_a_plan_that_there_is_not_is_refused_on_the_page_and_nothing_is_paid(shop: Shop) -> None:
    opened = shop.open()
    refused = shop.pay(action(opened), APPROVES, plan="tomorrow")
    assert (refused.status_code, state(refused)[0]) == (400, "refused")
    assert "one of immediate" in refused.text
    assert of(shop).get("/transactions/latest")["status"] == "NEW"


@pytest.mark.parametrize("wanted", [True, False])
def test_operations_send_notices_where_the_merchant_wants_them(
    world: World, link: str, shop_server: Receiver, *, wanted: bool
) -> None:
    world.do("PATCH", "", {"notify_operations": wanted, "two_stage": True})
    paid = world.pay(post_link=link, secret_hash="hush")
    for operation in ("charge", "refund"):
        token = world.token().json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert world.http.post(f"/operation/{paid['id']}/{operation}", headers=headers).status_code == 200
    count = 3 if wanted else 1
    got = bodies(world, shop_server, count)
    assert [(body["id"], body["code"], body["secret_hash"]) for body in got] == [(paid["id"], "ok", "hush")] * count
    assert len(world.get("/postlinks")["postlinks"]) == count
    silent = world.pay()  # without an address
    token = world.token().json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert world.http.post(f"/operation/{silent['id']}/cancel", headers=headers).status_code == 200
    assert len(world.get("/postlinks")["postlinks"]) == count


def test_a_postlink_is_edited_and_sent_again(world: World, link: str, shop_server: Receiver) -> None:
    world.pay(post_link=link)
    first = world.get("/wait", until="postlink.delivered")["postlink"]
    elsewhere = f"{link}/elsewhere"
    edited = world.do("POST", "/postlinks/latest/resend", {"fields": {"amount": 7, "name": None}, "url": elsewhere})
    assert (edited["url"], edited["spoilt"]) == (elsewhere, "edited")
    body = json.loads(shop_server.wait(path=f"{path(world)}/elsewhere")[0].text)
    assert body == {name: value for name, value in first["body"].items() if name != "name"} | {"amount": 7}

    world.do("POST", f"/postlinks/{first['id']}/resend", {"text": "no JSON", "url": elsewhere})
    assert shop_server.wait(2, f"{path(world)}/elsewhere")[1].text == "no JSON"
    status, message = world.refused("POST", "/postlinks/latest/resend", {"fields": {"amount": 1}})
    assert (status, "give all of it, as text" in message) == (400, True)
    for wrong, said in (
        ({"url": "ftp://x"}, "http or https"),
        ({"body": "x"}, "url, fields, text"),
        ({"fields": []}, "an object"),
    ):
        assert said in world.refused("POST", f"/postlinks/{first['id']}/resend", wrong)[1]


def test_a_postlink_is_cancelled(world: World, link: str) -> None:
    for plan in ("on_release", "delay(60)"):
        decide(world, plan)
        world.pay(post_link=link)
        cancelled = world.do("POST", "/postlinks/latest/cancel")
        assert (cancelled["state"], cancelled["due_at"]) == ("cancelled", None)
        assert world.do("PUT", "/clock", {"advance_s": 60})["fired"] == []
        for act in ("cancel", "release"):
            assert world.refused("POST", f"/postlinks/latest/{act}")[0] == 409
    assert world.kinds().count("postlink.cancelled") == 2


def test_a_postlink_that_is_cancelled_while_the_shop_has_it_is_not_tried_again(world: World) -> None:
    with slow_shop(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n") as (url, may_answer):
        world.pay(post_link=url)
        world.get("/wait", until="postlink.queued")
        eventually(lambda: world.get("/clock")["due"] == [])
        assert world.do("POST", "/postlinks/latest/cancel")["state"] == "cancelled"
        may_answer.set()
        tried = world.get("/wait", until="postlink.failed")["postlink"]
    assert (tried["state"], tried["tries"], tried["due_at"]) == ("cancelled", 1, None)


def test_a_postlink_that_is_cancelled_in_the_queue_never_goes_out(world: World, link: str) -> None:
    world.do("POST", "/script", {"decisions": [{"reason_code": 484}]})
    with slow_shop() as (url, may_answer):
        first = world.pay(post_link=url)
        second = world.pay(post_link=url, invoice_id=first["invoice_id"])
        eventually(lambda: world.get("/clock")["due"] == [])  # both are with the courier
        waiting = world.get("/postlinks", transaction_id=second["id"])["postlinks"][0]
        world.do("POST", f"/postlinks/{waiting['id']}/cancel")
        may_answer.set()
        world.get("/wait", until="postlink.delivered")
    later = world.pay(post_link=link)
    world.get("/wait", until="postlink.delivered", invoice_id=later["invoice_id"])
    assert [one["tries"] for one in world.get("/postlinks")["postlinks"]] == [1, 0, 1]


def test_a_postlink_that_waits_is_released_before_its_time(world: World, link: str) -> None:
    decide(world, "delay(3600)")
    world.pay(post_link=link)
    assert world.do("POST", "/postlinks/latest/release")["state"] == "queued"
    assert world.get("/wait", until="postlink.delivered")["postlink"]["tries"] == 1


@pytest.mark.parametrize(("profile", "tries"), [("none", 1), ("default", 5), ("stubborn", 8)])
def test_the_schedule_of_tries_goes_by_its_name(world: World, profile: str, tries: int) -> None:
    world.do("PATCH", "", {"postlink_retry_s": profile})
    world.do("PUT", "/clock", {"freeze": True})
    world.pay(post_link="http://127.0.0.1:9/")
    start = perf_counter()
    world.do("PUT", "/clock", {"advance_s": 100_000})
    assert perf_counter() - start < 1
    assert (world.get("/postlinks/latest")["tries"], world.get("/postlinks/latest")["state"]) == (tries, "given up")


def test_in_a_browser_the_shop_has_the_notice_before_the_customer_sees_the_result(
    customer: Customer, shop: Shop
) -> None:
    of(shop).do("PATCH", "", {"plan": "before_redirect", "postlink_timeout_s": 10})
    page = customer.page()
    with slow_shop() as (url, may_answer):
        page.goto(pay_page(shop, postLink=url))
        hold_time(page)
        fill(page, APPROVES)
        answered: list[int] = []
        page.on("response", lambda got: answered.append(got.status) if got.request.method == "POST" else None)
        # Not as Playwright clicks: that would wait for the page that comes.
        page.evaluate("queueMicrotask(() => document.querySelector('[data-testid=pay]').click())")
        with ThreadPoolExecutor(1) as pool:
            queued = pool.submit(of(shop).get, "/wait", until="postlink.queued")
            while not queued.done():  # the browser's requests pass through this thread
                page.wait_for_timeout(10)
            assert queued.result()["postlink"]["attempts"] == []
        assert answered == []
        may_answer.set()
        sees(page, "approved", 0)
        assert answered == [303]


def test_in_a_browser_the_customer_is_back_before_the_notice(
    customer: Customer, shop: Shop, shop_server: Receiver
) -> None:
    # A real address: Playwright does not stand in for where a redirect leads, and without a network there is no other.
    back_link = f"{shop_server.url}/thanks"
    customer.expected.append("501")  # this shop takes postlinks and shows no page
    page = customer.page()
    page.goto(pay_page(shop, backLink=back_link))
    page.get_by_test_id("plan").select_option("after_redirect")
    pay(page)
    sees(page, "approved", 0)
    assert [notice for notice in shop_server.notices if notice.path == path(of(shop))] == []
    page.get_by_test_id("back-to-shop").click()
    arrives(page, back_link)
    assert len(shop_server.wait(path=path(of(shop)))) == 1
