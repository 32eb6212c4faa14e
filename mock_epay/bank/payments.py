"""Payments that a shop's server asks for: with the card of its own form, or with a saved one."""

from datetime import timedelta

from mock_epay import issuer
from mock_epay.bank import challenges, notices, orders, saved, scripts, tokens, transactions
from mock_epay.errors import BadField
from mock_epay.issuer import THREE_DS_FAILED, Decision
from mock_epay.model import Card, Challenge, ChallengeState, Payer, PaymentObject, Status, Token, Transaction
from mock_epay.notes import Notes
from mock_epay.records import replace
from mock_epay.store import Work


async def by_card(
    work: Work, order: PaymentObject, token: Token, card: Card, notes: Notes
) -> tuple[Transaction, Challenge | None]:
    """Make one attempt with a card, which the token serves; the issuer may want to ask the cardholder first."""
    return await _pay(work, order, token, issuer.decide(card, work.merchant.three_ds), notes=notes)


async def by_saved_card(
    work: Work, order: PaymentObject, token: Token, card_id: str, notes: Notes
) -> tuple[Transaction, Challenge | None]:
    """Make one attempt with a saved card; the cardholder is not asked if the payment recurs.

    Raises:
        BadField: there is no such card.

    """
    card = await saved.usable(work, card_id)
    policy = "none" if order.recurrent else work.merchant.three_ds
    decision = issuer.decide_saved(card.mask, None, policy)
    order = replace(order, account_id=order.account_id or card.account_id, name=order.name or card.holder)
    return await _pay(work, order, token, decision, notes=notes, card_id=card.id)


async def confirm(work: Work, md: str, pa_res: str, *, token: str = "", transaction_id: str = "") -> Transaction:
    """Finish a payment with what the issuer has sent back; one that is finished stays as it is.

    Raises:
        BadField: no payment of this merchant, or not the one of `token` or `transaction_id`, waits for this MD.

    """
    challenge = await work.get(Challenge, md)
    if (
        challenge is None
        or challenge.checkout_id
        or token not in {"", challenge.token}
        or transaction_id not in {"", challenge.transaction_id}
    ):
        rule = "the md of a payment that waits for 3-D Secure"
        raise BadField("MD", md, rule, challenges.SOURCE, code=challenges.UNKNOWN)
    transaction = await _of(work, challenge)
    if transaction.status is not Status.THREE_DS:
        return transaction
    answered = challenge.state is not ChallengeState.OPEN and pa_res == challenge.pa_res
    if not answered:
        challenge = replace(challenge, state=ChallengeState.FAILED, reason_code=THREE_DS_FAILED)
    return await _finish(work, challenge, transaction)


async def give_up(work: Work, challenge_id: str) -> None:
    """End a payment whose cardholder has not come back in time."""
    challenge = await work.get(Challenge, challenge_id)
    if challenge is None or challenge.settled:
        return
    late = replace(challenge, state=ChallengeState.FAILED, reason_code=transactions.TIME_IS_UP)
    await _finish(work, late, await _of(work, challenge))


async def _pay(
    work: Work, order: PaymentObject, token: Token, decision: Decision, *, notes: Notes, card_id: str = ""
) -> tuple[Transaction, Challenge | None]:
    if await work.find(Challenge, "token", token.value):
        raise tokens.spent()
    order = await orders.take(work, order, token.request, notes)
    decision = await scripts.direct(work, order, decision)
    if not order.post_link:
        notes.remark("no-postlink", "postLink")
    payer = Payer(name=order.name, email=order.email, phone=order.phone)
    transaction = replace(await transactions.begin(work, order), card_id=card_id)
    transaction = transactions.tried(work, transaction, decision, payer)
    if decision.three_ds == "challenge":
        expires_at = work.now + timedelta(seconds=work.merchant.page_ttl_s)
        return challenges.begin(work, transaction, decision, token=token, expires_at=expires_at)
    secure = decision.three_ds == "frictionless"
    decided = await transactions.settle(work, transaction, decision.reason_code, secure=secure)
    notices.notify(work, decided, token.request.secret_hash or "")
    tokens.spend(work, token)
    return decided, None


async def _finish(work: Work, challenge: Challenge, transaction: Transaction) -> Transaction:
    decided = await challenges.finish(work, challenge, transaction, challenges.result(challenge))
    notices.notify(work, decided, challenge.secret_hash)
    token = await work.get(Token, challenge.token)
    assert token is not None
    tokens.spend(work, token)
    return decided


async def _of(work: Work, challenge: Challenge) -> Transaction:
    transaction = await work.get(Transaction, challenge.transaction_id)
    assert transaction is not None
    return transaction
