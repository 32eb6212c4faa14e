"""One try to bring a notice to a shop: what goes out, and what came of it."""

from typing import Final

from mock_epay.records import Record

DELIVERED: Final = "delivered"


class Outcome(Record, kw_only=True):
    """What came of one attempt at an address. Without an answer `status` is None, and `headers` are not known.

    It is `stale` if a connection that was kept turned out to be closed.
    """

    result: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    status: int | None = None
    answer: str = ""
    stale: bool = False


class Letter(Record, kw_only=True):
    """One notice as it goes out: where to, how many real seconds the shop has, and how many the body takes.

    With `keep` the connection may serve another one.
    """

    url: str
    body: bytes
    patience_s: float
    connect_s: float = 5
    slow_s: float = 0
    keep: bool = False
