"""Who is signed in to the cabinet, as a signed proof: it needs no memory, so it outlives restarts."""

import hmac
from datetime import datetime, timedelta
from typing import Final

from mock_epay.model import Merchant

LASTS: Final = timedelta(days=7)


def prove(merchant: Merchant, now: datetime) -> str:
    """Return the proof that a merchant's user has signed in at this real moment."""
    until = str(int((now + LASTS).timestamp()))
    return f"{merchant.client_id}:{until}:{_signature(merchant, until)}"


def claimed(proof: str) -> str:
    """Return whose proof it says it is; nobody is called by an empty name."""
    return proof.partition(":")[0]


def holds(merchant: Merchant, proof: str, now: datetime) -> bool:
    """Return whether a proof is this merchant's, and not too old. It ends when the password or the secret changes."""
    client_id, _, rest = proof.partition(":")
    until, _, signature = rest.partition(":")
    right = hmac.compare_digest(_signature(merchant, until).encode(), signature.encode("utf-8", "replace"))
    return client_id == merchant.client_id and right and now.timestamp() < int(until)  # what is signed is a number


def is_user(merchant: Merchant, email: str, password: str) -> bool:
    """Return whether somebody is this merchant's user of the cabinet."""
    known = hmac.compare_digest(merchant.password.encode(), password.encode("utf-8", "replace"))
    return known and merchant.email.casefold() == email.strip().casefold()


def _signature(merchant: Merchant, until: str) -> str:
    key = f"{merchant.client_secret}\0{merchant.password}".encode()
    return hmac.new(key, f"cabinet\0{merchant.client_id}\0{until}".encode("utf-8", "replace"), "sha256").hexdigest()
