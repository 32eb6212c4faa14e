"""Where a world's things of one kind stand: those that were put last as they are, the others in blocks of bytes.

Objects that live long are what a garbage collector stops the process for, and weigh ten times what they say.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Generic, TypeVar, cast

from mock_epay.records import Record
from mock_epay.store.memory.blocks import EACH, fold, unfold

T = TypeVar("T", bound=Record)

FRESH: Final = 256  # things that stay as they are though nothing is to happen to them; they may be asked for soon


class Shelf(Generic[T]):
    """Things of a kind by key, in the order in which their keys came. Such as are `under_way` stay out of blocks."""

    def __init__(self, kind: type[T], under_way: Callable[[T], bool] | None = None) -> None:
        self._form = dict[str, kind]  # type: ignore[valid-type]
        self._under_way = under_way
        self._things: dict[str, T | bytes] = {}
        self._fresh: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._things)

    def __contains__(self, key: object) -> bool:
        return key in self._things

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._things)

    def __getitem__(self, key: str) -> T:
        return self._unfolded(key, self._things[key])

    def put(self, key: str, thing: T) -> T | None:
        """Put a thing there, and return what stood in its place."""
        old = self._things.get(key)
        self._things[key] = thing
        if old is not None:
            self._fresh.pop(key, None)
            old = self._unfolded(key, old)
        if self._under_way is None or not self._under_way(thing):
            self._fresh[key] = None
            if len(self._fresh) >= FRESH + EACH:
                self._fold(list(islice(self._fresh, EACH)))
        return old

    def get(self, key: str) -> T | None:
        """Return a thing, or None."""
        thing = self._things.get(key)
        return None if thing is None else self._unfolded(key, thing)

    def __delitem__(self, key: str) -> None:
        del self._things[key]
        self._fresh.pop(key, None)

    def _fold(self, keys: list[str]) -> None:
        """Make one block of some things; it is there until none of them stands in it any more."""
        block = fold({key: cast("T", self._things[key]) for key in keys})
        for key in keys:
            self._things[key] = block
            del self._fresh[key]

    def _unfolded(self, key: str, thing: T | bytes) -> T:
        if not isinstance(thing, bytes):
            return thing
        found: T = unfold(thing, self._form)[key]
        return found
