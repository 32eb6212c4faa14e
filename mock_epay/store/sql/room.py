"""Room in a world's rows: what is forgotten, by the rules of `bounds`."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from mock_epay.model import Merchant
from mock_epay.store import bounds
from mock_epay.store.bounds import Order
from mock_epay.store.sql.database import Transaction

_LOOKED_AT: Final = 1000  # orders that were begun first, of which some may have been gone on with
_UNSENT: Final = "postlinks that were not sent"


async def make_room(transaction: Transaction, say: Mapping[str, str], merchant: Merchant) -> None:
    """Forget what a world, which one has to oneself, has too much of; note how much that was."""
    client_id = merchant.client_id
    loose = {kind.__name__: most for kind, most in bounds.loose(merchant).items()}
    kept = Counter[str]()
    for kind in ("Invoice", "Transaction", *loose):
        kept[kind] = (await transaction.rows(say["count_kind"], client_id, kind))[0][0]
    forgotten = await _forget_orders(transaction, say, merchant, kept)
    for kind, most in loose.items():
        if (over := kept[kind] - forgotten[kind] - most) > 0:
            rows = await transaction.rows(say["forget_oldest"], client_id, kind, over)
            forgotten[kind] += len(rows)
    last = (await transaction.rows(say["world"], client_id))[0][3]
    events = len(await transaction.rows(say["forget_old_events"], client_id, last - merchant.keep_events))
    if forgotten or events:
        facts = (forgotten["Transaction"], events, forgotten["Attempt"], forgotten[_UNSENT], forgotten["Invoice"])
        await transaction.rows(say["forgotten"], client_id, *facts)


async def _forget_orders(
    transaction: Transaction, say: Mapping[str, str], merchant: Merchant, kept: Counter[str]
) -> Counter[str]:
    """Forget the oldest orders, if there are too many; return how much of each kind that was."""
    client_id, forgotten = merchant.client_id, Counter[str]()

    def over() -> int:
        invoices, transactions = ((kept - forgotten)[kind] for kind in ("Invoice", "Transaction"))
        return bounds.orders_over(merchant, invoices, transactions)

    if over() <= 0:
        return forgotten
    found = await transaction.rows(say["oldest_orders"], client_id, over() + _LOOKED_AT)
    oldest = {number: Order(number=number, under_way=bool(going)) for number, _, going in found}
    while order := bounds.first_to_go(oldest.values(), merchant, over()):
        del oldest[order.number]
        for kind, going in await transaction.rows(say["forget_order"], client_id, order.number):
            forgotten[kind] += 1
            forgotten[_UNSENT] += kind == "Delivery" and going
    return forgotten
