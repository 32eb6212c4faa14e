"""What the bank answers when it is asked how a payment stands."""

from mock_epay import resources
from mock_epay.model import Invoice, StatusAnswer, Token, Transaction
from mock_epay.store import Work
from mock_epay.wire import outgoing


async def of_invoice(work: Work, token: Token, invoice_id: str) -> StatusAnswer:
    """Answer for the latest attempt to pay an invoice."""
    if await work.get(Invoice, invoice_id):  # anybody can ask for anything; only orders have a story
        work.record("status.asked", invoice_id)
    if result := _not_allowed(work, token):
        return StatusAnswer(merchant=work.merchant, result=result)
    found = await work.find(Transaction, "invoice_id", invoice_id)
    return _found(work, found[-1] if found else None)


async def of_transaction(work: Work, token: Token, transaction_id: str) -> StatusAnswer:
    """Answer for one transaction."""
    if result := _not_allowed(work, token):
        return StatusAnswer(merchant=work.merchant, result=result)
    return _found(work, await work.get(Transaction, transaction_id))


def _not_allowed(work: Work, token: Token) -> str | None:
    """Return why a token may not ask, if it may not."""
    terminal = token.request.terminal
    if terminal is None:
        return outgoing.NO_TERMINAL
    return outgoing.FOREIGN if work.merchant.terminal(terminal) is None else None


def _found(work: Work, transaction: Transaction | None) -> StatusAnswer:
    """Answer for a transaction; while a code is not final, the shop is told to ask again (assumed)."""
    result = None
    if transaction is not None and transaction.reason_code and transaction.decided_at is not None:
        final = resources.table("reasons")[str(transaction.reason_code)]["final"]
        since = (work.now - transaction.decided_at).total_seconds()
        result = outgoing.RETRY if not final and since < work.merchant.unsettled_s else None
    return StatusAnswer(merchant=work.merchant, transaction=transaction, result=result)
