"""Frozen things as bytes, many of a kind in one block, in which what they have in common costs next to nothing."""

import pickle
import zlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache, lru_cache
from io import BytesIO
from operator import attrgetter
from typing import Any, Final

from mock_epay import model, script

EACH: Final = 16  # things in a block: with more, a look at one of them takes longer; with fewer, each weighs more
_HARD: Final = 1  # zlib's levels go to 9: 6 takes twice the time and saves a tenth
_OPEN: Final = 128  # blocks that stay open after somebody has looked into them

_Way = Callable[[Any], tuple[Any, ...]]


def fold(things: object) -> bytes:
    """Return some things as a block, in the list or dictionary that they are in."""
    text = BytesIO()
    pickler = pickle.Pickler(text, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _ways()
    pickler.dump(things)
    return zlib.compress(text.getvalue(), _HARD)


@lru_cache(_OPEN)
def unfold(block: bytes) -> Any:
    """Return what a block was made of; each time the same, as long as not too many others have been asked for."""
    return pickle.loads(zlib.decompress(block))  # noqa: S301  (nobody else makes blocks)


@cache
def _ways() -> dict[type, _Way]:
    """Return how our types are taken apart. Python's own way with dataclasses takes twice the time, thrice back."""
    kinds = [kind for kind in (*vars(model).values(), *vars(script).values()) if isinstance(kind, type)]
    things = {kind: _taking_apart(kind) for kind in kinds if is_dataclass(kind)}
    return things | {
        kind: lambda member: (getattr, (type(member), member.name)) for kind in kinds if issubclass(kind, Enum)
    }


def _taking_apart(kind: Any) -> _Way:
    parts = attrgetter(*[field.name for field in fields(kind)], "__class__")
    return lambda thing: (_made, parts(thing))


def _made(*parts: Any) -> Any:
    """Return a dataclass as it was, without the checks of its making."""
    *values, kind = parts
    thing = object.__new__(kind)
    for put, value in zip(_slots(kind), values, strict=True):
        put(thing, value)
    return thing


@cache
def _slots(kind: Any) -> list[Callable[[Any, Any], None]]:
    return [getattr(kind, field.name).__set__ for field in fields(kind)]
