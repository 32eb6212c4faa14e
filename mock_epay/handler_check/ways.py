"""The ways of paying, each of which lets notices of some kind go out."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from mock_epay.handler_check.notices import Notice
from mock_epay.handler_check.shop import Shop

_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S

Way = Callable[[Shop], Iterator[Notice]]
Edit = tuple[str, Mapping[str, Any]]  # what the notice is then, and what is other in it


def planned(plan: str, *said: str, reason_code: int = 0, known: bool = True, slow_s: float = 0) -> Way:
    """Pay an order with a plan for its notices, each of which is said to be something."""

    def way(shop: Shop) -> Iterator[Notice]:
        order = shop.order() if known else shop.invented()
        paid = shop.pay(order, plan, reason_code)
        for what, sent in zip(said, shop.postlinks(paid), strict=True):
            yield shop.told(what, sent, slow_s=slow_s)

    return way


def edited(*edits: Edit, known: bool = True) -> Way:
    """Pay an order and hold its notice; send others in its place, but none without a field that it does not have."""

    def way(shop: Shop) -> Iterator[Notice]:
        paid = shop.pay(shop.order() if known else shop.invented(), "on_release")
        (held,) = shop.postlinks(paid)
        for what, changes in edits:
            if changes.get("fields", {}).keys() <= held.body.keys():
                yield shop.told(what, shop.again(held, **changes))
        shop.cancel(held)

    return way


def without(*names: str) -> list[Edit]:
    """Take each of these fields out of a notice of its own."""
    return [(f"a notice without {name}", {"fields": {name: None}}) for name in names]


def late(shop: Shop) -> Iterator[Notice]:
    """Pay an hour ago, by the world's clock, and let the notice go out now."""
    order = shop.order()
    with shop.earlier(_HOUR_S):
        paid = shop.pay(order, f"delay({_HOUR_S})")
    (sent,) = shop.postlinks(paid)
    yield shop.told("a notice that is an hour late", sent)


def again_later(shop: Shop) -> Iterator[Notice]:
    """Pay a day ago, by the world's clock, and send the notice again now."""
    order = shop.order()
    with shop.earlier(_DAY_S):
        paid = shop.pay(order, "immediate")
        (sent,) = shop.postlinks(paid)
    yield shop.told("a notice", sent)
    yield shop.told("the same notice a day later", shop.again(sent))


def out_of_order(shop: Shop) -> Iterator[Notice]:
    """Pay two orders, the first of which is told of behind the second."""
    first, second = shop.order(), shop.order()
    waiting = shop.pay(first, "out_of_order")
    (sent,) = shop.postlinks(shop.pay(second, "immediate"))
    yield shop.told("the notice of the order that was paid second", sent)
    (held,) = shop.postlinks(waiting)
    shop.release(held)  # it waits for one that was taken
    (sent,) = shop.postlinks(waiting)
    yield shop.told("the notice of the order that was paid first, which comes second", sent)
