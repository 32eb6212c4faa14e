"""The acquirer: every rule that has state. A caller parses, calls one method of `Bank`, renders."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal

from mock_epay.bank import challenges, checkouts, links, notices, operations, payments, saved, scripts, statuses, tokens
from mock_epay.bank.challenges import ChallengeView
from mock_epay.bank.checkouts import CheckoutView, Choice
from mock_epay.bank.units import UnitWith
from mock_epay.errors import BadField
from mock_epay.model import (
    Card,
    Challenge,
    Checkout,
    InvoiceLink,
    LinkRequest,
    Merchant,
    Payer,
    PaymentObject,
    SavedCard,
    StatusAnswer,
    Terminal,
    Token,
    TokenRequest,
    Transaction,
)
from mock_epay.notes import Notes
from mock_epay.script import Place, PlannedFault, Script
from mock_epay.settings import Settings
from mock_epay.store import Store, UnknownMerchantError
from mock_epay.store.shapes import Stored


class Bank:
    """One acquirer over one store. Each method is one unit of work in one merchant's world."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    async def notes(self, client_id: str | None) -> Notes:
        """Return the notes of a new request, as strict as its merchant wants them."""
        merchant = await self.store.merchant(client_id) if client_id else None
        return Notes(lenient=(merchant.checks if merchant else self.settings.checks) == "lenient")

    async def notes_for(self, access_token: str) -> Notes:
        """Return the notes of a new request that presents this token."""
        return await self.notes(await self.store.owner(Token, access_token))

    async def issue_token(self, request: TokenRequest, notes: Notes) -> tuple[Token, Merchant]:
        """Give a merchant a token for one operation.

        Raises:
            InvalidClient: the credentials are wrong.
            BadField: the terminal is not the merchant's; the invoice number is taken or paid.

        """
        try:
            # Checked in the unit: the merchant may be deleted, or be another one, between this and that.
            async with self.store.work(request.client_id) as work:
                merchant = tokens.check_client(work.merchant, request)
                return await tokens.issue(work, request, notes), merchant
        except UnknownMerchantError:
            raise tokens.unknown_client(request) from None

    async def check_token(self, access_token: str) -> Merchant:
        """Return whose token it is, if it can serve.

        Raises:
            InvalidToken: the token is unknown, spent or expired.

        """
        async with self._with(Token, access_token) as work:
            await tokens.usable(work, access_token)
            return work.merchant

    async def open_checkout(
        self, order: PaymentObject, access_token: str, notes: Notes, *, needs_post_link: bool = True
    ) -> CheckoutView:
        """Open the pay page for an order, or the same page again while it is open; return it as it stands.

        A page belongs to its token, so a reload neither resets its minutes nor gives back attempts.

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: the order contradicts its token, or a number or link in it breaks a rule.

        """
        async with self._with(Token, access_token) as work:
            checkout = await checkouts.open_page(work, order, access_token, notes, needs_post_link=needs_post_link)
            return await checkouts.view(work, checkout.id)

    async def checkout(self, checkout_id: str) -> CheckoutView:
        """Return a checkout as it stands now.

        Raises:
            NotFound: there is no such checkout.

        """
        async with self._with(Checkout, checkout_id) as work:
            return await checkouts.view(work, checkout_id)

    async def pay(self, checkout_id: str, card: Card, payer: Payer, choice: Choice) -> Transaction:
        """Try to pay, with a card or a saved one. On a page that is not open any more nothing happens.

        Return the page's latest transaction; `payer_waits` says when its payer may have the answer.

        The transaction, its postlink and its event are one unit of work.

        Raises:
            NotFound: there is no such checkout.
            BadField: the saved card is not this account's.

        """
        async with self._with(Checkout, checkout_id) as work:
            await checkouts.pay(work, checkout_id, card, payer, choice)
            _, transaction = await checkouts.read(work, checkout_id)
            return transaction

    async def payer_waits(self, transaction: Transaction, merchant: Merchant) -> None:
        """Wait as the payer does: as long as the script says and, if the plan has it so, until the shop answered."""
        if transaction.delay_s:
            await asyncio.sleep(transaction.delay_s)
        if notices.holds_page(merchant, transaction):
            with suppress(TimeoutError, UnknownMerchantError):
                async with asyncio.timeout(merchant.postlink_timeout_s):
                    await self._shop_has_answered(merchant.client_id, transaction)

    async def leave_page(self, checkout_id: str) -> str:
        """Note that the customer goes back to the shop, which postlinks may wait for; return where that is.

        Raises:
            NotFound: there is no such checkout.

        """
        async with self._with(Checkout, checkout_id) as work:
            return await checkouts.leave(work, checkout_id)

    async def pay_by_card(
        self, access_token: str, order: PaymentObject, card: Card, notes: Notes
    ) -> tuple[Transaction, Challenge | None]:
        """Try to pay with a card that the shop's own form took. It spends the token, once it is decided.

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: the order contradicts its token, or a number in it breaks a rule.

        """
        async with self._with(Token, access_token) as work:
            token = await tokens.usable(work, access_token)
            return await payments.by_card(work, order, token, card, notes)

    async def pay_by_saved_card(
        self, access_token: str, order: PaymentObject, card_id: str, notes: Notes
    ) -> tuple[Transaction, Challenge | None]:
        """Try to pay with a saved card; the cardholder is not asked if the payment recurs. It spends the token.

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: there is no such card (1373); the order contradicts its token, or a number in it breaks a rule.

        """
        async with self._with(Token, access_token) as work:
            token = await tokens.usable(work, access_token)
            return await payments.by_saved_card(work, order, token, card_id, notes)

    async def confirm(self, access_token: str, md: str, pa_res: str, transaction_id: str) -> Transaction:
        """Finish a payment with what the issuer has sent to the shop. It spends the token.

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: no payment of this merchant waits for this MD (690).

        """
        async with self._with(Token, access_token) as work:
            token = await tokens.usable(work, access_token)
            tokens.spend(work, token)
            return await payments.confirm(work, md, pa_res, transaction_id=transaction_id)

    async def confirm_in_browser(self, access_token: str, md: str, pa_res: str) -> Transaction:
        """Finish a payment with what the issuer has sent through the cardholder's browser, once or again.

        Raises:
            InvalidToken: the token is unknown.
            BadField: it is not the one that the payment was begun with (690).

        """
        async with self._with(Token, access_token) as work:
            return await payments.confirm(work, md, pa_res, token=access_token)

    async def transaction(self, transaction_id: str) -> tuple[Transaction, Merchant]:
        """Return a transaction and whose it is.

        Raises:
            NotFound: there is no such transaction.

        """
        async with self._with(Transaction, transaction_id) as work:
            transaction = await work.get(Transaction, transaction_id)
            assert transaction is not None
            return transaction, work.merchant

    async def enter_challenge(self, challenge_id: str, pa_req: str, term_url: str) -> None:
        """Note where the issuer is to send the cardholder back to.

        Raises:
            NotFound: there is no such challenge.
            BadField: PaReq does not belong to it.

        """
        async with self._with(Challenge, challenge_id) as work:
            await challenges.enter(work, challenge_id, pa_req, term_url)

    async def challenge(self, challenge_id: str) -> ChallengeView:
        """Return a challenge as it stands now.

        Raises:
            NotFound: there is no such challenge.

        """
        async with self._with(Challenge, challenge_id) as work:
            return await challenges.view(work, challenge_id)

    async def answer_challenge(self, challenge_id: str, code: str | None) -> ChallengeView:
        """Take the cardholder's code, or None for their wish to stop; on a pay page the attempt then goes on.

        Raises:
            NotFound: there is no such challenge.

        """
        async with self._with(Challenge, challenge_id) as work:
            seen = await challenges.answer(work, challenge_id, code)
            if seen.challenge.checkout_id and not seen.open:
                await checkouts.resume(work, seen.challenge)
            return seen

    async def saved_cards(self, access_token: str, account_id: str) -> tuple[Sequence[SavedCard], Merchant]:
        """Return the cards that an account has saved. Asking does not spend the token (assumed).

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            Refusal: the account has none (1373).

        """
        async with self._with(Token, access_token) as work:
            await tokens.usable(work, access_token)
            return await saved.listed(work, account_id), work.merchant

    async def deactivate_card(self, access_token: str, card_id: str) -> None:
        """Let a saved card pay no more. It spends the token.

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: there is no such card (1373).

        """
        async with self._with(Token, access_token) as work:
            token = await tokens.usable(work, access_token)
            await saved.deactivate(work, card_id)
            tokens.spend(work, token)

    async def make_link(self, access_token: str, asked: LinkRequest, notes: Notes) -> tuple[InvoiceLink, Merchant]:
        """Let an order wait at an address for its customer. It spends the token.

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: the shop is not this merchant's; the invoice number is taken or paid.

        """
        async with self._with(Token, access_token) as work:
            token = await tokens.usable(work, access_token)
            link = await links.make(work, asked, notes)
            tokens.spend(work, token)
            return link, work.merchant

    async def open_link(self, link_id: str) -> str:
        """Open the pay page of an invoice link; return its id.

        Raises:
            NotFound: there is no such link.
            ExpiredLink: it lasts no more.

        """
        async with self._with(InvoiceLink, link_id) as work:
            checkout = await links.open_page(work, link_id)
        return checkout.id

    async def terminal(self, access_token: str, terminal_id: str) -> tuple[Terminal, Merchant]:
        """Return what is known of a point of sale. Asking does not spend the token (assumed).

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: it is not this merchant's.

        """
        async with self._with(Token, access_token) as work:
            await tokens.usable(work, access_token)
            terminal = work.merchant.terminal(terminal_id)
            if terminal is None:
                raise BadField("id", terminal_id, f"a terminal of {work.merchant.client_id}", "observed: terminal info")
            return terminal, work.merchant

    async def status(self, access_token: str, invoice_id: str) -> StatusAnswer:
        """Look up the latest attempt to pay an invoice. Asking does not spend the token (assumed).

        Raises:
            InvalidToken: the token is unknown, spent or expired.

        """
        async with self._with(Token, access_token) as work:
            token = await tokens.usable(work, access_token)
            return await statuses.of_invoice(work, token, invoice_id)

    async def status_by_id(self, access_token: str, transaction_id: str) -> StatusAnswer:
        """Look up one transaction. Asking does not spend the token (assumed).

        Raises:
            InvalidToken: the token is unknown, spent or expired.

        """
        async with self._with(Token, access_token) as work:
            token = await tokens.usable(work, access_token)
            return await statuses.of_transaction(work, token, transaction_id)

    async def operate(
        self, access_token: str, operation: str, transaction_id: str, amount: Decimal | None, notes: Notes
    ) -> str:
        """Charge, cancel or refund; return in one sentence what was done. It spends the token.

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: no such transaction of this merchant (690); its state forbids it (477); too much money.

        """
        async with self._with(Token, access_token) as work:
            token = await tokens.usable(work, access_token)
            done = await operations.OPERATIONS[operation](work, transaction_id, amount, notes)
            tokens.spend(work, token)
        return done

    async def close_page(self, client_id: str, checkout_id: str) -> None:
        """Close a page whose time is over.

        Raises:
            UnknownMerchantError: its world has ended.

        """
        async with self.store.work(client_id) as work:
            if await work.get(Checkout, checkout_id):  # or its order had to be forgotten
                await checkouts.read(work, checkout_id)

    async def give_up_challenge(self, client_id: str, challenge_id: str) -> None:
        """End a payment whose cardholder never came back from the issuer.

        Raises:
            UnknownMerchantError: its world has ended.

        """
        async with self.store.work(client_id) as work:
            await payments.give_up(work, challenge_id)

    async def strike(self, at: Place, client_id: str | None) -> PlannedFault | None:
        """Return the fault that is to strike a service of a merchant's now."""
        if not client_id or await self.store.owner(Script, client_id) is None:
            return None
        with suppress(UnknownMerchantError):
            async with self.store.work(client_id) as work:
                return await scripts.strike(work, at)
        return None

    async def _shop_has_answered(self, client_id: str, transaction: Transaction) -> None:
        heard = 0
        while True:
            async with self.store.work(client_id) as work:
                if await notices.answered(work, transaction):
                    return
            heard = (await self.store.news(client_id, after=heard))[-1].number

    def _with(self, kind: type[Stored], key: str) -> UnitWith:
        return UnitWith(self.store, kind, key)
