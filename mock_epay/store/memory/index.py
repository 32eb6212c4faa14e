"""What something is found by: of each value the keys that have it, oldest first."""

from collections.abc import Collection
from typing import Generic, TypeVar

K = TypeVar("K", str, int)


class Index(Generic[K]):
    """Keys by value. Nearly always there is one, which then stands there by itself: a list for each weighs more."""

    def __init__(self) -> None:
        self._keys: dict[str, K | dict[K, None]] = {}

    def of(self, value: str) -> Collection[K]:
        """Return the keys that have a value."""
        keys = self._keys.get(value)
        if keys is None:
            return ()
        return keys if isinstance(keys, dict) else (keys,)

    def first(self, value: str) -> K | None:
        """Return the key that has had a value for the longest, or None."""
        keys = self._keys.get(value)
        return next(iter(keys)) if isinstance(keys, dict) else keys

    def add(self, value: str, key: K) -> None:
        """Note that a key has a value."""
        keys = self._keys.setdefault(value, key)
        if isinstance(keys, dict):
            keys[key] = None
        elif keys != key:
            self._keys[value] = {keys: None, key: None}

    def remove(self, value: str, key: K) -> None:
        """Note that a key that had a value has it no more."""
        keys = self._keys[value]
        if isinstance(keys, dict) and len(keys) > 1:
            del keys[key]
        else:
            del self._keys[value]
