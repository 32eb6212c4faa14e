"""Where a store lives, by its address: in memory, in a file, in PostgreSQL."""

from typing import Final

from mock_epay.store import Hear, Store
from mock_epay.store.memory import MemoryStore

SQLITE: Final = "sqlite:///"
POSTGRESQL: Final = ("postgresql://", "postgres://")


def store_at(url: str, hear: Hear | None = None) -> Store:
    """Return the store that an address names, not opened yet; an empty one is memory. It tells `hear` what happens.

    Raises:
        ValueError: nothing of ours is there.

    """
    if not url:
        return MemoryStore(hear)
    from mock_epay.store.sql import SqlStore  # noqa: PLC0415  (memory, the usual, starts without them)

    if url.startswith(SQLITE) and url != SQLITE:
        from mock_epay.store.sql.sqlite import SqliteDatabase  # noqa: PLC0415

        return SqlStore(SqliteDatabase(url.removeprefix(SQLITE)), hear)
    if url.startswith(POSTGRESQL):
        from mock_epay.store.sql.postgres import PostgresDatabase  # noqa: PLC0415

        return SqlStore(PostgresDatabase(url), hear)
    raise ValueError("it takes sqlite:///file, sqlite:////folder/file or postgresql://…, or nothing for memory")
