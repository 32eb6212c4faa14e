"""What a database must be able to do to be a store's home."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

Row = Sequence[Any]
Ring = Callable[[str | None], None]


class Transaction(Protocol):
    """What is done in it is kept whole at its end, or not at all."""

    async def rows(self, statement: str, *values: object) -> Sequence[Row]:
        """Carry out a statement, whose values stand as $1, $2 …, lists for `{listed}`; return what it gives back."""
        ...

    async def many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Carry out a statement for each row of values."""
        ...

    async def announce(self, client_id: str) -> None:
        """Tell everybody, once all this is kept, that something has changed in a world."""
        ...


class Database(Protocol):
    """One connection, or a pool of them; every method raises `StoreError` where the database fails."""

    @property
    def words(self) -> Mapping[str, str]:
        """What it spells in its own way: words for `str.format_map`."""
        ...

    async def open(self, ring: Ring) -> None:
        """Connect; from now on call `ring` with the world that another process changes, or None for any."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...

    async def rows(self, statement: str, *values: object) -> Sequence[Row]:
        """Read outside of transactions."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin a transaction."""
        ...
