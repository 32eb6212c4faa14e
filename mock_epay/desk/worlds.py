"""The worlds of a sandbox: begun, changed, begun anew, ended."""

import difflib
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

from mock_epay.bank import merchants, scripts
from mock_epay.errors import CONTROL_API, Conflict, NotFound
from mock_epay.model import Merchant
from mock_epay.postlinks import Courier
from mock_epay.script import Rule
from mock_epay.settings import Settings
from mock_epay.store import Store, UnknownMerchantError
from mock_epay.store.bounds import Tally

_SHOWN: Final = 5  # merchants that are worth naming


class Worlds:
    """All worlds of a store, each with its merchant.

    Besides the bank's, each sandbox may have merchants of its `own`, and `rules` for all of them.
    What is about one merchant raises UnknownMerchantError when there is no such world.
    """

    def __init__(
        self,
        store: Store,
        courier: Courier,
        settings: Settings,
        rules: Sequence[Rule],
        own: Sequence[Mapping[str, Any]],
    ) -> None:
        self._store = store
        self._courier = courier
        self._settings = settings
        self._rules = rules
        self._built_in = (*merchants.built_in(), *own)
        self._serial = count(1)

    async def open(self) -> None:
        """Make the merchants that every sandbox has, unless the store has kept them, as they were left."""
        for facts in self._built_in:
            await self._begin(merchants.make(facts, self._settings), unless_there=True)

    async def merchants(self) -> Sequence[Merchant]:
        """Return all merchants, oldest world first."""
        return await self._store.merchants()

    async def new_merchant(self, facts: Mapping[str, Any]) -> Merchant:
        """Begin a world.

        Without a seed of its own it has the server's, and its number; with one, all of it is the same in every run.

        Raises:
            Conflict: the `client_id` is taken.

        """
        seed = self._settings.seed
        said = {"seed": seed and f"{seed}/{next(self._serial)}"} | dict(facts)
        merchant = merchants.make(said, self._settings)
        if "client_id" in facts and await self._store.merchant(merchant.client_id):
            rule = "another one: a merchant of this name lives, and can be reset or deleted"
            raise Conflict("client_id", merchant.client_id, rule, CONTROL_API)
        numbers = count(2)
        wanted = merchant.client_id
        while not await self._begin(merchant, unless_there=True):  # the same seed, twice at once
            merchant = merchants.make(said | {"client_id": f"{wanted}-{next(numbers)}"}, self._settings)
        return merchant

    async def merchant(self, client_id: str) -> Merchant:
        """Return one merchant."""
        merchant = await self._store.merchant(client_id)
        if merchant is None:
            raise UnknownMerchantError(client_id)
        return merchant

    async def change_merchant(self, client_id: str, facts: Mapping[str, Any]) -> Merchant:
        """Change facts and settings of a merchant, from now on."""
        changed = merchants.change(await self.merchant(client_id), facts)
        await self._store.change_merchant(changed)
        return changed

    async def drop_merchant(self, client_id: str) -> None:
        """End a world, and all that is under way in it.

        Raises:
            Conflict: it is one that every sandbox has.

        """
        if any(facts["client_id"] == client_id for facts in self._built_in):
            raise Conflict(
                "client_id", client_id, "a merchant that was made here; this one can only be reset", CONTROL_API
            )
        await self._store.drop_merchant(client_id)
        await self._courier.forget(client_id)

    async def reset(self, client_id: str) -> Merchant:
        """End a world and begin another with the same credentials; what is under way ends with the old one."""
        merchant = await self.merchant(client_id)
        await self._begin(merchant)
        await self._courier.forget(client_id)
        return merchant

    async def tally(self, client_id: str | None = None) -> Tally:
        """Count what is kept, and was, of a merchant's world or of all."""
        return await self._store.tally(client_id)

    async def unknown(self, client_id: str) -> NotFound:
        """Say that there is no such merchant, and which there are."""
        known = [merchant.client_id for merchant in await self._store.merchants()]
        near = difflib.get_close_matches(client_id, known, n=_SHOWN) or known[:_SHOWN]
        return NotFound(
            f"there is no merchant {client_id[:80]}; there are {', '.join(near)}" + " …" * (len(known) > len(near)),
            field="client_id",
            value=client_id[:80],
        )

    async def _begin(self, merchant: Merchant, *, unless_there: bool = False) -> bool:
        begun = await self._store.add_merchant(merchant, unless_there=unless_there)
        if begun and self._rules:
            async with self._store.work(merchant.client_id) as work:
                await scripts.add(work, rules=self._rules)
        return begun
