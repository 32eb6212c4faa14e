"""Records as bytes, many of a kind in one block, in which what they have in common costs next to nothing."""

import pickle
import zlib
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final, TypeVar

import msgspec

from mock_epay.records import Record

R = TypeVar("R", bound=Record)

EACH: Final = 32  # things in a block: with more, a look at one takes longer; with fewer, each costs and weighs more
_HARD: Final = 1  # zlib's levels go to 9: 6 takes twice the time and saves a tenth
_OPEN: Final = 128  # blocks that stay open after somebody has looked into them
_PICKLED: Final = b"\x80"  # how a pickle begins; as MessagePack it would be an empty table

_as_msgpack: Final = msgspec.msgpack.Encoder().encode


def fold(things: dict[str, R] | list[R]) -> bytes:
    """Return some records of one kind as a block."""
    try:
        text = _as_msgpack(things)
    except (UnicodeEncodeError, TypeError, OverflowError):  # half of a surrogate pair, or the like
        text = pickle.dumps(things, pickle.HIGHEST_PROTOCOL)
    return zlib.compress(text, _HARD)


@lru_cache(_OPEN)
def unfold(block: bytes, form: Any) -> Any:
    """Return what a block was made of, in its form: a list or dictionary of such records.

    Each time it is the same one, as long as not too many others have been asked for.
    """
    text = zlib.decompress(block)
    if text.startswith(_PICKLED):
        return pickle.loads(text)  # noqa: S301  (nobody else makes blocks)
    return _readers(form)(text)


@cache
def _readers(form: Any) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(form).decode
