"""Room in a world's rows: what is forgotten, by the rules of `bounds`."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from mock_epay.model import Merchant
from mock_epay.store import bounds
from mock_epay.store.bounds import Order
from mock_epay.store.sql.database import Transaction

_UNSENT: Final = "postlinks that were not sent"


async def make_room(transaction: Transaction, say: Mapping[str, str], merchant: Merchant) -> None:
    """Forget what a world, which one has to oneself, has too much of; note how much that was."""
    client_id = merchant.client_id
    forgotten = await _forget_orders(transaction, say, merchant)
    kept = await _count(transaction, say, client_id)
    for kind, most in bounds.loose(merchant).items():
        if (over := kept[kind.__name__] - most) > 0:
            rows = await transaction.rows(say["forget_oldest"], client_id, kind.__name__, over)
            forgotten.update(kind for (kind,) in rows)
    last = (await transaction.rows(say["world"], client_id))[0][3]
    events = len(await transaction.rows(say["forget_old_events"], client_id, last - merchant.keep_events))
    if forgotten or events:
        facts = (forgotten["Transaction"], events, forgotten["Attempt"], forgotten[_UNSENT])
        await transaction.rows(say["forgotten"], client_id, *facts)


async def _forget_orders(transaction: Transaction, say: Mapping[str, str], merchant: Merchant) -> Counter[str]:
    """Forget the oldest orders, if there are too many; return how much of each kind that was."""
    client_id, forgotten = merchant.client_id, Counter[str]()
    kept = await _count(transaction, say, client_id)
    over = bounds.orders_over(merchant, kept["Invoice"], kept["Transaction"])
    if over <= 0:
        return forgotten
    found = await transaction.rows(say["oldest_orders"], client_id, over + bounds.SEARCHED)
    oldest = {number: Order(number=number, under_way=bool(going)) for number, going in found}
    while (
        over := bounds.orders_over(merchant, *((kept - forgotten)[kind] for kind in ("Invoice", "Transaction")))
    ) > 0:
        order = bounds.first_to_go(oldest.values(), merchant, over)
        if order is None:
            break
        del oldest[order.number]
        rows = await transaction.rows(say["forget_order"], client_id, order.number)
        forgotten.update(kind for kind, _ in rows)
        forgotten[_UNSENT] += sum(kind == "Delivery" and going for kind, going in rows)
    return forgotten


async def _count(transaction: Transaction, say: Mapping[str, str], client_id: str) -> Counter[str]:
    """Return how many things there are of each kind."""
    rows = await transaction.rows(say["count_things_of"], client_id)
    return Counter({kind: number for kind, number, _ in rows})
