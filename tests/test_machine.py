"""The bank as a whole, driven at random: whatever is done in whatever order, money is neither lost nor made."""

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from typing import Final, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support import an_order, new_merchant

from mock_epay.bank import Bank
from mock_epay.bank.checkouts import Choice
from mock_epay.clock import Clock
from mock_epay.errors import BadField, Refusal
from mock_epay.model import (
    TRANSITIONS,
    Card,
    Checkout,
    CheckoutState,
    Delivery,
    Invoice,
    Payer,
    PaymentObject,
    Status,
    Terminal,
    Token,
    TokenRequest,
    Transaction,
)
from mock_epay.notes import Notes
from mock_epay.settings import Settings
from mock_epay.store.memory import MemoryStore

T = TypeVar("T")

CLIENT: Final = "machine"
TERMINALS: Final = (
    Terminal(id="67e34d63-102f-4bd1-898e-370781d0074d", tid="1"),
    Terminal(id="d9d7978c-d6ee-4ec0-8cda-165251a4bf16", tid="2", two_stage=True),
)
CARDS: Final = {
    "approves": Card(pan="4405639704015096", expiry="01/25", cvc="815"),
    "declines": Card(pan="4003032704547597", expiry="09/20", cvc="170"),
    "asks": Card(pan="4000000000003220", expiry="12/30", cvc="123"),
    "asks, then declines": Card(pan="4000008400001629", expiry="12/30", cvc="123"),
}
INVOICES: Final = ("000001", "000002")
HELD_OR_MORE: Final = {
    Status.AUTH,
    Status.CHARGE,
    Status.CANCEL,
    Status.CANCEL_OLD,
    Status.REFUND,
    Status.VERIFIED,
}
CARD: Final = st.sampled_from(sorted(CARDS))
INVOICE: Final = st.sampled_from(INVOICES)
MONEY: Final = st.one_of(st.none(), st.decimals("0.01", "120", places=2))


class Anything(RuleBasedStateMachine):
    """A merchant with two terminals, orders on both, pages, card payments, challenges, operations, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.bank = Bank(MemoryStore(), Settings(self_check=True))
        merchant = new_merchant(CLIENT, terminals=TERMINALS)
        self.do(self.bank.store.add_merchant(merchant))
        self.secret = merchant.client_secret
        self.before: dict[str, Transaction] = {}
        self.pages: list[str] = []
        self.waiting: list[str] = []
        self.kept: dict[str, Decimal] = {}  # what each transaction should have brought, by our own account

    def teardown(self) -> None:
        self.loop.close()

    def do(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 10))

    def token(self, invoice_id: str | None) -> str:
        paid = {} if invoice_id is None else {"amount": Decimal(100), "currency": "KZT"}
        request = TokenRequest(
            client_id=CLIENT,
            client_secret=self.secret,
            scope="payment",
            invoice_id=invoice_id,
            terminal=TERMINALS[INVOICES.index(invoice_id or INVOICES[0])].id,
            **paid,  # type: ignore[arg-type]
        )
        return self.do(self.bank.issue_token(request, Notes()))[0].value

    def order(self, invoice_id: str) -> PaymentObject:
        terminal = TERMINALS[INVOICES.index(invoice_id)].id
        return an_order(invoice_id=invoice_id, terminal=terminal, post_link="http://127.0.0.1:9/", back_link="")

    @rule(invoice_id=INVOICE)
    def open_a_page(self, invoice_id: str) -> None:
        try:
            opened = self.do(self.bank.open_checkout(self.order(invoice_id), self.token(invoice_id), Notes()))
        except BadField as refused:
            assert (refused.code, self.paid(invoice_id)) == (477, True)  # noqa: PT017
        else:
            self.pages.append(opened.checkout.id)

    @precondition(lambda self: self.pages)
    @rule(data=st.data(), card=CARD)
    def pay_on_a_page(self, data: st.DataObject, card: str) -> None:
        page = data.draw(st.sampled_from(self.pages))
        self.do(self.bank.pay(page, CARDS[card], Payer(), Choice()))
        if waits := self.do(self.bank.checkout(page)).challenge_id:
            self.waiting.append(waits)

    @rule(invoice_id=INVOICE, card=CARD)
    def pay_by_card(self, invoice_id: str, card: str) -> None:
        try:
            token = self.token(invoice_id)
            _, challenge = self.do(self.bank.pay_by_card(token, self.order(invoice_id), CARDS[card], Notes()))
        except BadField as refused:
            assert (refused.code, self.paid(invoice_id)) == (477, True)  # noqa: PT017
        else:
            self.waiting += [challenge.id] if challenge else []

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), how=st.sampled_from(["right", "wrong", "cancel"]))
    def answer_the_issuer(self, data: st.DataObject, how: str) -> None:
        md = data.draw(st.sampled_from(self.waiting))
        code = {"right": self.do(self.bank.challenge(md)).challenge.code, "wrong": "000000", "cancel": None}[how]
        self.do(self.bank.answer_challenge(md, code))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), honest=st.booleans())
    def confirm(self, data: st.DataObject, honest: bool) -> None:
        challenge = self.do(self.bank.challenge(data.draw(st.sampled_from(self.waiting)))).challenge
        pa_res = challenge.pa_res if honest else "forged"
        try:
            self.do(self.bank.confirm_in_browser(challenge.token, challenge.id, pa_res))
        except BadField as refused:
            assert (refused.code, bool(challenge.checkout_id)) == (690, True)  # noqa: PT017

    @precondition(lambda self: self.before)
    @rule(data=st.data(), operation=st.sampled_from(["charge", "cancel", "refund"]), amount=MONEY)
    def operate(self, data: st.DataObject, operation: str, amount: Decimal | None) -> None:
        transaction = self.before[data.draw(st.sampled_from(sorted(self.before)))]
        allowed = transaction.status is (Status.CHARGE if operation == "refund" else Status.AUTH)
        code = 0
        try:
            self.do(self.bank.operate(self.token(None), operation, transaction.id, amount, Notes()))
        except Refusal as refused:
            code = refused.code
            assert transaction.status in refused.message or code != 477  # noqa: PT017
        assert (code == 477) != allowed
        if code:
            return
        whole = transaction.order.amount if operation == "charge" else self.kept.get(transaction.id, Decimal(0))
        moved = {"charge": 1, "cancel": 0, "refund": -1}[operation] * (whole if amount is None else amount)
        self.kept[transaction.id] = self.kept.get(transaction.id, Decimal(0)) + moved

    @rule(seconds=st.sampled_from([1, 600, 1200]))
    def let_time_pass(self, seconds: int) -> None:
        async def turn() -> None:
            clock: Clock = await self.bank.store.clock(CLIENT)
            await self.bank.store.set_clock(CLIENT, clock.advance(seconds))

        self.do(turn())
        for page in self.pages:
            self.do(self.bank.checkout(page))

    @invariant()
    def all_is_well(self) -> None:
        now = self.do(self.look())
        for key, transaction in now.items():
            old = self.before.get(key)
            if old is not None and old.status is not transaction.status:
                assert transaction.status in _reachable(old.status), (old.status, transaction.status)
            if key not in self.kept:
                self.kept[key] = Decimal(0)
            if (
                transaction.status is Status.CHARGE
                and (old is None or old.status is not Status.AUTH)
                and (old is None or old.status is not Status.CHARGE)
            ):
                self.kept[key] = transaction.order.amount
            assert transaction.payout == self.kept[key]
            assert 0 <= transaction.returned <= transaction.taken <= transaction.order.amount
        for invoice_id in INVOICES:
            paid = [one for one in now.values() if one.invoice_id == invoice_id and one.status in HELD_OR_MORE]
            assert len(paid) <= 1
        self.before = now

    async def look(self) -> dict[str, Transaction]:
        """Return all transactions; see that each that is decided has told the shop once, and each page makes sense."""
        async with self.bank.store.work(CLIENT) as work:
            found = {one.id: one for number in INVOICES for one in await work.find(Transaction, "invoice_id", number)}
            told = [one for number in INVOICES for one in await work.find(Delivery, "invoice_id", number)]
            decided = [one.id for one in found.values() if one.decided_at is not None]
            assert sorted(notice.transaction_id for notice in told) == sorted(decided)
            for page in self.pages:
                checkout = await work.get(Checkout, page)
                assert checkout is not None
                token = await work.get(Token, checkout.token)
                assert token is not None
                assert token.spent == (checkout.state is not CheckoutState.OPEN)
        return found

    def paid(self, invoice_id: str) -> bool:
        async def look() -> Invoice | None:
            async with self.bank.store.work(CLIENT) as work:
                return await work.get(Invoice, invoice_id)

        invoice = self.do(look())
        return bool(invoice and invoice.paid_by)


def _reachable(status: Status) -> set[Status]:
    """Return where a transaction may be after one action, which may take more than one step."""
    steps = set(TRANSITIONS[status])
    return steps | {further for step in steps for further in TRANSITIONS[step]}


Anything.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnything = Anything.TestCase
