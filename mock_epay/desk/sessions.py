"""Who is signed in to the cabinet, as a signed proof: it needs no memory, so it outlives restarts."""

import hmac
from datetime import datetime, timedelta
from typing import Final

from mock_epay.clock import Clock
from mock_epay.errors import CONTROL_API, WrongUser
from mock_epay.model import Merchant
from mock_epay.store import Store

LASTS: Final = timedelta(days=7)
_PUBLISHED: Final = "those of the documented merchant are filled in on the sign-in page when it is opened anew"


class Sessions:
    """The sessions of the users that the merchants of a store have, in real time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def user(self, email: str, password: str) -> Merchant:
        """Return the merchant whose user this is.

        Raises:
            WrongUser: nobody is.

        """
        for merchant in await self._store.merchants():
            if _is_user(merchant, email, password):
                return merchant
        raise WrongUser(
            "no merchant has a user with this e-mail address and this password; " + _PUBLISHED,
            field="email",
            rule="the e-mail address of a merchant's user, with the password that belongs to it",
            source=CONTROL_API,
        )

    def begin(self, merchant: Merchant) -> str:
        """Return the proof that a merchant's user has signed in now."""
        return prove(merchant, Clock().now())

    async def signed_in(self, proof: str) -> Merchant | None:
        """Return the merchant whose user has signed in with this proof; None when it proves nothing, or no more."""
        merchant = await self._store.merchant(_claimed(proof))
        return merchant if merchant and holds(merchant, proof, Clock().now()) else None


def prove(merchant: Merchant, now: datetime) -> str:
    """Return the proof that a merchant's user has signed in at this real moment."""
    until = str(int((now + LASTS).timestamp()))
    return f"{merchant.client_id}:{until}:{_signature(merchant, until)}"


def holds(merchant: Merchant, proof: str, now: datetime) -> bool:
    """Return whether a proof is this merchant's, and not too old. It ends when the password or the secret changes."""
    client_id, _, rest = proof.partition(":")
    until, _, signature = rest.partition(":")
    right = hmac.compare_digest(_signature(merchant, until).encode(), signature.encode("utf-8", "replace"))
    return client_id == merchant.client_id and right and now.timestamp() < int(until)  # what is signed is a number


def _is_user(merchant: Merchant, email: str, password: str) -> bool:
    """Return whether somebody is this merchant's user of the cabinet."""
    known = hmac.compare_digest(merchant.password.encode(), password.encode("utf-8", "replace"))
    return known and merchant.email.casefold() == email.strip().casefold()


def _claimed(proof: str) -> str:
    """Return whose proof it says it is; nobody is called by an empty name."""
    return proof.partition(":")[0]


def _signature(merchant: Merchant, until: str) -> str:
    key = f"{merchant.client_secret}\0{merchant.password}".encode()
    return hmac.new(key, f"cabinet\0{merchant.client_id}\0{until}".encode("utf-8", "replace"), "sha256").hexdigest()
