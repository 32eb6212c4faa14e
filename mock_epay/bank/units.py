"""Units of work that are about a thing which is there, and still is when the unit begins."""

from types import TracebackType
from typing import Final

from mock_epay.bank import tokens
from mock_epay.errors import NotFound, Refusal
from mock_epay.model import Challenge, Checkout, InvoiceLink, Token, Transaction
from mock_epay.store import Store, UnknownMerchantError, Work
from mock_epay.store.shapes import Stored

_NAMES: Final[dict[type[Stored], tuple[str, str]]] = {
    Checkout: ("pay page", "opened"),
    Challenge: ("3-D Secure check", "begun"),
    InvoiceLink: ("invoice link", "made"),
    Transaction: ("payment", "begun"),
}


class UnitWith:
    """A unit of work in the world of the thing with this key.

    Raises:
        InvalidToken: there is no such token.
        NotFound: there is no such thing.

    """

    __slots__ = ("_key", "_kind", "_store", "_unit")

    def __init__(self, store: Store, kind: type[Stored], key: str) -> None:
        self._store = store
        self._kind = kind
        self._key = key

    async def __aenter__(self) -> Work:
        client_id = await self._store.owner(self._kind, self._key)
        if client_id is None:
            raise self._absent()
        try:
            self._unit = self._store.work(client_id)
            work = await self._unit.__aenter__()
        except UnknownMerchantError:
            raise self._absent() from None
        try:
            if await work.get(self._kind, self._key) is None:  # the world was made anew since its owner was looked up
                raise self._absent()
        except BaseException as wrong:
            await self._unit.__aexit__(type(wrong), wrong, wrong.__traceback__)
            raise
        return work

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._unit.__aexit__(kind, error, trace)

    def _absent(self) -> Refusal:
        if self._kind is Token:
            return tokens.unknown()
        name, happened = _NAMES[self._kind]
        why = f"there is no such {name}: it was not {happened} here, or its merchant was reset, or it is forgotten"
        return NotFound(why, field=name)
