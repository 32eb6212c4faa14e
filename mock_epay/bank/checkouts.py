"""The life of a pay page: opened, paid or given up."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal

from mock_epay import issuer
from mock_epay.bank import challenges, notices, orders, saved, scripts, tokens, transactions
from mock_epay.errors import BadField
from mock_epay.model import (
    Card,
    Challenge,
    Checkout,
    CheckoutState,
    Invoice,
    Merchant,
    Payer,
    PaymentObject,
    SavedCard,
    Status,
    ThreeDs,
    Token,
    TokenRequest,
    Transaction,
)
from mock_epay.notes import Notes
from mock_epay.records import Record, replace
from mock_epay.store import Work

TOO_MANY_ATTEMPTS: Final = 505  # reason code


class CheckoutView(Record, kw_only=True):
    """A checkout as its page shows it: with its latest transaction, the shop, and the account's saved cards.

    `challenge_id` is that of a question which the cardholder has to answer first. `asked` is what the shop wanted the
    token for. With `awaits_leaving` a postlink waits until the customer goes back to the shop.
    """

    checkout: Checkout
    transaction: Transaction
    merchant: Merchant
    seconds_left: int
    saved_cards: Sequence[SavedCard] = ()
    challenge_id: str = ""
    awaits_leaving: bool = False
    asked: TokenRequest


class Choice(Record, kw_only=True):
    """What is chosen on the form beside the card: a saved one, whether to save it, and what a test wants.

    That is how the postlink is delivered, and, if it is not to be as the card or the merchant has it, 3-D Secure.
    """

    saved_card: str = ""
    save_card: bool = False
    plan: str = ""
    three_ds: ThreeDs | Literal["card"] | None = None


async def open_page(
    work: Work,
    order: PaymentObject,
    access_token: str,
    notes: Notes,
    *,
    needs_post_link: bool = True,
) -> Checkout:
    """Return the page that belongs to the token, opened now if it was not yet; once it is paid the token is spent."""
    opened = await work.find(Checkout, "token", access_token)
    if opened and opened[-1].state is not CheckoutState.APPROVED:
        return opened[-1]
    token = await tokens.usable(work, access_token)
    order = await orders.take(work, order, token.request, notes)
    if needs_post_link and not order.post_link:
        notes.broken(BadField("postLink", None, "needed, in the payment object or in the token", orders.OBJECT))
    transaction = await transactions.begin(work, order)
    checkout_id = transactions.fakes(work, order.invoice_id, transaction.number).uuid("checkout")
    transaction = replace(transaction, checkout_id=checkout_id)
    checkout = Checkout(
        id=checkout_id,
        token=access_token,
        order=order,
        secret_hash=token.request.secret_hash or "",
        opened_at=work.now,
        expires_at=work.now + timedelta(seconds=work.merchant.page_ttl_s),
        attempts_left=work.merchant.page_attempts,
        payer=transaction.payer,
        transaction_id=transaction.id,
    )
    work.save(transaction, checkout)
    work.record("checkout.opened", order.invoice_id, checkout=checkout.id, hints=[hint.rule for hint in order.hints])
    return checkout


async def view(work: Work, checkout_id: str) -> CheckoutView:
    """Return what the page shows now."""
    checkout, transaction = await read(work, checkout_id)
    waits = transaction.status is Status.THREE_DS
    left = (checkout.expires_at - work.now).total_seconds()
    token = await work.get(Token, checkout.token)
    assert token is not None
    return CheckoutView(
        checkout=checkout,
        transaction=transaction,
        merchant=work.merchant,
        seconds_left=max(0, int(left)),
        saved_cards=await saved.of_account(work, checkout.order.account_id),
        challenge_id=(await work.find(Challenge, "transaction_id", transaction.id))[-1].id if waits else "",
        awaits_leaving=bool(await notices.pending(work, transaction)),
        asked=token.request,
    )


async def pay(work: Work, checkout_id: str, card: Card, payer: Payer, choice: Choice) -> None:
    """Make one attempt, with the card or the saved one, if the page is open and none is under way."""
    checkout, transaction = await read(work, checkout_id)
    if checkout.state is not CheckoutState.OPEN or transaction.status is Status.THREE_DS:
        return
    invoice = await work.get(Invoice, checkout.order.invoice_id)
    assert invoice is not None
    if invoice.paid_by:
        await _close(work, checkout, transaction, tokens.ALREADY_DONE)
        return
    # The customer has the last word on whether the card is saved; one that is, needs no saving.
    saves = choice.save_card and not choice.saved_card and bool(checkout.order.account_id)
    order = replace(checkout.order, card_save=saves)
    if transaction.status is not Status.NEW:
        transaction = await transactions.begin(work, order)
    decision, card_id = await _decide(work, order, card, choice)
    decision = replace(decision, plan=decision.plan or choice.plan)
    transaction = replace(transaction, order=order, card_id=card_id, checkout_id=checkout.id)
    transaction = transactions.tried(work, transaction, decision, payer)
    checkout = replace(checkout, transaction_id=transaction.id, payer=payer, attempts_left=checkout.attempts_left - 1)
    if decision.three_ds == "challenge":
        token = await work.get(Token, checkout.token)
        assert token is not None
        challenges.begin(
            work, transaction, decision, token=token, expires_at=checkout.expires_at, checkout_id=checkout.id
        )
        work.save(checkout)
        return
    secure = decision.three_ds == "frictionless"
    decided = await transactions.settle(work, transaction, decision.reason_code, secure=secure)
    await _decided(work, checkout, decided)


async def leave(work: Work, checkout_id: str) -> str:
    """Note that the customer goes back to the shop, and return where that is."""
    checkout, transaction = await read(work, checkout_id)
    work.record("page.left", checkout.invoice_id, checkout=checkout.id)
    await notices.leave(work, transaction)
    return checkout.order.back_link if checkout.state is CheckoutState.APPROVED else checkout.order.leave_link


async def resume(work: Work, challenge: Challenge) -> None:
    """Go on with an attempt once its challenge is answered."""
    checkout, transaction = await read(work, challenge.checkout_id)
    if transaction.id != challenge.transaction_id or transaction.status is not Status.THREE_DS:
        return
    decided = await challenges.finish(work, challenge, transaction, challenges.result(challenge))
    await _decided(work, checkout, decided)


async def read(work: Work, checkout_id: str) -> tuple[Checkout, Transaction]:
    """Return a checkout and its latest transaction; a page whose time is over is closed first."""
    checkout = await work.get(Checkout, checkout_id)
    assert checkout is not None
    transaction = await work.get(Transaction, checkout.transaction_id)
    assert transaction is not None
    if checkout.due_at and checkout.due_at <= work.now:
        return await _close(work, checkout, transaction, transactions.TIME_IS_UP)
    return checkout, transaction


async def _decide(work: Work, order: PaymentObject, card: Card, choice: Choice) -> tuple[issuer.Decision, str]:
    """Ask the issuer; return its decision and the id of the saved card, if it was one."""
    policy = choice.three_ds or work.merchant.three_ds
    if not choice.saved_card:
        return await scripts.direct(work, order, issuer.decide(card, policy)), ""
    known = await saved.usable(work, choice.saved_card)
    if known.account_id != order.account_id:
        raise BadField("card_id", known.id, "a saved card of this account", saved.SOURCE, code=saved.NO_SAVED_CARDS)
    return await scripts.direct(work, order, issuer.decide_saved(known.mask, card.cvc, policy)), known.id


async def _decided(work: Work, checkout: Checkout, decided: Transaction) -> None:
    """Tell the shop, and end the page if it is paid or the last attempt is used up."""
    checkout = replace(checkout, reason_code=decided.reason_code)
    over = checkout.attempts_left == 0
    if decided.approved or work.merchant.notify_each_failure or over:
        notices.notify(work, decided, checkout.secret_hash, page_ends=checkout.expires_at)
    if decided.approved:
        await _end(work, replace(checkout, state=CheckoutState.APPROVED))
    elif over:
        await _end(work, replace(checkout, state=CheckoutState.CLOSED, reason_code=TOO_MANY_ATTEMPTS))
    else:
        work.save(checkout)


async def _close(
    work: Work, checkout: Checkout, transaction: Transaction, reason_code: int
) -> tuple[Checkout, Transaction]:
    """End a page without a payment. The shop hears of it, unless it has heard of the last attempt already."""
    undecided = transaction.status in {Status.NEW, Status.THREE_DS}
    heard = not undecided and work.merchant.notify_each_failure
    if undecided:
        transaction = transactions.end(work, transaction, Status.FAILED, reason_code=reason_code)
    if not heard:
        notices.notify(work, transaction, checkout.secret_hash)
    closed = replace(checkout, state=CheckoutState.CLOSED, reason_code=reason_code)
    await _end(work, closed)
    return closed, transaction


async def _end(work: Work, checkout: Checkout) -> None:
    """Keep a page that is not open any more; its token has served."""
    if checkout.state is CheckoutState.CLOSED:
        why = {"checkout": checkout.id, "reason_code": checkout.reason_code}
        work.record("checkout.closed", checkout.order.invoice_id, **why)
    token = await work.get(Token, checkout.token)
    assert token is not None
    work.save(checkout)
    tokens.spend(work, token)
