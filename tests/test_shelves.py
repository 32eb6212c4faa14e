"""How a world's things and events are kept in memory: few as they are, many in blocks."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from weakref import WeakSet

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import new_world

from mock_epay.model import Event, Hint, Invoice, Token, TokenRequest
from mock_epay.records import Record
from mock_epay.store.memory.annals import Annals
from mock_epay.store.memory.blocks import EACH, fold, unfold
from mock_epay.store.memory.index import Index
from mock_epay.store.memory.shelves import FRESH, Shelf
from mock_epay.store.shapes import SHAPES

st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))

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
        shelf.put(key, thing)
    return things


@pytest.mark.parametrize("kind", [*SHAPES, Event])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_comes_out_of_a_block_is_what_went_in(kind: type[Record], data: st.DataObject) -> None:
    every: dict[str, Any] = dict.fromkeys(kind.__struct_fields__, ...)
    things = data.draw(st.lists(st.builds(kind, **every), min_size=1, max_size=EACH))

    assert unfold(fold(things), list[kind]) == things  # type: ignore[valid-type]


class Longer(str):
    """A text that is a bit more than one, as libraries hand out."""

    __slots__ = ()


@pytest.mark.parametrize("text", ["\ud800", Longer("x")])
def test_a_block_takes_whatever_is_a_text(text: str) -> None:
    things = {"a": Invoice(number=text, tail="x"), "b": _invoice(2)}
    assert unfold(fold(things), dict[str, Invoice]) == things


def test_what_things_have_in_common_costs_next_to_nothing() -> None:
    one, many = (len(fold([_token(number) for number in range(count)])) for count in (1, EACH))
    assert (many - one) / (EACH - 1) < one / 10


def test_things_are_the_same_in_a_block_and_out_of_it() -> None:
    shelf = Shelf(Invoice)
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
    shelf = Shelf(Invoice)
    things = _full(shelf)

    things["000000001"] = _invoice(1, tokens=3)
    shelf.put("000000001", things["000000001"])

    assert list(shelf) == list(things)
    assert shelf["000000001"].tokens == 3
    assert shelf["000000002"].tokens == 0


class Watched(Record, kw_only=True, weakref=True, gc=True):
    """A record that can be seen to live."""

    number: int
    under_way: bool = False


def test_only_the_latest_things_live_as_they_are() -> None:
    living, shelf = WeakSet[Watched](), Shelf(Watched)
    for number in range(MANY):
        shelf.put(str(number), thing := Watched(number=number))
        living.add(thing)
    del thing
    assert len(living) < FRESH + EACH

    unfold.cache_clear()
    assert all(map(shelf.get, shelf))
    unfold.cache_clear()
    assert len(living) < FRESH + EACH


def test_what_is_under_way_lives_as_it_is() -> None:
    living, shelf = WeakSet[Watched](), Shelf(Watched, lambda thing: thing.under_way)
    for number in range(MANY):
        shelf.put(str(number), thing := Watched(number=number, under_way=True))
        living.add(thing)
    assert len(living) == MANY

    for key in list(shelf):
        shelf.put(key, thing := Watched(number=int(key)))
        living.add(thing)
    del thing
    assert len(living) < FRESH + EACH
    assert [shelf[key].number for key in shelf] == list(range(MANY))


def test_a_shelf_is_a_dictionary_whatever_is_done_to_it() -> None:
    chance = random.Random(7)
    shelf, plain = Shelf(Invoice), dict[str, Invoice]()
    for step in range(6 * FRESH):
        key = f"{chance.randrange(2 * FRESH):09}"
        if key in plain and chance.random() < 0.5:
            assert shelf[key] == plain.pop(key)
            del shelf[key]
        else:
            invoice = _invoice(int(key), tokens=step)
            assert shelf.put(key, invoice) == plain.get(key)
            plain[key] = invoice
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
