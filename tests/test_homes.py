"""Stores in files and databases: what they refuse, what they survive, and what servers over them have in common."""

import asyncio
import logging
import os
import pwd
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from databases import Postgres, postgres, shared_postgres
from support import APPROVES, PATIENCE_S, Receiver, new_merchant
from test_store import EPOCH, are_waiting, checkout, delivery, get, invoice, left, save, token, whole_order
from worlds import World, new_world

from mock_epay.bank import Bank
from mock_epay.bank.merchants import built_in_ids
from mock_epay.clock import Clock
from mock_epay.errors import InvalidClient, InvalidToken, NotFound
from mock_epay.model import Delivery, Invoice, Merchant, TokenRequest
from mock_epay.notes import Notes
from mock_epay.server import ServerError, overruled, running, serve
from mock_epay.settings import SettingError, Settings
from mock_epay.store import StoreError
from mock_epay.store.codec import encode
from mock_epay.store.homes import store_at
from mock_epay.store.memory import MemoryStore
from mock_epay.store.search import Sought
from mock_epay.store.sql import SqlStore
from mock_epay.store.sql.migration import migrate
from mock_epay.store.sql.postgres import CONNECTIONS, PostgresDatabase
from mock_epay.store.sql.rows import row_of, storable
from mock_epay.store.sql.schema import STEPS
from mock_epay.store.sql.sqlite import SqliteDatabase

LEASE_S: Final = 0.4
UNKNOWN: Final = {"pan": "4111111111111111", "expiry": "12/29", "cvc": "739"}
DATABASES: Final = ("sqlite", "postgresql")
Two = Callable[[Callable[[SqlStore, SqlStore], Awaitable[None]]], None]


def address(name: str, folder: Path) -> str:
    """Return the address of an empty store."""
    if name == "postgresql":
        return shared_postgres().new_database()
    return f"sqlite:///{folder}/store.db" if name == "sqlite" else ""


@pytest.fixture(params=DATABASES)
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Two:
    """Give a function that tells a story of two processes' stores in one database; the merchant "a" has a world."""
    opening = home(request.param, tmp_path)

    async def told(story: Callable[[SqlStore, SqlStore], Awaitable[None]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            one, other = opening(lease_s=LEASE_S), opening(lease_s=LEASE_S)
            await one.open()
            await other.open()
            await one.add_merchant(new_merchant("a"))
            try:
                await story(one, other)
            finally:
                await one.close()
                await other.close()

    return lambda story: asyncio.run(told(story))


def die(store: SqlStore) -> None:
    """Fall silent, as a process that was killed does."""
    store._pulse._beating.cancel()


def test_an_address_names_its_store() -> None:
    assert isinstance(store_at(""), MemoryStore)
    assert isinstance(store_at("sqlite:///file.db"), SqlStore)
    assert isinstance(store_at("postgresql://somebody@somewhere/name"), SqlStore)


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite://file", "mysql://host/name", "file.db"])
def test_an_address_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="it takes sqlite:///file"):
        store_at(url)
    with pytest.raises(SettingError, match=r"MOCK_EPAY_STORE \(--store\): it takes sqlite:///file"):
        running(Settings(port=0, store=url)).__enter__()


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(SettingError, match=r"MOCK_EPAY_STORE \(--store\): Port could not be cast"):
        running(Settings(port=0, store="postgresql://somebody:hush@somewhere:port/name")).__enter__()


def test_the_password_of_a_database_is_not_shown() -> None:
    url = shared_postgres().new_database().replace("tests@", "tests:hush@")
    with running(Settings(port=0, store=url)) as sandbox:
        shown = httpx.get(f"{sandbox.url}/_control/settings")
    assert "hush" not in shown.text
    values = {row["name"]: row["value"] for row in shown.json()["settings"]}
    assert values["store"] == url.replace("hush", "***")


def test_news_reach_another_process(two: Two) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        waiting = asyncio.create_task(other.news("a", after=0))
        claiming = asyncio.create_task(other.claim(Delivery, 1))
        await asyncio.wait([waiting, claiming], timeout=0.1)
        async with one.work("a") as work:
            work.save(delivery("d", EPOCH))
            work.record("something")
        assert [event.kind for event in await waiting] == ["something"]
        assert [thing.id for _, thing in await claiming] == ["d"]

    two(story)


def test_two_processes_never_claim_the_same(two: Two) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        await save(one, "a", *(delivery(str(number), EPOCH) for number in range(20)))
        batches = await asyncio.gather(*(store.claim(Delivery, 4) for store in (one, other, one, other, one)))
        keys = [thing.id for batch in batches for _, thing in batch]
        assert len(keys) == len(set(keys)) == 20

    two(story)


def test_units_of_two_processes_come_one_after_the_other(two: Two) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        async def count_up(store: SqlStore) -> None:
            async with store.work("a") as work:
                found = await work.get(Invoice, "1") or invoice("1")
                work.save(invoice("1", tokens=found.tokens + 1))
                work.record("counted")

        await asyncio.gather(*(count_up(store) for store in (one, other) * 10))
        assert await get(one, "a", Invoice, "1") == invoice("1", tokens=20)
        assert [event.number for event in await other.events("a")] == list(range(1, 21))

    two(story)


def test_what_a_dead_process_had_claimed_is_claimed_again(two: Two) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        await save(one, "a", delivery("d", EPOCH))
        assert len(await one.claim(Delivery, 1)) == 1
        claiming = asyncio.create_task(other.claim(Delivery, 1))
        await asyncio.wait([claiming], timeout=2 * LEASE_S)
        assert not claiming.done(), "its owner is alive"
        die(one)
        assert [thing.id for _, thing in await claiming] == ["d"]

    two(story)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_clock_in_the_hands_of_a_dead_process_is_let_go(two: Two, frozen: bool) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        if frozen:
            await one.set_clock("a", Clock(frozen_at=EPOCH))
        hold = await one.hold("a").__aenter__()
        assert (await other.clock("a")).frozen_at
        die(one)
        async with other.hold("a") as held:
            assert held.frozen == frozen
        assert ((await other.clock("a")).frozen_at is not None) == frozen
        with pytest.raises(StoreError, match="the clock of a was let go while the store could not be used"):
            await hold.next(EPOCH)

    two(story)


def test_what_was_claimed_when_the_connection_broke_is_claimed_again() -> None:
    async def story() -> None:
        async with asyncio.timeout(PATIENCE_S), opened(shared_postgres().new_database(), LEASE_S) as store:
            await store.add_merchant(new_merchant("a"))
            await save(store, "a", delivery("d", EPOCH))
            (claim,) = await store.claim(Delivery, 1)
            with pytest.raises(StoreError):
                await break_off(store)
            assert await store.claim(Delivery, 1) == [claim]

    asyncio.run(story())


def test_a_unit_whose_connection_breaks_keeps_nothing() -> None:
    async def story() -> None:
        async with asyncio.timeout(PATIENCE_S), opened(shared_postgres().new_database(), LEASE_S) as store:
            await store.add_merchant(new_merchant("a"))
            with pytest.raises(StoreError, match=r"^the store at 127\.0\.0\.1:\d+ cannot be used: "):
                await write_over_a_broken_connection(store)
            assert await get(store, "a", Invoice, "1") is None
            assert await store.events("a") == []

    asyncio.run(story())


def test_a_connection_on_which_something_failed_is_not_used_again() -> None:
    async def story() -> None:
        async with opened(shared_postgres().new_database(), LEASE_S) as store:
            used: list[Any] = []
            for statement in ("SELECT 1", "SELECT 1 / 0", "SELECT 1"):
                with suppress(StoreError):
                    async with store.database.transaction() as transaction:
                        used += await transaction.rows("SELECT pg_backend_pid(), pg_is_in_recovery()")
                        await transaction.rows(statement)
            assert used[0] == used[1] != used[2]

    asyncio.run(story())


async def write_over_a_broken_connection(store: SqlStore) -> None:
    async with store.work("a") as work:
        work.save(invoice("1"))
        work.record("something")
        await store.database.rows(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
            "WHERE state = 'idle in transaction' AND datname = current_database()"
        )


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that nothing announces."""
    for _ in range(20 * PATIENCE_S):
        if condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it never came to be")


def test_a_database_that_starts_anew_is_found_again(caplog: pytest.LogCaptureFixture) -> None:
    async def story(server: Postgres, store: SqlStore) -> None:
        await store.add_merchant(new_merchant("a"))
        news = asyncio.ensure_future(store.news("a", after=0))
        claiming = asyncio.ensure_future(store.claim(Delivery, 1))
        assert await are_waiting([news, claiming])
        await asyncio.to_thread(server.stop, signal.SIGINT)
        with pytest.raises(StoreError, match=f"the store at 127.0.0.1:{server.port} cannot be used"):
            await save(store, "a", delivery("d", EPOCH))
        await until(lambda: len(caplog.messages) == 1)
        assert await are_waiting([claiming], 1.2)  # some tries more
        await asyncio.to_thread(server.start)
        await until(lambda: len(caplog.messages) == 2)
        with pytest.raises(StoreError):
            await news
        await save(store, "a", delivery("d", EPOCH))
        assert [thing.id for _, thing in await claiming] == ["d"]

    async def told(server: Postgres) -> None:
        async with asyncio.timeout(PATIENCE_S), opened(server.new_database(), LEASE_S) as store:
            await story(server, store)

    caplog.set_level(logging.WARNING, "mock_epay")
    with postgres() as server:
        asyncio.run(told(server))
    failed, recovered = caplog.messages
    assert failed.startswith("the store at 127.0.0.1")
    assert failed.endswith("trying again and again")
    assert recovered == "the store can be used again"


async def break_off(store: SqlStore) -> None:
    """Lose the connection in the middle of a transaction."""
    async with store._worlds.transaction() as transaction:
        await transaction.rows("SELECT pg_terminate_backend(pg_backend_pid())")


@asynccontextmanager
async def opened(url: str, lease_s: float) -> AsyncIterator[SqlStore]:
    """Open a store in PostgreSQL."""
    store = SqlStore(PostgresDatabase(url), lease_s=lease_s)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("ending", ["reset", "drop"])
def test_who_comes_while_a_world_ends_finds_nothing(two: Two, ending: str) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        bank = Bank(one, Settings())
        await save(one, "a", token("t"), checkout("c", EPOCH))
        async with other.work("a"):
            ends = one.add_merchant(new_merchant("a")) if ending == "reset" else one.drop_merchant("a")
            tasks = [asyncio.ensure_future(one_) for one_ in (ends, bank.check_token("t"), bank.checkout("c"))]
            await asyncio.wait(tasks, timeout=0.1)
        _, checked, shown = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(checked, InvalidToken)
        assert isinstance(shown, NotFound)

    two(story)


@pytest.mark.parametrize("then", [None, new_merchant("a", client_secret="another")])
def test_of_tokens_asked_for_while_their_merchant_is_deleted_none_is_left(two: Two, then: Merchant | None) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        bank, request = Bank(one, Settings()), token_request("a")

        async def end() -> None:
            await other.drop_merchant("a")
            if then:
                await other.add_merchant(then)

        async def ask() -> None:
            with suppress(InvalidClient):
                await bank.issue_token(request, Notes())

        async with other.work("a"):
            ending = asyncio.create_task(end())
            await asyncio.wait([ending], timeout=0.1)
            asking = [asyncio.create_task(ask()) for _ in range(10)]
            await asyncio.wait(asking, timeout=0.1)
        await asyncio.gather(ending, *asking, *(ask() for _ in range(10)))
        assert await one.database.rows("SELECT key FROM things") == []
        assert await one.database.rows("SELECT number FROM events") == []
        with pytest.raises(InvalidClient, match='"…"' if then else '"a"'):
            await bank.issue_token(request, Notes())

    two(story)


def token_request(client_id: str) -> TokenRequest:
    """Return what a shop asks a token for its status with."""
    secret = new_merchant(client_id).client_secret
    return TokenRequest(client_id=client_id, client_secret=secret, scope="payment")


def test_a_hold_keeps_another_process_from_claiming(two: Two) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        async with one.hold("a") as hold:
            await save(other, "a", delivery("d", EPOCH))
            claiming = asyncio.create_task(other.claim(Delivery, 1))
            await asyncio.wait([claiming], timeout=0.15)
            assert not claiming.done()
            assert hold.frozen is False
        assert [thing.id for _, thing in await claiming] == ["d"]

    two(story)


def test_a_world_is_begun_once_by_many(two: Two) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        begun = await asyncio.gather(
            *(store.add_merchant(new_merchant("b"), unless_there=True) for store in (one, other) * 3)
        )
        assert sorted(begun) == [False] * 5 + [True]

    two(story)


def test_texts_that_no_database_takes_are_written_otherwise(two: Two) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        odd = "a\0b\ud800"
        await save(one, "a", invoice(odd, tail=odd))
        async with other.work("a") as work:
            work.record("odd", odd, text=odd)
            assert await work.find(Invoice, "tail", odd) == [invoice(odd, tail=odd)]
        assert await get(other, "a", Invoice, odd) == invoice(odd, tail=odd)
        assert await other.owner(Invoice, odd) == "a"
        assert await other.owner(Invoice, storable("a\0")) is None
        assert len(await one.events("a")) == 1

    two(story)


def test_a_crowd_at_one_world_keeps_nobody_from_another() -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        await one.add_merchant(new_merchant("a"))
        await one.add_merchant(new_merchant("b"))
        async with other.work("a"):
            waiting = [asyncio.create_task(get(one, "a", Invoice, "1")) for _ in range(2 * CONNECTIONS)]
            assert await are_waiting(waiting)
            await save(one, "b", invoice("1"))
            assert await are_waiting(waiting, 0)
        assert await asyncio.gather(*waiting) == [None] * len(waiting)

    async def told() -> None:
        url = shared_postgres().new_database()
        async with asyncio.timeout(PATIENCE_S), opened(url, LEASE_S) as one, opened(url, LEASE_S) as other:
            await story(one, other)

    asyncio.run(told())


def test_what_cannot_be_read_does_not_keep_its_world(two: Two) -> None:
    async def story(one: SqlStore, other: SqlStore) -> None:
        await save(one, "a", token("t"))
        await one.database.rows("UPDATE things SET body = '{'")
        with pytest.raises(ValueError, match="Expecting property name"):
            await Bank(one, Settings()).check_token("t")
        await save(other, "a", invoice("1"))

    two(story)


@pytest.mark.parametrize("what", ["payments", "links"])
@pytest.mark.parametrize("name", ["memory", *DATABASES])
def test_orders_that_come_at_once_have_numbers_of_their_own(name: str, what: str, tmp_path: Path) -> None:
    settings = Settings(port=0, store=address(name, tmp_path))
    with running(settings) as one, running(settings) as another:
        sandboxes = (one, one if name == "memory" else another)

        async def ask_all() -> list[httpx.Response]:
            async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
                addresses = [f"{sandbox.url}/_control/merchants/test/{what}" for sandbox in sandboxes * 6]
                return await asyncio.gather(*(http.post(address, json={}) for address in addresses))

        answers = asyncio.run(ask_all())
    assert [answer.status_code for answer in answers] == [201] * 12, [answer.text for answer in answers]
    assert len({answer.json()["invoice_id"] for answer in answers}) == 12


# How the first version wrote its rows.
FIRST: Final = """INSERT INTO things (world, kind, key, found_1, found_2, due_us, ready_us, body)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""


def home(name: str, folder: Path) -> Callable[..., SqlStore]:
    """Return a function that makes stores in one database."""
    url = address(name, folder)

    def opening(**more: Any) -> SqlStore:
        home = PostgresDatabase(url) if name == "postgresql" else SqliteDatabase(url.removeprefix("sqlite:///"))
        return SqlStore(home, **more)

    return opening


@pytest.mark.parametrize("name", DATABASES)
def test_a_store_of_an_older_version_is_brought_up_to_date(name: str, tmp_path: Path) -> None:
    opening = home(name, tmp_path)

    async def story() -> None:
        old = opening()
        await old.database.open(lambda *_: None)
        async with old.database.transaction() as transaction:
            await migrate(transaction, old._say, old.database.words, STEPS[:1])
        await old.add_merchant(new_merchant("a", keep_transactions=1))
        rows = [(*row_of("a", Clock(), thing)[:7], encode(thing)) for thing in whole_order("1")]
        async with old.database.transaction() as transaction:
            await transaction.many(FIRST, rows)
        await old.database.close()

        for _ in range(2):
            new = opening()
            await new.open()
            assert await get(new, "a", Invoice, "1") == invoice("1", tail="1")
            await new.close()
        await new.open()
        async with new.work("a") as work:
            for sought in (Sought(status="NEW"), Sought(postlink="delivered"), Sought(reason_code=0), Sought(text="1")):
                assert await work.search(sought) == ["1"]
        await save(new, "a", *whole_order("2"))
        old_keys = {key for keys in (await left(new)).values() for key in keys if key.endswith("1")}
        assert old_keys <= {"link 1"}  # by what it is for, the first version did not find a link
        await new.close()

    asyncio.run(story())


@pytest.mark.parametrize("name", DATABASES)
def test_a_store_of_a_newer_version_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    opening = home(name, tmp_path)

    async def story() -> None:
        new = opening()
        await new.open()
        await new.database.rows("UPDATE mock_epay_schema SET version = version + 1")
        await new.close()
        told = rf"newer mock-epay \(its schema is {len(STEPS) + 1}, this one knows {len(STEPS)}\); use that"
        with pytest.raises(StoreError, match=told):
            await opening().open()

    asyncio.run(story())


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("a letter" * 1000)
    with pytest.raises(ServerError, match=rf"^the store {tmp_path}/store.db cannot be used: file is not a database$"):
        running(Settings(port=0, store=f"sqlite:///{tmp_path}/store.db")).__enter__()


def test_a_file_that_must_not_be_written_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with running(Settings(port=0, store=url)):
        pass
    (tmp_path / "store.db").chmod(0o444)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o555)
    root = not os.geteuid()
    if root:  # who may write anywhere
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        with pytest.raises(ServerError, match=r"cannot be used: (attempt to write a readonly|unable to open) database"):
            running(Settings(port=0, store=url)).__enter__()
    finally:
        if root:
            os.seteuid(0)
        for folder in (*reversed(tmp_path.parents[:3]), tmp_path):
            folder.chmod(0o755)


def test_a_database_that_is_not_there_is_named() -> None:
    with pytest.raises(ServerError, match=r"^the store at 127\.0\.0\.1:9 cannot be used: .*refused"):
        running(Settings(port=0, store="postgresql://somebody@127.0.0.1:9/name")).__enter__()


def test_a_full_disk_is_told_and_nothing_is_kept_by_half(tmp_path: Path, shop_server: Receiver) -> None:
    with running(Settings(port=0, store=f"sqlite:///{tmp_path}/store.db")) as sandbox:
        store = sandbox.bank.store
        assert isinstance(store, SqlStore)
        with httpx.Client(base_url=sandbox.url) as http:
            world = new_world(http)
            world.pay(invoice_id="000000001", post_link=f"{shop_server.url}/{world.client_id}")
            before = world.get("/transactions")
            ((pages,),) = sandbox.do(store.database.rows("PRAGMA page_count"))
            sandbox.do(store.database.rows(f"PRAGMA max_page_count = {pages}"))

            answers = [world.ask("POST", "/payments", {"invoice_id": f"{number:09d}"}) for number in range(2, 60)]

            assert {answer.status_code for answer in answers} <= {201, 503}
            assert "database or disk is full" in answers[-1].json()["message"]
            assert "to have room" in answers[-1].json()["rule"]
            kept = {one["id"] for one in world.get("/transactions")["transactions"] if one["status"] == "CHARGE"}
            assert kept == {one["id"] for one in before["transactions"]} | {
                answer.json()["id"] for answer in answers if answer.status_code == 201
            }
            sandbox.do(store.database.rows(f"PRAGMA max_page_count = {pages * 10}"))
            assert world.pay(invoice_id="000000100")["status"] == "CHARGE"


def test_no_card_is_ever_in_the_file(tmp_path: Path) -> None:
    pay_with_every_kind_of_card(f"sqlite:///{tmp_path}/store.db")
    assert_no_card_in(tmp_path)


def test_no_card_is_ever_in_the_files_of_postgresql() -> None:
    with postgres() as server:
        pay_with_every_kind_of_card(server.new_database())
        server.say("CHECKPOINT")
        assert_no_card_in(server.folder)


def pay_with_every_kind_of_card(store: str) -> None:
    with running(Settings(port=0, store=store)) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        world = new_world(http)
        world.pay(invoice_id="000000001", card=APPROVES)
        world.pay(invoice_id="000000002", card=APPROVES, card_save=True, account_id="somebody")
        world.ask("POST", "/payments", {"invoice_id": "000000003", "card": UNKNOWN})
        world.do("PUT", "/clock", {"freeze": True})


def assert_no_card_in(folder: Path) -> None:
    """Look for the numbers and the codes, as texts of JSON, in all that has been written, logs and all."""
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"000000003" in written
    for card in (APPROVES, UNKNOWN):
        assert card["pan"].encode() not in written
        assert b'"%s"' % card["cvc"].encode() not in written
    assert b'"cvc"' not in written


@pytest.mark.parametrize("name", ["memory", *DATABASES])
def test_a_server_is_the_same_over_every_store(name: str, tmp_path: Path, shop_server: Receiver) -> None:
    with (
        running(Settings(port=0, self_check=True, store=address(name, tmp_path))) as sandbox,
        httpx.Client(base_url=sandbox.url, timeout=PATIENCE_S) as http,
    ):
        world = new_world(http)
        link = f"{shop_server.url}/{world.client_id}"
        paid = world.pay(invoice_id="000000001", post_link=link)
        waited = world.get("/wait", until="postlink.delivered", invoice_id="000000001", timeout_s=5)
        assert waited["transaction"]["id"] == paid["id"]

        (sent,) = world.get("/postlinks")["postlinks"]
        world.do("POST", f"/postlinks/{sent['id']}/resend")
        shop_server.wait(2, f"/{world.client_id}")

        world.do("PUT", "/clock", {"freeze": True})
        world.do("POST", "/script", {"decisions": [{"plan": "delay(3600)"}]})
        world.pay(invoice_id="000000002", post_link=link)
        fired = world.do("PUT", "/clock", {"advance_s": 3600})["fired"]
        assert [one["what"] for one in fired if one["what"] == "postlink"] == ["postlink"]

        world.do("POST", "/reset")
        assert world.get("/transactions")["transactions"] == []
        assert world.ask("DELETE").status_code == 204
        assert world.ask("GET").status_code == 404


def test_health_is_that_of_the_database_too() -> None:
    with postgres() as server, running(Settings(port=0, store=server.new_database())) as sandbox:
        assert httpx.get(f"{sandbox.url}/_control/health").is_success
        server.stop(signal.SIGINT)
        asked = httpx.get(f"{sandbox.url}/_control/health", timeout=PATIENCE_S)
        server.start()
    assert asked.status_code == 503
    assert "cannot be used" in asked.json()["message"]


@pytest.mark.parametrize("name", DATABASES)
def test_what_was_there_is_there_after_a_restart(name: str, tmp_path: Path) -> None:
    url = address(name, tmp_path)
    with running(Settings(port=0, store=url)) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        world = new_world(http)
        world.pay(invoice_id="000000001")
        world.do("PATCH", "", {"name": "Another name"})
        assert http.patch("/_control/merchants/test", json={"name": "Changed"}).is_success
        before = world.dump().replace(sandbox.url, "")
    with running(Settings(port=0, store=url)) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        assert World(http, world.facts).dump().replace(sandbox.url, "") == before
        assert http.get("/_control/merchants/test").json()["name"] == "Changed"


@pytest.mark.parametrize("name", DATABASES)
def test_what_stored_merchants_have_otherwise_than_the_settings_is_known(name: str, tmp_path: Path) -> None:
    url, file = address(name, tmp_path), tmp_path / "merchants.toml"
    file.write_text('[[merchants]]\nclient_id = "mine"\nclient_secret = "one"\npage_ttl_s = 60\n', "utf-8")
    first = Settings(port=0, store=url, three_ds="none", merchants=str(file))
    with running(first) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        new_world(http)

    assert overruled(first) == overruled(Settings(store=url)) == {}
    file.write_text(file.read_text("utf-8").replace("one", "another"), "utf-8")
    given = Settings(store=url, three_ds="challenge", page_ttl_s=30, postlink_hosts="a=b", merchants=str(file))
    expected = {key: ["page_ttl_s", "three_ds"] for key in built_in_ids()} | {"mine": ["client_secret", "three_ds"]}
    assert overruled(given) == expected
    assert overruled(Settings(three_ds="challenge")) == {}
    with pytest.raises(ServerError, match="cannot be used"):
        overruled(Settings(store="sqlite:////nowhere/file"))


@pytest.mark.parametrize("name", DATABASES)
def test_several_workers_are_one_sandbox(name: str, tmp_path: Path, shop_server: Receiver) -> None:
    ended: list[type[BaseException]] = []

    def announce(url: str, _: str) -> None:
        with httpx.Client(base_url=url, timeout=PATIENCE_S) as http:
            world = new_world(http)
            link = f"{shop_server.url}/{world.client_id}"
            for number in range(1, 21):  # each by a connection of its own, so that all workers have some
                answer = httpx.post(
                    f"{url}/_control/merchants/{world.client_id}/payments",
                    json={"invoice_id": f"{number:09d}", "post_link": link},
                )
                assert answer.status_code == 201, answer.text
            assert len(shop_server.wait(20, f"/{world.client_id}")) == 20
        raise KeyboardInterrupt

    try:
        serve(Settings(port=0, store=address(name, tmp_path), workers=2), announce)
    except KeyboardInterrupt as interrupted:
        ended.append(type(interrupted))
    assert ended == [KeyboardInterrupt]


def test_several_workers_need_a_database() -> None:
    with pytest.raises(SettingError, match="processes cannot share a memory; name a database too"):
        serve(Settings(port=0, workers=2), lambda *_: None)


def test_workers_that_cannot_begin_say_why() -> None:
    with pytest.raises(ServerError, match=r"^the store /nowhere/file cannot be used: unable to open database file$"):
        serve(Settings(port=0, store="sqlite:////nowhere/file", workers=2), lambda *_: None)


def test_a_new_file_that_another_process_is_about_to_change_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path, check_same_thread=False, isolation_level=None)) as other:
        other.execute("CREATE TABLE others (name)")
        other.execute("BEGIN IMMEDIATE")  # SQLite waits for any other lock by itself
        soon = threading.Timer(0.1, other.execute, ["COMMIT"])
        soon.start()
        with running(Settings(port=0, store=f"sqlite:///{path}")) as sandbox:
            assert httpx.get(f"{sandbox.url}/_control/health").json()["status"] == "ok"
        soon.join(PATIENCE_S)
