"""A hold of a world's time: one process has it in hand, whatever others do."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Self

from mock_epay.store import StoreError, UnknownMerchantError
from mock_epay.store.sql.clocks import let_go, put_clock
from mock_epay.store.sql.database import Transaction
from mock_epay.store.sql.pulse import Pulse
from mock_epay.store.sql.rows import Thing, World, falling_due, moment_of, us_of
from mock_epay.store.sql.worlds import Worlds


class SqlHold:
    """A world's time in one pair of hands."""

    frozen: bool

    def __init__(self, worlds: Worlds, pulse: Pulse, client_id: str) -> None:
        self._worlds = worlds
        self._pulse = pulse
        self._client_id = client_id
        self._name: str | None = None

    async def __aenter__(self) -> Self:
        self._life = (await self._worlds.read(self._client_id)).life
        await self._when(self._take)
        try:
            await self._when(self._alone)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(UnknownMerchantError):
            async with self._mine() as (transaction, world):
                await let_go(transaction, self._worlds.say, self._client_id, world.clock, frozen=self.frozen)

    async def next(self, until: datetime) -> Thing | None:
        """See `Hold`."""
        say = self._worlds.say
        async with self._mine() as (transaction, world):
            rows = await transaction.rows(say["first_due"], self._client_id, us_of(until))
            moment = max(moment_of(rows[0][3]), world.clock.now()) if rows else until
            await put_clock(transaction, say, self._client_id, world.clock.set(moment))
            if not rows:
                return None
            await transaction.rows(say["claim_one"], rows[0][0], self._pulse.name)
            return falling_due(rows[0][1], rows[0][2])

    async def _when(self, possible: Callable[[], Awaitable[bool]]) -> None:
        """Try until it is possible, whenever something has changed."""
        while True:
            with self._worlds.bells.listen(self._client_id) as bell:
                if await possible():
                    return
                await bell

    async def _take(self) -> bool:
        say = self._worlds.say
        async with self._mine(ending=True) as (transaction, world):
            if world.held_by is not None:
                return False
            self.frozen = world.clock.frozen_at is not None
            name = self._pulse.name
            await transaction.rows(say["take"], self._client_id, name, int(self.frozen))
            await put_clock(transaction, say, self._client_id, world.clock.freeze())
        self._name = name
        return True

    async def _alone(self) -> bool:
        async with self._mine() as (transaction, _):
            return not await transaction.rows(self._worlds.say["under_way"], self._client_id)

    @asynccontextmanager
    async def _mine(self, *, ending: bool = False) -> AsyncIterator[tuple[Transaction, World]]:
        """Lock the world that was there when the hold was asked for, and is still held."""
        async with self._worlds.locked(self._client_id, ending=ending) as (transaction, world):
            if world.life != self._life:
                raise UnknownMerchantError(self._client_id)
            if self._name is not None and world.held_by != self._name:
                raise StoreError(f"the clock of {self._client_id} was let go while the store could not be used")
            yield transaction, world
