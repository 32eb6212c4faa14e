"""How a database's tables come from those of an older version to those of this one."""

from collections.abc import Mapping, Sequence
from typing import Final

from mock_epay.store import StoreError
from mock_epay.store.sql.database import Transaction
from mock_epay.store.sql.rows import read, searched

_VERSION: Final = "CREATE TABLE IF NOT EXISTS mock_epay_schema (version INTEGER NOT NULL)"
_AT_ONCE: Final = 1000  # things of an older version that are read together
_SEARCHED_FROM: Final = 4  # the version since which there are columns to search by


async def migrate(
    transaction: Transaction, say: Mapping[str, str], words: Mapping[str, str], steps: Sequence[Sequence[str]]
) -> None:
    """Take the steps that a database has not taken yet.

    Raises:
        StoreError: it has taken more of them than there are.

    """
    await transaction.rows(say["migrating"])
    await transaction.rows(_VERSION)
    rows = await transaction.rows("SELECT version FROM mock_epay_schema")
    version = rows[0][0] if rows else 0
    if version > len(steps):
        raise StoreError(
            f"the store was written by a newer mock-epay (its schema is {version}, this one knows "
            f"{len(steps)}); use that version or another store"
        )
    for step in steps[version:]:
        for statement in step:
            await transaction.rows(statement.format_map(words))
    if version < _SEARCHED_FROM <= len(steps):
        await _make_searched(transaction, say)
    if version < len(steps):
        await transaction.rows("DELETE FROM mock_epay_schema")
        await transaction.rows("INSERT INTO mock_epay_schema VALUES ($1)", len(steps))


async def _make_searched(transaction: Transaction, say: Mapping[str, str]) -> None:
    """Fill in what things that an older version has written are searched by."""
    last = 0
    while rows := await transaction.rows(say["written"], last, _AT_ONCE):
        filled = [(serial, *searched(read(kind, body))) for serial, kind, body in rows]
        await transaction.many(say["make_searched"], filled)
        last = rows[-1][0]
