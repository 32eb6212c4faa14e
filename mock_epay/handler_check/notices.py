"""What a shop made of each notice, beside what it should have made of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_ACCEPTED: Final = 2
_REDIRECTED: Final = 3
_REFUSED: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice and what the shop made of it. `status` is None when it answered nothing."""

    what: str
    result: str
    status: int | None
    milliseconds: float

    @property
    def refused(self) -> bool:
        """Whether it was answered, and not taken, and the shop did not fall over it."""
        return self.status is not None and self.status // 100 in {_REDIRECTED, _REFUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What an answer should be, and how that is said."""

    met: Callable[[Notice], bool]
    should: str


TAKEN: Final = Want(met=lambda one: one.result == "delivered", should="it should have been taken, with a 2xx")
REFUSED: Final = Want(
    met=lambda one: one.status is not None and one.status // 100 != _ACCEPTED, should="it should have been refused"
)
TURNED_AWAY: Final = Want(
    met=lambda one: one.status is not None and one.status // 100 == _REFUSED,
    should="it should have been refused, with a 4xx",
)
ANSWERED: Final = Want(
    met=lambda one: one.refused or TAKEN.met(one), should="it should have been answered, and not with a 5xx"
)
