"""The client of the control API, against a running sandbox."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from support import APPROVES, CHALLENGED, LOCKED, PATIENCE_S

from mock_epay import __version__, answers, lz
from mock_epay.answers import Attempt, Transaction
from mock_epay.client import CONTROL_TOKEN, Epay, EpayError, EpayServer, NotInTime, NotReachable
from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> Iterator[EpayServer]:
    with EpayServer(sandbox.url) as client:
        yield client


@pytest.fixture
def epay(server: EpayServer) -> Iterator[Epay]:
    world = server.new_merchant()
    yield world
    if not world.dropped:
        world.drop()


@contextmanager
def _answering(raw: bytes) -> Iterator[str]:
    """Answer one request with these bytes."""

    def answer() -> None:
        line, _ = listener.accept()
        with line:
            line.recv(65_536)
            line.sendall(raw)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(PATIENCE_S)


# The sandbox.


def test_the_sandbox_tells_about_itself(server: EpayServer) -> None:
    assert {"status": "ok", "version": __version__}.items() <= server.health().items()
    assert {row["name"] for row in server.settings()} >= {"host", "dialect", "postlink_retry_s"}
    assert {card["pan"] for card in server.cards()} >= {APPROVES["pan"], CHALLENGED["pan"]}
    assert {reason["code"] for reason in server.reasons()} >= {484, 499}
    assert "test" in {merchant.client_id for merchant in server.merchants()}


def test_the_test_merchant_has_the_documented_credentials(server: EpayServer) -> None:
    test = server.merchant()
    assert (test.client_id, test.client_secret) == ("test", "yF587AV9Ms94qN2QShFzVR3vFnWkhjbAK3sG")
    assert (test.terminal, test.name) == ("67e34d63-102f-4bd1-898e-370781d0074d", "Test merchant")
    assert (test.email, test.password) == ("epay@halykbank.kz", "XZG1E@Mm")


def test_a_slash_behind_the_address_does_not_matter(server: EpayServer) -> None:
    with EpayServer(f"{server.url}/") as client:
        assert client.url == server.url
        assert client.health()["status"] == "ok"


class _Counting(ThreadingHTTPServer):
    """Answers with nothing, on connections that it keeps and counts."""

    connections = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)


class _Nothing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_DELETE(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay quiet."""


def test_a_thread_keeps_its_connection_for_a_moment() -> None:
    with _Counting(("127.0.0.1", 0), _Nothing) as bare:
        serving = threading.Thread(target=bare.serve_forever, args=(0.02,))
        serving.start()
        with EpayServer(f"http://127.0.0.1:{bare.server_address[1]}") as client:
            counted = []
            for other in (False, False, True):
                if other:
                    thread = threading.Thread(target=client.control, args=("DELETE", ""))
                    thread.start()
                    thread.join(PATIENCE_S)
                client.control("DELETE", "")
                counted.append(bare.connections)
            time.sleep(1.1)  # longer than it is kept
            client.control("DELETE", "")
            counted.append(bare.connections)
        bare.shutdown()
        serving.join(PATIENCE_S)
    assert counted == [1, 1, 2, 3]


def test_a_merchant_with_a_seed_is_the_same_each_time(server: EpayServer) -> None:
    worlds = []
    for _ in range(2):
        epay = server.new_merchant(seed="same")
        worlds.append((epay.client_id, epay.client_secret, epay.terminal, epay.seed, epay.token("000000001")))
        epay.drop()
    assert worlds[0] == worlds[1]
    assert worlds[0][3] == "same"


def test_a_client_id_can_be_had_once(server: EpayServer, epay: Epay) -> None:
    with pytest.raises(EpayError) as refused:
        server.new_merchant(client_id=epay.client_id)
    assert (refused.value.status, refused.value.answer["error"]) == (409, "conflict")


def test_a_dropped_merchant_is_gone(server: EpayServer) -> None:
    epay = server.new_merchant(client_id="shop_1.a-b")
    assert server.merchant("shop_1.a-b").client_id == "shop_1.a-b"
    epay.drop()
    with pytest.raises(EpayError) as refused:
        server.merchant("shop_1.a-b")
    assert refused.value.status == 404


def test_a_refusal_names_the_field_and_what_would_do(server: EpayServer) -> None:
    with pytest.raises(EpayError, match="dialect") as refused:
        server.new_merchant(dialekt="observed")
    assert refused.value.status == 400
    assert refused.value.field == "dialekt"
    assert str(refused.value) == refused.value.answer["message"]


def test_a_merchants_facts_can_be_changed(epay: Epay) -> None:
    epay.configure(dialect="observed", name="Another", two_stage=True)
    assert (epay.name, epay.merchant["dialect"]) == ("Another", "observed")
    assert epay.pay().status == "AUTH"


def test_reset_begins_a_new_world_with_the_same_credentials(epay: Epay) -> None:
    before = epay.invoice_id(), epay.client_secret
    epay.pay(before[0])
    epay.reset()
    assert (epay.invoice_id(), epay.client_secret) == before
    assert epay.transactions() == []


def test_the_control_token_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONTROL_TOKEN, raising=False)
    with running(Settings(port=0, control_token="key")) as sandbox:
        with EpayServer(sandbox.url, control_token="another") as client, pytest.raises(EpayError) as refused:
            client.merchants()
        assert refused.value.status == 401
        monkeypatch.setenv(CONTROL_TOKEN, "key")
        with EpayServer(sandbox.url) as client:
            assert client.merchant().client_id == "test"


def test_where_there_is_no_sandbox_it_says_how_to_start_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with EpayServer(url) as client, pytest.raises(NotReachable, match=rf"no sandbox at {url}: .*`mock-epay serve`"):
        client.health()


@pytest.mark.parametrize("url", ["http://", "nonsense:1:2", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_is_an_error_of_ours(url: str) -> None:
    with EpayServer(url) as client, pytest.raises(NotReachable):
        client.health()


def test_an_answer_that_breaks_off_says_what_was_asked() -> None:
    with (
        _answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{") as url,
        EpayServer(url) as client,
        pytest.raises(EpayError, match=rf"^GET {url}/_control/health was not answered: ") as broken,
    ):
        client.health()
    assert (broken.value.status, broken.value.answer) == (0, {})


def test_an_answer_that_is_no_json_is_shown() -> None:
    with (
        _answering(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>") as url,
        EpayServer(url) as client,
        pytest.raises(EpayError, match=r"^the answer, 502, is no JSON: <html>$") as refused,
    ):
        client.health()
    assert refused.value.status == 502


@pytest.mark.parametrize("body", [b"", b"[]", b"{}"])
def test_a_refusal_without_a_message_still_has_its_status(body: bytes) -> None:
    with (
        _answering(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as url,
        EpayServer(url) as client,
        pytest.raises(EpayError, match=r"^the answer is 500$"),
    ):
        client.health()


# What the shop would ask.


def test_a_shops_server_gets_a_token_and_a_status(epay: Epay) -> None:
    invoice_id = epay.invoice_id()
    answer = epay.token(invoice_id, amount=Decimal("99.90"), post_link=epay.receiver().url, secret_hash="hash")
    assert answer["token_type"] == "Bearer"
    assert epay.pay(invoice_id).amount == Decimal("99.9")
    assert epay.status(invoice_id)["transaction"]["statusName"] == "CHARGE"
    assert epay.wait_for_postlink(invoice_id).body["secret_hash"] == "hash"


def test_a_token_that_is_refused_says_why(epay: Epay) -> None:
    with pytest.raises(EpayError) as refused:
        epay.token("12")
    assert (refused.value.status, refused.value.field, refused.value.value) == (400, "invoiceID", "12")
    assert "6 to 15 digits" in refused.value.rule
    with pytest.raises(EpayError) as refused:
        epay.token(client_secret="wrong")
    assert refused.value.status == 401


def test_invoice_numbers_go_on_from_those_that_are_taken(epay: Epay) -> None:
    assert [epay.invoice_id() for _ in range(2)] == ["000000001", "000000002"]
    epay.token("777000004")
    assert [epay.invoice_id() for _ in range(2)] == ["000000003", "000000005"]


def test_a_number_that_a_test_was_given_is_not_used_for_something_else(epay: Epay) -> None:
    first = epay.invoice_id()
    assert epay.pay().invoice_id != first
    auth = epay.token(first, amount=7)
    assert epay.pay(token=auth["access_token"]).invoice_id == first


def test_a_page_opens_at_the_address_of_a_payment_object(epay: Epay) -> None:
    receiver = epay.receiver()
    order = epay.payment_object(amount=250, post_link=receiver.url, language="rus")
    assert (order["invoiceId"], order["language"], "failurePostLink" in order) == ("000000001", "rus", False)
    page = httpx.post(epay.page_url(order), data=APPROVES, follow_redirects=True)
    assert 'data-state="approved"' in page.text
    assert receiver.wait()[0].body["amount"] == 250


def test_a_payment_object_takes_a_token_that_the_shop_has(epay: Epay) -> None:
    auth = epay.token("000000009", amount=5)
    order = epay.payment_object("000000009", amount=5, auth=auth)
    assert order["auth"] == auth
    packed = epay.page_url(order).partition("?params=")[2]
    assert lz.parse(lz.decompress(packed))["invoiceId"] == "000000009"


def test_held_money_is_charged_and_given_back(epay: Epay) -> None:
    epay.configure(two_stage=True)
    held = epay.pay(amount="100.50")
    assert held.status == "AUTH"
    charged = epay.charge(held, Decimal("60.5"))
    assert (charged.status, charged.taken) == ("CHARGE", Decimal("60.5"))
    assert epay.refund(held.id, 10).returned == 10
    assert epay.refund(held).status == "REFUND"
    assert epay.cancel(epay.pay()).status == "CANCEL"


def test_an_operation_that_cannot_be_is_refused(epay: Epay) -> None:
    paid = epay.pay()
    with pytest.raises(EpayError) as refused:
        epay.cancel(paid)
    assert refused.value.answer["code"] == 477


# What a cardholder does.


def test_a_payment_in_one_line(epay: Epay) -> None:
    paid = epay.pay()
    assert (paid.status, paid.approved, paid.amount, paid.currency) == ("CHARGE", True, Decimal(100), "KZT")
    assert isinstance(paid.amount, Decimal)
    assert paid.created_at.tzinfo is not None
    assert epay.transaction() == paid == epay.transaction(paid) == epay.transaction(paid.id)
    assert [invoice.invoice_id for invoice in epay.invoices()] == [paid.invoice_id]


def test_a_payment_takes_no_number_that_was_handed_out(epay: Epay) -> None:
    first = epay.pay().invoice_id
    kept = epay.invoice_id()
    assert len({first, kept, epay.pay().invoice_id, epay.pay(kept).invoice_id}) == 3


def test_a_declined_payment_is_returned_too(epay: Epay) -> None:
    declined = epay.pay(card=LOCKED)
    assert (declined.reason_code, declined.approved) == (465, False)
    assert epay.pay(card="4000000000009995").reason_code == 484
    assert [one.reason_code for one in epay.transactions()] == [465, 484]
    assert epay.transactions(invoice_id=declined.invoice_id, status=declined.status) == [declined]


def test_three_d_secure_is_answered_as_one_says(epay: Epay) -> None:
    assert epay.pay(card=CHALLENGED["pan"]).approved
    assert epay.pay(card=CHALLENGED["pan"], challenge="fail").reason_code == 499
    left = epay.pay(card=CHALLENGED["pan"], challenge="leave")
    assert (left.status, left.decided_at) == ("3D", None)


def test_what_else_a_payment_may_have_is_passed_on(epay: Epay) -> None:
    paid = epay.pay(account_id="customer 1", card_save=True, description="A gift")
    assert (paid.account_id, paid.description) == ("customer 1", "A gift")
    assert epay.pay(saved_card=paid.card_id, account_id="customer 1").card_mask == paid.card_mask
    with pytest.raises(EpayError, match="description"):
        epay.pay(descripton="A gift")


# What a test wants to happen.


def test_the_next_payments_go_as_the_script_says(epay: Epay) -> None:
    epay.decline_next(times=2)
    epay.approve_next()
    epay.challenge_next()
    assert [epay.pay(card=LOCKED).reason_code for _ in range(3)] == [484, 484, 0]
    assert [decision["challenge"] for decision in epay.unused()] == ["challenge"]
    assert epay.pay(challenge="cancel").reason_code == 473
    assert epay.unused() == []


def test_a_decision_may_be_for_one_invoice(epay: Epay) -> None:
    epay.script({"reason_code": 481, "invoice_id": "000000002"})
    assert epay.pay("000000001").approved
    assert epay.pay("000000002").reason_code == 481


def test_a_rule_holds_until_it_is_forgotten(epay: Epay) -> None:
    epay.rule(match={"amount": {"gte": Decimal("0.5")}}, then={"reason_code": 488}, name="poor")
    assert [epay.pay().reason_code for _ in range(2)] == [488, 488]
    epay.clear_script()
    assert epay.pay().approved


def test_a_fault_spoils_an_answer(epay: Epay) -> None:
    epay.fault("token", status=503)
    assert [fault["at"] for fault in epay.faults()] == ["token"]
    with pytest.raises(EpayError) as refused:
        epay.token()
    assert refused.value.status == 503
    assert epay.token()["access_token"]
    epay.fault("token", drop=True, times=None)
    with pytest.raises(EpayError, match="was not answered"):
        epay.token()
    epay.clear_faults()
    assert epay.token()["access_token"]


# Time.


def test_the_clock_stands_still_and_goes_on(epay: Epay) -> None:
    stood = epay.clock.freeze()
    assert (epay.clock.now, epay.clock.frozen) == (stood, True)
    epay.clock.set(NOON)
    epay.clock.advance(timedelta(hours=1))
    assert epay.clock.advance(0.5) == []
    assert epay.clock.now == NOON + timedelta(hours=1, seconds=0.5)
    epay.clock.resume()
    assert not epay.clock.frozen
    assert epay.pay().created_at.date() == NOON.date()


def test_what_falls_due_has_happened_when_the_clock_is_forward(epay: Epay) -> None:
    epay.configure(postlink_retry_s=[60, 600])
    receiver = epay.receiver()
    receiver.answer(500, times=2)
    epay.clock.freeze()
    paid = epay.pay(post_link=receiver.url)
    epay.wait_for("postlink.failed")
    (due,) = epay.clock.due()
    assert (due.what, due.invoice_id, due.id) == ("postlink", paid.invoice_id, epay.postlink().id)
    fired = epay.clock.advance(60)
    assert [(one.what, one.result, one.id) for one in fired] == [("postlink", "status 500", due.id)]
    assert [one.result for one in epay.clock.set(epay.clock.now + timedelta(hours=1))] == ["delivered"]
    assert len(receiver.notices) == 3


# What a test wants to know.


def test_a_postlink_is_waited_for(epay: Epay) -> None:
    receiver = epay.receiver()
    paid = epay.pay(post_link=receiver.url)
    postlink = epay.wait_for_postlink()
    assert postlink.body == receiver.notices[0].body
    assert (postlink.state, postlink.transaction_id, postlink.due_at) == ("delivered", paid.id, None)
    (attempt,) = postlink.attempts
    assert isinstance(attempt, Attempt)
    assert (attempt.status, attempt.result) == (200, "delivered")
    assert epay.wait_for_postlink(paid.invoice_id, timeout_s=0) == postlink == epay.postlink(postlink)


def test_a_wait_can_begin_behind_what_was_seen(epay: Epay) -> None:
    receiver = epay.receiver()
    epay.pay(card=LOCKED, post_link=receiver.url)
    first = epay.wait_for("postlink.delivered")
    assert first.postlink
    assert first.postlink.body["code"] == "error"
    epay.pay(post_link=receiver.url)
    second = epay.wait_for_postlink(after=first.event.number)
    assert second.body["code"] == "ok"
    assert len(epay.postlinks(state="delivered", count=2, wait_s=PATIENCE_S)) == 2


def test_a_happening_has_what_it_is_about(epay: Epay) -> None:
    paid = epay.pay()
    happened = epay.wait_for("transaction.charged", invoice_id=paid.invoice_id)
    assert (happened.transaction, happened.postlink) == (paid, None)
    assert epay.events(kind="transaction.charged") == [happened.event]
    assert happened.event not in epay.events(after=happened.event.number, invoice_id=paid.invoice_id)


def test_what_does_not_happen_fails_a_test_with_the_nearest_miss(epay: Epay) -> None:
    paid = epay.pay()
    with pytest.raises(AssertionError, match=paid.invoice_id) as late:
        epay.wait_for_postlink(paid.invoice_id, timeout_s=0.01)
    assert isinstance(late.value, NotInTime)
    assert late.value.status == 408


def test_a_payment_without_a_link_sends_nothing_ever(epay: Epay) -> None:
    epay.assert_no_postlink()
    paid = epay.pay()
    epay.assert_no_postlink(paid.invoice_id)
    epay.assert_no_postlink(within_s=86_400)


def test_a_postlink_that_should_not_be_tells_its_story(epay: Epay) -> None:
    receiver = epay.receiver()
    paid = epay.pay(post_link=receiver.url)
    epay.wait_for_postlink()
    with pytest.raises(AssertionError) as told:
        epay.assert_no_postlink(within_s=1)
    first, *story = str(told.value).splitlines()
    assert first == f"a postlink of {paid.invoice_id} to {receiver.url} is delivered (1 try, delivered)"
    assert story == epay.story(paid.invoice_id)


def test_a_postlink_that_is_still_to_come_is_one_too(epay: Epay) -> None:
    epay.decide_next(plan="on_release")
    epay.pay(post_link=epay.receiver().url)
    with pytest.raises(AssertionError, match=r"is held \(0 tries\)"):
        epay.assert_no_postlink()


def test_a_held_postlink_is_released_and_sent_again(epay: Epay) -> None:
    receiver = epay.receiver()
    epay.decide_next(plan="on_release")
    epay.pay(post_link=receiver.url)
    assert epay.wait_for("postlink.held").postlink == epay.postlink()
    assert receiver.notices == []
    epay.release()
    first = epay.wait_for_postlink()
    again = epay.resend(first)
    assert again.id != first.id
    assert [notice.body for notice in receiver.wait(2)] == [first.body, again.body]
    assert [one.id for one in epay.postlinks(transaction_id=first.transaction_id)] == [first.id, again.id]


def test_a_postlink_is_sent_again_changed_or_withheld(epay: Epay) -> None:
    receiver, other = epay.receiver(), epay.receiver()
    epay.pay(post_link=receiver.url, plan="wrong_amount")
    sent = epay.wait_for_postlink()
    assert (sent.spoilt, sent.body["amount"], json.loads(sent.text)) == ("wrong_amount", 1, sent.body)
    assert sent.attempts[0].headers["Content-Type"] == "application/json"
    epay.resend(fields={"amount": 100, "name": None})
    epay.resend(sent, url=other.url, text="broken")
    changed = receiver.wait(2)[1].body
    assert (changed["amount"], "name" in changed) == (100, False)
    assert other.wait()[0].text == "broken"
    assert epay.postlink().body is None
    epay.pay(post_link=receiver.url, plan="out_of_order")
    assert epay.postlink().waits_for == "another invoice's postlink"
    assert epay.withhold().state == "cancelled"


def test_all_that_is_known_of_an_invoice(epay: Epay) -> None:
    paid = epay.pay(post_link=epay.receiver().url)
    delivered = epay.wait_for_postlink()
    timeline = epay.timeline(paid.invoice_id)
    assert (timeline.invoice_id, timeline.paid_by) == (paid.invoice_id, paid.id)
    assert (timeline.transactions, timeline.postlinks) == ((paid,), (delivered,))
    assert list(timeline.events) == epay.events(invoice_id=paid.invoice_id)
    assert epay.story() == [f"{paid.invoice_id}:", *(f"  {sentence}" for sentence in timeline.story)]
    assert len(epay.story()) == 1 + len(timeline.events)


def test_hints_are_gathered_from_all_invoices(epay: Epay) -> None:
    for invoice_id in ("000000001", "000000002"):
        epay.pay(invoice_id, post_link="http://127.0.0.1:9/")
    assert {hint.field for hint in epay.hints()} >= {hint.field for hint in epay.hints("000000001")} != set()


def test_what_has_no_method_can_be_asked_all_the_same(epay: Epay) -> None:
    assert epay.control("GET", "/events", after=0)["last"] == 0


def test_after_a_drop_nothing_reaches_a_receiver(epay: Epay) -> None:
    receiver = epay.receiver()
    epay.drop()
    assert epay.dropped
    assert httpx.post(receiver.url, content=b"").status_code == 404


# Values.


def test_a_key_that_is_not_known_breaks_nothing() -> None:
    facts = {"number": 1, "at": NOON.isoformat(), "kind": "a", "invoice_id": "", "facts": {}, "new in 2030": [1]}
    assert answers.read(answers.Event, facts).at == NOON


def test_values_cannot_be_changed(epay: Epay) -> None:
    paid = epay.pay()
    with pytest.raises(AttributeError):
        paid.status = "REFUND"  # type: ignore[misc]
    assert isinstance(paid, Transaction)


@pytest.mark.parametrize(
    ("money", "number"), [(100, 100), (Decimal("100.00"), 100), ("0.10", 0.1), (99.9, 99.9), (Decimal("1E+2"), 100)]
)
def test_money_is_written_as_a_number(money: Decimal | float | str, number: float) -> None:
    assert repr(answers.number(money)) == repr(number)


def test_moments_and_money_may_stand_in_what_is_sent() -> None:
    assert answers.text({"at": NOON, "amount": Decimal("1.50")}) == '{"at": "2026-11-24T12:00:00+00:00", "amount": 1.5}'
    with pytest.raises(TypeError, match="no place in JSON"):
        answers.text({1j})


def test_a_cardholder_who_was_left_waiting_answers_after_all(epay: Epay) -> None:
    epay.pay("000000001", card=CHALLENGED["pan"], challenge="leave")
    assert epay.answer_challenge().approved
    other = epay.pay("000000002", card=CHALLENGED["pan"], challenge="leave")
    assert epay.answer_challenge(other, "cancel").reason_code == 473


def test_an_order_waits_at_an_address(epay: Epay) -> None:
    address = epay.link("000000001", amount=2500)
    assert 'data-state="open"' in httpx.get(address, follow_redirects=True).text
    assert epay.link() != address
