"""A world's orders, youngest last, each with what belongs to it; and what may go by itself, oldest first."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from mock_epay.model import Attempt, Challenge, Checkout, SavedCard, Token
from mock_epay.store.bounds import number_of
from mock_epay.store.shapes import Stored

Name = tuple[type, str]


class Orders:
    """Knows things by kind and key. Linked, so that the oldest is found at once however many have gone before it."""

    def __init__(self) -> None:
        self._orders: OrderedDict[str, list[Name]] = OrderedDict()
        self._loose: dict[type, OrderedDict[str, None]] = {kind: OrderedDict() for kind in (Token, SavedCard, Attempt)}

    def __iter__(self) -> Iterator[str]:
        """Return the numbers of the orders, that in which nothing was new for the longest time first."""
        return iter(self._orders)

    def add(self, name: Name, thing: Stored) -> None:
        """Take in something new."""
        kind, key = name
        number = number_of(thing)
        if number in self._orders:
            self._orders.move_to_end(number)
        elif number:
            self._orders[number] = []
        if kind in self._loose:
            self._loose[kind][key] = None
        elif number:
            self._orders[number].append(name)
        if isinstance(thing, Checkout | Challenge):
            self._loose[Token].pop(thing.token, None)  # from now on it goes with its order

    def of(self, number: str) -> list[Name]:
        """Return what belongs to an order and can go with nothing else."""
        return self._orders[number]

    def remove(self, number: str, loose: Iterable[Name]) -> list[Name]:
        """Let an order go, with what could have gone by itself; return what else belongs to it."""
        for kind, key in loose:
            self._loose[kind].pop(key, None)
        return self._orders.pop(number)

    def oldest(self, kind: type, over: int) -> list[Name]:
        """Let the oldest of what may go by itself go, if so many are over; return what that is."""
        loose = self._loose[kind]
        return [(kind, loose.popitem(last=False)[0]) for _ in range(min(over, len(loose)))]
