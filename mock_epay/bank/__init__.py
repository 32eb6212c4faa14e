"""The acquirer: every rule that has state. A caller parses, calls one method of `Bank`, renders."""

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import NoReturn, cast

from mock_epay import fake, resources
from mock_epay.bank import checkouts, operations, tokens
from mock_epay.bank.checkouts import CheckoutView
from mock_epay.dialects import SPELLINGS
from mock_epay.errors import InvalidToken, NotFound
from mock_epay.model import (
    Card,
    Checkout,
    Dialect,
    Invoice,
    Merchant,
    Payer,
    PaymentObject,
    StatusAnswer,
    Terminal,
    Token,
    TokenRequest,
    Transaction,
)
from mock_epay.settings import Settings
from mock_epay.store import Store, UnknownMerchantError
from mock_epay.wire import outgoing


class Bank:
    """One acquirer over one store. Each method is one unit of work in one merchant's world."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    async def open(self) -> None:
        """Make the merchants that every sandbox has."""
        dialect = cast("Dialect", self.settings.dialect)
        spelling = SPELLINGS[dialect]
        for row in resources.table("merchants")["merchant"]:
            facts = {
                "terminals": tuple(Terminal(**one, two_stage=spelling.two_stage) for one in row["terminals"]),
                "seed": self.settings.seed or fake.fresh_seed(),
                "dialect": dialect,
                "token_ttl_s": self.settings.token_ttl_s or spelling.token_ttl_s,
            }
            await self.store.add_merchant(Merchant(**row | facts))

    async def issue_token(self, request: TokenRequest) -> tuple[Token, Merchant]:
        """Give a merchant a token for one operation.

        Raises:
            InvalidClient: the credentials are wrong.
            BadField: the terminal is not the merchant's; the invoice number is taken or paid.

        """
        merchant = tokens.check_client(await self.store.merchant(request.client_id), request)
        async with self.store.work(merchant.client_id) as work:
            return await tokens.issue(work, request), merchant

    async def open_checkout(self, order: PaymentObject, access_token: str) -> str:
        """Open the pay page for an order, or the same page again while it is open; return its id.

        A page belongs to its token, so a reload neither resets its minutes nor gives back attempts.

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: the order contradicts its token, or a number or link in it breaks a rule.

        """
        async with self.store.work(await self._owner_of(access_token)) as work:
            checkout = await checkouts.open_page(work, order, access_token, self.settings)
        return checkout.id

    async def checkout(self, checkout_id: str) -> CheckoutView:
        """Return a checkout as it stands now.

        Raises:
            NotFound: there is no such checkout.

        """
        async with self.store.work(await self._world_of(checkout_id)) as work:
            return await checkouts.view(work, checkout_id, self.settings)

    async def pay(self, checkout_id: str, card: Card, payer: Payer) -> None:
        """Try to pay. On a page that is not open any more nothing happens, so a second click does no harm.

        The transaction, its postlink and its event are one unit of work.

        Raises:
            NotFound: there is no such checkout.

        """
        async with self.store.work(await self._world_of(checkout_id)) as work:
            await checkouts.pay(work, checkout_id, card, payer, self.settings)

    async def status(self, access_token: str, invoice_id: str) -> StatusAnswer:
        """Look up the latest attempt to pay an invoice. Asking does not spend the token (assumed).

        Raises:
            InvalidToken: the token is unknown, spent or expired.

        """
        async with self.store.work(await self._owner_of(access_token)) as work:
            token = await tokens.usable(work, access_token)
            if await work.get(Invoice, invoice_id):  # anybody can ask for anything; only orders have a story
                work.record("status.asked", invoice_id)
            terminal = token.request.terminal
            if terminal is None:
                return StatusAnswer(merchant=work.merchant, result=outgoing.NO_TERMINAL)
            if work.merchant.terminal(terminal) is None:
                return StatusAnswer(merchant=work.merchant, result=outgoing.FOREIGN)
            found = await work.find(Transaction, "invoice_id", invoice_id)
            return StatusAnswer(merchant=work.merchant, transaction=found[-1] if found else None)

    async def status_by_id(self, access_token: str, transaction_id: str) -> StatusAnswer:
        """Look up one transaction. Asking does not spend the token (assumed).

        Raises:
            InvalidToken: the token is unknown, spent or expired.

        """
        async with self.store.work(await self._owner_of(access_token)) as work:
            token = await tokens.usable(work, access_token)
            if token.request.terminal is None:
                return StatusAnswer(merchant=work.merchant, result=outgoing.NO_TERMINAL)
            transaction = await work.get(Transaction, transaction_id)
            return StatusAnswer(merchant=work.merchant, transaction=transaction)

    async def operate(self, access_token: str, operation: str, transaction_id: str, amount: Decimal | None) -> str:
        """Charge, cancel or refund; return in one sentence what was done. It spends the token.

        Raises:
            InvalidToken: the token is unknown, spent or expired.
            BadField: no such transaction of this merchant (690); its state forbids it (477); too much money.

        """
        async with self.store.work(await self._owner_of(access_token)) as work:
            token = await tokens.usable(work, access_token)
            done = await operations.OPERATIONS[operation](work, transaction_id, amount)
            work.save(replace(token, spent=True))
        return done

    async def close_late_pages(self) -> NoReturn:
        """Close each page as its time runs out; goes on until it is cancelled."""
        while True:
            for client_id, checkout in await self.store.claim(Checkout, 100):
                with suppress(UnknownMerchantError):
                    async with self.store.work(client_id) as work:
                        await checkouts.read(work, checkout.id, self.settings)

    async def _owner_of(self, access_token: str) -> str:
        client_id = await self.store.owner(Token, access_token)
        if client_id is None:
            raise InvalidToken(
                "the token is unknown: it was not issued here, or before this sandbox was started",
                field="access_token",
                rule="a token that this sandbox has issued",
                source=tokens.REQUEST,
            )
        return client_id

    async def _world_of(self, checkout_id: str) -> str:
        client_id = await self.store.owner(Checkout, checkout_id)
        if client_id is None:
            raise NotFound(
                "there is no such pay page: it was not opened here, or before this sandbox was started",
                field="checkout",
            )
        return client_id
