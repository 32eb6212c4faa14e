"""Cards and secrets that exist once: whatever is done with them, they are found where they belong and nowhere else."""

import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from databases import postgres
from support import PATIENCE_S, Receiver, action, encrypted, hidden, marked
from witness import WORD
from worlds import CONTROL

from mock_epay import lz

FOREIGN: Final = "5312409876501923"  # nobody's test card, so that it stands in no table of ours
TYPED_WRONG: Final = "5312409876501"
OWN: Final = {"pan": "4000000000003220", "expiry": "11/39", "cvc": "937"}
EXPIRY: Final = "11/39"
ACCOUNT: Final = "canary-account"
# Their values are found nowhere but in the answer that gives them, in the merchant's own record, or with the shop.
CLIENT_SECRET: Final = "canary-client-secret-5a1d"
PASSWORD: Final = "canary-password-77c0"
SECRET_HASH: Final = "canary-secret-hash-0b9e"
CONTROL_TOKEN: Final = "canary-control-token-c4f2"
WRONG_SECRET: Final = "canary-wrong-secret-19aa"
WRONG_PASSWORD: Final = "canary-wrong-password-e310"
CARDS: Final = (FOREIGN, TYPED_WRONG, "53124098 7650", "5312 4098", EXPIRY)
# What hands out a merchant's own credentials, to those that the control API lets in.
CREDENTIALS: Final = re.compile(rf"{CONTROL}/merchants(/[a-z-]+)?(/reset)?")


@dataclass
class Scene:
    """A sandbox in a process of its own, its merchant, and all that it has answered."""

    http: httpx.Client
    process: "subprocess.Popen[str]"
    post_link: str
    terminal: str = ""
    shop_id: str = ""
    tokens: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    cryptograms: list[str] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    testimony: "queue.Queue[str]" = field(default_factory=queue.Queue)

    def control(self, method: str, path: str, body: object = None) -> Any:
        answer = self.http.request(
            method, f"{CONTROL}{path}", json=body, headers={"Authorization": f"Bearer {CONTROL_TOKEN}"}
        )
        return answer.json() if "json" in answer.headers.get("content-type", "") else None

    def token(self, number: str, **changes: str) -> dict[str, Any]:
        fields = {
            "grant_type": "client_credentials",
            "scope": "payment",
            "client_id": "canary",
            "client_secret": CLIENT_SECRET,
            "invoiceID": number,
            "amount": "100",
            "currency": "KZT",
            "terminal": self.terminal,
            "secret_hash": SECRET_HASH,
            "username": "canary@example.kz",
            "password": PASSWORD,
        }
        answer: dict[str, Any] = self.http.post("/oauth2/token", data=fields | changes).json()
        if "access_token" in answer:
            self.tokens.append(answer["access_token"])
        return answer

    def order(self, number: str, **changes: Any) -> dict[str, Any]:
        facts = {
            "invoiceId": number,
            "amount": 100,
            "currency": "KZT",
            "language": "eng",
            "description": "Order",
            "accountId": ACCOUNT,
            "terminal": self.terminal,
            "backLink": "https://shop.example/",
            "postLink": self.post_link,
            "cardSave": True,
        }
        return facts | changes

    def page(self, number: str, **changes: Any) -> httpx.Response:
        order = self.order(number, auth=self.token(number)) | changes
        return self.http.get("/payform/", params={"params": lz.compress(lz.flatten(order)), "panel": "on"})

    def pay(self, page: httpx.Response, **card: str) -> httpx.Response:
        return self.http.post(action(page), data=card, follow_redirects=True)

    def held(self, needles: list[str]) -> list[str]:
        """Return what of this some live object of the process holds."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps([needle[::-1] for needle in needles]) + "\n")
        self.process.stdin.flush()
        found: list[str] = json.loads(self.testimony.get(timeout=PATIENCE_S * 3))
        return found

    def leaks(self, needles: tuple[str, ...] | list[str], allowed: re.Pattern[str] | None = None) -> list[str]:
        """Return the answers in which one of these stands, but for those of allowed addresses."""
        return [
            f"{needle} in {path}"
            for path, text in self.answers
            for needle in needles
            if needle in text and not (allowed and allowed.fullmatch(path))
        ]


@contextmanager
def scene(post_link: str, *flags: str) -> Iterator[Scene]:
    command = [sys.executable, str(Path(__file__).parent / "witness.py"), "serve", "--port", "0", *flags]
    command += ["--control-token", CONTROL_TOKEN, "--postlink-retry-s", "0.05"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        made = Scene(httpx.Client(), process, post_link)
        addresses: queue.Queue[str] = queue.Queue()

        def listen(stream: Any) -> None:
            for line in stream:
                if line.startswith(WORD):
                    made.testimony.put(line.removeprefix(WORD))
                    continue
                made.said.append(line)
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    addresses.put(found[0])

        threads = [
            threading.Thread(target=listen, args=(one,), daemon=True) for one in (process.stdout, process.stderr)
        ]
        for thread in threads:
            thread.start()

        def keep(answer: httpx.Response) -> None:
            answer.read()
            headers = " ".join(f"{name}: {text}" for name, text in answer.headers.items() if name != "location")
            made.answers.append((answer.request.url.path, f"{headers} {answer.text}"))

        try:
            url = addresses.get(timeout=PATIENCE_S * 3)
            made.http = httpx.Client(base_url=url, timeout=30, event_hooks={"response": [keep]})
            with made.http:
                yield made
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
            for thread in threads:
                thread.join(PATIENCE_S)


def play(it: Scene) -> None:
    """Do all that can be done with cards and secrets, rightly and wrongly."""
    facts = {"client_id": "canary", "client_secret": CLIENT_SECRET, "email": "canary@example.kz", "password": PASSWORD}
    made = it.control("POST", "/merchants", facts)
    it.terminal, it.shop_id = made["terminal"], made["terminals"][0]["shop_id"]
    for plot in PLOTS:
        plot(it)
    ended = {
        one["invoice_id"]: one["status"] for one in it.control("GET", "/merchants/canary/transactions")["transactions"]
    }
    assert ENDS.items() <= ended.items()
    for where in LOOKS:
        it.control("GET", f"/merchants/canary{where}")
    it.control("GET", "/settings")
    for path in ("/cabinet/canary", "/cabinet/canary/invoices/000000001", "/cabinet/canary/settings", "/docs", "/demo"):
        it.http.get(path)


def on_the_page(it: Scene) -> None:
    page = it.page("000000001")
    it.pay(page, pan=TYPED_WRONG[:9], expiry=EXPIRY, cvc="937")
    it.pay(page, pan=f"{TYPED_WRONG}x", expiry="99/99", cvc="48151623")
    it.pay(page, pan=FOREIGN, expiry=EXPIRY, cvc="937", name="C Anary", save_card="true")
    it.pay(page, pan="5312 4098 7650 1923", expiry="11 / 2039", cvc="937")
    it.http.post("/payform/?params=broken", data={"pan": FOREIGN, "expiry": EXPIRY, "cvc": "937"})


def with_a_code(it: Scene) -> None:
    asked = it.pay(it.page("000000002"), **OWN, save_card="true")
    it.codes.append(marked(asked, "sandbox-code"))
    it.http.post(action(asked), data={"answer": "confirm", "code": "111111"}, follow_redirects=True)
    it.http.post(action(asked), data={"answer": "confirm", "code": it.codes[-1]}, follow_redirects=True)


def with_a_saved_card(it: Scene) -> None:
    token = it.token("000000003")["access_token"]
    saved = it.http.get(f"/cards/{ACCOUNT}", headers={"Authorization": f"Bearer {token}"}).json()
    it.pay(it.page("000000004"), card_id=saved[0]["ID"], cvc="937")


def in_a_form_of_the_shops_own(it: Scene) -> None:
    for number, card in (("000000005", {"pan": FOREIGN, "expiry": EXPIRY, "cvc": "937"}), ("000000006", OWN)):
        it.cryptograms.append(encrypted(it.http, card, it.terminal))
        order = it.order(number, cryptogram=it.cryptograms[-1])
        order["terminalId"] = order.pop("terminal")
        bearer = {"Authorization": f"Bearer {it.token(number)['access_token']}"}
        for body in (order | {"cryptogram": FOREIGN, "pan": FOREIGN}, order):
            paid = it.http.post("/payment/cryptopay", json=body, headers=bearer).json()
    asked = paid["secure3D"]
    fields = {"PaReq": asked["paReq"], "MD": asked["md"], "TermUrl": asked["termURL"]}
    page = it.http.post("/acs", data=fields, follow_redirects=True)
    it.codes.append(marked(page, "sandbox-code"))
    back = it.http.post(action(page), data={"answer": "confirm", "code": it.codes[-1]})
    it.http.post(asked["termURL"], data={"MD": asked["md"], "PaRes": hidden(back, "PaRes")})


def without_a_browser(it: Scene) -> None:
    it.control("POST", "/merchants/canary/payments", {"card": {"pan": FOREIGN, "expiry": EXPIRY, "cvc": "937"}})
    it.control("POST", "/merchants/canary/payments", {"card": FOREIGN})
    it.control("POST", "/merchants/canary/payments", {"card": {"pan": FOREIGN, "expiry": EXPIRY, "cvc": "9371x"}})
    it.control("POST", "/merchants/canary/payments", {"card": f"{FOREIGN} is the card"})
    it.control("POST", "/merchants/canary/payments", {"pan": FOREIGN, "cvc": "937"})
    it.control("POST", "/merchants/canary/payments", {"card": OWN, "challenge": "fail"})


def with_wrong_secrets(it: Scene) -> None:
    it.token("000000007", client_secret=WRONG_SECRET)
    it.token("000000008", password=WRONG_PASSWORD)
    it.token("000000009", client_sekret=WRONG_SECRET, pasword=WRONG_PASSWORD, pan=FOREIGN)
    it.http.post(f"{CONTROL}/session", json={"email": "canary@example.kz", "password": WRONG_PASSWORD})
    it.http.post(f"{CONTROL}/session", json={"email": "canary@example.kz", "password": PASSWORD})
    it.http.get(f"{CONTROL}/merchants", headers={"Authorization": f"Bearer {WRONG_SECRET}"})
    it.http.get("/check-status/payment/transaction/1", headers={"Authorization": f"Bearer {WRONG_SECRET}"})
    it.control("PATCH", "/merchants/canary", {"client_secret": [WRONG_SECRET], "password": {"a": WRONG_PASSWORD}})


PLOTS: Final[tuple[Callable[[Scene], None], ...]] = (
    on_the_page,
    with_a_code,
    with_a_saved_card,
    in_a_form_of_the_shops_own,
    without_a_browser,
    with_wrong_secrets,
)
# So they have all been as far as they can come.
ENDS: Final = {
    "000000001": "REJECT",
    "000000002": "CHARGE",
    "000000004": "3D",
    "000000005": "REJECT",
    "000000006": "CHARGE",
}
LOOKS: Final = (
    "",
    "/events",
    "/transactions",
    "/invoices",
    "/postlinks",
    "/script",
    *(f"/invoices/00000000{number}" for number in (1, 2, 4, 6)),
    *(
        f"/invoices/00000000{number}/test?as={language}"
        for number in (1, 2, 6)
        for language in ("curl", "pytest", "playwright", "phpunit")
    ),
)


def check_answers(it: Scene) -> None:
    """See to it that nothing was shown that should not be."""
    assert it.leaks([*CARDS, *it.cryptograms]) == []
    assert it.leaks([WRONG_SECRET, WRONG_PASSWORD, CONTROL_TOKEN]) == []
    assert it.leaks([CLIENT_SECRET, PASSWORD], CREDENTIALS) == []
    assert it.leaks(it.codes, re.compile("/acs(/.*)?")) == []
    assert it.leaks(it.tokens, re.compile("/oauth2/token|/payment/cryptopay|/acs/.*")) == []  # its way back has one


def check_log(it: Scene) -> None:
    """See to it that the log has lines, and no secret in them."""
    said = "".join(it.said)
    assert said.count("000000001") >= 1
    hidden_ones = [*CARDS, *it.cryptograms, *it.codes, *it.tokens, WRONG_SECRET, WRONG_PASSWORD]
    hidden_ones += [CLIENT_SECRET, PASSWORD, SECRET_HASH, CONTROL_TOKEN]
    assert [one for one in hidden_ones if one in said] == []


def check_files(it: Scene, folder: Path) -> None:
    """See to it that what is on the disk has been through here, and that no card and no wrong secret is in it."""
    held = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    assert any(ACCOUNT.encode() in text for text in held)
    for one in (*CARDS, *it.cryptograms, WRONG_SECRET, WRONG_PASSWORD, CONTROL_TOKEN, OWN["pan"]):
        assert not any(one.encode() in text for text in held), one
    assert not any(b'"937"' in text or b'"cvc"' in text for text in held)


@pytest.mark.parametrize("log", ["text", pytest.param("json", marks=pytest.mark.slow)])
def test_cards_and_secrets_are_not_told_and_not_remembered(shop_server: Receiver, log: str) -> None:
    with scene(f"{shop_server.url}/canary-{log}", "--log", log) as it:
        play(it)
        check_answers(it)
        assert it.held([CLIENT_SECRET, ACCOUNT]) == sorted([CLIENT_SECRET, ACCOUNT])  # so it would find the others
        assert it.held([FOREIGN, TYPED_WRONG, EXPIRY, WRONG_SECRET, WRONG_PASSWORD, *it.cryptograms]) == []
    check_log(it)
    told = "".join(notice.text for notice in shop_server.notices)
    assert [one for one in (*CARDS, OWN["pan"], PASSWORD, CLIENT_SECRET) if one in told] == []


def test_sqlite_keeps_no_card(shop_server: Receiver, tmp_path: Path) -> None:
    with scene(f"{shop_server.url}/canary-sqlite", "--store", f"sqlite:///{tmp_path}/worlds.db") as it:
        play(it)
        check_answers(it)
        assert {path.suffix for path in tmp_path.iterdir()} >= {".db", ".db-wal"}
        check_files(it, tmp_path)
    check_files(it, tmp_path)
    check_log(it)


def test_a_number_in_an_address_is_not_repeated_on_a_page(http: httpx.Client) -> None:
    # It may stay in memory for a while: Python keeps the latest addresses that it has taken apart.
    for params in ("broken", ""):
        page = http.get("/payform/", params={"params": params, "autofill": FOREIGN, "data": "kept"})
        assert page.status_code == 400
        assert "data=kept" in page.text
        assert FOREIGN not in page.text + str(page.headers)


@pytest.mark.slow
def test_postgresql_keeps_no_card(shop_server: Receiver) -> None:
    with ExitStack() as open_things:
        server = open_things.enter_context(postgres())
        with scene(f"{shop_server.url}/canary-pg", "--store", server.new_database()) as it:
            play(it)
            check_answers(it)
        server.say("CHECKPOINT")
        check_files(it, server.folder)
        check_log(it)
