"""How a world's things and events are kept in memory: few as they are, many in blocks."""

import gc
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from worlds import new_world

from mock_epay.model import Event, Hint, Invoice, Token, TokenRequest
from mock_epay.script import Script
from mock_epay.store.annals import Annals
from mock_epay.store.blocks import EACH, fold, unfold
from mock_epay.store.index import Index
from mock_epay.store.shelves import FRESH, Shelf

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MANY = FRESH + 5 * EACH


def _invoice(number: int, tokens: int = 0) -> Invoice:
    return Invoice(number=f"{number:09}", tail=f"{number:06}", tokens=tokens)


def _token(number: int) -> Token:
    hint = Hint(rule="r", field="f", value="", why="because", tag="assumed")
    asked = TokenRequest(client_id="shop", client_secret="", scope="payment", amount=Decimal("1.50"), hints=(hint,))
    return Token(value=f"token{number}", request=asked, issued_at=NOON, expires_at=NOON + timedelta(seconds=number))


def _full(shelf: Shelf[Invoice]) -> dict[str, Invoice]:
    things = {f"{number:09}": _invoice(number) for number in range(MANY)}
    for key, thing in things.items():
        shelf[key] = thing
    return things


def test_what_comes_out_of_a_block_is_what_went_in() -> None:
    things = {"token": _token(1), "script": Script(client_id="shop", serial=3)}
    assert unfold(fold(things)) == things


def test_what_things_have_in_common_costs_next_to_nothing() -> None:
    one, many = (len(fold([_token(number) for number in range(count)])) for count in (1, EACH))
    assert many < 2 * one


def test_things_are_the_same_in_a_block_and_out_of_it() -> None:
    shelf = Shelf[Invoice]()
    things = _full(shelf)

    assert len(shelf) == MANY
    assert {key: shelf[key] for key in shelf} == things
    assert list(reversed(shelf)) == list(reversed(things))
    assert shelf.get("000000000") == things["000000000"]
    assert shelf.get("nothing") is None
    assert "000000000" in shelf
    with pytest.raises(KeyError):
        shelf["nothing"]


def test_what_is_put_anew_stays_where_it_stood() -> None:
    shelf = Shelf[Invoice]()
    things = _full(shelf)

    shelf["000000001"] = things["000000001"] = _invoice(1, tokens=3)

    assert list(shelf) == list(things)
    assert shelf["000000001"].tokens == 3
    assert shelf["000000002"].tokens == 0


def test_only_the_latest_things_live_as_they_are() -> None:
    unfold.cache_clear()
    others = _living(Invoice)
    shelf = Shelf[Invoice]()
    _full(shelf)
    assert _living(Invoice) - others < FRESH + EACH

    assert all(map(shelf.get, shelf))
    unfold.cache_clear()
    assert _living(Invoice) - others < FRESH + EACH


def _living(kind: type) -> int:
    gc.collect()
    return sum(type(one) is kind for one in gc.get_objects())


def test_a_shelf_is_a_dictionary_whatever_is_done_to_it() -> None:
    chance = random.Random(7)
    shelf, plain = Shelf[Invoice](), dict[str, Invoice]()
    for step in range(6 * FRESH):
        key = f"{chance.randrange(2 * FRESH):09}"
        if key in plain and chance.random() < 0.5:
            assert shelf.pop(key) == plain.pop(key)
        else:
            shelf[key] = plain[key] = _invoice(int(key), tokens=step)
    assert {key: shelf[key] for key in shelf} == plain
    assert list(shelf) == list(plain)


def test_an_index_finds_one_key_many_and_none() -> None:
    index = Index[str]()
    for key in ("a", "b", "a", "c"):
        index.add("value", key)
    index.add("other", "d")

    index.remove("value", "b")

    assert [list(index.of(value)) for value in ("value", "other", "none")] == [["a", "c"], ["d"], []]
    for value, key in (("value", "a"), ("value", "c"), ("other", "d")):
        index.remove(value, key)
    assert [list(index.of(value)) for value in ("value", "other")] == [[], []]


def _events(after: int, count: int) -> Iterator[Event]:
    for number in range(after + 1, after + count + 1):
        yield Event(number=number, at=NOON, kind="token.issued", invoice_id=str(number % 7), facts=f"{number}")


@pytest.mark.parametrize("before", [0, 1000])
def test_events_are_told_after_any_number_and_by_invoice(before: int) -> None:
    annals, plain = Annals(before), list(_events(before, MANY))
    for start in range(0, MANY, 5):
        annals.add(plain[start : start + 5])

    assert (annals.last, len(annals)) == (before + MANY, MANY)
    for number in (0, *range(before, before + MANY + 2, 3)):
        assert annals.after(number) == [event for event in plain if event.number > number]
    for invoice_id in ("0", "6", "nothing"):
        assert annals.of(invoice_id) == [event for event in plain if event.invoice_id == invoice_id]


@pytest.mark.parametrize("times", [1, EACH - 1, EACH, MANY])
def test_events_that_are_forgotten_are_gone_and_those_behind_them_are_not(times: int) -> None:
    annals, plain = Annals(0), list(_events(0, MANY))
    annals.add(plain)
    while plain:
        del plain[:times]
        annals.forget(min(times, len(annals)))
        assert len(annals) == len(plain)
        assert annals.after(0) == plain
        assert annals.of("3") == [event for event in plain if event.invoice_id == "3"]
    annals.add(more := list(_events(MANY, MANY)))
    assert annals.after(0) == more


def test_an_old_order_is_told_and_acted_upon_as_a_new_one(http: httpx.Client) -> None:
    world = new_world(http)
    old = world.pay(invoice_id="000000001", amount=100)
    places = ("/invoices/000000001", f"/transactions/{old['id']}", "/postlinks")
    before = [world.get(place, invoice_id="000000001") for place in places]
    events = world.get("/events")["events"]

    for number in range(2, FRESH + 2 * EACH + 2):
        world.pay(invoice_id=f"{number:09}")

    assert [world.get(place, invoice_id="000000001") for place in places] == before
    assert world.get("/events")["events"][: len(events)] == events
    assert world.do("POST", f"/transactions/{old['id']}/refund", {"amount": 40})["returned"] == 40
    assert world.get("/transactions", invoice_id="000000001")["transactions"][0]["returned"] == 40
    world.do("DELETE")
