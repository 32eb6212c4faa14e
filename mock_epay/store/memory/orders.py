"""A world's orders, youngest last; and what may go by itself, oldest first."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from mock_epay.model import Attempt, Challenge, Checkout, SavedCard, Token
from mock_epay.store.bounds import number_of
from mock_epay.store.shapes import Stored

Name = tuple[type, str]
Values = tuple[str, ...]

_ALONE = (Token, SavedCard, Attempt)
_HAVE_TOKENS = (Checkout, Challenge)


class Orders:
    """Knows things by kind and key. Linked, so that the oldest is found at once however many have gone before it.

    Of what may go by itself it knows too by which values it is found: nobody has to open a block for that.
    """

    def __init__(self) -> None:
        self._orders: OrderedDict[str, None] = OrderedDict()
        self._loose: dict[type, OrderedDict[str, Values]] = {kind: OrderedDict() for kind in _ALONE}

    def __iter__(self) -> Iterator[str]:
        """Return the numbers of the orders, that in which nothing was new for the longest time first."""
        return iter(self._orders)

    def add(self, kind: type, key: str, thing: Stored, values: Values) -> None:
        """Take in something new, which is found by these values, and will be by no others."""
        if number := number_of(thing):
            self._orders[number] = None
            self._orders.move_to_end(number)
        if kind in self._loose:
            self._loose[kind][key] = values
        elif isinstance(thing, _HAVE_TOKENS):
            self._loose[Token].pop(thing.token, None)  # from now on it goes with its order

    def remove(self, number: str, names: Iterable[Name]) -> None:
        """Let an order go, with what of it could have gone by itself."""
        for kind, key in names:
            if kind in self._loose:
                self._loose[kind].pop(key, None)
        del self._orders[number]

    def oldest(self, kind: type, over: int) -> list[tuple[str, Values]]:
        """Let the oldest of what may go by itself go, if so many are over; return their keys and values."""
        loose = self._loose[kind]
        return [loose.popitem(last=False) for _ in range(min(over, len(loose)))]
