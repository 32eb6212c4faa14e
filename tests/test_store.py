"""What every store promises. A new one is one more entry in `STORES`."""

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import pytest
from databases import shared_postgres
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support import PATIENCE_S, a_transaction, an_order, new_merchant

from mock_epay.clock import Clock
from mock_epay.desk.invoices import Search, page
from mock_epay.model import (
    Attempt,
    CardMask,
    Checkout,
    CheckoutState,
    Delivery,
    DeliveryState,
    Invoice,
    InvoiceLink,
    LinkRequest,
    Merchant,
    Payer,
    PaymentObject,
    SavedCard,
    Status,
    Token,
    TokenRequest,
    Transaction,
)
from mock_epay.records import replace
from mock_epay.store import Due, Hold, Store, UnknownMerchantError, bounds
from mock_epay.store.bounds import Kept, Tally
from mock_epay.store.memory import MemoryStore
from mock_epay.store.search import Sought
from mock_epay.store.shapes import SHAPES, Stored
from mock_epay.store.sql import SqlStore
from mock_epay.store.sql.database import Row
from mock_epay.store.sql.postgres import PostgresDatabase
from mock_epay.store.sql.sqlite import SqliteDatabase

T = TypeVar("T")
Opening = Callable[[], AbstractAsyncContextManager[Store]]
Story = Callable[[Store], Awaitable[None]]
Run = Callable[[Story], None]


@asynccontextmanager
async def memory() -> AsyncIterator[Store]:
    """Open a store that lives as long as the process."""
    yield MemoryStore()


@asynccontextmanager
async def sqlite() -> AsyncIterator[Store]:
    """Open a store in a new file."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqlStore(SqliteDatabase(f"{folder}/store.db"))
        await store.open()
        try:
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def postgresql() -> AsyncIterator[Store]:
    """Open a store in a new database."""
    store = SqlStore(PostgresDatabase(shared_postgres().new_database()))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


STORES: Final[dict[str, Opening]] = {"memory": memory, "sqlite": sqlite, "postgresql": postgresql}

EPOCH: Final = datetime(2026, 7, 1, 12, tzinfo=UTC)
FROZEN: Final = Clock(frozen_at=EPOCH)


@pytest.fixture(params=STORES)
def run(request: pytest.FixtureRequest) -> Run:
    """Give a function that tells a story to a fresh store in which the merchants "a" and "b" have worlds."""
    opening = STORES[request.param]

    async def told(story: Story) -> None:
        async with asyncio.timeout(PATIENCE_S), opening() as store:
            await store.add_merchant(new_merchant("a"))
            await store.add_merchant(new_merchant("b"))
            await story(store)

    return lambda story: asyncio.run(told(story))


def after(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def invoice(number: str, tail: str = "", **changes: Any) -> Invoice:
    return replace(Invoice(number=number, tail=tail), **changes)


def delivery(key: str, due_at: datetime | None, invoice_id: str = "000000001") -> Delivery:
    return Delivery(
        id=key,
        invoice_id=invoice_id,
        transaction_id="transaction",
        url="https://example.kz/",
        body=b'{"id": 1}',
        queued_at=EPOCH,
        due_at=due_at,
    )


def checkout(key: str, expires_at: datetime, token: str = "token") -> Checkout:
    order = PaymentObject(
        invoice_id="000000001",
        back_link="https://example.kz/",
        language="rus",
        reads="rus",
        description="Тест",
        terminal="terminal",
        amount=Decimal("1500.50"),
        currency="KZT",
    )
    return Checkout(
        id=key,
        token=token,
        order=order,
        secret_hash="",
        opened_at=EPOCH,
        expires_at=expires_at,
        attempts_left=3,
        transaction_id="transaction",
    )


def token(value: str) -> Token:
    request = TokenRequest(client_id="a", client_secret="hush", scope="payment", amount=Decimal("0.10"))
    return Token(value=value, request=request, issued_at=EPOCH, expires_at=after(7200))


async def save(store: Store, client_id: str, *things: Stored) -> None:
    """Keep things in a unit of their own."""
    async with store.work(client_id) as work:
        work.save(*things)


async def get(store: Store, client_id: str, kind: type[Stored], key: str) -> Stored | None:
    async with store.work(client_id) as work:
        found: Stored | None = await work.get(kind, key)
        return found


async def numbers(store: Store, client_id: str, attribute: str, value: str) -> list[str]:
    """Return the numbers of the invoices that a new unit finds."""
    async with store.work(client_id) as work:
        return [found.number for found in await work.find(Invoice, attribute, value)]


async def claimed(store: Store, kind: type[Due] = Delivery, limit: int = 100) -> list[tuple[str, str]]:  # type: ignore[assignment]
    """Claim what must be due; return world and key of each."""
    return [(client_id, thing.id) for client_id, thing in await store.claim(kind, limit)]


async def now_due(store: Store, client_id: str = "b") -> list[tuple[str, str]]:
    """Claim all that is due, with the help of one more thing in another world that certainly is."""
    await save(store, client_id, delivery("certain", (await store.clock(client_id)).now()))
    found = await claimed(store)
    await save(store, client_id, delivery("certain", None))
    return [one for one in found if one != (client_id, "certain")]


async def is_waiting(task: asyncio.Task[Any]) -> bool:
    """Let a task run for a moment and tell whether it has nothing to return yet."""
    return await are_waiting([task], 0.02)


async def are_waiting(tasks: Sequence[asyncio.Task[Any]], patience_s: float = 0.25) -> bool:
    """Let tasks run for as long as they may take in a database, and tell whether none has come to an end."""
    done, _ = await asyncio.wait(tasks, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
    return not done


def test_a_world_has_the_merchant_that_began_it_and_a_clock_that_runs(run: Run) -> None:
    async def story(store: Store) -> None:
        assert await store.merchant("a") == new_merchant("a")
        assert await store.merchant("c") is None
        assert await store.clock("a") == Clock()
        async with store.work("a") as work:
            assert work.merchant == new_merchant("a")

    run(story)


def test_there_is_no_work_without_a_world(run: Run) -> None:
    async def story(store: Store) -> None:
        for asked in (store.clock("c"), store.set_clock("c", FROZEN), store.events("c")):
            with pytest.raises(UnknownMerchantError):
                await asked
        with pytest.raises(UnknownMerchantError):
            await save(store, "c", invoice("1"))

    run(story)


def test_the_same_key_names_other_things_in_other_worlds(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("1", tail="of a"))
        await save(store, "b", invoice("1", tail="of b"))

        assert await get(store, "a", Invoice, "1") == invoice("1", tail="of a")
        assert await get(store, "b", Invoice, "1") == invoice("1", tail="of b")
        assert await numbers(store, "a", "tail", "of b") == []

    run(story)


def test_the_same_key_names_other_things_of_other_kinds(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("1"), token("1"))

        assert await get(store, "a", Invoice, "1") == invoice("1")
        assert await get(store, "a", Token, "1") == token("1")
        assert await get(store, "a", Transaction, "1") is None

    run(story)


def test_a_thing_leads_to_the_world_that_has_it(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "b", token("known"))

        assert await store.owner(Token, "known") == "b"
        assert await store.owner(Token, "unknown") is None
        assert await store.owner(Invoice, "known") is None

    run(story)


def test_a_thing_without_a_home_leads_nowhere(run: Run) -> None:
    async def story(store: Store) -> None:
        with suppress(KeyError):
            async with store.work("a") as work:
                work.save(token("lost"))
                raise KeyError

        assert await store.owner(Token, "lost") is None

    run(story)


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("ended", ["a", "b"])
def test_of_two_worlds_with_the_same_key_the_one_that_is_left_has_it(run: Run, order: str, ended: str) -> None:
    async def story(store: Store) -> None:
        for client_id in order:
            await save(store, client_id, token("shared"))
        assert await store.owner(Token, "shared") in {"a", "b"}

        await store.add_merchant(new_merchant(ended))

        left = "b" if ended == "a" else "a"
        assert await store.owner(Token, "shared") == left
        await store.add_merchant(new_merchant(left))
        assert await store.owner(Token, "shared") is None

    run(story)


def test_a_merchant_that_is_added_again_begins_an_empty_world(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        async with store.work("a") as work:
            work.save(invoice("1", tail="tail"), token("token"), delivery("d", EPOCH))
            work.record("something")
        await save(store, "b", invoice("1", tail="tail"))

        await store.add_merchant(new_merchant("a", email="new@example.kz"))

        assert await store.merchant("a") == new_merchant("a", email="new@example.kz")
        assert await get(store, "a", Invoice, "1") is None
        assert await numbers(store, "a", "tail", "tail") == []
        assert list(await store.events("a")) == []
        assert await store.owner(Token, "token") is None
        assert await store.clock("a") == Clock()
        assert await now_due(store) == []
        assert await get(store, "b", Invoice, "1") == invoice("1", tail="tail")

    run(story)


def test_a_unit_of_work_whose_world_ends_meanwhile_leaves_nothing_in_the_next(run: Run) -> None:
    async def story(store: Store) -> None:
        work = store.work("a")
        unit = await work.__aenter__()
        unit.save(invoice("1"))
        unit.record("something")
        ending = asyncio.create_task(store.add_merchant(new_merchant("a")))
        await asyncio.wait([ending], timeout=0.02)  # a store that locks lets the unit end first, another lets it fail

        with suppress(UnknownMerchantError):
            await work.__aexit__(None, None, None)
        assert await ending

        assert await get(store, "a", Invoice, "1") is None
        assert list(await store.events("a")) == []
        assert await store.owner(Invoice, "1") is None

    run(story)


@pytest.mark.parametrize("kind", [KeyError, asyncio.CancelledError, KeyboardInterrupt])
def test_a_unit_that_fails_keeps_nothing(run: Run, kind: type[BaseException]) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", invoice("1", tail="old"), delivery("d", after(60)))

        with pytest.raises(kind):  # noqa: PT012
            async with store.work("a") as work:
                work.save(
                    invoice("1", tail="new"), invoice("2", tail="new"), delivery("d", EPOCH), delivery("e", EPOCH)
                )
                work.record("something")
                raise kind

        assert await get(store, "a", Invoice, "1") == invoice("1", tail="old")
        assert await get(store, "a", Invoice, "2") is None
        assert await numbers(store, "a", "tail", "new") == []
        assert list(await store.events("a")) == []
        assert await now_due(store) == []

    run(story)


def test_what_was_kept_comes_back_as_it_was(run: Run) -> None:
    async def story(store: Store) -> None:
        things = (
            invoice("1", tail="t", tokens=2, paid_by="x"),
            token("t"),
            checkout("c", after(60)),
            delivery("d", EPOCH),
        )

        await save(store, "a", *things)

        assert await get(store, "a", Invoice, "1") == things[0]
        assert await get(store, "a", Token, "t") == things[1]
        assert await get(store, "a", Checkout, "c") == things[2]
        assert await get(store, "a", Delivery, "d") == things[3]

    run(story)


def test_a_unit_reads_its_own_writes(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("1", tail="old"), invoice("2", tail="old"))

        async with store.work("a") as work:
            work.save(invoice("1", tail="new"))
            work.save(invoice("3", tail="new"), invoice("4", tail="old"))
            work.save(invoice("3", tail="new", tokens=1))

            assert await work.get(Invoice, "1") == invoice("1", tail="new")
            assert await work.get(Invoice, "3") == invoice("3", tail="new", tokens=1)
            assert {one.number for one in await work.find(Invoice, "tail", "new")} == {"1", "3"}
            assert [one.number for one in await work.find(Invoice, "tail", "old")] == ["2", "4"]
            assert await work.find(Checkout, "token", "new") == []

    run(story)


def test_a_later_unit_sees_what_an_earlier_one_kept(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("1"))
        await save(store, "a", invoice("1", tokens=5))

        assert await get(store, "a", Invoice, "1") == invoice("1", tokens=5)

    run(story)


def test_a_unit_has_one_moment_on_the_merchants_clock(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN.advance(60))
        async with store.work("a") as work:
            assert work.now == after(60)

        await store.set_clock("a", Clock(shift=timedelta(days=30)))
        async with store.work("a") as work:
            first = work.now
            assert timedelta(days=29) < first - datetime.now(UTC) <= timedelta(days=30)
            assert work.now == first

    run(story)


def test_things_are_found_oldest_first(run: Run) -> None:
    async def story(store: Store) -> None:
        for number in ("3", "1", "2"):
            await save(store, "a", invoice(number, tail="tail"))
        await save(store, "a", invoice("5", tail="tail"), invoice("4", tail="tail"), invoice("0", tail="other"))

        assert await numbers(store, "a", "tail", "tail") == ["3", "1", "2", "5", "4"]

    run(story)


def test_a_thing_that_is_kept_again_stays_in_its_place(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("1", tail="tail"), invoice("2", tail="tail"))

        async with store.work("a") as work:
            work.save(invoice("1", tail="tail", tokens=9))
            assert [one.tokens for one in await work.find(Invoice, "tail", "tail")] == [9, 0]

        assert await numbers(store, "a", "tail", "tail") == ["1", "2"]

    run(story)


def test_a_thing_that_changes_is_found_by_what_it_is_now(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("1", tail="tail", number_alt="old"))

        await save(store, "a", invoice("1", tail="tail", number_alt="new"))
        assert await numbers(store, "a", "number_alt", "old") == []
        assert await numbers(store, "a", "number_alt", "new") == ["1"]
        assert await numbers(store, "a", "tail", "tail") == ["1"]

        await save(store, "a", invoice("1", tail="tail"))
        assert await numbers(store, "a", "number_alt", "new") == []

        await save(store, "a", invoice("1", tail="tail", number_alt="old"))
        assert await numbers(store, "a", "number_alt", "old") == ["1"]

    run(story)


def test_nothing_is_found_by_an_empty_value(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("1"))

        async with store.work("a") as work:
            work.save(invoice("2"))
            assert await work.find(Invoice, "tail", "") == []
        assert await numbers(store, "a", "tail", "") == []

    run(story)


def test_events_are_numbered_in_order_from_one(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        async with store.work("a") as work:
            work.record("token.issued", "000000001", amount=Decimal("1.50"), hints=["Тест"])
            work.record("checkout.opened")
        async with store.work("b") as work:
            work.record("elsewhere")
        await store.set_clock("a", FROZEN.advance(1))
        async with store.work("a") as work:
            work.record("payment.approved", "000000001", at=EPOCH, nothing=None)

        events = list(await store.events("a"))

        assert [(event.number, event.kind) for event in events] == [
            (1, "token.issued"),
            (2, "checkout.opened"),
            (3, "payment.approved"),
        ]
        assert [event.at for event in events] == [EPOCH, EPOCH, after(1)]
        assert [event.invoice_id for event in events] == ["000000001", "", "000000001"]
        assert json.loads(events[0].facts) == {"amount": 1.5, "hints": ["Тест"]}
        assert json.loads(events[1].facts) == {}
        assert json.loads(events[2].facts) == {"at": EPOCH.isoformat(), "nothing": None}
        assert [event.number for event in await store.events("b")] == [1]

    run(story)


def test_events_can_be_asked_for_from_where_one_left_off(run: Run) -> None:
    async def story(store: Store) -> None:
        for kind in ("one", "two", "three"):
            async with store.work("a") as work:
                work.record(kind)

        left = {number: [event.kind for event in await store.events("a", after=number)] for number in range(5)}

        assert left == {0: ["one", "two", "three"], 1: ["two", "three"], 2: ["three"], 3: [], 4: []}

    run(story)


def test_events_that_were_read_do_not_change(run: Run) -> None:
    async def story(store: Store) -> None:
        before = await store.events("a")
        async with store.work("a") as work:
            work.record("something")

        assert list(before) == []

    run(story)


def test_what_is_due_is_claimed_with_its_world(run: Run) -> None:
    async def story(store: Store) -> None:
        thing = delivery("d", datetime.now(UTC))
        await save(store, "a", thing)

        assert await store.claim(Delivery, 100) == [("a", thing)]

    run(story)


def test_kinds_fall_due_apart(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", delivery("d", EPOCH), checkout("c", EPOCH))

        assert await claimed(store, Checkout) == [("a", "c")]
        assert await claimed(store, Delivery) == [("a", "d")]

    run(story)


def test_no_more_is_claimed_than_asked_for(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", *(delivery(str(number), EPOCH) for number in range(5)))

        batches = [await claimed(store, limit=2) for _ in range(3)]

        assert [len(batch) for batch in batches] == [2, 2, 1]
        assert sorted(itertools.chain.from_iterable(batches)) == [("a", str(number)) for number in range(5)]

    run(story)


def test_a_claim_waits_until_something_is_due(run: Run) -> None:
    async def story(store: Store) -> None:
        due_at = datetime.now(UTC) + timedelta(seconds=0.1)
        await save(store, "a", delivery("d", due_at))

        assert await claimed(store) == [("a", "d")]
        assert datetime.now(UTC) >= due_at

    run(story)


def test_a_claim_waits_for_a_store_that_has_nothing_yet(run: Run) -> None:
    async def story(store: Store) -> None:
        claiming = asyncio.create_task(claimed(store))
        assert await is_waiting(claiming)

        await save(store, "a", delivery("d", EPOCH))

        assert await claiming == [("a", "d")]

    run(story)


def test_a_waiting_claim_wakes_for_what_is_due_earlier(run: Run) -> None:
    async def story(store: Store) -> None:
        now = datetime.now(UTC)
        await save(store, "a", delivery("late", now + timedelta(hours=1)))
        claiming = asyncio.create_task(claimed(store))
        assert await is_waiting(claiming)

        await save(store, "b", delivery("early", now))

        assert await claiming == [("b", "early")]

    run(story)


def test_a_waiting_claim_leaves_the_machine_alone(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", delivery("d", EPOCH))
        assert await claimed(store) == [("a", "d")]
        spent = time.thread_time()

        claiming = asyncio.create_task(claimed(store))
        await asyncio.wait([claiming], timeout=0.2)

        assert not claiming.done()
        assert time.thread_time() - spent < 0.1

    run(story)


def test_two_waiting_claims_never_get_the_same(run: Run) -> None:
    async def story(store: Store) -> None:
        claims = [asyncio.create_task(claimed(store, limit=1)) for _ in range(2)]
        assert await is_waiting(claims[0])

        await save(store, "a", delivery("one", EPOCH), delivery("other", EPOCH))

        assert sorted([*await claims[0], *await claims[1]]) == [("a", "one"), ("a", "other")]

    run(story)


def test_a_claim_that_is_given_up_takes_nothing(run: Run) -> None:
    async def story(store: Store) -> None:
        claiming = asyncio.create_task(claimed(store))
        assert await is_waiting(claiming)
        claiming.cancel()
        with suppress(asyncio.CancelledError):
            await claiming

        await save(store, "a", delivery("d", EPOCH))

        assert await claimed(store) == [("a", "d")]

    run(story)


def test_a_claim_that_is_given_up_just_when_there_is_news_ends(run: Run) -> None:
    async def story(store: Store) -> None:
        soon = datetime.now(UTC) + timedelta(hours=1)
        await save(store, "a", delivery("d", soon))
        claiming = asyncio.create_task(store.claim(Delivery, 1))
        assert await is_waiting(claiming)
        await save(store, "a", delivery("e", soon))
        claiming.cancel()
        await asyncio.wait([claiming], timeout=1)
        assert claiming.cancelled()

    run(story)


def test_what_was_claimed_is_claimed_again_only_after_it_is_kept_with_another_moment(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", delivery("d", EPOCH))
        assert await claimed(store) == [("a", "d")]
        assert await now_due(store) == []

        await save(store, "a", replace(delivery("d", EPOCH), tries=1))
        await store.set_clock("a", FROZEN.advance(60))
        assert await now_due(store) == []

        await save(store, "a", delivery("d", after(60)))
        assert await now_due(store) == [("a", "d")]

        await save(store, "a", delivery("d", EPOCH))
        assert await now_due(store) == [("a", "d")]

    run(story)


def test_a_frozen_clock_holds_back_what_lies_ahead(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", delivery("ahead", after(0.000_001)), delivery("now", EPOCH))

        assert await now_due(store) == [("a", "now")]

        await store.set_clock("a", FROZEN.advance(1))
        assert await now_due(store) == [("a", "ahead")]

    run(story)


async def turned_before_it_was_due(store: Store, key: str, turn: Callable[[], Awaitable[None]]) -> datetime:
    """Keep something that falls due soon, turn the clock before that, and return when it would have been."""
    for seconds in (0.03, 0.3, 3):  # a busy machine may take longer than a moment
        await store.set_clock("a", Clock())
        due_at = datetime.now(UTC) + timedelta(seconds=seconds)
        await save(store, "a", delivery(key, due_at))
        await turn()
        if datetime.now(UTC) < due_at:
            return due_at
    pytest.fail("the machine is too busy")


def test_a_clock_that_is_frozen_holds_back_what_a_running_one_would_have_let_through(run: Run) -> None:
    async def story(store: Store) -> None:
        async def freeze() -> None:
            await store.set_clock("a", (await store.clock("a")).freeze())

        due_at = await turned_before_it_was_due(store, "held", freeze)
        await save(store, "b", delivery("free", due_at + timedelta(seconds=0.01)))
        assert await claimed(store) == [("b", "free")]

        await store.set_clock("a", (await store.clock("a")).resume())
        assert await claimed(store) == [("a", "held")]

    run(story)


def test_a_clock_that_is_put_back_delays_what_was_to_come(run: Run) -> None:
    async def story(store: Store) -> None:
        async def put_back() -> None:
            await store.set_clock("a", Clock().advance(-3600))

        due_at = await turned_before_it_was_due(store, "put off", put_back)
        await save(store, "b", delivery("free", due_at + timedelta(seconds=0.01)))
        assert await claimed(store) == [("b", "free")]

        await store.set_clock("a", Clock())
        assert await claimed(store) == [("a", "put off")]

    run(story)


def test_advancing_a_clock_releases_what_falls_due_in_order(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", *(delivery(str(second), after(second)) for second in (50, 10, 70, 30, 20)))

        await store.set_clock("a", FROZEN.advance(60))

        assert await claimed(store) == [("a", "10"), ("a", "20"), ("a", "30"), ("a", "50")]

    run(story)


def test_advancing_a_running_clock_releases_in_order_what_a_claim_waits_for(run: Run) -> None:
    async def story(store: Store) -> None:
        hour = timedelta(hours=1)
        now = datetime.now(UTC)
        await save(store, "a", *(delivery(str(hours), now + hours * hour) for hours in (3, 1, 2, 5)))
        claiming = asyncio.create_task(claimed(store))
        assert await is_waiting(claiming)

        await store.set_clock("a", (await store.clock("a")).advance(4 * 3600))

        assert await claiming == [("a", "1"), ("a", "2"), ("a", "3")]

    run(story)


def test_what_has_no_moment_any_more_is_not_claimed(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", delivery("one", after(10)), delivery("two", EPOCH), delivery("never", None))

        await save(store, "a", delivery("one", None), delivery("two", None))
        await store.set_clock("a", FROZEN.advance(60))

        assert await now_due(store) == []

    run(story)


def test_a_page_that_is_closed_does_not_fall_due(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", checkout("closed", EPOCH), checkout("open", EPOCH))
        await save(store, "a", replace(checkout("closed", EPOCH), state=CheckoutState.CLOSED))

        assert await claimed(store, Checkout) == [("a", "open")]

    run(story)


def test_what_is_put_off_is_claimed_at_its_new_moment_alone(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", delivery("d", EPOCH))
        await save(store, "a", delivery("d", after(10)))
        assert await now_due(store) == []

        await store.set_clock("a", FROZEN.advance(10))
        await store.set_clock("a", FROZEN.advance(20))
        assert await now_due(store) == [("a", "d")]
        assert await now_due(store) == []

    run(story)


def test_a_held_world_gives_what_is_due_to_its_holder_alone(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", delivery("late", after(20)), delivery("early", after(10)), delivery("next year", None))
        async with store.hold("a") as hold:
            assert hold.frozen
            first = await hold.next(after(30))
            assert first is not None
            assert (first.id, (await store.clock("a")).now()) == ("early", after(10))
            assert await now_due(store) == []
            await save(store, "a", replace(delivery("early", after(10)), due_at=after(15)))
            assert [thing.id for thing in await taken(hold, after(30))] == ["early", "late"]
        assert (await store.clock("a")).now() == after(30)

    run(story)


async def taken(hold: Hold, until: datetime) -> list[Delivery]:
    """Take what is due in hand until nothing is."""
    things = []
    while thing := await hold.next(until):
        assert isinstance(thing, Delivery)
        things.append(thing)
    return things


def test_a_held_clock_runs_on_from_where_it_was_put(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.hold("a") as hold:
            assert not hold.frozen
            stands = (await store.clock("a")).now()
            assert (await store.clock("a")).frozen_at == stands
            await hold.next(stands + timedelta(hours=1))
        clock = await store.clock("a")
        assert clock.frozen_at is None
        assert timedelta(hours=1) <= clock.now() - stands < timedelta(hours=1, seconds=PATIENCE_S)
        async with store.hold("a") as hold:
            hold.frozen = True
        assert (await store.clock("a")).frozen_at

    run(story)


def test_what_lies_ahead_is_claimed_again_once_the_hold_is_over(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", delivery("now", after(0)), delivery("later", after(10)))
        async with store.hold("a") as hold:
            assert await now_due(store) == []
            await save(store, "a", delivery("meanwhile", after(0)))
            await hold.next(after(-1))
        await store.set_clock("a", FROZEN)
        assert sorted(await now_due(store)) == [("a", "meanwhile"), ("a", "now")]

    run(story)


def test_what_a_running_clock_would_have_brought_comes_to_the_holder(run: Run) -> None:
    async def story(store: Store) -> None:
        now = (await store.clock("a")).now()
        await save(store, "a", delivery("soon", now + timedelta(hours=1)))
        async with store.hold("a") as hold:
            (thing,) = await taken(hold, now + timedelta(hours=2))
            await save(store, "a", replace(thing, due_at=None))
        assert await now_due(store) == []
        assert await store.due("a") == []

    run(story)


def test_a_hold_waits_for_what_is_under_way_and_for_another_hold(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", delivery("d", after(0)))
        assert await now_due(store) == [("a", "d")]
        order = []

        async def hold(name: str) -> None:
            async with store.hold("a"):
                order.append(name)
                await asyncio.sleep(0)
                order.append(name)

        waiting = [asyncio.create_task(hold(name)) for name in ("one", "other")]
        assert await are_waiting(waiting)
        assert order == []
        await save(store, "a", replace(delivery("d", after(0)), due_at=None))
        await asyncio.gather(*waiting)
        assert order in (["one", "one", "other", "other"], ["other", "other", "one", "one"])

    run(story)


@pytest.mark.parametrize("ending", ["drop", "reset"])
def test_a_hold_and_whoever_waits_for_news_end_with_their_world(run: Run, ending: str) -> None:
    async def story(store: Store) -> None:
        await store.set_clock("a", FROZEN)
        await save(store, "a", delivery("d", after(0)))
        assert await now_due(store) == [("a", "d")]

        async def enter() -> None:
            async with store.hold("a"):
                pytest.fail("the old world was held")

        waiting = [asyncio.ensure_future(one) for one in (enter(), enter(), store.news("a", after=0))]
        assert await are_waiting(waiting)
        await (store.drop_merchant("a") if ending == "drop" else store.add_merchant(new_merchant("a")))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [UnknownMerchantError] * 3
        async with store.hold("b") as held:
            await store.drop_merchant("b")
            with pytest.raises(UnknownMerchantError):
                await held.next(after(10))

    run(story)


def test_a_hold_that_is_given_up_lets_go(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", delivery("d", after(0)))
        claimed = await store.claim(Delivery, 1)

        async def enter() -> None:
            async with store.hold("a"):
                pytest.fail("something is under way")

        waiting = [asyncio.create_task(enter()) for _ in range(2)]
        assert await are_waiting(waiting)
        assert (await store.clock("a")).frozen_at
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (await store.clock("a")).frozen_at is None
        await save(store, "a", *(replace(thing, due_at=None) for _, thing in claimed))
        async with store.hold("a"):
            pass

    run(story)


def test_news_are_waited_for(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.work("a") as work:
            work.record("first")
        assert [event.kind for event in await store.news("a", after=0)] == ["first"]
        waiting = [asyncio.ensure_future(store.news("a", after=1)) for _ in range(3)]
        assert await are_waiting(waiting)
        waiting[0].cancel()
        await save(store, "a", invoice("1"))  # something, but no event
        await save(store, "b", invoice("1"))
        assert await are_waiting(waiting[1:])
        async with store.work("a") as work:
            work.record("second")
        assert [[event.kind for event in await task] for task in waiting[1:]] == [["second"]] * 2

    run(story)


def test_events_of_a_world_made_anew_go_on_from_the_old_ones_number(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.work("a") as work:
            work.record("old")
            work.record("old")
        await store.add_merchant(new_merchant("a"))
        assert await store.events("a") == []
        async with store.work("a") as work:
            work.record("new")
        assert [(event.number, event.kind) for event in await store.news("a", after=2)] == [(3, "new")]
        assert [event.number for event in await store.events("a", after=0)] == [3]

    run(story)


def test_a_dropped_world_leaves_nothing_behind(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("1"), delivery("d", after(0)))
        await store.drop_merchant("a")
        assert [merchant.client_id for merchant in await store.merchants()] == ["b"]
        assert await store.merchant("a") is None
        assert await store.owner(Invoice, "1") is None
        assert await now_due(store) == []
        for ask in (store.drop_merchant("a"), store.change_merchant(new_merchant("a")), store.due("a")):
            with pytest.raises(UnknownMerchantError):
                await ask

    run(story)


def test_all_things_of_a_kind_come_oldest_first_and_with_those_of_the_unit(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("2"), invoice("1"))
        async with store.work("a") as work:
            work.save(invoice("3"), invoice("2", tokens=1))
            assert [(one.number, one.tokens) for one in await work.all(Invoice)] == [("2", 1), ("1", 0), ("3", 0)]
            assert await work.all(Delivery) == []

    run(story)


def test_things_of_many_keys_come_together(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("1"), invoice("2"), invoice("3"), token("3"))
        await save(store, "b", invoice("4"))
        async with store.work("a") as work:
            assert await work.get(Invoice, "1") == invoice("1")
            work.save(invoice("2", tokens=1), invoice("5"))
            found = await work.get_each(Invoice, ["5", "3", "4", "2", "1", "3"])
            assert [(one.number, one.tokens) for one in found] == [("5", 0), ("3", 0), ("2", 1), ("1", 0)]
            assert await work.get(Invoice, "4") is None
            assert await work.get_each(Invoice, []) == []
            assert await work.get_each(Delivery, ["1"]) == []

    run(story)


def test_things_of_many_values_are_found_together(run: Run) -> None:
    async def story(store: Store) -> None:
        await save(store, "a", invoice("2", tail="x"), invoice("1", tail="x"), invoice("3", tail="y"))
        await save(store, "a", invoice("4"), replace(invoice("5", tail="z"), number_alt="alt"), token("x"))
        await save(store, "b", invoice("6", tail="x"))
        async with store.work("a") as work:
            work.save(invoice("3", tail="x"), invoice("7"), invoice("8", tail="new"))
            found = await work.find_each(Invoice, "tail", ["x", "y", "", "new", "nowhere"])
            assert {tail: [one.number for one in those] for tail, those in found.items()} == {
                "x": ["2", "1", "3"],
                "y": [],
                "": [],
                "new": ["8"],
                "nowhere": [],
            }
            assert [one.number for one in (await work.find_each(Invoice, "number_alt", ["alt"]))["alt"]] == ["5"]
            assert await work.find_each(Token, "invoice_id", []) == {}

    run(story)


def test_it_is_told_when_something_happened_to_each_invoice(run: Run) -> None:
    async def story(store: Store) -> None:
        for second, number in ((5, "1"), (3, "2"), (4, "1"), (1, "1"), (2, "")):  # a clock that is put back, too
            await store.set_clock("a", FROZEN.advance(second))
            async with store.work("a") as work:
                work.record("something", number)
        async with store.work("a") as work:
            work.record("something", "2")
            assert await work.moments(["2", "1", "3"]) == {"1": (after(5), after(1)), "2": (after(3), after(3))}
            assert await work.moments([]) == {}

    run(story)


def test_invoices_are_searched_by_states_reasons_and_words(run: Run) -> None:
    async def story(store: Store) -> None:
        *others, link = whole_order("2", DeliveryState.HELD)
        assert isinstance(link, InvoiceLink)
        await save(store, "a", *whole_order("1"))
        await save(store, "a", *others, replace(link, order=an_order(invoice_id="2", description="Ссылка 100%")))
        await save(store, "a", invoice("3"))
        poor = a_transaction(
            an_order(invoice_id="1", description="Чай", account_id="Account-7", email="Tea@example.kz"),
            id="latest",
            created_at=EPOCH,
            status=Status.REJECT,
            reason_code=484,
            card=CardMask(first="440563", last="5096", brand="VISA", issuer="Bank"),
            payer=Payer(email="payer@example.kz"),
        )
        await save(store, "a", poor, delivery("latest", EPOCH, "1"))
        await save(store, "b", *whole_order("4"))

        async def found(**sought: Any) -> str:
            async with store.work("a") as work:
                return "".join(await work.search(Sought(**sought)))

        assert await found() == "123"
        assert [await found(status=status) for status in ("REJECT", "NEW", "none", "CHARGE")] == ["1", "2", "3", ""]
        assert [await found(postlink=state) for state in ("queued", "held", "none", "delivered")] == ["1", "2", "3", ""]
        assert [await found(reason_code=code) for code in (484, 0, 10**14)] == ["1", "2", ""]
        texts = ("чаЙ", "tea@", "ACCOUNT-7", "4405...5096", "payer@", "ссылка 100%", "0% ", "3", "'", "\0")
        assert [await found(text=text) for text in texts] == ["1", "1", "1", "1", "1", "2", "", "3", "", ""]
        assert await found(status="REJECT", postlink="queued", reason_code=484, text="чай") == "1"
        assert await found(status="REJECT", text="ссылка") == ""

        await save(store, "a", replace(poor, status=Status.CHARGE, reason_code=0, order=an_order(invoice_id="1")))
        assert (await found(status="CHARGE"), await found(text="чай")) == ("1", "")
        async with store.work("a") as work:
            work.save(invoice("9"))
            assert await work.search(Sought(status="none")) == ["3"]

    run(story)


class Counted(SqliteDatabase):
    """A file that counts what it is asked."""

    statements = 0

    async def rows(self, statement: str, *values: object) -> Sequence[Row]:
        self.statements += 1
        return await super().rows(statement, *values)


def test_a_longer_list_takes_no_more_statements(tmp_path: Path) -> None:
    async def told() -> None:
        database = Counted(str(tmp_path / "store.db"))
        store = SqlStore(database)
        await store.open()
        await store.add_merchant(new_merchant("a"))
        for number in range(30):
            await save(store, "a", *whole_order(f"{number:02}"))

        async def statements(**search: Any) -> int:
            before = database.statements
            async with store.work("a") as work:
                shown = await page(work, Search(**search))
            assert len(shown.lines) == search["limit"]
            return database.statements - before

        searches: list[dict[str, Any]] = [
            {},
            {"order": "newest", "text": "0"},
            {"status": "NEW", "behind": "03"},
            {"numbers": [f"{number:02}" for number in range(30)]},
        ]
        for search in searches:
            few, many = [await statements(**search, limit=limit) for limit in (1, 11)]
            assert max(few, many) <= 10  # a line more or less asks for what its orders have
        await store.close()

    asyncio.run(told())


def test_some_things_come_from_either_end_and_from_behind_another(run: Run) -> None:
    async def story(store: Store) -> None:
        for number in ("3", "1", "4", "2"):
            await save(store, "a", invoice(number))
        await save(store, "a", invoice("1", tokens=1), token("t"))
        await save(store, "b", invoice("5"))
        async with store.work("a") as work:
            work.save(invoice("6"))

            async def some(limit: int | None, **more: Any) -> list[str]:
                return [one.number for one in await work.some(Invoice, limit, **more)]

            assert await some(None) == ["3", "1", "4", "2"]
            assert await some(2) == ["3", "1"]
            assert await some(2, newest=True) == ["2", "4"]
            assert await some(2, newest=True, behind="4") == ["1", "3"]
            assert await some(2, behind="4") == ["2"]
            assert await some(2, behind="2") == []
            assert await work.some(Delivery, 1, newest=True) == []

    run(story)


def test_invoices_and_events_are_counted(run: Run) -> None:
    async def story(store: Store) -> None:
        async with store.work("a") as work:
            assert (work.invoices, work.last_event) == (0, 0)
            work.save(invoice("1"), invoice("2"))
            work.record("one")
            work.record("two")
        await save(store, "a", invoice("2", tokens=1), token("t"), invoice("3"))
        with suppress(KeyError):
            async with store.work("a") as work:
                await work.get(Invoice, "4")
                work.save(invoice("4"))
                raise KeyError
        async with store.work("a") as work:
            assert (work.invoices, work.last_event) == (3, 2)
        await store.add_merchant(new_merchant("a"))
        async with store.work("a") as work:
            assert (work.invoices, work.last_event) == (0, 2)

    run(story)


def test_events_of_an_invoice_are_told_apart(run: Run) -> None:
    async def story(store: Store) -> None:
        for kind, number in (("one", "1"), ("two", "2"), ("three", "1"), ("four", "")):
            async with store.work("a") as work:
                work.record(kind, number)
        async with store.work("b") as work:
            work.record("elsewhere", "1")
        async with store.work("a") as work:
            work.record("five", "1")
            assert [(one.number, one.kind) for one in await work.events("1")] == [(1, "one"), (3, "three")]
            assert await work.events("3") == []

    run(story)


def test_a_merchant_is_another_from_the_next_unit_on(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.change_merchant(replace(new_merchant("a"), name="New name"))
        async with store.work("a") as work:
            assert work.merchant.name == "New name"
        assert [merchant.name for merchant in await store.merchants()] == ["New name", "Shop b"]

    run(story)


WORLDS: Final = ("a", "b")
keys = st.sampled_from(["1", "2", "3"])
tails = st.sampled_from(["", "x", "y"])
invoices = st.builds(invoice, keys, tails, tokens=st.integers(0, 1))
deliveries = st.builds(
    delivery, keys, st.none() | st.integers(0, 20).map(after), keys.map(lambda key: f"00000000{key}")
)
units = st.lists(invoices | deliveries, max_size=4)
worlds = st.sampled_from(WORLDS)


def bounded(**limits: int) -> Merchant:
    """Return the merchant "a" with limits so low that each unit of work minds them."""
    facts = {"keep_transactions": 3, "keep_events": 5, "keep_bodies": 4}
    return new_merchant("a", **facts | limits)


def transaction(number: str, key: str = "") -> Transaction:
    return a_transaction(an_order(invoice_id=number), id=key or f"transaction {number}", created_at=EPOCH)


def attempt(key: str, number: str) -> Attempt:
    return Attempt(
        id=key,
        delivery_id=f"delivery {number}",
        invoice_id=number,
        number=1,
        at=EPOCH,
        url="https://example.kz/",
        request=b"{}",
        result="delivered",
        status=200,
        answer="ok",
        milliseconds=1.5,
    )


def saved_card(key: str) -> SavedCard:
    mask = CardMask(first="440563", last="5096", brand="VISA", issuer="Bank")
    return SavedCard(
        id=key,
        account_id="account",
        mask=mask,
        holder="",
        terminal="terminal",
        transaction_id="transaction",
        reference="",
        int_reference="",
        created_at=EPOCH,
    )


def ordered(value: str, number: str) -> Token:
    return replace(token(value), request=replace(token(value).request, invoice_id=number))


def whole_order(number: str, state: DeliveryState = DeliveryState.DELIVERED) -> list[Stored]:
    """Return all that an order may have; its postlink is in this state."""
    page = checkout(f"page {number}", after(60), token=f"token {number}")
    sent = delivery(f"delivery {number}", None, number)
    asked = InvoiceLink(
        id=f"link {number}",
        order=an_order(invoice_id=number),
        asked=LinkRequest(order=an_order(invoice_id=number), shop_id="shop", period="1d"),
        created_at=EPOCH,
        expires_at=after(60),
    )
    return [
        invoice(number, tail=number),
        ordered(f"token {number}", number),
        replace(page, order=an_order(invoice_id=number), state=CheckoutState.APPROVED),
        transaction(number),
        replace(sent, state=state),
        attempt(f"attempt {number}", number),
        asked,
    ]


async def left(store: Store) -> dict[str, list[str]]:
    """Return the keys of all that a world has, by kind, with the numbers of its events."""
    found: dict[str, list[str]] = {}
    async with store.work("a") as work:
        for kind, shape in SHAPES.items():
            things: Sequence[Stored] = await work.all(kind)
            found |= {kind.__name__: [getattr(one, shape.key) for one in things]} if things else {}
    return found | {"events": [str(event.number) for event in await store.events("a")]}


def test_the_oldest_order_is_forgotten_with_all_that_belongs_to_it(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded())
        for number in "1234":
            await save(store, "a", *whole_order(number))

        kept = await left(store)
        assert kept["Invoice"] == ["2", "3", "4"]
        assert {kind: len(keys) for kind, keys in kept.items()} == dict.fromkeys(kept, 3) | {"events": 0}
        assert len(kept) == 8
        assert await numbers(store, "a", "tail", "1") == []
        for kind, key in ((Token, "token 1"), (Checkout, "page 1"), (Transaction, "transaction 1"), (Invoice, "1")):
            assert await store.owner(kind, key) is None
        async with store.work("a") as work:
            assert await work.find(Attempt, "delivery_id", "delivery 1") == []
            assert await work.find(Checkout, "token", "token 1") == []

    run(story)


def test_an_order_number_that_was_forgotten_can_be_taken_anew(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded())
        for number in "12341":
            await save(store, "a", *whole_order(number))

        assert (await left(store))["Transaction"] == [f"transaction {number}" for number in "341"]
        assert await store.owner(Transaction, "transaction 1") == "a"

    run(story)


def test_an_order_in_which_something_is_new_is_not_the_oldest_any_more(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded())
        for number in "123":
            await save(store, "a", *whole_order(number))
        await save(store, "a", ordered("another token", "1"))
        await save(store, "a", invoice("2", tail="changed"))  # which is nothing new
        await save(store, "a", *whole_order("4"))

        assert set((await left(store))["Invoice"]) == {"1", "3", "4"}

    run(story)


@pytest.mark.parametrize("state", [DeliveryState.QUEUED, DeliveryState.HELD])
def test_an_order_whose_postlink_is_still_to_go_out_is_spared_at_first(run: Run, state: DeliveryState) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded(keep_transactions=4))
        await save(store, "a", *whole_order("0", state))
        for number in "12345":
            await save(store, "a", *whole_order(number))
        assert (await left(store))["Invoice"] == ["0", "3", "4", "5"]

        await save(store, "a", *whole_order("0"))  # it is delivered, and has its turn
        await save(store, "a", *whole_order("6"))
        assert (await left(store))["Invoice"] == ["3", "4", "5", "6"]

    run(story)


def test_of_orders_that_are_all_under_way_three_times_as_many_are_kept(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded(keep_transactions=2))
        await store.set_clock("a", FROZEN)
        for number in range(10):
            sent = delivery(f"delivery {number}", after(number), str(number))
            await save(store, "a", invoice(str(number)), sent)

        assert (await left(store))["Invoice"] == ["4", "5", "6", "7", "8", "9"]
        assert [thing.id for _, thing in await store.due("a")] == [f"delivery {number}" for number in range(4, 10)]
        await store.set_clock("a", FROZEN.advance(100))
        assert await claimed(store) == [("a", f"delivery {number}") for number in range(4, 10)]
        assert (await store.tally("a")).waiting == Kept(kept=6, forgotten=4)

    run(story)


def test_an_order_that_is_forgotten_while_it_is_claimed_is_not_waited_for(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded(keep_transactions=2))
        await save(store, "a", invoice("0"), delivery("first", EPOCH, "0"))
        assert await claimed(store) == [("a", "first")]
        for number in range(1, 7):
            await save(store, "a", *whole_order(str(number), DeliveryState.HELD))
        assert (await left(store))["Invoice"] == ["1", "2", "3", "4", "5", "6"]

        async with store.hold("a") as hold:  # which waits for what is claimed
            assert await hold.next(EPOCH) is None

    run(story)


def test_many_attempts_to_pay_one_order_count_as_so_many(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded())
        await save(store, "a", invoice("1"), transaction("1", "a"), transaction("1", "b"))
        await save(store, "a", invoice("2"), transaction("2", "c"))
        assert (await left(store))["Transaction"] == ["a", "b", "c"]
        await save(store, "a", transaction("2", "d"))

        assert (await left(store))["Transaction"] == ["c", "d"]
        assert (await store.tally("a")).transactions == Kept(kept=2, forgotten=2)

    run(story)


def test_tokens_go_by_themselves_unless_a_page_has_them(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded())
        await save(store, "a", invoice("1"), ordered("paying", "1"), checkout("page", after(60), token="paying"))
        for number in range(12):
            await save(store, "a", token(f"status {number}"))

        assert (await left(store))["Token"] == ["paying", *(f"status {number}" for number in range(4, 12))]

    run(story)


def test_of_many_tokens_of_one_order_the_latest_are_found_until_it_is_forgotten(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded(keep_transactions=40))
        await save(store, "a", invoice("1"))
        for number in range(6):
            await save(store, "a", *(ordered(f"{number} {index}", "1") for index in range(50)))
        async with store.work("a") as work:
            found = await work.find(Token, "invoice_id", "1")
            assert [one.value for one in found] == [f"{number} {index}" for number in range(6) for index in range(50)][
                -120:
            ]
        await save(store, "b", ordered("5 49", "1"))
        await save(store, "a", *(invoice(f"another {number}") for number in range(40)))

        assert "Token" not in await left(store)
        assert await store.owner(Token, "5 49") == "b"
        await save(store, "a", invoice("1"))
        async with store.work("a") as work:
            assert await work.find(Token, "invoice_id", "1") == []

    run(story)


def test_the_oldest_events_tries_and_cards_go_by_themselves(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded())
        for number in range(8):
            async with store.work("a") as work:
                work.save(attempt(f"try {number}", "1"), saved_card(f"card {number}"))
                work.record("status.asked", "1", asked=number)

        kept = await left(store)
        assert kept["Attempt"] == ["try 4", "try 5", "try 6", "try 7"]
        assert kept["SavedCard"] == ["card 5", "card 6", "card 7"]
        assert kept["events"] == ["4", "5", "6", "7", "8"]
        assert [event.number for event in await store.events("a", after=6)] == [7, 8]
        tally = await store.tally("a")
        assert (tally.events, tally.bodies) == (Kept(kept=5, forgotten=3), Kept(kept=4, forgotten=4))

    run(story)


def test_of_bodies_none_are_kept_if_none_are_wanted(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded(keep_bodies=0))
        await save(store, "a", *whole_order("1"))

        assert "Attempt" not in await left(store)
        assert (await store.tally("a")).bodies == Kept(kept=0, forgotten=1)

    run(story)


def test_what_there_is_is_counted_for_each_world_and_for_all(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded())
        for number in "1234":
            await save(store, "a", *whole_order(number))
        async with store.work("b") as work:
            work.save(*whole_order("1"), delivery("waiting", after(1)))
            work.record("status.asked")

        assert await store.tally("a") == Tally(
            worlds=1,
            transactions=Kept(kept=3, forgotten=1),
            events=Kept(),
            bodies=Kept(kept=3, forgotten=1),
            waiting=Kept(),
        )
        assert await store.tally() == Tally(
            worlds=2,
            transactions=Kept(kept=4, forgotten=1),
            events=Kept(kept=1),
            bodies=Kept(kept=4, forgotten=1),
            waiting=Kept(kept=1),
        )
        with pytest.raises(UnknownMerchantError):
            await store.tally("c")
        await store.add_merchant(bounded())
        assert (await store.tally("a")).transactions == Kept()

    run(story)


def test_limits_are_minded_only_now_and_then(run: Run) -> None:
    async def story(store: Store) -> None:
        await store.add_merchant(bounded(keep_transactions=1000, keep_events=1000))
        for _ in range(30):
            async with store.work("a") as work:
                for _ in range(100):
                    work.record("status.asked")

        tally = await store.tally("a")
        assert 1000 <= tally.events.kept <= 1200
        assert tally.events.kept + tally.events.forgotten == 3000

    run(story)


numbers_of_orders = st.sampled_from(["1", "2", "3", "4", "5", "6", "7", "8"])
# Nothing ever changes its order, as in life.
things = st.one_of(
    numbers_of_orders.map(invoice),
    st.builds(lambda number, key: transaction(number, f"payment {number} {key}"), numbers_of_orders, keys),
    st.builds(lambda number, key: ordered(f"token {number} {key}", number), numbers_of_orders, keys),
    st.integers(0, 20).map(lambda number: token(f"status {number}")),
    st.builds(
        lambda number, state: replace(delivery(f"sent {number}", None, number), state=state),
        numbers_of_orders,
        st.sampled_from(DeliveryState),
    ),
    st.builds(lambda number, key: attempt(f"{number} {key}", number), numbers_of_orders, keys),
    st.builds(
        lambda number, key, state: replace(
            checkout(f"page {number} {key}", after(60), token=f"token {number} {key}"),
            order=an_order(invoice_id=number),
            state=state,
        ),
        numbers_of_orders,
        keys,
        st.sampled_from(CheckoutState),
    ),
)


SOUGHT: Final = (
    *(Sought(postlink=state) for state in ("queued", "delivered", "none")),
    Sought(status="NEW", postlink="held"),
    Sought(status="none", text="3"),
    Sought(reason_code=0),
)


def as_in_life(unit: Sequence[Stored]) -> list[Stored]:
    """Return the things of a unit, no page without its token before it, and nothing of an order without that."""
    numbers = dict.fromkeys(bounds.number_of(thing) for thing in unit)
    kept: list[Stored] = [invoice(number) for number in numbers if number]
    for thing in unit:
        kept += [ordered(thing.token, thing.invoice_id)] if isinstance(thing, Checkout) else []
        kept.append(thing)
    return kept


@pytest.mark.parametrize(("name", "examples"), [("sqlite", 25), ("postgresql", 8)])
def test_a_database_forgets_what_memory_forgets(name: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.lists(st.lists(things, min_size=1, max_size=4), max_size=25))
    def same(units: list[list[Stored]]) -> None:
        async def told() -> None:
            async with asyncio.timeout(PATIENCE_S), STORES[name]() as store, memory() as model:
                for home in (store, model):
                    await home.add_merchant(bounded())
                for unit in units:
                    for home in (store, model):
                        async with home.work("a") as work:
                            work.save(*as_in_life(unit))
                            work.record("saved")
                assert {kind: sorted(keys) for kind, keys in (await left(store)).items()} == {
                    kind: sorted(keys) for kind, keys in (await left(model)).items()
                }
                assert await store.tally("a") == await model.tally("a")
                async with store.work("a") as work, model.work("a") as expected:
                    for sought in SOUGHT:
                        assert sorted(await work.search(sought)) == sorted(await expected.search(sought))

        asyncio.run(told())

    same()


class Model:
    """One world in dictionaries. Its clock stands still, so that what is due is certain."""

    def __init__(self, before: int = 0) -> None:
        self.seconds = 0
        self.things: dict[tuple[type, str], Invoice | Delivery] = {}
        self.due: dict[str, datetime] = {}
        self.before = before
        self.events: list[str] = []

    def save(self, thing: Invoice | Delivery) -> None:
        key = (type(thing), thing.number if isinstance(thing, Invoice) else thing.id)
        self.things[key] = thing

    def reckon(self, before: dict[tuple[type, str], Invoice | Delivery]) -> None:
        """Note what a unit that began with `before` has put on the agenda or taken from it."""
        for (kind, key), thing in self.things.items():
            old = before.get((kind, key))
            if not isinstance(thing, Delivery) or (isinstance(old, Delivery) and old.due_at == thing.due_at):
                continue
            self.due.pop(key, None)
            if thing.due_at:
                self.due[key] = thing.due_at

    def claimable(self) -> list[str]:
        return [key for key, moment in self.due.items() if moment <= after(self.seconds)]

    def found(self, kind: type, attribute: str, value: str) -> list[object]:
        of_kind = [thing for (its, _), thing in self.things.items() if its is kind]
        return [thing for thing in of_kind if value and getattr(thing, attribute) == value]


class Histories(RuleBasedStateMachine):
    """Does to a store and to the model the same, and compares. `name` is another in each subclass."""

    name: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.opened = STORES[self.name]()
        self.store = self.do(self.opened.__aenter__())
        self.models: dict[str, Model] = {}

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE_S))

    def teardown(self) -> None:
        self.do(_closed(self.opened))
        self.loop.close()

    @initialize()
    def begin(self) -> None:
        for client_id in WORLDS:
            self.add(client_id)

    @rule(client_id=worlds)
    def add(self, client_id: str) -> None:
        self.do(self.store.add_merchant(new_merchant(client_id)))
        self.do(self.store.set_clock(client_id, FROZEN))
        old = self.models.get(client_id, Model())
        self.models[client_id] = Model(old.before + len(old.events))

    @rule(client_id=worlds)
    def drop(self, client_id: str) -> None:
        self.do(self.store.drop_merchant(client_id))
        del self.models[client_id]
        self.add(client_id)

    @rule(client_id=worlds, name=keys)
    def change(self, client_id: str, name: str) -> None:
        self.do(self.store.change_merchant(replace(new_merchant(client_id), name=name)))
        changed = self.do(self.store.merchant(client_id))
        assert changed is not None
        assert changed.name == name

    @rule(client_id=worlds, seconds=st.integers(0, 20))
    def hold(self, client_id: str, seconds: int) -> None:
        model = self.models[client_id]
        until = after(model.seconds + seconds)

        async def held() -> list[str]:
            taken = []
            async with self.store.hold(client_id) as hold:
                while thing := await hold.next(until):
                    assert isinstance(thing, Delivery)
                    taken.append(thing.id)
                    await save(self.store, client_id, replace(thing, due_at=None))
            return taken

        expected = [(moment, key) for key, moment in model.due.items() if moment <= until]
        taken = self.do(held())
        assert sorted(taken) == sorted(key for _, key in expected)
        assert [model.due[key] for key in taken] == sorted(moment for moment, _ in expected)
        for key in taken:
            del model.due[key]
            kept = model.things[Delivery, key]
            assert isinstance(kept, Delivery)
            model.save(replace(kept, due_at=None))
        model.seconds += seconds

    @rule(client_id=worlds, things=units, tail=tails, fails=st.booleans())
    def work(self, client_id: str, things: list[Invoice | Delivery], tail: str, *, fails: bool) -> None:
        model = self.models[client_id]
        kept = dict(model.things)

        async def unit() -> None:
            async with self.store.work(client_id) as work:
                assert work.now == after(model.seconds)
                for thing in things:
                    work.save(thing)
                    model.save(thing)
                    work.record("saved", repr(thing))
                    assert await work.get(type(thing), _key(thing)) == thing
                _same(await work.find(Invoice, "tail", tail), model.found(Invoice, "tail", tail))
                if fails:
                    raise ZeroDivisionError

        if fails:
            with pytest.raises(ZeroDivisionError):
                self.do(unit())
            model.things = kept
        else:
            self.do(unit())
            model.events += [repr(thing) for thing in things]
            model.reckon(kept)

    @rule(client_id=worlds, seconds=st.integers(0, 20))
    def set_clock(self, client_id: str, seconds: int) -> None:
        self.do(self.store.set_clock(client_id, FROZEN.advance(seconds)))
        self.models[client_id].seconds = seconds

    @invariant()
    def what_lies_ahead_agrees(self) -> None:
        for client_id, model in self.models.items():
            ahead = [(moment, thing.id) for moment, thing in self.do(self.store.due(client_id))]
            assert sorted(ahead) == sorted((moment, key) for key, moment in model.due.items())
            assert [moment for moment, _ in ahead] == sorted(moment for moment, _ in ahead)

    @precondition(lambda self: any(model.claimable() for model in self.models.values()))
    @rule(limit=st.integers(1, 8))
    def claim(self, limit: int) -> None:
        ready = {(client_id, key) for client_id, model in self.models.items() for key in model.claimable()}

        claims = self.do(self.store.claim(Delivery, limit))

        assert len(claims) == min(limit, len(ready))
        for client_id, thing in claims:
            assert (client_id, thing.id) in ready
            assert thing == self.models[client_id].things[Delivery, thing.id]
            del self.models[client_id].due[thing.id]
            # Whoever claims something ends it, or else nobody could ever take the world's time in hand.
            done = replace(thing, due_at=None)
            self.do(save(self.store, client_id, done))
            self.models[client_id].save(done)

    @invariant()
    def what_is_read_agrees(self) -> None:
        self.do(_compare(self.store, self.models))


async def _closed(opened: AbstractAsyncContextManager[Store]) -> None:
    await opened.__aexit__(None, None, None)


async def _compare(store: Store, models: dict[str, Model]) -> None:
    for client_id, model in models.items():
        async with store.work(client_id) as work:
            for key in ("1", "2", "3"):
                assert await work.get(Invoice, key) == model.things.get((Invoice, key))
                assert await work.get(Delivery, key) == model.things.get((Delivery, key))
            for tail in ("", "x", "y"):
                _same(await work.find(Invoice, "tail", tail), model.found(Invoice, "tail", tail))
            _same(
                await work.find(Delivery, "invoice_id", "000000001"), model.found(Delivery, "invoice_id", "000000001")
            )
        events = [(event.number, event.invoice_id) for event in await store.events(client_id)]
        assert events == list(enumerate(model.events, start=model.before + 1))
        async with store.work(client_id) as work:
            kept = [thing for (kind, _), thing in model.things.items() if kind is Invoice]
            _same(await work.all(Invoice), kept)
            _same(await work.some(Invoice, 2, newest=True), list(reversed(await work.all(Invoice)))[:2])
            assert (work.invoices, work.last_event) == (len(kept), model.before + len(model.events))
    for key in ("1", "2", "3"):
        homes: list[str | None] = [client_id for client_id, model in models.items() if (Invoice, key) in model.things]
        assert await store.owner(Invoice, key) in (homes or [None])


def _key(thing: Invoice | Delivery) -> str:
    return thing.number if isinstance(thing, Invoice) else thing.id


def _same(found: object, expected: Sequence[object]) -> None:
    """Compare without order: where a thing that changes stands among others is each store's affair."""
    assert isinstance(found, list | tuple)
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


@pytest.mark.parametrize(("name", "examples"), [("memory", 40), ("sqlite", 30), ("postgresql", 12)])
def test_any_history_of_units_clocks_and_claims_is_that_of_dictionaries(name: str, examples: int) -> None:
    histories = type("HistoriesOfStore", (Histories,), {"name": name})

    run_state_machine_as_test(
        histories, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None)
    )
