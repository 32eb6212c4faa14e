"""The ways to a world in a database: as it stands, or to oneself until a transaction ends."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from mock_epay.store import StoreError, UnknownMerchantError
from mock_epay.store.sql.bells import Bells
from mock_epay.store.sql.database import Database, Transaction
from mock_epay.store.sql.rows import World, storable
from mock_epay.store.sql.statements import STATEMENTS


class Worlds:
    """Worlds of one database, in its words. Their bells ring for what this process changes in them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.say: Mapping[str, str] = {name: text.format_map(database.words) for name, text in STATEMENTS.items()}
        self.bells = Bells()
        self.failed = asyncio.Event()  # set by a transaction that has
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, client_id: str) -> World:
        """Return a world as it stands, without taking it.

        Raises:
            UnknownMerchantError: there is none.

        """
        found = await self.database.rows(self.say["world"], storable(client_id))
        if not found:
            raise UnknownMerchantError(client_id)
        return World.of(found[0])

    def queue(self, client_id: str) -> asyncio.Lock:
        """Return where this process's units of a world queue up, lest they wait with all its connections in hand."""
        lock = self._queues.get(client_id) or asyncio.Lock()
        self._queues[client_id] = lock
        return lock

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Begin a transaction. Of one that fails nobody knows whether it was kept: this process must not rely on it."""
        try:
            async with self.database.transaction() as transaction:
                yield transaction
        except StoreError:
            self.failed.set()
            raise

    @asynccontextmanager
    async def locked(self, client_id: str, *, ending: bool = False) -> AsyncIterator[tuple[Transaction, World]]:
        """Change something of a world that nobody else is at work in, and say that it has changed.

        What would be `ending` what others claim keeps them from claiming meanwhile.
        """
        async with self.transaction() as transaction:
            world = await self.lock(transaction, client_id)
            if ending:
                await transaction.rows(self.say["end_world"], client_id)
            yield transaction, world
            await transaction.announce(client_id)
        self.bells.ring(client_id)

    async def lock(self, transaction: Transaction, client_id: str) -> World:
        """Have a world to oneself until the end of a transaction.

        Raises:
            UnknownMerchantError: there is none.

        """
        await self.take_turn(transaction, client_id)
        rows = await transaction.rows(self.say["world"], storable(client_id))
        if not rows:
            raise UnknownMerchantError(client_id)
        return World.of(rows[0])

    async def take_turn(self, transaction: Transaction, client_id: str) -> None:
        """Keep others from a world, whether it is there or not, until the end of a transaction."""
        if turn := self.say["turn"]:
            await transaction.rows(turn, storable(client_id))
