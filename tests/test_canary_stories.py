"""Every story and every card with secrets that exist once: they are found where they belong and nowhere else."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from databases import postgres
from support import Receiver, Shop, new_merchant
from test_canaries import CONTROL_TOKEN, Scene, scene
from test_scenarios import STORIES, play, read

from mock_epay import issuer
from mock_epay.model import Dialect, Terminal

pytestmark = pytest.mark.slow

DIALECTS: Final[tuple[Dialect, ...]] = ("documented", "observed")
EXPIRY: Final = "11/47"  # the sandbox's own cards take any
STRANGERS: Final = {"4111111111111111": "4929831174420651"}  # cards that belong to nobody here
LANGUAGES: Final = ("curl", "pytest", "playwright", "phpunit")
# Test cards belong to nobody: they are offered on the pages, and copied tests name those that will do again.
OFFERED: Final = re.compile(r'<button form="fill".*?</button>|/(?:_control/cards|demo|docs)', re.DOTALL)
TID: Final = new_merchant("a shop").terminals[0].tid
FAULTS: Final = ("token", "page", "status", "operations", "payments", "cards", "links", "terminals")


@dataclass
class Secret:
    """What must not come out: cards nowhere, the rest only where it is handed out."""

    pans: set[str] = field(default_factory=set)
    cryptograms: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    codes: set[tuple[str, str]] = field(default_factory=set)  # each with the merchant whose customer was asked


def play_all(it: Scene, shop: Shop) -> Secret:
    """Play each story in each dialect, then each card and each fault, with a merchant of its own for each."""
    kept = Secret()
    it.http.event_hooks["request"].append(lambda request: _note_cryptogram(request, kept))
    for path in STORIES:
        for dialect in DIALECTS:
            own = _merchant(it, shop, f"{path.stem}-{dialect}", kept, dialect=dialect)
            user = {"email": own.merchant.email, "password": own.merchant.password, "shop": own.post_link}
            told = json.dumps(read(path, user, dialect)).replace(TID, own.merchant.terminals[0].tid)
            story = _with_canaries(json.loads(told), kept)
            first = len(it.answers)
            play(story, own, own.merchant.terminals[0].shop_id)
            _note_given(it, first, own, kept)
            _look(it, own)
    own = _merchant(it, shop, "cards", kept)
    _pay_with_each_card(it, own, kept)
    _look(it, own)
    return kept


def _merchant(it: Scene, shop: Shop, name: str, kept: Secret, dialect: Dialect = "documented") -> Shop:
    """Add a merchant with secrets of its own; the shop is that of a test, at another address."""
    secrets = {"client_secret": f"canary-secret-of-{name}", "password": f"canary-password-of-{name}"}
    kept.secrets |= set(secrets.values())
    facts = {"client_id": name, "email": f"{name}@example.kz", "dialect": dialect, "two_stage": dialect == "observed"}
    made = it.control("POST", "/merchants", facts | secrets | {"postlink_retry_s": [0.02]})
    terminals = tuple(Terminal(id=one["id"], tid=one["tid"], shop_id=one["shop_id"]) for one in made["terminals"])
    merchant = new_merchant(name, **secrets, terminals=terminals, dialect=dialect)
    return replace(shop, http=it.http, merchant=merchant, post_link=f"{it.post_link}/{name}")


def _with_canaries(part: Any, kept: Secret) -> Any:
    """Return a part of a story with cards that exist once, as far as it can be told with them."""
    if isinstance(part, list):
        return [_with_canaries(one, kept) for one in part]
    if not isinstance(part, dict):
        return part
    if "pan" in part:
        pan = str(STRANGERS.get(part["pan"], part["pan"]))
        kept.pans.add(pan)
        return part | {"pan": pan} | ({"expiry": EXPIRY} if pan not in issuer.test_cards() else {})
    return {name: _with_canaries(one, kept) for name, one in part.items()}


def _note_cryptogram(request: httpx.Request, kept: Secret) -> None:
    if request.url.path.endswith("/payment/cryptopay"):
        kept.cryptograms |= {text for name, text in json.loads(request.content).items() if name.endswith("ryptogram")}


def _note_given(it: Scene, first: int, shop: Shop, kept: Secret) -> None:
    """Note what was handed out in the answers from the first of a story on."""
    for path, text in it.answers[first:]:
        if path.endswith("/oauth2/token") and (found := re.search(r'"access_token": ?"([^"]+)"', text)):
            kept.tokens.add(found[1])
        for code in re.findall(r'data-testid="sandbox-code"[^>]*>(\d+)<', text):
            kept.codes.add((shop.merchant.client_id, code))


def _pay_with_each_card(it: Scene, shop: Shop, kept: Secret) -> None:
    pairs = {pan: card.pairs[0] for pan, card in issuer.test_cards().items()}
    for number, pan in enumerate([*pairs, *issuer.own_cards(), issuer.card_for(484)]):
        kept.pans.add(pan)
        card = {"pan": pan, "expiry": EXPIRY, "cvc": "123"}
        if pan in pairs:
            card |= {"expiry": pairs[pan].expiry, "cvc": pairs[pan].cvc}
        payment = {"invoice_id": f"{number:09}", "card": card, "post_link": shop.post_link}
        for more in ({}, {"challenge": "fail"}, {"secret_hash": f"hash-{number}"}):
            it.control("POST", f"/merchants/{shop.merchant.client_id}/payments", payment | more)
    for number, at in enumerate(FAULTS):
        it.control("POST", f"/merchants/{shop.merchant.client_id}/faults", {"faults": [{"at": at, "status": 500}]})
        kept_token = shop.http.post("/oauth2/token", data=shop.request(invoiceID=f"{900 + number:09}")).json()
        page = shop.http.get(shop.address(shop.order(kept_token, invoiceId=f"{900 + number:09}")))
        where = re.search(r'<form method="post" action="([^"]+)"', page.text)
        shop.http.post(
            where[1] if where else "/payform/",
            data={"pan": next(iter(STRANGERS.values())), "expiry": EXPIRY, "cvc": "1"},
        )


def _look(it: Scene, shop: Shop) -> None:
    """Look at all that can be seen of a merchant's world."""
    client_id = shop.merchant.client_id
    place = f"/merchants/{client_id}"
    for where in ("", "/events", "/transactions", "/postlinks", "/script", "/faults"):
        it.control("GET", f"{place}{where}")
    for invoice in it.control("GET", f"{place}/invoices")["invoices"]:
        it.control("GET", f"{place}/invoices/{invoice['invoice_id']}")
        for language in LANGUAGES:
            it.control("GET", f"{place}/invoices/{invoice['invoice_id']}/test?as={language}")
    it.http.get(f"/cabinet/{client_id}", headers={"Authorization": f"Bearer {CONTROL_TOKEN}"})


def check_answers(it: Scene, kept: Secret) -> None:
    """See to it that no answer has more than belongs to it."""
    cards = {*kept.pans, EXPIRY, *STRANGERS.values()}
    seen = [(path, OFFERED.sub("", text)) for path, text in it.answers if not OFFERED.fullmatch(path)]
    copied = re.compile(r"/_control/merchants/[^/]+/invoices/[0-9]+/test")
    assert [(one, path) for path, text in seen for one in kept.cryptograms if one in text] == []
    assert [(one, path) for path, text in seen if not copied.fullmatch(path) for one in cards if one in text] == []
    assert [path for path, text in seen for one in (EXPIRY, *STRANGERS.values()) if one in text] == []
    owners = re.compile(r"/_control/merchants(/[a-z0-9-]+)?")
    assert [path for path, text in seen if not owners.fullmatch(path) for one in kept.secrets if one in text] == []
    # The way back from the issuer has the token in it.
    given = re.compile(r".*/oauth2/token|.*/payment/cryptopay|.*/payments/cards/auth|/acs(/.*)?")
    assert [path for path, text in seen if not given.fullmatch(path) for one in kept.tokens if one in text] == []
    for client_id, code in kept.codes:
        world = f"/_control/merchants/{client_id}/"
        assert [path for path, text in seen if path.startswith(world) and re.search(rf"\b{code}\b", text)] == []


def check_kept(it: Scene, kept: Secret, shop_server: Receiver) -> None:
    """See to it that neither the log nor the shop has heard of a card."""
    said = "".join(it.said).rpartition("Ctrl-C stops it.")[2]  # above that the test cards are offered
    assert all(f"approved-{dialect}" in said for dialect in DIALECTS)
    told = "".join(notice.text + json.dumps(notice.headers) for notice in shop_server.notices)
    for one in (*kept.pans, *STRANGERS.values(), EXPIRY, *kept.cryptograms, *kept.secrets, *kept.tokens):
        assert one not in said
        assert one not in told or one in kept.tokens


def check_files(folder: Path, kept: Secret) -> None:
    """See to it that what happened is on the disk, and no card is."""
    held = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    assert any(STORIES[0].stem.encode() in text for text in held)
    for one in (*kept.pans, *STRANGERS.values(), EXPIRY, *kept.cryptograms):
        assert not any(one.encode() in text for text in held), one
    assert not any(b'"cvc"' in text or b'"pan"' in text for text in held)


@contextmanager
def played(shop: Shop, shop_server: Receiver, *flags: str) -> Iterator[tuple[Scene, Secret]]:
    with scene(f"{shop_server.url}/canary", *flags) as it:
        kept = play_all(it, shop)
        assert min(len(kept.pans), len(kept.cryptograms), len(kept.tokens), len(kept.codes)) > 3
        check_answers(it, kept)
        yield it, kept
    check_kept(it, kept, shop_server)


def test_no_story_tells_a_card_or_a_secret(shop: Shop, shop_server: Receiver) -> None:
    with played(shop, shop_server, "--log", "json") as (it, kept):
        it.http.get("/metrics")
        assert it.held([STORIES[0].stem]) == [STORIES[0].stem]  # so it would find the others
        assert it.held([*STRANGERS.values(), EXPIRY, *kept.cryptograms]) == []


def test_no_story_leaves_a_card_in_sqlite(shop: Shop, shop_server: Receiver, tmp_path: Path) -> None:
    with played(shop, shop_server, "--store", f"sqlite:///{tmp_path}/worlds.db") as (_, kept):
        check_files(tmp_path, kept)
    check_files(tmp_path, kept)


def test_no_story_leaves_a_card_in_postgresql(shop: Shop, shop_server: Receiver) -> None:
    with postgres() as server:
        with played(shop, shop_server, "--store", server.new_database()) as (_, kept):
            pass
        server.say("CHECKPOINT")
        check_files(server.folder, kept)
