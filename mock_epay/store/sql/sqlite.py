"""A store's home in one file: SQLite, in a thread of its own."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from mock_epay.clock import stopwatch
from mock_epay.store import StoreError
from mock_epay.store.sql.database import Ring, Row, Transaction

T = TypeVar("T")

_BUSY_S: Final = 10.0  # how long another process may have the file to itself
_PAUSE_S: Final = 0.01  # before it is tried again
_LOOK_S: Final = 0.1  # how often it is asked whether another process has changed the file

# In the write-ahead log a commit is an append, and readers of other processes go on. With NORMAL it is handed to the
# operating system and not forced to the disk: a killed process loses nothing, a power cut perhaps the last moments,
# and neither the whole. That is enough for a sandbox, and several times as fast as FULL.
_BEGINNING: Final = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA temp_store = MEMORY")

_WORDS: Final = {
    "serial": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "migrating": "SELECT 1",
    "turn": "",
    "ending": "",
    "claim": "",
    "claim_rows": "",
    "claim_things": "",
    "listed": "IN (SELECT value FROM json_each($2))",
    "place_of": "instr",
}


class SqliteDatabase:
    """One connection. Transactions of this process queue up here, those of others in SQLite."""

    words: Mapping[str, str] = _WORDS

    def __init__(self, path: str) -> None:
        self._path = path

    async def open(self, ring: Ring) -> None:
        """See `Database`."""
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "sqlite")
        try:
            await self._do(self._connect)
        except BaseException:
            self._thread.shutdown()
            raise
        self._watch = asyncio.create_task(self._look(ring), name="the watch over the store's file")

    async def close(self) -> None:
        """See `Database`."""
        self._watch.cancel()
        await asyncio.wait([self._watch])
        with suppress(StoreError):
            await self._do(self._connection.close)
        self._thread.shutdown()

    async def rows(self, statement: str, *values: object) -> Sequence[Row]:
        """See `Database`."""
        return await self._do(lambda: self._execute(statement, values))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See `Database`."""
        async with self._turn:
            try:
                await self.rows("BEGIN IMMEDIATE")
                kept = _Transaction(self)
                yield kept
                await self._do(lambda: self._keep(kept.writes))
            except BaseException:
                self._thread.submit(self._undo)  # in turn, behind whatever was begun; nobody has to wait for it
                raise

    def _connect(self) -> None:
        # Its own transactions are begun and ended by us alone.
        self._connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        try:
            for statement in _BEGINNING:
                self._begin(statement)
        except BaseException:
            self._connection.close()
            raise

    def _begin(self, statement: str) -> None:
        # That another process changes the mode of a new file is told at once: for that SQLite does not wait by itself.
        elapsed = stopwatch()
        while True:
            try:
                self._connection.execute(statement)
            except sqlite3.OperationalError as wrong:
                if wrong.sqlite_errorcode != sqlite3.SQLITE_BUSY or elapsed() > _BUSY_S * 1000:
                    raise
                threading.Event().wait(_PAUSE_S)
            else:
                return

    def _execute(self, statement: str, values: Sequence[object]) -> list[Row]:
        plain = [json.dumps(value) if isinstance(value, list) else value for value in values]
        return self._connection.execute(statement.replace("$", "?"), plain).fetchall()

    def _keep(self, writes: Iterable[tuple[str, Iterable[tuple[object, ...]]]]) -> None:
        for statement, rows in writes:
            self._connection.executemany(statement.replace("$", "?"), rows)
        self._connection.execute("COMMIT")

    def _undo(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    async def _do(self, job: Callable[[], T]) -> T:
        try:
            return await asyncio.wrap_future(self._thread.submit(job))
        except sqlite3.Error as wrong:
            raise StoreError(f"the store {self._path} cannot be used: {wrong}") from wrong

    async def _look(self, ring: Ring) -> None:
        """Ring when another process has changed the file."""
        seen: Any = None
        while True:
            with suppress(StoreError):
                ((version,),) = await self.rows("PRAGMA data_version")
                if version != seen:
                    ring(None)
                seen = version
            await asyncio.sleep(_LOOK_S)


class _Transaction:
    """What is written in bulk goes to the thread with the commit."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.writes: list[tuple[str, Iterable[tuple[object, ...]]]] = []

    async def rows(self, statement: str, *values: object) -> Sequence[Row]:
        return await self._database.rows(statement, *values)

    async def many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self.writes.append((statement, rows))

    async def announce(self, client_id: str) -> None:
        """Other processes look for themselves."""
