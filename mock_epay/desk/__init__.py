"""The desk behind the control API: what a developer may do with a merchant's world, and see of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

from mock_epay.bank import Bank, links, operations, scripts
from mock_epay.desk import invoices, payments, postlinks, recipes, stories, waits
from mock_epay.desk.invoices import Page, Search
from mock_epay.desk.payments import DirectPayment
from mock_epay.desk.postlinks import Changes, Notice
from mock_epay.desk.recipes import Recipe
from mock_epay.desk.sessions import Sessions
from mock_epay.desk.stories import Timeline
from mock_epay.desk.timekeeper import Timekeeper
from mock_epay.desk.worlds import Worlds
from mock_epay.errors import CONTROL_API, BadField, Conflict, NotFound
from mock_epay.model import Challenge, Delivery, Event, InvoiceLink, LinkRequest, Status, Transaction
from mock_epay.notes import Notes
from mock_epay.postlinks import Courier
from mock_epay.script import NextDecision, PlannedFault, Rule, Script
from mock_epay.store import Work

_LATEST: Final = "latest"
K = TypeVar("K", Transaction, Delivery)


class Desk:
    """What can be done with worlds from outside.

    Besides the bank's, each sandbox may have merchants of its `own`, and rules for all of them: those are the business
    of `worlds`, as clocks are of the `timekeeper` and the cabinet's users of `sessions`. Each method is about one
    merchant, and raises UnknownMerchantError when there is no such world.
    """

    def __init__(
        self, bank: Bank, courier: Courier, rules: Sequence[Rule] = (), own: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.bank = bank
        self.worlds = Worlds(bank.store, courier, bank.settings, rules, own)
        self.timekeeper = Timekeeper(bank, courier)
        self.sessions = Sessions(bank.store)
        self._store = bank.store

    async def script(self, client_id: str) -> Script:
        """Return what is left of a merchant's script."""
        async with self._store.work(client_id) as work:
            return await scripts.of(work)

    async def add_to_script(
        self,
        client_id: str,
        *,
        decisions: Sequence[NextDecision] = (),
        rules: Sequence[Rule] = (),
        faults: Sequence[PlannedFault] = (),
    ) -> Script:
        """Put more into a merchant's script, behind what is there."""
        async with self._store.work(client_id) as work:
            return await scripts.add(work, decisions=decisions, rules=rules, faults=faults)

    async def clear_script(self, client_id: str) -> None:
        """Take decisions and rules out of a merchant's script."""
        async with self._store.work(client_id) as work:
            await scripts.clear(work)

    async def clear_faults(self, client_id: str) -> None:
        """Let all services of a merchant work again."""
        async with self._store.work(client_id) as work:
            await scripts.clear_faults(work)

    async def pay(self, client_id: str, payment: DirectPayment) -> Transaction:
        """Pay without a browser, through the same doors as the shop and the page.

        Raises:
            Refusal: what the token endpoint or the page would say.

        """
        return await payments.pay(self.bank, await self.worlds.merchant(client_id), payment)

    async def transactions(self, client_id: str, invoice_id: str = "", status: str = "") -> Sequence[Transaction]:
        """Return a merchant's transactions, or those of an invoice or in a state, oldest first.

        Raises:
            BadField: there is no such state.

        """
        if status and status not in set(Status):
            raise BadField("status", status, f"one of {', '.join(Status)}", CONTROL_API)
        async with self._store.work(client_id) as work:
            of = await work.find(Transaction, "invoice_id", invoice_id) if invoice_id else await work.all(Transaction)
        return [one for one in of if status in {"", one.status}]

    async def transaction(self, client_id: str, transaction_id: str) -> Transaction:
        """Return one transaction of a merchant's, by its id or as `latest`.

        Raises:
            NotFound: there is no such transaction.

        """
        async with self._store.work(client_id) as work:
            return await _one(work, Transaction, transaction_id)

    async def challenge(self, client_id: str, transaction: Transaction) -> Challenge | None:
        """Return the issuer's question that a transaction waits for."""
        if transaction.status is not Status.THREE_DS:  # as nearly all are, in a list of many
            return None
        async with self._store.work(client_id) as work:
            return await stories.challenge(work, transaction)

    async def operate(self, client_id: str, operation: str, transaction_id: str, amount: Decimal | None) -> Transaction:
        """Charge, cancel or refund, as the shop may, without a token of the shop's.

        Raises:
            NotFound: there is no such transaction.
            BadField: what the bank would say: its state forbids it (477); too much money.

        """
        notes = await self.bank.notes(client_id)
        async with self._store.work(client_id) as work:
            transaction = await _one(work, Transaction, transaction_id)
            await operations.OPERATIONS[operation](work, transaction.id, amount, notes)
            return await _one(work, Transaction, transaction.id)

    async def answer(self, client_id: str, transaction_id: str, answer: payments.Answer) -> Transaction:
        """Answer the issuer's question as the cardholder may, and let the payment go on.

        Raises:
            NotFound: there is no such transaction.
            Conflict: it waits for no answer.

        """
        transaction = await self.transaction(client_id, transaction_id)
        asked = await self.challenge(client_id, transaction)
        if asked is None or not (await self.bank.challenge(asked.id)).open:
            raise Conflict("status", transaction.status, "3D, and not answered yet: nobody is asked here", CONTROL_API)
        await payments.answer(self.bank, asked, answer)
        return await self.transaction(client_id, transaction.id)

    async def make_link(self, client_id: str, asked: Callable[[str], LinkRequest], notes: Notes) -> InvoiceLink:
        """Let an order wait at an address, as the bank's invoice links do, without a token of the shop's.

        `asked` says what the link is for, given the next free number for an order that has none.

        Raises:
            BadField: the invoice number is taken or paid.

        """
        async with self._store.work(client_id) as work:
            # In one unit, or another one would find the same number free.
            return await links.make(work, asked(await payments.free_number(work)), notes)

    async def invoices(self, client_id: str, search: Search) -> Page:
        """Return the invoices of a merchant's that are meant.

        Raises:
            BadField: there is no such state; the page before ended with an invoice that is not there.

        """
        async with self._store.work(client_id) as work:
            return await invoices.page(work, search)

    async def timeline(self, client_id: str, invoice_id: str) -> Timeline:
        """Return all that is known of an invoice.

        Raises:
            NotFound: this merchant has no such invoice.

        """
        async with self._store.work(client_id) as work:
            return await stories.timeline(work, invoice_id)

    async def recipe(self, client_id: str, invoice_id: str) -> Recipe:
        """Return how all that is known of an invoice happens again.

        Raises:
            NotFound: this merchant has no such invoice.

        """
        line = await self.timeline(client_id, invoice_id)
        return recipes.recipe(line, await self.worlds.merchant(client_id))

    async def postlinks(
        self, client_id: str, *, invoice_id: str = "", transaction_id: str = "", state: str = ""
    ) -> Sequence[Notice]:
        """Return a merchant's postlinks, or those that fit, oldest first.

        Raises:
            BadField: there is no such state.

        """
        async with self._store.work(client_id) as work:
            return await postlinks.fitting(work, invoice_id=invoice_id, transaction_id=transaction_id, state=state)

    async def postlinks_within(self, client_id: str, seconds: float, least: int, **filters: str) -> Sequence[Notice]:
        """Return postlinks as soon as there are so many that fit, or what there is after so many real seconds."""

        async def enough() -> Sequence[Notice] | None:
            found = await self.postlinks(client_id, **filters)
            return found if len(found) >= least else None

        found = await waits.look_again(self._store, client_id, seconds, enough)
        return await self.postlinks(client_id, **filters) if found is None else found

    async def postlink(self, client_id: str, delivery_id: str) -> Notice:
        """Return one postlink of a merchant's, by its id or as `latest`.

        Raises:
            NotFound: there is no such postlink.

        """
        async with self._store.work(client_id) as work:
            return await postlinks.notice(work, await _one(work, Delivery, delivery_id))

    async def resend(self, client_id: str, delivery_id: str, changes: Changes) -> Notice:
        """Send a postlink once more, as it was or changed, as a postlink of its own.

        Raises:
            NotFound: there is no such postlink.
            Conflict: what it said is not kept.

        """
        async with self._store.work(client_id) as work:
            return await postlinks.resend(work, await _one(work, Delivery, delivery_id), changes)

    async def release(self, client_id: str, delivery_id: str) -> Notice:
        """Let a postlink go now that is held, or waits for its time.

        Raises:
            NotFound: there is no such postlink.
            Conflict: there is nothing more to be sent.

        """
        async with self._store.work(client_id) as work:
            return await postlinks.release(work, await _one(work, Delivery, delivery_id))

    async def cancel(self, client_id: str, delivery_id: str) -> Notice:
        """Let a postlink never go out, or not again.

        Raises:
            NotFound: there is no such postlink.
            Conflict: there is nothing more to be sent.

        """
        async with self._store.work(client_id) as work:
            return await postlinks.cancel(work, await _one(work, Delivery, delivery_id))

    async def events(self, client_id: str, *, after: int = 0) -> Sequence[Event]:
        """Return what happened in a world after the event with this number."""
        return await self._store.events(client_id, after=after)

    async def last_event(self, client_id: str) -> int:
        """Return the number of the latest event in a world."""
        async with self._store.work(client_id) as work:
            return work.last_event

    async def news(self, client_id: str, *, after: int) -> Sequence[Event]:
        """Return what happened in a world after the event with this number; wait until something has."""
        return await self._store.news(client_id, after=after)

    async def wait(self, client_id: str, until: str, *, invoice_id: str = "", after: int = 0, seconds: float) -> Event:
        """Return the first event of a kind, of an invoice if one is named; wait for it so many real seconds.

        Raises:
            BadField: there is no such kind of event.
            NotInTime: it did not happen; the message says how near it came.

        """
        return await waits.event(self._store, client_id, until, invoice_id=invoice_id, after=after, seconds=seconds)

    async def about(self, client_id: str, event: Event) -> tuple[Transaction | None, Notice | None]:
        """Return the transaction and the postlink that an event is about."""
        facts = json.loads(event.facts)
        async with self._store.work(client_id) as work:
            delivery = await work.get(Delivery, facts.get("delivery", ""))
            transaction_id = delivery.transaction_id if delivery else facts.get("transaction", "")
            transaction = await work.get(Transaction, transaction_id)
            return transaction, await postlinks.notice(work, delivery) if delivery else None


async def _one(work: Work, kind: type[K], key: str) -> K:
    """Return the thing with this id, or the latest."""
    found = await work.some(kind, 1, newest=True) if key == _LATEST else [await work.get(kind, key)]
    if not found or found[0] is None:
        name = "transaction" if kind is Transaction else "postlink"
        raise NotFound(f"{work.merchant.client_id} has no {name} {key[:80]}", field="id", value=key[:80])
    return found[0]
