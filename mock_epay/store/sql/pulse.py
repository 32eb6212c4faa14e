"""The life of this process, under a name by which others know what it has claimed or holds."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from mock_epay.fake import fresh_seed
from mock_epay.store import StoreError, UnknownMerchantError
from mock_epay.store.sql.clocks import let_go
from mock_epay.store.sql.rows import real_us
from mock_epay.store.sql.worlds import Worlds

_log: Final = logging.getLogger("mock_epay")

LEASE_S: Final = 10.0  # how long a process may be silent before what it has claimed is others' to claim
PAUSE_S: Final = 0.5  # before a database that has failed is asked again


class Pulse:
    """Says again and again that this process is alive.

    What it has claimed or holds is its own until it lets go, or is silent for longer than the lease.
    """

    name: str

    def __init__(self, worlds: Worlds, lease_s: float) -> None:
        self.lease_us = int(lease_s * 1e6)
        self._worlds = worlds
        self._lost = False

    async def begin(self) -> None:
        """Begin to live."""
        await self._live(fresh_seed())
        self._beating = asyncio.create_task(self._beat(), name="the pulse of the store")

    async def end(self) -> None:
        """Let go of all that is claimed or held, if the database lets us."""
        self._beating.cancel()
        await asyncio.wait([self._beating])
        with suppress(StoreError):
            async with self._worlds.transaction() as transaction:
                await transaction.rows(self._worlds.say["die"], self.name)
            await self._release()

    async def _live(self, name: str) -> None:
        """Say that the process of this name, from now on ours, is alive; let go of what the dead have claimed."""
        async with self._worlds.transaction() as transaction:
            now = real_us()
            await transaction.rows(self._worlds.say["live"], name, now + self.lease_us)
            await transaction.rows(self._worlds.say["bury"], now)
        self.name = name
        await self._release()

    async def _release(self) -> None:
        """Let go of what nobody alive has claimed or holds."""
        async with self._worlds.transaction() as transaction:
            await transaction.rows(self._worlds.say["release"])
        for (client_id,) in await self._worlds.database.rows(self._worlds.say["left_held"]):
            with suppress(UnknownMerchantError):
                async with self._worlds.locked(str(client_id)) as (transaction, world):
                    for (frozen,) in await transaction.rows(self._worlds.say["still_left_held"], client_id):
                        await let_go(transaction, self._worlds.say, client_id, world.clock, frozen=bool(frozen))

    async def _beat(self) -> None:
        """Show signs of life. After a failure nobody knows what came of what was claimed: begin another life."""
        while True:
            failing = asyncio.ensure_future(self._worlds.failed.wait())
            try:
                await asyncio.wait([failing], timeout=self.lease_us / 4e6)
            finally:
                failing.cancel()
            if self._worlds.failed.is_set():
                await asyncio.sleep(PAUSE_S)
            await self._go_on()
            self._worlds.bells.ring(None)

    async def _go_on(self) -> None:
        name = fresh_seed() if self._worlds.failed.is_set() else self.name
        self._worlds.failed.clear()
        try:
            await self._live(name)
        except StoreError as wrong:
            if not self._lost:
                _log.warning("%s; trying again and again", wrong)
            self._lost = True
        else:
            if self._lost:
                _log.warning("the store can be used again")
            self._lost = False
