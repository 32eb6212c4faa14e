"""The cards that a shop's customers have saved: of each only what its mask tells."""

from collections.abc import Sequence
from typing import Final

from mock_epay.errors import BadField, Refusal
from mock_epay.fake import Fake
from mock_epay.model import SavedCard, Transaction
from mock_epay.records import replace
from mock_epay.store import Work

SOURCE: Final = "documented: saved cards"
NO_SAVED_CARDS: Final = 1373  # reason code


async def keep(work: Work, transaction: Transaction) -> Transaction:
    """Save the card of an approved payment if its order asks for that; return the transaction with the card's id.

    A customer who saves a card twice has it once.
    """
    order, mask = transaction.order, transaction.card
    if not (order.card_save or order.verification) or mask is None:
        return transaction
    known = [card for card in await work.find(SavedCard, "account_id", order.account_id) if card.mask == mask]
    path = (work.merchant.seed, work.merchant.client_id, order.account_id, mask.first, mask.last)
    # Without an account nobody's card can be told from another's, so each is a card of its own.
    card_id = Fake(*path, "" if order.account_id else transaction.id).uuid("saved card")
    card = SavedCard(
        id=known[0].id if known else card_id,
        account_id=order.account_id,
        mask=mask,
        holder=transaction.payer.name,
        terminal=order.terminal,
        transaction_id=transaction.id,
        reference=transaction.reference,
        int_reference=transaction.int_reference,
        created_at=work.now,
    )
    work.save(card)
    work.record("card.saved", transaction.invoice_id, card=card.id, account=card.account_id)
    return replace(transaction, card_id=card.id)


async def of_account(work: Work, account_id: str) -> Sequence[SavedCard]:
    """Return the cards that an account can pay with."""
    return [card for card in await work.find(SavedCard, "account_id", account_id) if card.active]


async def listed(work: Work, account_id: str) -> Sequence[SavedCard]:
    """Return the cards of an account.

    Raises:
        Refusal: it has none, with the bank's code for that.

    """
    cards = await of_account(work, account_id)
    if not cards:
        message = f"no saved cards: account {account_id[:80]} has none"
        raise Refusal(message, code=NO_SAVED_CARDS, field="accountId", source=SOURCE)
    return cards


async def usable(work: Work, card_id: str) -> SavedCard:
    """Return a card that may pay.

    Raises:
        BadField: this merchant has no such card, or it was deactivated.

    """
    card = await work.get(SavedCard, card_id)
    if card is None or not card.active:
        rule = "the id of a card that was saved with this merchant and not deactivated"
        raise BadField("cardId", card_id, rule, SOURCE, code=NO_SAVED_CARDS)
    return card


async def deactivate(work: Work, card_id: str) -> None:
    """Let a card pay no more."""
    card = await usable(work, card_id)
    work.save(replace(card, active=False))
    work.record("card.deactivated", "", card=card.id, account=card.account_id)
