"""Things as JSON text, and back: what a database keeps of a record."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mock_epay.records import Record, needed_fields

T = TypeVar("T")
_Convert = Callable[[Any], Any]


class UnreadableError(ValueError):
    """A text that no thing of ours was written as, or one of a newer version."""


def encode(thing: object) -> str:
    """Return a thing as text. It is ASCII, so that no database minds what a shop may have sent."""
    kind: Any = type(thing)
    return json.dumps(_ways(kind)[0](thing), separators=(",", ":"))


def decode(kind: type[T], text: str) -> T:
    """Return the thing that was written; a field that is not there has its default.

    Raises:
        UnreadableError: it has fields that this version does not know, or lacks one.

    """
    of: Any = kind
    thing: T = _ways(of)[1](json.loads(text))
    return thing


@cache
def _ways(kind: Any) -> tuple[_Convert, _Convert]:
    """Return how a value of this type becomes plain, and how it comes back."""
    if kind in _LEAVES:
        return _LEAVES[kind]
    if get_origin(kind) is Literal:
        return _same, _same
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        return _optional(kind)
    if get_origin(kind) is tuple:
        plain, back = _ways(get_args(kind)[0])
        return lambda value: [plain(one) for one in value], lambda value: tuple(back(one) for one in value)
    if issubclass(kind, Record):
        return _of_record(kind)
    assert issubclass(kind, StrEnum), kind
    return _same, kind


def _same(value: Any) -> Any:
    return value


def _optional(kind: Any) -> tuple[_Convert, _Convert]:
    others = [one for one in get_args(kind) if one is not NoneType]
    if len(others) > 1:  # choices of words, put together
        return _same, _same
    plain, back = _ways(others[0])
    return (
        lambda value: None if value is None else plain(value),
        lambda value: None if value is None else back(value),
    )


def _of_record(kind: type[Record]) -> tuple[_Convert, _Convert]:
    hints = get_type_hints(kind)
    ways = {name: _ways(hints[name]) for name in kind.__struct_fields__}
    needed = needed_fields(kind)

    def plain(thing: object) -> dict[str, Any]:
        return {name: way(getattr(thing, name)) for name, (way, _) in ways.items()}

    def back(facts: dict[str, Any]) -> Any:
        if facts.keys() - ways.keys() or needed - facts.keys():
            unknown = ", ".join(sorted(facts.keys() ^ (facts.keys() & ways.keys() | needed)))
            raise UnreadableError(f"{kind.__name__} was written by another version: it differs in {unknown}")
        return kind(**{name: ways[name][1](value) for name, value in facts.items()})

    return plain, back


_LEAVES: Final[dict[Any, tuple[_Convert, _Convert]]] = {
    str: (_same, _same),
    int: (_same, _same),
    float: (_same, _same),
    bool: (_same, _same),
    Decimal: (str, Decimal),
    datetime: (datetime.isoformat, datetime.fromisoformat),
    bytes: (lambda value: value.decode("latin-1"), lambda text: text.encode("latin-1")),
}
