"""Postlinks, delivered to shops that behave badly in every way a socket can."""

import asyncio
import gzip
import json
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import pytest
from support import PATIENCE_S, Receiver, Shop, eventually, new_merchant

from mock_epay.model import Attempt, Delivery, DeliveryState, Merchant
from mock_epay.postlinks import letters, tries
from mock_epay.postlinks.roads import Roads
from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings
from mock_epay.store import Store

INVOICE: Final = "000000001"
BODY: Final = b'{"id": 1}'
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SORRY: Final = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nsorry"
NOT_GZIP: Final = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"
BAD_CHUNK: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n"
TOO_SHORT: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"
PACKED: Final = gzip.compress(b"ok")
GZIP: Final = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED
DRIP_S: Final = 0.02


@dataclass
class Raw:
    """A receiver that treats each connection in its own way; the last way is for all that follow."""

    url: str
    heard: list[bytes] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    closing: threading.Event = field(default_factory=threading.Event)

    def wait(self, count: int = 1) -> list[bytes]:
        """Return the requests that came once there are `count` of them."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.heard) >= count, PATIENCE_S), self.heard
            return list(self.heard)


Way = Callable[[socket.socket, threading.Event], None]


@contextmanager
def raw(*ways: Way) -> Iterator[Raw]:
    """Run a receiver on a free port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = _request(self.request)
            with got.news:
                way = ways[min(len(got.heard), len(ways) - 1)]
                got.heard.append(request)
                got.news.notify_all()
            with suppress(OSError):
                way(self.request, got.closing)

    class Server(socketserver.ThreadingTCPServer):
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        got = Raw(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield got
        finally:
            got.closing.set()
            server.shutdown()
            thread.join(PATIENCE_S)


def _request(connection: socket.socket) -> bytes:
    """Read a request, or as much of something else as comes at once."""
    connection.settimeout(PATIENCE_S)
    request = b""
    while not request or (request.startswith(b"POST") and not request.endswith(BODY)):
        with suppress(OSError):
            if more := connection.recv(65536):
                request += more
                continue
        break
    return request


def says(answer: bytes) -> Way:
    """Answer, and hang up."""
    return lambda connection, _: connection.sendall(answer)


def hangs(_: socket.socket, closing: threading.Event) -> None:
    """Take the request and say nothing."""
    closing.wait(PATIENCE_S)


def drips(connection: socket.socket, closing: threading.Event) -> None:
    """Answer one byte at a time, so that something is always coming."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
        connection.sendall(bytes([byte]))
        if closing.wait(DRIP_S):
            return


def never_stops(head: bytes, body: bytes) -> Way:
    """Send the same again and again until the other side has had enough."""

    def way(connection: socket.socket, closing: threading.Event) -> None:
        connection.sendall(head)
        while not closing.is_set():
            connection.sendall(body)

    return way


def resets(connection: socket.socket, _: threading.Event) -> None:
    """Break the connection off, with a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@dataclass
class Held:
    """A way that answers when it is told to, and knows when the answer has been taken."""

    answer: bytes
    go: threading.Event = field(default_factory=threading.Event)
    taken: threading.Event = field(default_factory=threading.Event)

    def __call__(self, connection: socket.socket, _: threading.Event) -> None:
        self.go.wait(PATIENCE_S)
        connection.sendall(self.answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
        self.taken.set()


def queue(sandbox: Sandbox, merchant: Merchant, url: str, invoice: str = INVOICE, number: int = 1) -> None:
    """Queue a postlink as the bank does."""

    async def save() -> None:
        async with sandbox.bank.store.work(merchant.client_id) as work:
            work.save(
                Delivery(
                    id=f"delivery {number} of {invoice} of {merchant.client_id}",
                    invoice_id=invoice,
                    transaction_id="",
                    url=url,
                    body=BODY,
                    queued_at=work.now,
                    due_at=work.now,
                )
            )

    sandbox.do(save())


async def _find(store: Store, client_id: str, invoice: str) -> tuple[list[Attempt], list[Delivery]]:
    async with store.work(client_id) as work:
        return (
            list(await work.find(Attempt, "invoice_id", invoice)),
            list(await work.find(Delivery, "invoice_id", invoice)),
        )


def look(sandbox: Sandbox, merchant: Merchant, invoice: str = INVOICE) -> tuple[list[Attempt], list[Delivery]]:
    """Return what the store knows of an invoice's postlinks."""
    return sandbox.do(_find(sandbox.bank.store, merchant.client_id, invoice))


def attempts(shop: Shop, count: int = 1) -> list[Attempt]:
    """Return the attempts at the shop's postlink once there are `count` of them."""
    eventually(lambda: len(look(shop.sandbox, shop.merchant)[0]) >= count)
    return look(shop.sandbox, shop.merchant)[0]


def ended(shop: Shop, invoice: str = INVOICE) -> Delivery:
    """Return a delivery once nothing more will be tried."""
    eventually(lambda: look(shop.sandbox, shop.merchant, invoice)[1][0].state is not DeliveryState.QUEUED)
    return look(shop.sandbox, shop.merchant, invoice)[1][0]


@contextmanager
def patient(**settings: float) -> Iterator[Sandbox]:
    """Run a sandbox that waits for shops longer than any test does."""
    with running(Settings(port=0, postlink_timeout_s=60, postlink_retry_s=(), **settings)) as sandbox:  # type: ignore[arg-type]
        yield sandbox


def add(sandbox: Sandbox, name: str) -> Merchant:
    """Add a merchant, or make its world anew."""
    merchant = new_merchant(name)
    sandbox.do(sandbox.bank.store.add_merchant(merchant))
    return merchant


@pytest.mark.parametrize(
    ("way", "result", "status", "answer"),
    [
        pytest.param(says(OK), "delivered", 200, "ok", id="200"),
        pytest.param(says(b"HTTP/1.1 204 No Content\r\n\r\n"), "delivered", 204, "", id="204"),
        pytest.param(says(b"HTTP/1.0 200 OK\r\n\r\nuntil the end"), "delivered", 200, "until the end", id="HTTP/1.0"),
        pytest.param(says(GZIP), "delivered", 200, "ok", id="gzip"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe"), "delivered", 200, "��", id="not text"),
        pytest.param(
            never_stops(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536), "too large", 200, "x" * 4096, id="endless body"
        ),
        pytest.param(says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "status 404", 404, "", id="404"),
        pytest.param(says(SORRY), "status 500", 500, "sorry", id="500"),
        pytest.param(says(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK), "delivered", 200, "ok", id="103"),
        pytest.param(says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "status 101", 101, "", id="101"),
        pytest.param(says(OK.replace(b"\r\n", b"\n")), "delivered", 200, "ok", id="bare line feeds"),
        pytest.param(says(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "redirected", 304, "", id="304"),
        pytest.param(says(b"\x00\x01\x02\r\n\r\n"), "garbled", None, "", id="bytes"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n"), "garbled", None, "", id="another protocol"),
        pytest.param(
            never_stops(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n"),
            "garbled",
            None,
            "",
            id="endless headers",
        ),
        pytest.param(says(BAD_CHUNK), "garbled", None, "", id="bad chunk"),
        pytest.param(says(NOT_GZIP), "garbled", None, "", id="not gzip"),
        pytest.param(says(TOO_SHORT), "garbled", None, "", id="cut short"),
        pytest.param(says(b""), "disconnected", None, "", id="closed without answer"),
        pytest.param(resets, "disconnected", None, "", id="reset"),
        pytest.param(hangs, "timeout", None, "", id="hangs"),
        pytest.param(drips, "timeout", None, "", id="drips"),
    ],
)
def test_what_the_shop_does_is_recorded(shop: Shop, way: Way, result: str, status: int | None, answer: str) -> None:
    with raw(way) as receiver:
        queue(shop.sandbox, shop.merchant, f"{receiver.url}/notice")
        first = attempts(shop)[0]
        assert (first.result, first.status, first.answer) == (result, status, answer)
        assert (first.number, first.url, first.request) == (1, f"{receiver.url}/notice", BODY)
        assert (first.milliseconds > 900) is (result == "timeout")  # the limit is a second, and clocks are coarse
        assert receiver.wait()[0].startswith(b"POST /notice HTTP/1.1\r\n")
        assert receiver.heard[0].endswith(b"\r\n\r\n" + BODY)


def test_a_notice_says_that_it_is_json_and_who_sends_it(shop: Shop) -> None:
    with raw(says(OK)) as receiver:
        queue(shop.sandbox, shop.merchant, receiver.url)
        head = receiver.wait()[0].decode().lower()
    assert "\r\ncontent-type: application/json\r\n" in head
    assert "\r\nuser-agent: mock-epay/" in head
    assert f"\r\ncontent-length: {len(BODY)}\r\n" in head


def test_a_name_and_password_in_the_address_are_told_as_such(shop: Shop) -> None:
    with raw(says(OK)) as receiver:
        queue(shop.sandbox, shop.merchant, receiver.url.replace("//", "//tea:s%20t@"))
        head = receiver.wait()[0].decode()
    assert f"\r\nAuthorization: Basic {b64encode(b'tea:s t').decode()}\r\n" in head
    assert f"\r\nHost: {receiver.url.removeprefix('http://')}\r\n" in head


def test_a_payment_is_told_to_a_shop(shop: Shop, shop_server: Receiver) -> None:
    shop.buy()
    notice = shop_server.wait(path=f"/{shop.merchant.client_id}")[0]
    attempt = attempts(shop)[0]
    assert (attempt.result, attempt.status, attempt.answer) == ("delivered", 200, "ok")
    assert attempt.request.decode() == notice.text
    assert notice.body["invoiceId"] == INVOICE


def test_a_failure_is_tried_again_until_it_is_delivered(shop: Shop) -> None:
    with raw(says(SORRY), says(b""), says(OK)) as receiver:
        queue(shop.sandbox, shop.merchant, receiver.url)
        delivery = ended(shop)
    assert (delivery.state, delivery.tries, delivery.due_at) == (DeliveryState.DELIVERED, 3, None)
    assert delivery.result == "delivered"
    assert [(one.number, one.status, one.answer, one.result) for one in attempts(shop)] == [
        (1, 500, "sorry", "status 500"),
        (2, None, "", "disconnected"),
        (3, 200, "ok", "delivered"),
    ]
    assert len({one.id for one in attempts(shop)}) == 3
    assert receiver.heard[0] == receiver.heard[1] == receiver.heard[2]
    assert shop.events() == ["postlink.failed", "postlink.failed", "postlink.delivered"]


def test_after_the_last_pause_it_is_given_up(shop: Shop) -> None:
    with raw(says(SORRY)) as receiver:
        queue(shop.sandbox, shop.merchant, receiver.url)
        delivery = ended(shop)
    assert (delivery.state, delivery.tries, delivery.due_at) == (DeliveryState.GIVEN_UP, 3, None)
    assert [one.number for one in attempts(shop)] == [1, 2, 3]
    events = shop.sandbox.do(shop.sandbox.bank.store.events(shop.merchant.client_id))
    facts = [json.loads(event.facts) for event in events]
    assert [fact["attempt"] for fact in facts] == [1, 2, 3]
    assert [fact["next_at"] is None for fact in facts] == [False, False, True]


def test_a_connection_that_a_shop_keeps_is_not_used_again(shop: Shop) -> None:
    def answers_once(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(OK)
        connection.recv(1)

    with raw(answers_once) as receiver:
        for invoice in (INVOICE, "000000002"):
            queue(shop.sandbox, shop.merchant, receiver.url, invoice)
            assert ended(shop, invoice).tries == 1


def test_a_redirect_is_not_followed(shop: Shop) -> None:
    with raw(says(OK)) as target:
        moved = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {target.url}/\r\nContent-Length: 0\r\n\r\n"
        with raw(says(moved.encode())) as receiver:
            queue(shop.sandbox, shop.merchant, receiver.url)
            ended(shop)
        assert {(one.result, one.status) for one in attempts(shop)} == {("redirected", 307)}
        assert target.heard == []


def test_a_cookie_is_not_brought_back(shop: Shop) -> None:
    cookie = b"HTTP/1.1 500 No\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    with raw(says(cookie), says(OK)) as receiver:
        queue(shop.sandbox, shop.merchant, receiver.url.replace("127.0.0.1", "localhost"))
        second = receiver.wait(2)[1]
    assert b"cookie" not in second.lower()


def test_a_port_where_nobody_listens_refuses(shop: Shop) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        queue(shop.sandbox, shop.merchant, f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert attempts(shop)[0].result == "refused"


def test_tls_to_a_plain_port_fails(shop: Shop) -> None:
    with raw(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as receiver:
        queue(shop.sandbox, shop.merchant, receiver.url.replace("http:", "https:"))
        assert attempts(shop)[0].result == "tls"
        assert receiver.wait()[0][0] == 0x16  # a TLS handshake


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_that_nobody_vouches_for_is_refused(shop: Shop, tmp_path: Path) -> None:
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -batch"
    subprocess.run([*made.split(), "-subj", "/CN=localhost"], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        queue(shop.sandbox, shop.merchant, f"https://localhost:{listener.getsockname()[1]}")
        listener.settimeout(PATIENCE_S)
        connection, _ = listener.accept()
        with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)
        assert attempts(shop)[0].result == "tls"


@pytest.mark.parametrize(
    ("url", "results"),
    [
        ("http://shop.invalid/", {"dns"}),
        ("http://shop.example.kz:99999/", {"bad address"}),
        ("http://[::1/", {"bad address"}),
        (f"http://{'a' * 64}.kz/", {"bad address"}),
        ("nonsense", {"bad address"}),
        ("ftp://shop.example.kz/", {"bad address"}),
        ("http://169.254.169.254/latest/meta-data/", {"blocked"}),
        ("http://[::ffff:169.254.169.254]/", {"blocked"}),
        ("http://[fe80::1]/", {"blocked"}),
        ("http://0xa9fea9fe/", {"blocked"}),  # goes through the resolver
        ("http://2852039166/", {"blocked", "bad address"}),  # newer versions of the client take it for no address
    ],
)
def test_an_address_that_leads_nowhere_good_is_not_reached(shop: Shop, url: str, results: set[str]) -> None:
    queue(shop.sandbox, shop.merchant, url)
    first = attempts(shop)[0]
    assert first.result in results
    assert first.status is None


def test_what_nobody_thought_of_costs_an_attempt_and_not_the_courier(shop: Shop) -> None:
    queue(shop.sandbox, shop.merchant, "//host/without/scheme")
    assert attempts(shop)[0].result == "bad address"
    with raw(says(OK)) as receiver:
        queue(shop.sandbox, shop.merchant, receiver.url, "000000002")
        receiver.wait()


def test_a_client_that_fails_by_itself_is_a_failed_attempt() -> None:
    async def try_it() -> tries.Outcome:
        letter = tries.Letter(url="http://127.0.0.1/", body=cast("bytes", None), patience_s=1)
        return await letters.Post(Roads()).carry(letter)

    assert asyncio.run(try_it()) == tries.Outcome(result="failed", url="http://127.0.0.1/")


def test_a_hanging_shop_delays_itself_alone() -> None:
    with ExitStack() as stack:
        sandbox = stack.enter_context(patient())
        held = Held(OK)
        slow, quick = stack.enter_context(raw(held)), stack.enter_context(raw(says(OK)))
        one, other = add(sandbox, "one"), add(sandbox, "other")
        invoices = [f"{number:09}" for number in range(20)]
        for invoice in invoices:
            queue(sandbox, one, slow.url, invoice)
        slow.wait(8)
        for invoice in invoices:
            queue(sandbox, other, quick.url, invoice)
        eventually(lambda: all(look(sandbox, other, invoice)[0] for invoice in invoices))
        assert len(slow.heard) == 8
        assert not any(look(sandbox, one, invoice)[0] for invoice in invoices)
        held.go.set()
        eventually(lambda: all(look(sandbox, one, invoice)[0] for invoice in invoices))
        assert {look(sandbox, one, invoice)[0][0].result for invoice in invoices} == {"delivered"}
        assert len(slow.heard) == 20


def test_notices_of_one_invoice_arrive_one_after_the_other(shop: Shop) -> None:
    held = Held(OK)
    with raw(held, says(OK)) as receiver:
        queue(shop.sandbox, shop.merchant, f"{receiver.url}/first")
        receiver.wait()
        queue(shop.sandbox, shop.merchant, f"{receiver.url}/second", number=2)
        queue(shop.sandbox, shop.merchant, f"{receiver.url}/other", "000000002")
        ended(shop, "000000002")
        held.go.set()
        heard = receiver.wait(3)
    assert [request.split()[1] for request in heard] == [b"/first", b"/other", b"/second"]


def test_a_world_made_anew_hears_nothing_of_the_old_ones_postlinks() -> None:
    held = Held(SORRY)
    with patient() as sandbox, raw(held, says(OK)) as receiver:
        merchant = add(sandbox, "shop")
        queue(sandbox, merchant, receiver.url)
        receiver.wait()
        add(sandbox, "shop")
        held.go.set()
        assert held.taken.wait(PATIENCE_S)
        assert look(sandbox, merchant) == ([], [])
        assert sandbox.do(sandbox.bank.store.events("shop")) == []
        queue(sandbox, merchant, receiver.url)
        eventually(lambda: [one.result for one in look(sandbox, merchant)[0]] == ["delivered"])


def test_a_world_that_ends_during_a_delivery_stops_nothing() -> None:
    held = Held(SORRY)
    with patient() as sandbox, raw(held, says(OK)) as receiver:
        queue(sandbox, add(sandbox, "gone"), receiver.url)
        receiver.wait()

        async def drop() -> None:
            del sandbox.bank.store._worlds["gone"]  # type: ignore[attr-defined]

        sandbox.do(drop())
        held.go.set()
        assert held.taken.wait(PATIENCE_S)
        merchant = add(sandbox, "other")
        queue(sandbox, merchant, receiver.url)
        eventually(lambda: [one.result for one in look(sandbox, merchant)[0]] == ["delivered"])


def test_on_a_frozen_clock_nothing_is_tried_again_before_it_is_put_forward(shop: Shop) -> None:
    store, client_id = shop.sandbox.bank.store, shop.merchant.client_id

    async def freeze() -> None:
        await store.set_clock(client_id, (await store.clock(client_id)).freeze())

    shop.sandbox.do(freeze())
    witness = add(shop.sandbox, f"{client_id}-running")
    with raw(says(SORRY)) as receiver:
        queue(shop.sandbox, shop.merchant, receiver.url)
        first = attempts(shop)[0]
        queue(shop.sandbox, witness, receiver.url)
        eventually(lambda: len(look(shop.sandbox, witness)[0]) == 3)
        found, (delivery,) = look(shop.sandbox, shop.merchant)
        assert (found, delivery.state) == ([first], DeliveryState.QUEUED)
        shop.advance(0.02)
        second = attempts(shop, 2)[1]
    assert (second.at - first.at).total_seconds() == pytest.approx(0.02)
    assert len(attempts(shop)) == 2
