"""The log: a line for each payment, none for anything else, and the way to its story."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import httpx
import pytest
from support import Receiver, eventually, new_merchant
from test_cli import MODULE, serving
from test_store import delivery
from worlds import new_world

from mock_epay.journal import FORMS, Journal, as_json
from mock_epay.model import Event
from mock_epay.server import running
from mock_epay.store.memory import MemoryStore

NOON = datetime(2026, 11, 24, 12, 0, 0, 5000, UTC)


@contextmanager
def _told(*flags: str) -> Iterator[tuple[httpx.Client, list[str]]]:
    """Run a sandbox; when it has ended, what it told behind its banner is in the list."""
    lines: list[str] = []
    with serving(*MODULE, "--port", "0", *flags) as started:
        with httpx.Client(base_url=started.url) as http:
            yield http, lines
        started.process.terminate()
        lines += started.process.communicate(timeout=10)[0].splitlines()


def test_a_payment_is_one_line_that_leads_to_its_story() -> None:
    with _told() as (http, lines):
        world = new_world(http)
        world.pay(invoice_id="000000001", amount=2500)
        world.pay(invoice_id="000000002", card="4000000000009995")
    story = f"{http.base_url}/cabinet/{world.client_id}/invoices".replace("com//", "com/")
    assert [line.split()[1:] for line in lines] == [
        ["paid", "000000001", "2500", "KZT", f"{story}/000000001"],
        ["declined", "484", "000000002", "100", "KZT", f"{story}/000000002"],
    ]


def test_no_log_is_no_line() -> None:
    with _told("--log", "none") as (http, lines):
        new_world(http).pay(invoice_id="000000001")
    assert lines == []


def test_one_payment_in_so_many_is_told_from_the_first_on() -> None:
    with _told("--log-every", "3") as (http, lines):
        world = new_world(http)
        for number in range(1, 8):
            world.pay(invoice_id=f"{number:09d}")
    assert [line.split()[2] for line in lines] == ["000000001", "000000004", "000000007"]


def test_a_load_test_is_told_of_one_payment_in_a_hundred_and_keeps_no_bodies(shop_server: Receiver) -> None:
    with _told("--load", "1", "--keep-events", "50") as (http, lines):
        world = new_world(http)
        link = f"{shop_server.url}/{world.client_id}"
        for number in range(1, 12):
            world.pay(invoice_id=f"{number:09d}", post_link=link)
        eventually(lambda: not world.get("/kept")["postlinks"]["waiting"])
        kept = world.get("/kept")
        limits = [kept[what]["limit"] for what in ("transactions", "events", "bodies")]
        assert limits == [2000, 50, 0]
        assert kept["bodies"]["kept"] == 0
        assert {one["text"] for one in world.get("/postlinks")["postlinks"]} == {""}
    assert [line.split()[2] for line in lines] == ["000000001"]


def test_a_sandbox_beside_a_test_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with running() as sandbox, httpx.Client(base_url=sandbox.url) as http:
        new_world(http).pay(invoice_id="000000001")
    assert capfd.readouterr() == ("", "")


def _event(kind: str, **facts: object) -> Event:
    usual = {"transaction": "t", "amount": 100, "currency": "KZT", "card": "4405...5096", "reason_code": 0}
    told = usual | {"decided_by": "test card, unlock"} | facts
    return Event(number=1, at=NOON, kind=kind, invoice_id="000000001", facts=json.dumps(told))


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("transaction.charged", "paid"),
        ("transaction.authorized", "held"),
        ("transaction.verified", "verified"),
        ("transaction.declined", "declined"),
        ("transaction.failed", "failed"),
    ],
)
def test_each_end_of_an_attempt_is_told_for_machines_too(kind: str, result: str) -> None:
    lines: list[str] = []
    journal = Journal("http://bank", as_json, lines.append)
    journal.hear(new_merchant("a shop"), [_event("checkout.opened"), _event(kind), _event("postlink.queued")])
    assert [json.loads(line) for line in lines] == [
        {
            "at": "2026-11-24T12:00:00.005+00:00",
            "event": kind,
            "result": result,
            "merchant": "a shop",
            "invoice_id": "000000001",
            "transaction": "t",
            "amount": 100,
            "currency": "KZT",
            "card": "4405...5096",
            "reason_code": 0,
            "decided_by": "test card, unlock",
            "timeline": "http://bank/cabinet/a%20shop/invoices/000000001",
        }
    ]


def test_notices_that_are_lost_are_one_line() -> None:
    lines: list[str] = []
    lost = [delivery(f"d{number}", NOON, f"{number:09}") for number in range(12)]
    for form in FORMS.values():
        journal = Journal("http://bank", form, lines.append)
        journal.mourn(lost)
        journal.mourn([])
    named = [f"{number:09}" for number in range(10)]
    people, machines = lines
    assert people.endswith(f"12 postlinks, of {', '.join(named)} …")
    assert json.loads(machines) == {"event": "postlinks.lost", "count": 12, "invoices": named}


def test_a_name_cannot_add_a_line() -> None:
    lines: list[str] = []
    for form in FORMS.values():
        journal = Journal("http://bank", form, lines.append)
        journal.hear(new_merchant("a\nshop"), [_event("transaction.charged")])
    assert len(lines) == 2
    assert "\n" not in "".join(lines)


def test_what_happened_is_heard_once_it_is_kept_and_not_if_it_is_not() -> None:
    heard: list[tuple[str, list[str]]] = []

    async def work() -> None:
        store = MemoryStore(lambda merchant, events: heard.append((merchant.client_id, [one.kind for one in events])))
        await store.add_merchant(new_merchant("a shop"))
        async with store.work("a shop") as unit:
            unit.record("token.issued")
            assert heard == []
        with suppress(ZeroDivisionError):
            async with store.work("a shop") as unit:
                unit.record("link.made")
                raise ZeroDivisionError

    asyncio.run(work())
    assert heard == [("a shop", ["token.issued"])]
