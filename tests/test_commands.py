"""The commands that ask a running sandbox: in this process, or in one of their own where that is to be stopped."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any, Final

import pytest
from support import PATIENCE_S, interruptible

from mock_epay import __version__, resources, settings
from mock_epay.cli import INTERRUPTED, main
from mock_epay.client import Epay, EpayServer
from mock_epay.commands.arguments import number, numbers, numbers_or_word
from mock_epay.commands.table import COMMANDS, Command
from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings

NOBODY: Final = "http://127.0.0.1:1"
NO_POSTLINK: Final = "http://127.0.0.1:9/postlink"  # nobody listens there
MODULE: Final = (sys.executable, "-m", "mock_epay")


@dataclass(frozen=True)
class Told:
    """What came of a command."""

    code: int
    out: str
    error: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def answer(self) -> Any:
        (line,) = self.lines
        return json.loads(line)

    @property
    def cells(self) -> list[list[str]]:
        """Return columns as rows of cells, titles first."""
        return [[cell.strip() for cell in line.split("  ") if cell] for line in self.lines]


Tell = Callable[..., Told]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "1000")  # help in unbroken lines


@pytest.fixture(scope="module")
def server(sandbox: Sandbox) -> Iterator[EpayServer]:
    with EpayServer(sandbox.url, control_token="") as one:
        yield one


@pytest.fixture
def epay(server: EpayServer) -> Iterator[Epay]:
    world = server.new_merchant(seed="commands", postlink_retry_s=[3600])
    yield world
    world.drop()


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Give a way to run a command in this process."""

    def run(*words: str) -> Told:
        try:
            code = main(words)
        except SystemExit as ended:  # argparse's
            code = int(str(ended.code))
        return Told(code, *capsys.readouterr())

    return run


@pytest.fixture
def do(tell: Tell, epay: Epay, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Give a way to run a command for the test's own merchant, successfully."""
    monkeypatch.setenv("MOCK_EPAY_URL", epay.server.url)

    def run(*words: str) -> Told:
        told = tell(*words, "--merchant", epay.client_id)
        assert (told.code, told.error) == (0, "")
        return told

    return run


def test_a_payment_is_told_in_a_few_lines(do: Tell, epay: Epay) -> None:
    told = do("pay", "000000001", "--amount", "12.50", "--card", "5522 0427 0506 6736")

    paid = epay.transaction()
    assert told.lines == [
        f"transaction  {paid.id}",
        "invoice      000000001",
        "status       CHARGE",
        "amount       12.5 KZT",
        "card         5522...6736 MasterCard",
        "decided by   test card, unlock",
        f"page         {paid.page_url}",
    ]


def test_a_declined_payment_has_been_carried_out(do: Tell) -> None:
    told = do("pay", "--card", "4000000000009995")

    assert "status       REJECT" in told.lines
    assert "reason       484 Not enough money on the card" in told.lines


def test_a_cardholder_who_says_nothing_leaves_the_issuers_page(do: Tell, epay: Epay) -> None:
    told = do("pay", "--card", "4000000000003220", "--challenge", "leave")

    assert told.lines[-1] == f"challenge    {epay.transaction().challenge_url}"


def test_all_that_a_payment_may_have_can_be_said(do: Tell, epay: Epay) -> None:
    said = {
        "invoice_id": "000000007",
        "amount": 250,
        "currency": "KZT",
        "terminal": epay.terminal,
        "card": "4405639704015096",
        "challenge": "pass",
        "plan": "duplicate(2)",
        "post_link": NO_POSTLINK,
        "failure_post_link": f"{NO_POSTLINK}/failure",
        "back_link": "https://example.kz/back",
        "failure_back_link": "https://example.kz/failure",
        "language": "kaz",
        "description": "100 % tea",
        "account_id": "customer",
        "payment_type": "",
        "data": '{"a":1}',
        "name": "TEST",
        "email": "a@example.kz",
        "phone": "77010000000",
        "secret_hash": "hash",
        "saved_card": "",
        "token": "",
    }
    flags = {"card_save": "--card-save", "recurrent": "--no-recurrent"}
    assert said.keys() | flags.keys() == resources.schema("control-payment")["properties"].keys()

    options = [f"--{name.replace('_', '-')}={value}" for name, value in said.items() if name != "invoice_id" and value]
    told = do("pay", *options, *flags.values(), "000000007", "--json")

    kept = [name for name in said if told.answer.get(name) == said[name]]
    assert {"invoice_id", "amount", "description", "account_id", "name", "email", "phone"} <= set(kept)
    assert told.answer["card_id"] in str(epay.postlink().body)
    assert epay.postlink().body["secret_hash"] == "hash"


def test_the_token_and_the_saved_card_of_a_payment_can_be_said(do: Tell, epay: Epay) -> None:
    saved = do("pay", "--card-save", "--account-id", "customer", "--json").answer["card_id"]
    token = epay.token("000000055", amount=77)["access_token"]

    told = do("pay", "--token", token, "--saved-card", saved, "--account-id", "customer", "--json")

    assert (told.answer["invoice_id"], told.answer["amount"], told.answer["status"]) == ("000000055", 77, "CHARGE")


def test_the_next_payment_is_declined_as_most_are(do: Tell) -> None:
    told = do("decline-next")

    assert told.cells == [["CODE", "LEFT", "INVOICE", "POSTLINK"], ["484", "1", "any", "immediate"]]
    assert do("pay", "--json").answer["reason_code"] == 484
    assert do("pay", "--json").answer["status"] == "CHARGE"


def test_how_payments_are_declined_can_be_said(do: Tell, epay: Epay) -> None:
    epay.challenge_next(invoice_id="000000008")
    told = do("decline-next", "481", "--times", "2", "--invoice", "000000009", "--plan", "on_release", "--delay-s", "0")

    assert told.cells[2:] == [["481", "2", "000000009", "on_release"]]
    assert told.lines[1].split() == ["1", "000000008", "immediate"]
    assert do("pay", "000000009", "--json").answer["reason_code"] == 481


def test_attempts_to_pay_are_a_line_each(do: Tell, epay: Epay) -> None:
    first, second = epay.pay("000000001"), epay.pay("000000002", amount=1500, card="4000000000009995")

    told = do("transactions")

    assert told.cells == [
        ["ID", "INVOICE", "STATUS", "AMOUNT", "CARD", "REASON"],
        [first.id, "000000001", "CHARGE", "100 KZT", "4405...5096"],
        [second.id, "000000002", "REJECT", "1500 KZT", "4000...9995", "484 Not enough money on the card"],
    ]
    assert len({line.index("0000000") for line in told.lines[1:]}) == 1
    assert do("transactions", "--invoice", "000000002").cells[1:] == told.cells[2:]
    assert do("transactions", "--status", "CHARGE").cells[1:] == told.cells[1:2]


def test_postlinks_are_a_line_each(do: Tell, epay: Epay) -> None:
    shop = epay.receiver()
    epay.pay("000000001", post_link=shop.url)
    epay.wait_for_postlink("000000001")
    epay.pay("000000002", post_link=NO_POSTLINK)
    epay.wait_for("postlink.failed")

    ids = [postlink.id for postlink in epay.postlinks()]
    rows = [
        [ids[0], "000000001", "ok", "delivered", "1", "delivered", shop.url],
        [ids[1], "000000002", "ok", "queued", "1", "refused", NO_POSTLINK],
    ]
    assert do("postlinks").cells == [["ID", "INVOICE", "SAYS", "STATE", "TRIES", "RESULT", "URL"], *rows]
    assert do("postlinks", "--state", "queued").cells[1:] == rows[1:]
    assert do("postlinks", "--invoice", "000000001").cells[1:] == rows[:1]


def test_a_postlink_is_sent_again_and_a_held_one_let_go(do: Tell, epay: Epay) -> None:
    shop = epay.receiver()
    epay.decide_next(plan="on_release")
    epay.pay("000000001", post_link=shop.url)
    held = epay.postlink()

    assert do("release").cells[1][0] == held.id
    shop.wait()
    assert do("resend", held.id).cells[1][0] not in {held.id, ""}
    assert [notice.body["invoiceId"] for notice in shop.wait(2)] == ["000000001"] * 2


def test_a_postlink_is_sent_again_changed(do: Tell, epay: Epay) -> None:
    first, other = epay.receiver(), epay.receiver()
    epay.pay("000000001", post_link=first.url)
    first.wait()

    do("resend", "--field", "amount=7", "--field", "name=A B", "--field", "phone=null", "--to", other.url)
    do("resend", "--text", "no JSON", "--to", other.url)

    changed, broken = other.wait(2)
    assert (changed.body["amount"], changed.body["name"], "phone" in changed.body) == (7, "A B", False)
    assert broken.text == "no JSON"
    assert [row[2] for row in do("postlinks").cells[1:]] == ["ok", "ok", "-"]


@pytest.mark.parametrize("field", ["amount", "=7"])
def test_a_field_has_a_name_and_a_value(tell: Tell, field: str) -> None:
    told = tell("resend", "--field", field)
    assert (told.code, f'argument --field: "{field}" is not' in told.error) == (2, True)


def test_a_postlink_is_withheld(do: Tell, epay: Epay) -> None:
    epay.pay("000000001", post_link=NO_POSTLINK, plan="on_release")
    assert do("withhold").cells[1][3] == "cancelled"


def test_the_clock_shows_what_its_turn_set_off_and_what_lies_ahead(do: Tell, epay: Epay) -> None:
    do("clock", "set", "2030-01-01T12:00:00+05:00")
    assert do("clock", "freeze").lines == ["2030-01-01 07:00:00 UTC, frozen"]
    epay.pay("000000001", post_link=NO_POSTLINK)
    epay.wait_for("postlink.failed")
    epay.pay("000000002", card="4000000000009995")

    told = do("clock", "advance", "600")

    assert told.lines[:2] == ["2030-01-01 07:10:00 UTC, frozen", ""]
    assert told.cells[2:] == [
        ["AT", "WHAT", "INVOICE", "RESULT"],
        ["2030-01-01 07:20:00", "page", "000000002", "due"],
        ["2030-01-01 08:00:00", "postlink", "000000001", "due"],
    ]
    told = do("clock", "advance", "3000.5")
    assert ["2030-01-01 08:00:00", "postlink", "000000001", "refused"] in told.cells
    assert do("clock", "resume").lines == do("clock").lines[:1] == ["2030-01-01 08:00:00 UTC, running"]


def test_a_merchants_world_begins_anew(do: Tell, epay: Epay) -> None:
    epay.pay("000000001")

    assert f"ClientID      {epay.client_id}" in do("reset").lines
    assert len(do("transactions").lines) == 1


def test_a_merchant_is_made_shown_and_gone(tell: Tell, server: EpayServer) -> None:
    at = ("--url", server.url)
    told = tell("merchants", "new", *at, "--name", "Tea", "--client-id", "tea-shop", "--dialect", "observed")

    made = server.merchant("tea-shop")
    assert told.lines == [
        "ClientID      tea-shop",
        f"ClientSecret  {made.client_secret}",
        f"TerminalID    {made.terminal}",
        "name          Tea",
        f"cabinet       {made.email} {made.password}",
        "dialect       observed",
        "checks        strict",
        f"token         {made.urls.token}",
        f"script        {made.urls.script}",
    ]
    assert ["tea-shop", made.terminal, "observed", "strict", "Tea"] in tell("merchants", *at).cells
    assert tell("merchants", "drop", *at, "tea-shop") == Told(0, "it is gone\n", "")
    assert tell("merchants", "drop", *at, "tea-shop").code == 1


def test_all_that_a_merchant_may_have_can_be_said(tell: Tell, server: EpayServer) -> None:
    properties = dict(resources.schema("control-merchant")["properties"])
    del properties["terminals"]  # rows of facts, which no flag can say
    texts = {
        "client_id": "all-said",
        "terminal": "00000000-0000-0000-0000-000000000001",
        "foreign_key_card": "4405639704015096",
        "plan": "never",
    }
    values = {"array": [1, 2.5], "boolean": False, "integer": 70, "number": 0.5}
    said = {
        name: texts.get(name, values.get(one.get("type", "array"), one.get("enum", ["a"])[-1]))
        for name, one in properties.items()
    }
    spelt = {name: f"--no-{name.replace('_', '-')}" for name, value in said.items() if value is False}
    spelt["postlink_retry_s"] = "--postlink-retry-s=1, 2.5"

    options = [spelt.get(name, f"--{name.replace('_', '-')}={value}") for name, value in said.items()]
    made = tell("merchants", "new", "--url", server.url, "--json", *options).answer
    server.merchant("all-said").drop()

    shown = made | {"two_stage": made["terminals"][0]["two_stage"]}
    assert {name: shown[name] for name in said} == said


def test_test_cards_and_reasons_are_a_line_each(tell: Tell, server: EpayServer) -> None:
    cards, reasons = (tell(name, "--url", server.url).cells for name in ("cards", "reasons"))

    assert cards[:2] == [
        ["PAN", "EXPIRY", "CODE", "BRAND", "REASON", "3-D SECURE", "OF"],
        ["4405639704015096", "01/25", "815", "VISA", "approved", "none", "bank"],
    ]
    assert ["4000000000009995", "12/30", "123", "VISA", "484", "none", "sandbox"] in cards
    assert ["454", "4000009904540005", "no"] in [row[:3] for row in reasons]
    assert [len(cards), len(reasons)] == [len(server.cards()) + 1, len(server.reasons()) + 1]


def test_what_was_waited_for_is_shown_with_what_it_is_about(do: Tell, epay: Epay) -> None:
    shop = epay.receiver()
    epay.token("000000001")
    paid = epay.pay("000000002", post_link=shop.url)

    told = do("wait", "postlink.delivered", "--invoice", "000000002", "--after", "1", "--timeout", "10")

    assert told.cells[0][1:] == ["postlink.delivered", "000000002", shop.url, "delivered"]
    assert told.cells[3][0] == paid.id
    assert told.cells[6][0] == epay.postlink().id
    assert [row[1:] for row in do("wait", "token.issued").cells] == [["token.issued", "000000001"]]


def test_what_does_not_happen_is_told_with_the_nearest_miss(tell: Tell, epay: Epay) -> None:
    at = ("--url", epay.server.url, "--merchant", epay.client_id)
    epay.pay("000000001", post_link=NO_POSTLINK)

    told = tell("wait", "postlink.delivered", "--timeout", "0.01", *at)

    assert (told.code, told.out) == (1, "")
    assert told.error.startswith("mock-epay: no postlink.delivered within 0.01 s: ")
    assert told.error.count("\n") == 1


def test_the_story_of_an_order_has_its_hints(do: Tell, epay: Epay) -> None:
    epay.pay("000000001", post_link=NO_POSTLINK)
    epay.wait_for("postlink.failed")

    told = do("timeline", "000000001")

    story = list(epay.timeline("000000001").story)
    assert told.lines[: len(story)] == story
    assert "hint postlink-local: the sandbox reaches this address, the bank will not" in told.lines


def test_health_is_a_line(tell: Tell, server: EpayServer) -> None:
    assert tell("health", "--url", server.url) == Told(0, f"ok, mock-epay {__version__}\n", "")


ASKED_TWICE: Final = {
    "transactions": "/transactions",
    "postlinks": "/postlinks",
    "clock": "/clock",
    "timeline 000000001": "/invoices/000000001",
    "wait transaction.charged": "/wait?until=transaction.charged",
}


@pytest.mark.parametrize("words", ASKED_TWICE)
def test_json_is_what_the_control_api_answers(words: str, do: Tell, epay: Epay) -> None:
    epay.clock.freeze()
    epay.pay("000000001", amount="0.1", description="чай", post_link=NO_POSTLINK)
    epay.wait_for("postlink.failed")

    told = do(*words.split(), "--json")

    assert told.answer == epay.control("GET", ASKED_TWICE[words])
    assert "\\u" not in told.out


@pytest.mark.parametrize("name", ["cards", "reasons", "merchants", "health"])
def test_json_of_what_belongs_to_no_merchant_is_the_same(name: str, tell: Tell, server: EpayServer) -> None:
    assert tell(name, "--json", "--url", server.url).answer == server.control("GET", f"/{name}")


def test_json_of_no_answer_is_nothing(tell: Tell, server: EpayServer) -> None:
    made = server.new_merchant()

    assert tell("merchants", "drop", made.client_id, "--json", "--url", server.url) == Told(0, "", "")


def test_flags_may_stand_before_a_command_below_or_behind_it(do: Tell) -> None:
    assert do("clock", "--json", "freeze").answer["frozen"] is True
    assert do("clock", "resume", "--json").answer["frozen"] is False


def test_the_merchant_is_the_documented_one_unless_another_is_named(tell: Tell, server: EpayServer) -> None:
    assert tell("reset", "--json", "--url", server.url).answer["client_id"] == "test"


# Whom to ask.


def test_the_flag_overrules_the_variable(tell: Tell, server: EpayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_EPAY_URL", NOBODY)

    assert tell("health", "--url", f"{server.url}/").code == 0


@pytest.mark.parametrize("variable", [None, ""])
def test_without_an_address_the_usual_one_is_asked(
    variable: str | None, tell: Tell, server: EpayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mock_epay.settings.USUAL_URL", server.url)
    if variable is not None:
        monkeypatch.setenv("MOCK_EPAY_URL", variable)

    assert tell("health").code == 0


@pytest.mark.parametrize("words", [("health",), ("postlinks", "--follow"), ("pay", "--json")])
def test_where_there_is_no_sandbox_it_is_told_how_to_get_one(words: tuple[str, ...], tell: Tell) -> None:
    why = f"mock-epay: there is no sandbox at {NOBODY}: start one with `mock-epay serve`, or say where it is with --url"

    assert tell(*words, "--url", NOBODY) == Told(1, "", f"{why}\n")


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://localhost", "8080"])
def test_what_is_no_address_is_a_wrong_call(url: str, tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    why = f'mock-epay: --url (or MOCK_EPAY_URL) is "{url}": it takes an address that begins with http://\n'

    assert tell("cards", "--url", url) == Told(2, "", why)
    monkeypatch.setenv("MOCK_EPAY_URL", url)
    assert tell("cards") == Told(2, "", why)


def test_an_address_may_be_written_in_capitals(tell: Tell, server: EpayServer) -> None:
    assert tell("health", "--url", server.url.replace("http", "HTTP")).code == 0


@contextmanager
def answering(status: int, body: str, more: str = "") -> Iterator[str]:
    """Run something that is no sandbox; it answers with `body`, but streams of events with `more`, and breaks off."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if "event-stream" in self.headers.get("Accept", ""):
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(f"{len(more):x}\r\n{more}\r\nff\r\n".encode())
            else:
                self.end_headers()
                self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as strange:
        threading.Thread(target=strange.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{strange.server_port}"
        finally:
            strange.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, "<h1>Not\nfound</h1>", "is that mock-epay at {url}? the answer, 404, is no JSON: <h1>Not found</h1>"),
        (404, '{"detail": "Not Found"}', "is that mock-epay at {url}? the answer is 404"),
        (200, "{}", "the answer is not understood: is that mock-epay at {url}, of this version?"),
        (200, "[]", "the answer is not understood: is that mock-epay at {url}, of this version?"),
    ],
)
def test_what_answers_like_no_sandbox_is_told_in_a_line(status: int, body: str, why: str, tell: Tell) -> None:
    with answering(status, body) as url:
        assert tell("health", "--url", url) == Told(1, "", f"mock-epay: {why.format(url=url)}\n")


def test_a_stream_that_breaks_off_is_told(tell: Tell) -> None:
    event = {"at": "2030-01-01T00:00:00+00:00", "kind": "postlink.held", "invoice_id": "000000001", "facts": {}}
    with answering(200, '{"client_id": "test"}', f"data: {json.dumps(event)}\n\n") as url:
        told = tell("postlinks", "--follow", "--url", url)

    assert told.cells == [["2030-01-01 00:00:00", "postlink.held", "000000001"]]
    assert told.code == 1
    assert told.error.startswith("mock-epay: the sandbox has gone: IncompleteRead(")


def test_the_control_token_is_sent(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Settings(port=0, control_token="a token")) as guarded:
        refused = tell("cards", "--url", guarded.url)
        monkeypatch.setenv("MOCK_EPAY_CONTROL_TOKEN", "a token")
        assert tell("cards", "--url", guarded.url).code == 0
        with following("--url", guarded.url) as followed:
            EpayServer(guarded.url).merchant().pay(post_link=NO_POSTLINK)
            assert "postlink.queued" in followed.line()

    assert (refused.code, refused.out) == (1, "")
    assert refused.error.endswith(" the word Bearer; the variable MOCK_EPAY_CONTROL_TOKEN is sent\n")


# Events as they happen.


@dataclass(frozen=True)
class Followed:
    """A command that goes on, in a process of its own."""

    process: subprocess.Popen[str]
    out: IO[str]

    def line(self) -> str:
        """Return the next line that it prints."""
        line = self.out.readline()
        assert line, self.process.communicate()[1]
        return line.rstrip("\n")

    def end(self) -> tuple[int, str]:
        """Return how it ended and what it said of that."""
        error = self.process.communicate(timeout=PATIENCE_S)[1]
        return self.process.returncode, error


@contextmanager
def following(*words: str) -> Iterator[Followed]:
    command = [*MODULE, "postlinks", "--follow", *words]
    with interruptible(), subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        late = threading.Timer(PATIENCE_S * 3, one.kill)
        late.start()
        try:
            assert one.stdout is not None
            yield Followed(one, one.stdout)
        finally:
            late.cancel()
            one.kill()


@pytest.fixture
def world_flags(epay: Epay) -> tuple[str, ...]:
    return ("--url", epay.server.url, "--merchant", epay.client_id)


def test_what_becomes_of_postlinks_is_told_until_ctrl_c(world_flags: tuple[str, ...], epay: Epay) -> None:
    shop = epay.receiver()
    epay.pay("000000001", post_link=shop.url)
    epay.wait_for_postlink()
    with following(*world_flags) as followed:
        said = [followed.line().split() for _ in range(2)]
        epay.pay("000000002", post_link=NO_POSTLINK)
        said += [followed.line().split() for _ in range(2)]
        followed.process.send_signal(signal.SIGINT)
        ended = followed.end()

    assert [row[2:] for row in said] == [
        ["postlink.queued", "000000001", shop.url],
        ["postlink.delivered", "000000001", shop.url, "delivered"],
        ["postlink.queued", "000000002", NO_POSTLINK],
        ["postlink.failed", "000000002", NO_POSTLINK, "refused"],
    ]
    assert ended == (INTERRUPTED, "")


def test_followed_as_json_it_is_an_event_a_line(world_flags: tuple[str, ...], epay: Epay) -> None:
    for invoice_id in ("000000001", "000000002"):
        epay.pay(invoice_id, post_link=NO_POSTLINK)
        epay.wait_for("postlink.failed", invoice_id=invoice_id)
    happened = epay.control("GET", "/events", invoice_id="000000002")["events"]
    with following("--json", "--invoice", "000000002", *world_flags) as followed:
        told = [json.loads(followed.line()) for _ in range(2)]

    assert told == [event for event in happened if event["kind"].startswith("postlink.")]


def test_a_world_that_begins_anew_is_followed_and_one_that_ends_is_told(server: EpayServer) -> None:
    world = server.new_merchant(postlink_retry_s=[])
    with following("--url", server.url, "--merchant", world.client_id) as followed:
        world.pay("000000001", post_link=NO_POSTLINK)
        assert "000000001" in followed.line()
        world.reset()
        world.pay("000000002", post_link=NO_POSTLINK)
        assert any("000000002" in followed.line() for _ in range(3))
        world.drop()
        code, error = followed.end()

    assert code == 1
    assert error.startswith(f"mock-epay: there is no merchant {world.client_id}; there are ")


def test_whoever_stops_reading_ends_it_quietly(server: EpayServer) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody:
        ended = subprocess.run(
            [*MODULE, "reasons", "--url", server.url], stdout=nobody, stderr=subprocess.PIPE, timeout=30, check=False
        )

    assert (ended.returncode, ended.stderr) == (1, b"")


# How commands are called.


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.words)
def test_each_command_tells_what_it_does(row: Command, tell: Tell) -> None:
    told = tell(*row.words.split(), "--help")
    above, _, word = row.words.rpartition(" ")
    listed = " ".join(tell(*above.split(), "--help").out.split())

    assert told.code == 0
    assert told.lines[2].startswith(f"{row.does.capitalize()}.")
    assert f" {word} {row.does} " in f"{listed} "
    assert all(f"  {flag} " in told.out for flag in ("--url URL", "--json"))


@pytest.mark.parametrize(
    "words",
    [
        "pay --amount many",
        "pay --challenge perhaps",
        "pay 000000001 000000002",
        "postlinks --state queued --follow",
        "clock sideways",
        "clock set",
        "clock advance soon",
        "merchants drop",
        "wait",
        "timeline",
        "cards --merchant test",
    ],
)
def test_a_wrong_call_asks_nobody(words: str, tell: Tell) -> None:
    told = tell(*words.split())

    assert (told.code, told.out) == (2, "")
    assert told.error.startswith("usage: mock-epay ")


@pytest.mark.parametrize(("text", "read"), [("100", "100"), ("12.50", "12.5"), ("1e3", "1000"), ("-1", "-1")])
def test_a_number_is_sent_as_it_would_be_written(text: str, read: str) -> None:
    assert json.dumps(number(text)) == read


def test_numbers_have_commas_between_them() -> None:
    assert numbers("1, 2.5,") == numbers_or_word("1, 2.5,") == [1, 2.5]
    assert numbers("") == numbers_or_word("") == []
    assert numbers_or_word("stubborn") == "stubborn"


def test_the_address_of_the_commands_is_no_unknown_setting() -> None:
    environment = {"MOCK_EPAY_URL": "http://localhost", "MOCK_EPAY_ULR": ""}

    assert list(settings.unknown_variables(environment)) == [("MOCK_EPAY_ULR", "MOCK_EPAY_URL")]


def test_help_and_version_wait_for_no_client_and_no_server() -> None:
    program = """if True:
        import contextlib, sys
        from mock_epay.cli import main
        for words in (["--version"], ["--help"], ["pay", "--help"]):
            with contextlib.suppress(SystemExit):
                main(words)
        slow = {"http.client", "mock_epay.client", "mock_epay.server", "starlette", "urllib3"}
        print(sorted(slow & set(sys.modules)))
    """
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert ended.stdout.endswith("\n[]\n")
