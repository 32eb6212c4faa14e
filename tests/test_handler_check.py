"""Is your handler safe? Careful and careless shops are checked, and each verdict is looked at."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
from support import PATIENCE_S, interruptible

from mock_epay import handler_check, settings
from mock_epay.cli import INTERRUPTED, main
from mock_epay.client import EpayError, EpayServer, NotReachable
from mock_epay.clock import stopwatch
from mock_epay.handler_check import NobodyThereError, orders, report
from mock_epay.handler_check.checks import CHECKS, ORDERS
from mock_epay.handler_check.judging import IN_TIME, State, Verdict
from mock_epay.handler_check.notices import Notice
from mock_epay.handler_check.orders import NoOrderError, Order
from mock_epay.handler_check.shop import LONGEST_S, Asked
from mock_epay.server import Sandbox, running

MODULE: Final = (sys.executable, "-m", "mock_epay", "check-handler")
NAMES: Final = [*(check.name for check in CHECKS), IN_TIME]
LUCKY: Final = {"survives some missing at once"}  # it depends on which
MARKS: Final[dict[State, str]] = {"passed": "✓", "failed": "✗", "not known": "?"}
NOBODY: Final = "http://127.0.0.1:1/postlink"
SECRET: Final = "a secret"


@dataclass
class Shop:
    """A careful shop: knows its orders, what they cost, and their secret; takes each notice as often as it comes."""

    url: str = ""
    own_secrets: bool = True
    orders: dict[str, tuple[Decimal, str]] = field(default_factory=dict)
    paid: set[str] = field(default_factory=set)

    @property
    def post_link(self) -> str:
        return f"{self.url}/postlink"

    @property
    def new_order(self) -> str:
        """Return a command that makes an order."""
        program = f"import urllib.request as w; print(w.urlopen({self.url!r} + '/orders', b'').read().decode())"
        return f'"{sys.executable}" -c "{program}"'

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        return (201, self.make()) if path == "/orders" else (self.take(body), b"")

    def make(self) -> bytes:
        number = f"{700_000_001 + len(self.orders)}"
        secret = f"secret of {number}" if self.own_secrets else SECRET
        self.orders[number] = (Decimal(2500), secret)
        told = {"invoice_id": number, "amount": 2500, "secret_hash": secret}
        return json.dumps(told if self.own_secrets else told | {"secret_hash": None}).encode()

    def take(self, body: bytes) -> int:
        try:
            notice = json.loads(body)
            amount, secret = self.orders[notice["invoiceId"]]
            if (notice["secret_hash"], notice["amount"]) != (secret, amount):
                return 403
            if notice["code"] == "ok":
                self.paid.add(notice["invoiceId"])
        except (ValueError, TypeError, KeyError):
            return 400
        return 200


@dataclass
class Careless:
    """A shop that takes everything and falls over what it does not expect; it answers the first notice too late."""

    leave: threading.Event
    heard: int = 0

    def answer(self, _: str, body: bytes) -> tuple[int, bytes]:
        self.heard += 1
        if self.heard == 1:
            self.leave.wait(30)
        try:
            notice = json.loads(body)
            done = notice["id"], notice["dateTime"], notice["code"]
        except (ValueError, TypeError, KeyError):
            return 500, b""
        return 200, repr(done).encode()


Answer = Callable[[str, bytes], tuple[int, bytes]]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Run a shop. Status 0 drops the connection behind what there is of an answer."""

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the sandbox may not have waited
                super().handle()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, said = answer(self.path, body)
            if not status:
                self.wfile.write(said)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(settings.CLIENT_URL, raising=False)
    monkeypatch.delenv("MOCK_EPAY_CONTROL_TOKEN", raising=False)


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> Iterator[EpayServer]:
    with EpayServer(sandbox.url, control_token="") as one:
        yield one


@pytest.fixture
def usual_sandbox(server: EpayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.CLIENT_URL, server.url)


@pytest.fixture
def shop() -> Iterator[Shop]:
    one = Shop()
    with serving(one.answer) as one.url:
        yield one


def states(found: list[Verdict]) -> dict[str, str]:
    return {one.name: one.state for one in found}


def whys(found: list[Verdict]) -> dict[str, str]:
    """Return why, by name, without how long it took."""
    return {one.name: re.sub(r"\d+ ms", "N ms", one.why) for one in found}


def check(server: EpayServer, answer: Answer, **asked: Any) -> list[Verdict]:
    """Check a shop that answers so."""
    with serving(answer) as url:
        return list(handler_check.verdicts(server, Asked(post_link=f"{url}/postlink", **asked)))


def first(server: EpayServer, asked: Asked) -> Verdict:
    """Make the first check alone."""
    with closing(handler_check.verdicts(server, asked)) as found:
        return next(found)


# Shops that are careful, and shops that are not.


def test_a_careful_shop_passes_all_checks(server: EpayServer, shop: Shop) -> None:
    before = [merchant.client_id for merchant in server.merchants()]
    asked = Asked(post_link=shop.post_link, new_order=shop.new_order)
    found = list(handler_check.verdicts(server, asked))

    assert states(found) == dict.fromkeys(NAMES, "passed")
    assert report.safe(found)
    assert report.advice(found, asked) == ""
    assert [merchant.client_id for merchant in server.merchants()] == before
    told = whys(found)
    assert told["takes a notice of success"] == "answered 200 in N ms to a notice of success"
    assert told["takes the same notice twice"] == "answered 200, 200 in N ms at most to a notice that comes twice"
    assert told["refuses another amount"] == "answered 403 in N ms to a notice with another amount"
    assert re.fullmatch("the slowest answer took N ms, to .*; the bank waits 1 s", told["answers in time"])


def test_each_check_has_orders_of_its_own_and_pays_what_it_says(server: EpayServer, shop: Shop) -> None:
    list(handler_check.verdicts(server, Asked(post_link=shop.post_link, new_order=shop.new_order)))

    numbers = iter(shop.orders)
    of = {one.name: {next(numbers) for _ in range(one.orders)} for one in CHECKS}
    assert list(numbers) == []
    assert {name for name, orders in of.items() if orders and orders <= shop.paid} - LUCKY == {
        "takes a notice of success",
        "takes the same notice twice",
        "takes failure, then success",
        "takes success, then failure",
        "takes the same notice a day later",
        "takes a late notice",
        "takes an early notice",
        "takes notices out of order",
        "takes a slow body",
        "survives missing fields",
    }


def test_a_careless_shop_is_told_what_may_happen_to_it(server: EpayServer) -> None:
    leave = threading.Event()
    try:
        found = check(server, Careless(leave).answer, timeout_s=0.3, secret_hash=SECRET)
    finally:
        leave.set()

    careless = {
        "takes a notice of success": (
            "gave no answer within 0.3 s to a notice of success: it should have been taken, with a 2xx"
        ),
        "refuses another secret_hash": (
            "answered 200 in N ms to a notice with another secret_hash: it should have been refused"
        ),
        "refuses another amount": "answered 200 in N ms to a notice with another amount: it should have been refused",
        "refuses an unknown order": (
            "answered 200 in N ms to a notice of an order that the shop does not have: it should have been refused"
        ),
        "refuses what proves nothing": (
            "answered 200 in N ms to a notice without invoiceId: it should have been refused, with a 4xx"
        ),
        "survives missing fields": (
            "answered 500 in N ms to a notice without id: it should have been answered, and not with a 5xx"
        ),
        "survives a body that breaks off": (
            "answered 500 in N ms to a body that breaks off: it should have been refused, with a 4xx"
        ),
        "survives a body of another kind": (
            "answered 500 in N ms to the body []: it should have been refused, with a 4xx"
        ),
        "answers in time": f"1 of {sum(len(one.notices) for one in found)} notices had no answer within 0.3 s",
    }
    expected = dict.fromkeys(NAMES, "passed") | dict.fromkeys(careless, "failed")
    assert {name: state for name, state in states(found).items() if name not in LUCKY} == {
        name: state for name, state in expected.items() if name not in LUCKY
    }
    told = whys(found)
    assert {name: told[name] for name in careless} == careless


def test_a_shop_that_knows_other_orders_is_asked_for_them_and_its_refusals_prove_nothing(
    server: EpayServer, shop: Shop
) -> None:
    asked = Asked(post_link=shop.post_link)
    found = list(handler_check.verdicts(server, asked))

    assert states(found) == dict.fromkeys(NAMES, "not known") | {"takes a notice of success": "failed"}
    told = whys(found)
    assert told["takes a notice of success"] == (
        "answered 400 in N ms to a notice of success: it should have been taken, with a 2xx"
    )
    assert told["takes a late notice"] == (
        "answered 400 in N ms to a notice that is an hour late: it does not take the plain notice either"
    )
    assert told["refuses another amount"] == (
        "answered 400 in N ms to a notice with another amount: it does not take the plain notice either"
    )
    assert told["answers in time"].endswith("; the shop may have more to do for an order that it knows")
    assert report.advice(found, asked) == (
        "The shop does not take the plain notice of success, so what it refuses besides proves nothing. "
        "It probably does not know our orders. What can be passed: "
        "--new-order COMMAND, or --invoice ID:AMOUNT, if it knows only its own orders; "
        "--secret-hash VALUE, if it expects one; "
        "--merchant CLIENT_ID, if it expects the terminal of its own."
    )
    assert report.advice(found, Asked(post_link=shop.post_link, new_order="a", secret_hash="b", merchant="c")).endswith(
        "What can be passed: nothing more: its log may say why."
    )


def test_a_shop_that_takes_nothing_but_nonsense_is_found_out_all_the_same(server: EpayServer) -> None:
    def answer(_: str, body: bytes) -> tuple[int, bytes]:
        return (200 if body.startswith((b"[", b"{}")) else 500 if b'"error"' in body else 404), b""

    found = states(check(server, answer))

    surely = {
        "takes a notice of success",
        "takes a notice of failure",
        "takes failure, then success",
        "refuses what proves nothing",
        "survives a body of another kind",
    }
    assert {name for name, state in found.items() if state == "failed"} - {"takes success, then failure"} == surely
    assert "passed" not in found.values()


def test_orders_of_the_shop_are_used_in_turn_until_none_is_left(server: EpayServer, shop: Shop) -> None:
    shop.own_secrets = False
    for _ in range(3):
        shop.make()
    orders = tuple(Order(invoice_id=number, amount=amount) for number, (amount, _) in shop.orders.items())
    asked = Asked(post_link=shop.post_link, orders=orders, secret_hash=SECRET)
    found = list(handler_check.verdicts(server, asked))

    need_none = {check.name for check in CHECKS if not check.orders} | {IN_TIME}
    made = need_none | set(NAMES[: len(orders)])
    assert states(found) == dict.fromkeys(NAMES, "not known") | dict.fromkeys(made, "passed")
    assert whys(found)["takes a late notice"] == (
        f"no order is left for it: all checks together need {ORDERS}, --invoice gives one each"
    )
    assert shop.paid == {order.invoice_id for order in orders[:2]}


def test_an_order_that_is_named_twice_is_paid_once(server: EpayServer) -> None:
    order = Order(invoice_id="000000001")
    found = check(server, lambda *_: (200, b""), orders=(order, order))

    assert found[1].state == "not known"
    assert found[1].why.startswith(
        'the sandbox did not take the payment: invoiceID is "000000001": unique for each order'
    )
    assert found[1].notices == ()


def test_failures_may_go_to_an_address_of_their_own(server: EpayServer) -> None:
    heard: list[tuple[str, str]] = []

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        if body.startswith(b"{") and body.endswith(b"}") and b'"code"' in body:
            heard.append((path, json.loads(body)["code"]))
        return 200, b""

    with serving(answer) as url:
        asked = Asked(post_link=f"{url}/paid", failure_post_link=f"{url}/failed")
        list(handler_check.verdicts(server, asked))

    assert {path for path, code in heard if code == "ok"} == {"/paid"}
    assert ("/failed", "error") in heard


# What shops answer.


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"", "answered 200 in N ms to a notice of success"),
        (302, b"", "answered 302 in N ms to a notice of success: it should have been taken, with a 2xx"),
        (0, b"", "dropped the connection at a notice of success: it should have been taken, with a 2xx"),
        (0, b"what?", "answered a notice of success with what is no HTTP: it should have been taken, with a 2xx"),
        (
            200,
            b"x" * 70_000,
            "answered 200 and more than is read in N ms to a notice of success: it should have been taken, with a 2xx",
        ),
    ],
)
def test_what_is_answered_is_told(status: int, body: bytes, why: str, server: EpayServer) -> None:
    with serving(lambda *_: (status, body)) as url:
        found = first(server, Asked(post_link=f"{url}/postlink"))

    assert whys([found]) == {"takes a notice of success": why}
    assert found.state == ("passed" if status == 200 and not body else "failed")


def test_a_shop_that_drops_what_it_does_not_like_has_refused_nothing(server: EpayServer, shop: Shop) -> None:
    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        answered = shop.answer(path, body)
        return answered if answered[0] < 400 else (0, b"")

    shop.own_secrets = False
    with serving(answer) as shop.url:
        asked = Asked(post_link=shop.post_link, new_order=shop.new_order, secret_hash=SECRET)
        found = list(handler_check.verdicts(server, asked))

    assert states(found)["takes a notice of success"] == "passed"
    assert whys(found)["refuses another amount"] == (
        "dropped the connection at a notice with another amount: it should have been refused"
    )
    assert re.fullmatch(r"\d+ of \d+ notices had no answer within 1 s", whys(found)["answers in time"])


def test_a_shop_that_has_gone_meanwhile_is_told(server: EpayServer) -> None:
    with serving(lambda *_: (200, b"")) as url:
        run = handler_check.verdicts(server, Asked(post_link=f"{url}/postlink"))
        next(run)
    found = list(run)

    assert set(states(found).values()) == {"failed"}
    assert found[0].why == "could not be told of a notice: refused: it should have been taken, with a 2xx"


def test_an_address_that_leads_to_nobody_is_told_at_once(server: EpayServer) -> None:
    with pytest.raises(NobodyThereError, match="nobody listens there"):
        first(server, Asked(post_link=NOBODY))


def test_an_address_that_nothing_is_sent_to_is_told_at_once(server: EpayServer) -> None:
    with pytest.raises(EpayError, match="where a cloud tells its secrets"):
        first(server, Asked(post_link="http://169.254.169.254/postlink"))


# The merchant.


def test_a_new_merchant_has_other_orders_in_each_run(server: EpayServer) -> None:
    heard: list[dict[str, Any]] = []

    def answer(_: str, body: bytes) -> tuple[int, bytes]:
        heard.append(json.loads(body))
        return 200, b""

    with serving(answer) as url:
        for _ in range(2):
            first(server, Asked(post_link=url))

    assert len({one["invoiceId"] for one in heard}) == len({one["id"] for one in heard}) == 2


def test_the_merchant_of_the_shop_is_as_it_was_when_the_checks_are_over(server: EpayServer) -> None:
    facts = {"postlink_retry_s": [3600], "postlink_timeout_s": 30, "notify_each_failure": False}
    epay = server.new_merchant(**facts)
    epay.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    began, elapsed_ms = epay.clock.now, stopwatch()

    def answer(_: str, body: bytes) -> tuple[int, bytes]:
        return (200 if epay.terminal.encode() in body else 404), b""

    found = check(server, answer, merchant=epay.client_id)
    late = began + timedelta(milliseconds=elapsed_ms()) - epay.clock.now

    assert states(found)["takes a notice of failure"] == "passed"
    assert "; the bank waits 20 s" in whys(found)["answers in time"]
    kept = server.merchant(epay.client_id)
    assert {name: kept.merchant[name] for name in facts} == facts
    assert abs(late) < timedelta(seconds=0.9)  # the slow body alone took a second
    kept.drop()


def test_what_is_decided_for_the_merchant_s_next_payments_is_left_for_them(server: EpayServer, shop: Shop) -> None:
    epay = server.new_merchant()
    epay.decide_next(reason_code=484, times=2)
    before = epay.control("GET", "/script")
    asked = Asked(post_link=shop.post_link, new_order=shop.new_order, secret_hash=SECRET, merchant=epay.client_id)
    with closing(handler_check.verdicts(server, asked)) as found:
        assert {verdict.state for verdict in found} == {"passed"}

    assert epay.control("GET", "/script") == before
    epay.drop()


def test_a_clock_that_stands_still_does_so_when_the_checks_are_over(server: EpayServer) -> None:
    epay = server.new_merchant()
    began = epay.clock.freeze()
    found = check(server, lambda *_: (200, b""), merchant=epay.client_id)

    assert states(found)["takes the same notice a day later"] == "passed"
    assert (epay.clock.now, epay.clock.frozen) == (began, True)
    epay.drop()


def test_the_secret_that_the_shop_has_asked_a_token_with_is_sent(server: EpayServer) -> None:
    epay = server.new_merchant()
    epay.token("000000001", amount=2500, secret_hash=SECRET)
    asked = Asked(post_link="", merchant=epay.client_id, orders=(Order(invoice_id="000000001", amount=Decimal(2500)),))
    with serving(lambda _, body: (200 if json.loads(body)["secret_hash"] == SECRET else 403, b"")) as url:
        found = first(server, replace(asked, post_link=url))

    assert found.state == "passed"
    epay.drop()


def test_numbers_that_the_merchant_has_used_are_not_used_again(server: EpayServer) -> None:
    epay = server.new_merchant()
    with serving(lambda *_: (200, b"")) as url:
        asked = Asked(post_link=url, merchant=epay.client_id)
        assert [first(server, asked).state for _ in range(2)] == ["passed"] * 2
    assert len(epay.invoices()) == 2
    epay.drop()


def test_a_sandbox_that_has_gone_ends_the_checks() -> None:
    with serving(lambda *_: (200, b"")) as url:
        with running() as sandbox, EpayServer(sandbox.url) as server:
            run = handler_check.verdicts(server, Asked(post_link=url))
            next(run)
        with pytest.raises(NotReachable):
            next(run)


def test_a_payment_that_the_sandbox_does_not_take_ends_the_checks_at_once(server: EpayServer) -> None:
    with pytest.raises(EpayError) as wrong:
        first(server, Asked(post_link=NOBODY, orders=(Order(invoice_id="1"),)))

    assert wrong.value.status == 400


# Orders that the shop makes.


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo one; echo two >&2; echo three >&2; exit 3", "the command of --new-order ended with 3: three"),
        ("exit 1", "the command of --new-order ended with 1: "),
        ("true", "the command of --new-order printed '': it should print"),
        ("echo 7", r"the command of --new-order printed '7\\n': it should print"),
        ("""echo '{"invoice_id": "000000001"}'""", "--new-order printed "),
        ("""echo '{"invoice_id": "000000001", "amount": "much"}'""", "--new-order printed "),
        ("""echo '{"invoice_id": "000000001", "amount": -1}'""", "--new-order printed "),
        ("""echo '{"invoice_id": "000000001", "amount": Infinity}'""", "--new-order printed "),
        ("""echo '{"invoice_id": "1", "amount": 1}'""", "--new-order printed "),
    ],
)
def test_a_command_that_makes_no_order_is_told(command: str, why: str, server: EpayServer) -> None:
    with pytest.raises(NoOrderError, match=why):
        first(server, Asked(post_link=NOBODY, new_order=command))


def test_a_command_that_does_not_end_is_told(server: EpayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "_COMMAND_S", 0.05)

    with pytest.raises(NoOrderError, match=r"the command of --new-order took more than 0\.05 s"):
        first(server, Asked(post_link=NOBODY, new_order="exec tail -f /dev/null"))


def test_what_a_command_says_is_told_in_one_line_without_colours(server: EpayServer) -> None:
    with pytest.raises(NoOrderError, match=r"ended with 1:  \[31mno$"):
        first(server, Asked(post_link=NOBODY, new_order=r"printf '\033[31mno' >&2; exit 1"))


# How it looks.

DELIVERED: Final = Notice(what="a notice", result="delivered", status=200, milliseconds=5)
FOUND: Final = [
    Verdict(name="a", state="passed", why="answered 200", incident="one", notices=(DELIVERED,)),
    Verdict(name="b", state="failed", why="answered <500>", incident="two"),
    Verdict(name="c", state="not known", why="no order", incident="three"),
]


def test_a_verdict_is_a_line_and_one_that_is_bad_has_its_incident_below() -> None:
    width = max(map(len, NAMES))
    shown = [line for one in FOUND for line in report.lines(one, MARKS)]

    assert shown == [
        f"✓ {'a':<{width}}  answered 200",
        f"✗ {'b':<{width}}  answered <500>",
        f"{'':<{width + 4}}(two)",
        f"? {'c':<{width}}  no order",
    ]
    assert report.summary(FOUND) == "3 checks: 1 passed, 1 failed, 1 not known"


@pytest.mark.parametrize(
    ("encoding", "signs"), [("utf-8", "✓✗?"), ("ascii", "+-?"), ("cp1251", "+-?"), ("what", "+-?")]
)
def test_signs_are_such_as_can_be_written(encoding: str, signs: str) -> None:
    assert "".join(report.marks(encoding).values()) == signs


def test_a_file_for_build_servers_has_a_case_for_each_check() -> None:
    suite = ET.fromstring(report.junit(FOUND))

    assert suite.attrib == {
        "name": "mock-epay check-handler",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "0.005",
    }
    assert [(case.get("name"), case.get("time")) for case in suite] == [("a", "0.005"), ("b", "0.000"), ("c", "0.000")]
    assert [[(what.tag, what.get("message"), what.text) for what in case] for case in suite] == [
        [],
        [("failure", "answered <500>", "two")],
        [("skipped", "no order", "three")],
    ]


# The command.


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MODULE, *words], capture_output=True, text=True, timeout=60, check=False)


def test_the_command_runs_a_sandbox_of_its_own_and_is_content_with_a_careful_shop(shop: Shop) -> None:
    done = command("--post-link", shop.post_link, "--new-order", shop.new_order)

    assert (done.returncode, done.stderr) == (0, "")
    *verdicts, blank, summary = done.stdout.splitlines()
    assert [line[:1] for line in verdicts] == ["✓"] * len(NAMES)
    assert [line[2:].partition("  ")[0] for line in verdicts] == NAMES
    assert (blank, summary) == ("", f"{len(NAMES)} checks: {len(NAMES)} passed")


def test_the_command_gives_one_document_and_a_file_of_what_a_careless_shop_does(
    server: EpayServer, tmp_path: Path
) -> None:
    never = threading.Event()
    never.set()
    file = tmp_path / "report.xml"
    with serving(Careless(never).answer) as url:
        words = ("--json", "--junit", str(file), "--url", server.url, "--secret-hash", SECRET, "--timeout", "5")
        done = command("--post-link", f"{url}/postlink", *words)

    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert done.stderr.startswith(f"mock-epay: the handler has not passed all checks; {len(NAMES)} checks: ")
    assert (told["post_link"], told["safe"], told["advice"]) == (f"{url}/postlink", False, "")
    assert [one["name"] for one in told["checks"]] == NAMES
    assert told["checks"][2] == {
        "name": "refuses another secret_hash",
        "state": "failed",
        "why": told["checks"][2]["why"],
        "incident": CHECKS[2].incident,
        "notices": [
            {
                "what": "a notice with another secret_hash",
                "result": "delivered",
                "status": 200,
                "milliseconds": told["checks"][2]["notices"][0]["milliseconds"],
            }
        ],
    }
    suite = ET.fromstring(file.read_bytes())
    bad = [one["name"] for one in told["checks"] if one["state"] == "failed"]
    assert [case.get("name") for case in suite if case.find("failure") is not None] == bad
    assert len(suite) == len(NAMES)


def test_whoever_stops_reading_leaves_no_merchant_behind(server: EpayServer) -> None:
    before = [merchant.client_id for merchant in server.merchants()]
    reading, writing = os.pipe()
    os.close(reading)
    with serving(lambda *_: (200, b"")) as url, os.fdopen(writing, "w") as nobody:
        words = (*MODULE, "--url", server.url, "--post-link", url)
        ended = subprocess.run(words, stdout=nobody, stderr=subprocess.PIPE, timeout=30, check=False)

    assert (ended.returncode, ended.stderr) == (1, b"")
    assert [merchant.client_id for merchant in server.merchants()] == before


def test_ctrl_c_leaves_the_merchant_of_the_shop_as_it_was(server: EpayServer) -> None:
    epay = server.new_merchant(postlink_retry_s=[3600])
    heard, leave = threading.Event(), threading.Event()

    def answer(*_: object) -> tuple[int, bytes]:
        heard.set()
        leave.wait(PATIENCE_S)
        return 200, b""

    with interruptible(), serving(answer) as url:
        words = (*MODULE, "--url", server.url, "--post-link", url, "--merchant", epay.client_id)
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
            assert heard.wait(PATIENCE_S)
            one.send_signal(signal.SIGINT)
            leave.set()
            assert one.communicate(timeout=PATIENCE_S) == (b"", b"")
    assert one.returncode == INTERRUPTED
    assert server.merchant(epay.client_id).merchant["postlink_retry_s"] == [3600]
    epay.drop()


@pytest.mark.usefixtures("usual_sandbox")
def test_the_command_says_what_may_be_lacking(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check-handler", "--post-link", shop.post_link, "--invoice", "000000001:12.50"])

    told = capsys.readouterr()
    assert code == 1
    assert "It probably does not know our orders. What can be passed: --secret-hash VALUE" in told.out
    assert told.out.splitlines()[0].startswith("✗ takes a notice of success ")
    assert told.err == (
        f"mock-epay: the handler has not passed all checks; {len(NAMES)} checks: 1 failed, {len(NAMES) - 1} not known\n"
    )


@pytest.mark.usefixtures("usual_sandbox")
@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--post-link", NOBODY), 1, f"mock-epay: no notice gets to {NOBODY}: nobody listens there\n"),
        (("--post-link", NOBODY, "--merchant", "nobody"), 1, "mock-epay: there is no merchant nobody; "),
        (("--post-link", NOBODY, "--url", "http://127.0.0.1:1"), 1, "mock-epay: there is no sandbox at http://127."),
        (("--post-link", NOBODY, "--new-order", "exit 4"), 2, "mock-epay: the command of --new-order ended with 4: \n"),
        (("--post-link", NOBODY, "--junit", "/no/where"), 2, "mock-epay: --junit /no/where cannot be written: No such"),
        (("--post-link", NOBODY, "--url", "here"), 2, 'mock-epay: --url (or MOCK_EPAY_URL) is "here": '),
        ((), 2, "usage: "),
        (("--post-link", "ftp://shop"), 2, "usage: "),
        (("--post-link", NOBODY, "--invoice", "1:100"), 2, "usage: "),
        (("--post-link", NOBODY, "--invoice", "000000001"), 2, "usage: "),
        (("--post-link", NOBODY, "--invoice", "000000001:much"), 2, "usage: "),
        (("--post-link", NOBODY, "--timeout", "0"), 2, "usage: "),
        (("--post-link", NOBODY, "--timeout", "21"), 2, "usage: "),
    ],
)
def test_what_cannot_be_checked_is_told(
    words: tuple[str, ...],
    code: int,
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        ended: object = main(["check-handler", *words])
    except SystemExit as left:  # argparse's
        ended = left.code

    told = capsys.readouterr()
    assert (ended, told.out) == (code, "")
    assert told.err.startswith(why)


def test_the_help_says_how_long_a_shop_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check-handler", "--help"])

    assert f"for an answer, at most {LONGEST_S}; " in " ".join(capsys.readouterr().out.split())
