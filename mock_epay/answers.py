"""What the control API answers, as values; keys they do not know are passed over, so that a newer server breaks none.

Moments have a zone (UTC), money is Decimal, an id is text.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final, Protocol, TypeVar


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T", bound=_Dataclass)


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """Where a shop finds the sandbox's services; `api` stands in front of check-status and the like."""

    token: str
    script: str
    payform: str
    api: str
    cabinet: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What the bank may not like in a request that the sandbox took."""

    rule: str
    field: str
    value: str
    why: str
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One attempt to pay. `taken` and `returned` are in `currency`; `page_url` is empty without a pay page."""

    id: str
    invoice_id: str
    number: int
    status: str
    reason_code: int
    reason: str
    decided_by: str
    amount: Decimal
    currency: str
    terminal: str
    card_mask: str
    card_type: str
    issuer: str
    card_id: str
    reference: str
    approval_code: str
    int_reference: str
    secure: bool
    taken: Decimal
    returned: Decimal
    description: str
    account_id: str
    name: str
    email: str
    phone: str
    created_at: datetime
    decided_at: datetime | None
    page_url: str
    challenge_url: str

    @property
    def approved(self) -> bool:
        """Whether money is held or taken, or the card was found good."""
        return self.status in {"AUTH", "CHARGE", "VERIFIED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try to deliver a postlink. `status` is None when the shop answered nothing."""

    number: int
    at: datetime
    url: str
    result: str
    status: int | None
    headers: dict[str, str]
    answer: str
    milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Postlink:
    """A notice to the shop. `due_at` is None when nothing more will be tried, or it is held.

    `spoilt` names what is wrong with it on purpose. `body` is its `text` read as JSON, None when that is none.
    """

    id: str
    invoice_id: str
    transaction_id: str
    url: str
    state: str
    result: str
    tries: int
    queued_at: datetime
    due_at: datetime | None
    waits_for: str
    spoilt: str
    text: str
    body: Any
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a merchant's world, in order."""

    number: int
    at: datetime
    kind: str
    invoice_id: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event that was waited for, with what it is about."""

    event: Event
    transaction: Transaction | None
    postlink: Postlink | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An order in a line: how many tokens were asked for it, how its latest transaction and postlink stand.

    `amount` is None until somebody has said it, `status` and `postlink` are empty until there is one; `attempts` counts
    the cards that were given, `tries` those to deliver the latest postlink.
    """

    invoice_id: str
    paid_by: str
    tokens: int
    status: str
    amount: Decimal | None
    currency: str
    description: str
    account_id: str
    card_mask: str
    card_type: str
    reason_code: int
    reason: str
    decided_by: str
    attempts: int
    transaction_id: str
    postlink: str
    postlink_id: str
    postlink_result: str
    tries: int
    hints: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All that is known of one invoice. `story` tells it in sentences."""

    invoice_id: str
    paid_by: str
    hints: tuple[Hint, ...]
    transactions: tuple[Transaction, ...]
    postlinks: tuple[Postlink, ...]
    events: tuple[Event, ...]
    story: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Something that will happen by itself: a postlink's try, the end of a pay page or of a challenge."""

    at: datetime
    what: str
    id: str
    invoice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """Something that has happened because a clock was put forward, and what came of it."""

    at: datetime
    what: str
    id: str
    invoice_id: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a clock shows, what its latest change set off, and what lies ahead."""

    now: datetime
    frozen: bool
    fired: tuple[Fired, ...]
    due: tuple[Due, ...]


def read(kind: type[T], facts: Mapping[str, Any]) -> T:
    """Make a value of JSON's."""
    plain = _PLAIN.get(kind, ())
    return kind(
        **{
            one.name: facts[one.name] if one.name in plain else _read_field(one.name, facts[one.name])
            for one in fields(kind)
        }
    )


def number(money: Decimal | float | str) -> int | float:
    """Return money as JSON has it, 100 rather than 100.0."""
    exact = _money(money)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def text(value: object) -> str:
    """Write a value as JSON; moments and money may stand in it."""
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _read_field(name: str, value: Any) -> Any:
    return value if value is None or name not in _READERS else _READERS[name](value)


def _money(value: Any) -> Decimal:
    return Decimal(str(value))


def _one(kind: type[_Dataclass]) -> Callable[[Any], Any]:
    return lambda facts: read(kind, facts)


def _many(kind: type[_Dataclass]) -> Callable[[Any], Any]:
    return lambda rows: tuple(read(kind, facts) for facts in rows)


def _plain(value: object) -> Any:
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in JSON")


_MOMENTS: Final = ("at", "now", "created_at", "decided_at", "queued_at", "due_at", "first_at", "last_at")
# Fields that share their names with values elsewhere, and are as JSON has them.
_PLAIN: Final[Mapping[type, tuple[str, ...]]] = {Invoice: ("attempts", "hints", "postlink")}
# How a field of this name is read, in whichever value it stands; others are as JSON has them.
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(_MOMENTS, datetime.fromisoformat),
    **dict.fromkeys(("amount", "taken", "returned"), _money),
    "attempts": _many(Attempt),
    "due": _many(Due),
    "event": _one(Event),
    "events": _many(Event),
    "fired": _many(Fired),
    "headers": lambda rows: {row["name"]: row["value"] for row in rows},
    "hints": _many(Hint),
    "postlink": _one(Postlink),
    "postlinks": _many(Postlink),
    "story": tuple,
    "transaction": _one(Transaction),
    "transactions": _many(Transaction),
}
