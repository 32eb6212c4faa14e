"""A store's home in PostgreSQL, for many processes on many machines."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

from mock_epay.store import StoreError
from mock_epay.store.sql.database import Ring, Row, Transaction

CHANNEL: Final = "mock_epay"
CONNECTIONS: Final = 10  # at most, of each process, and one that listens

_MIGRATING: Final = 0x6D6F636B  # the key of an advisory lock; any number that nobody else uses
_PATIENCE_S: Final = 10.0
_PAUSE_S: Final = 0.5  # before the server is asked again whether it is there
# Statements are planned once, perhaps while a table is empty; there is an index for each of them.
_MANNERS: Final = {"application_name": "mock-epay", "enable_seqscan": "off"}
_FAILURES: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that breaks at a moment that asyncpg has not thought of
)

# A claim never waits: it passes over worlds that are ending or being taken in hand, and what others are claiming.
_WORDS: Final = {
    "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "migrating": f"SELECT pg_advisory_xact_lock({_MIGRATING})",
    # Not the row of the world: what locks a row must be flushed to the disk, even if it only reads.
    "turn": "SELECT pg_advisory_xact_lock(1, hashtext($1))",
    "ending": " FOR UPDATE",
    "claim": " FOR UPDATE OF things SKIP LOCKED FOR KEY SHARE OF worlds SKIP LOCKED",
    "claim_rows": " FOR UPDATE SKIP LOCKED",
    "claim_things": " FOR UPDATE OF things SKIP LOCKED",
    "listed": "= ANY($2)",
    "place_of": "strpos",
}


class PostgresDatabase:
    """A pool of connections, each with its prepared statements, and one that listens for what others change."""

    words: Mapping[str, str] = _WORDS

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = url
        self._where = f"{parts.hostname or 'PostgreSQL'}" + (f":{parts.port}" if parts.port else "")

    async def open(self, ring: Ring) -> None:
        """See `Database`."""
        with self._failing():
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=0,
                max_size=CONNECTIONS,
                timeout=_PATIENCE_S,
                command_timeout=_PATIENCE_S,
                reset=_as_it_is,
                server_settings=_MANNERS,
            )
        self._ears = asyncio.create_task(self._listen(ring), name="listening to PostgreSQL")

    async def close(self) -> None:
        """See `Database`."""
        self._ears.cancel()
        await asyncio.wait([self._ears])
        self._pool.terminate()  # nothing is under way any more, and a server that is gone must not be waited for

    async def rows(self, statement: str, *values: object) -> Sequence[Row]:
        """See `Database`."""
        with self._failing():
            found: Sequence[Row] = await self._pool.fetch(statement, *values)
        return found

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Database`."""
        with self._failing():
            async with self._pool.acquire(timeout=_PATIENCE_S) as connection:
                try:
                    async with connection.transaction():
                        yield _Transaction(connection)
                except _FAILURES:
                    connection.terminate()  # nobody knows what is under way on it
                    raise

    async def _listen(self, ring: Ring) -> None:
        """Hear what others announce; whenever the connection is lost, wake everybody and make another."""
        while True:
            with suppress(*_FAILURES):
                connection = await asyncpg.connect(self._url, timeout=_PATIENCE_S)
                try:
                    await self._hear(connection, ring)
                finally:
                    connection.terminate()
            ring(None)
            await asyncio.sleep(_PAUSE_S)

    async def _hear(self, connection: Any, ring: Ring) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(CHANNEL, lambda *told: ring(told[-1] or None))
        ring(None)  # for what was announced before anybody listened
        await lost.wait()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except _FAILURES as wrong:
            first: BaseException = wrong  # what follows from it, such as that a connection is closed, tells nothing
            while isinstance(first.__context__, _FAILURES):
                first = first.__context__
            why = " ".join(str(first).split()) or type(first).__name__
            raise StoreError(f"the store at {self._where} cannot be used: {why}") from wrong


async def _as_it_is(_: Any) -> None:
    """Leave a connection as it is between transactions: nothing of ours outlives one."""


class _Transaction:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, statement: str, *values: object) -> Sequence[Row]:
        found: Sequence[Row] = await self._connection.fetch(statement, *values)
        return found

    async def many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        await self._connection.executemany(statement, rows)

    async def announce(self, client_id: str) -> None:
        await self._connection.fetch("SELECT pg_notify($1, $2)", CHANNEL, client_id)
