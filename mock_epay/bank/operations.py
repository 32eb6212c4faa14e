"""What becomes of money that was held or taken: charge, cancel, refund."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final

from mock_epay.bank import notices
from mock_epay.bank.tokens import ALREADY_DONE
from mock_epay.errors import BadField
from mock_epay.model import Status, Transaction
from mock_epay.notes import Notes
from mock_epay.records import replace
from mock_epay.store import Work

SOURCE: Final = "documented: operations charge, cancel, refund"

# Reason codes; the bank publishes no table of those that belong to operations, so all but 3141 are assumed.
AMOUNT_OVER_LIMIT: Final = 488
UNKNOWN_TRANSACTION: Final = 690
REFUND_LIMIT: Final = 3141

_LEAST_REFUND: Final = Decimal(10)  # KZT


async def charge(work: Work, transaction_id: str, amount: Decimal | None, _: Notes) -> str:
    """Take money that is held, all or a part of it; the rest of the hold is let go."""
    transaction = await _find(work, transaction_id)
    _check_state(transaction, Status.AUTH, "charged")
    held = transaction.order.amount
    taken = held if amount is None else amount
    if taken > held:
        raise BadField("amount", str(taken), f"at most what is held, {held}", SOURCE, code=AMOUNT_OVER_LIMIT)
    await _keep(work, replace(transaction, status=Status.CHARGE, taken=taken), "transaction.charged", taken)
    return f"charged {taken} {transaction.order.currency}"


async def cancel(work: Work, transaction_id: str, amount: Decimal | None, _: Notes) -> str:
    """Let go of money that is held; all of it, for that is all the bank offers."""
    transaction = await _find(work, transaction_id)
    _check_state(transaction, Status.AUTH, "cancelled")
    held = transaction.order.amount
    if amount not in {None, held}:
        raise BadField("amount", str(amount), f"absent, or all that is held, {held}", SOURCE)
    await _keep(work, replace(transaction, status=Status.CANCEL), "transaction.cancelled", held)
    return f"cancelled, {held} {transaction.order.currency} let go"


async def refund(work: Work, transaction_id: str, amount: Decimal | None, notes: Notes) -> str:
    """Give money back, all or a part of it; the status becomes REFUND with the last of it (assumed)."""
    transaction = await _find(work, transaction_id)
    _check_state(transaction, Status.CHARGE, "refunded")
    left = transaction.payout
    back = left if amount is None else amount
    if back > left:
        raise BadField("amount", str(back), f"at most what is left, {left}", SOURCE, code=REFUND_LIMIT)
    if transaction.order.currency == "KZT" and back < _LEAST_REFUND:
        notes.broken(BadField("amount", str(back), f"at least {_LEAST_REFUND} KZT", SOURCE, code=REFUND_LIMIT))
    status = Status.REFUND if back == left else Status.CHARGE
    returned = transaction.returned + back
    await _keep(work, replace(transaction, status=status, returned=returned), "transaction.refunded", back)
    return f"refunded {back} {transaction.order.currency}"


OPERATIONS: Final[dict[str, Callable[[Work, str, Decimal | None, Notes], Awaitable[str]]]] = {
    "charge": charge,
    "cancel": cancel,
    "refund": refund,
}


async def _find(work: Work, transaction_id: str) -> Transaction:
    """Return a transaction of this merchant; another merchant's is as unknown as one that never was."""
    transaction = await work.get(Transaction, transaction_id)
    if transaction is None:
        rule = "the id of a transaction of this merchant, from postlink or check-status"
        raise BadField("id", transaction_id, rule, SOURCE, code=UNKNOWN_TRANSACTION)
    return transaction


def _check_state(transaction: Transaction, needed: Status, done: str) -> None:
    """Refuse an operation that does not belong to this state: 477, "operation already done" (assumed)."""
    if transaction.status is not needed:
        rule = f"only what is {needed} can be {done}"
        raise BadField("status", transaction.status, rule, SOURCE, code=ALREADY_DONE)


async def _keep(work: Work, transaction: Transaction, happened: str, amount: Decimal) -> None:
    work.save(transaction)
    await notices.after_operation(work, transaction)
    work.record(happened, transaction.invoice_id, transaction=transaction.id, amount=amount)
