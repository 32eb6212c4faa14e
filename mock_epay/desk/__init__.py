"""The desk behind the control API: what a developer may do with a merchant's world, and see of it."""

import asyncio
import difflib
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any, Final, TypeVar

from mock_epay.bank import Bank, links, merchants, notices, operations, scripts
from mock_epay.clock import Clock
from mock_epay.desk import invoices, payments, recipes, sessions, stories
from mock_epay.desk.invoices import Page, Search
from mock_epay.desk.payments import DirectPayment
from mock_epay.desk.recipes import Recipe
from mock_epay.desk.stories import Notice, Timeline
from mock_epay.desk.timekeeper import Happening, Timekeeper
from mock_epay.errors import CONTROL_API, BadField, Conflict, NotFound, NotInTime, WrongUser
from mock_epay.model import (
    EVENTS,
    Challenge,
    Delivery,
    DeliveryState,
    Event,
    InvoiceLink,
    LinkRequest,
    Merchant,
    Status,
    Transaction,
    Wait,
)
from mock_epay.notes import Notes
from mock_epay.postlinks import Courier
from mock_epay.records import Record, field, replace
from mock_epay.script import NextDecision, PlannedFault, Rule, Script
from mock_epay.store import UnknownMerchantError, Work
from mock_epay.store.bounds import Tally

LATEST: Final = "latest"
PUBLISHED: Final = "those of the documented merchant stand in the README, and are filled in on the sign-in page"

_YEAR_S: Final = 31_556_952
_LAST_YEAR: Final = 2200
_SHOWN: Final = 5  # merchants that are worth naming
K = TypeVar("K", Transaction, Delivery)
R = TypeVar("R")


class ClockFace(Record, kw_only=True):
    """What a merchant's clock shows, what fell due while it was turned, and what lies ahead."""

    now: datetime
    frozen: bool
    fired: Sequence[Happening]
    due: Sequence[Happening]


class Changes(Record, kw_only=True):
    """What is other in a postlink that is sent once more: its address, its whole body, or fields of that.

    A field of None is taken out; what is empty leaves things as they were.
    """

    url: str = ""
    body: bytes | None = None
    fields: Mapping[str, object] = field(default_factory=dict)

    def of(self, body: bytes) -> bytes:
        """Return what becomes of a body.

        Raises:
            BadField: fields of it are to change, and it has none.

        """
        if self.body is not None or not self.fields:
            return body if self.body is None else self.body
        try:
            told = json.loads(body) | self.fields
        except (ValueError, TypeError):
            raise BadField(
                "fields", "(not shown)", "absent where the body is no JSON object; give all of it, as text", CONTROL_API
            ) from None
        kept = {name: value for name, value in told.items() if value is not None}
        return json.dumps(kept, ensure_ascii=False, default=float).encode("utf-8", "replace")


class Desk:
    """What can be done with worlds from outside.

    Besides the bank's, each sandbox may have merchants of its `own`, and rules for all of them.
    Each method but those about all merchants raises UnknownMerchantError when there is no such world.
    """

    def __init__(
        self, bank: Bank, courier: Courier, rules: Sequence[Rule] = (), own: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.bank = bank
        self.timekeeper = Timekeeper(bank, courier)
        self._store = bank.store
        self._courier = courier
        self._rules = rules
        self._built_in = (*merchants.built_in(), *own)
        self._serial = count(1)

    async def open(self) -> None:
        """Make the merchants that every sandbox has, unless the store has kept them, as they were left."""
        for facts in self._built_in:
            await self._begin(merchants.make(facts, self.bank.settings), unless_there=True)

    async def merchants(self) -> Sequence[Merchant]:
        """Return all merchants, oldest world first."""
        return await self._store.merchants()

    async def new_merchant(self, facts: Mapping[str, Any]) -> Merchant:
        """Begin a world.

        Without a seed of its own it has the server's, and its number; with one, all of it is the same in every run.

        Raises:
            Conflict: the `client_id` is taken.

        """
        seed = self.bank.settings.seed
        said = {"seed": seed and f"{seed}/{next(self._serial)}"} | dict(facts)
        merchant = merchants.make(said, self.bank.settings)
        if "client_id" in facts and await self._store.merchant(merchant.client_id):
            rule = "another one: a merchant of this name lives, and can be reset or deleted"
            raise Conflict("client_id", merchant.client_id, rule, CONTROL_API)
        numbers = count(2)
        wanted = merchant.client_id
        while not await self._begin(merchant, unless_there=True):  # the same seed, twice at once
            merchant = merchants.make(said | {"client_id": f"{wanted}-{next(numbers)}"}, self.bank.settings)
        return merchant

    async def merchant(self, client_id: str) -> Merchant:
        """Return one merchant."""
        merchant = await self._store.merchant(client_id)
        if merchant is None:
            raise UnknownMerchantError(client_id)
        return merchant

    async def sign_in(self, email: str, password: str) -> tuple[Merchant, str]:
        """Return the merchant whose user this is, and the proof that they have signed in.

        Raises:
            WrongUser: nobody is.

        """
        for merchant in await self._store.merchants():
            if sessions.is_user(merchant, email, password):
                return merchant, sessions.prove(merchant, Clock().now())
        raise WrongUser(
            "no merchant has a user with this e-mail address and this password; " + PUBLISHED,
            field="email",
            rule="the e-mail address of a merchant's user, with the password that belongs to it",
            source=CONTROL_API,
        )

    async def enter(self, client_id: str) -> tuple[Merchant, str]:
        """Return a merchant, and the proof that its user has signed in; for a cabinet that is open to all."""
        merchant = await self.merchant(client_id)
        return merchant, sessions.prove(merchant, Clock().now())

    async def signed_in(self, proof: str) -> Merchant | None:
        """Return the merchant whose user has signed in with this proof; None when it proves nothing, or no more."""
        merchant = await self._store.merchant(sessions.claimed(proof))
        return merchant if merchant and sessions.holds(merchant, proof, Clock().now()) else None

    async def change_merchant(self, client_id: str, facts: Mapping[str, Any]) -> Merchant:
        """Change facts and settings of a merchant, from now on."""
        changed = merchants.change(await self.merchant(client_id), facts)
        await self._store.change_merchant(changed)
        return changed

    async def drop_merchant(self, client_id: str) -> None:
        """End a world, and all that is under way in it.

        Raises:
            Conflict: it is one that every sandbox has.

        """
        if any(facts["client_id"] == client_id for facts in self._built_in):
            raise Conflict(
                "client_id", client_id, "a merchant that was made here; this one can only be reset", CONTROL_API
            )
        await self._store.drop_merchant(client_id)
        await self._courier.forget(client_id)

    async def reset(self, client_id: str) -> Merchant:
        """End a world and begin another with the same credentials; what is under way ends with the old one."""
        merchant = await self.merchant(client_id)
        await self._begin(merchant)
        await self._courier.forget(client_id)
        return merchant

    async def tally(self, client_id: str | None = None) -> Tally:
        """Count what is kept, and was, of a merchant's world or of all."""
        return await self._store.tally(client_id)

    async def clock(self, client_id: str, fired: Sequence[Happening] = ()) -> ClockFace:
        """Return what a merchant's clock shows."""
        clock = await self._store.clock(client_id)
        due = await self.timekeeper.ahead(client_id)
        return ClockFace(now=clock.now(), frozen=clock.frozen_at is not None, fired=fired, due=due)

    async def turn_clock(
        self, client_id: str, *, freeze: bool, moment: datetime | None, seconds: float, resume: bool
    ) -> ClockFace:
        """Turn a merchant's clock: freeze it, put it to a moment, put it so many seconds forward, let it run on."""
        _check_years(moment, (await self._store.clock(client_id)).now(), seconds)
        fired = await self.timekeeper.turn(client_id, freeze=freeze, moment=moment, seconds=seconds, resume=resume)
        face = await self.clock(client_id, fired)
        async with self._store.work(client_id) as work:
            work.record("clock.changed", now=face.now, frozen=face.frozen)
        return face

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
        return await payments.pay(self.bank, await self.merchant(client_id), payment)

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
        return recipes.recipe(line, await self.merchant(client_id))

    async def postlinks(
        self, client_id: str, *, invoice_id: str = "", transaction_id: str = "", state: str = ""
    ) -> Sequence[Notice]:
        """Return a merchant's postlinks, or those that fit, oldest first.

        Raises:
            BadField: there is no such state.

        """
        if state and state not in set(DeliveryState):
            raise BadField("state", state, f"one of {', '.join(DeliveryState)}", CONTROL_API)
        async with self._store.work(client_id) as work:
            of = await work.find(Delivery, "invoice_id", invoice_id) if invoice_id else await work.all(Delivery)
            fit = [one for one in of if transaction_id in {"", one.transaction_id} and state in {"", one.state}]
            return await stories.notices(work, fit)

    async def postlinks_within(self, client_id: str, seconds: float, least: int, **filters: str) -> Sequence[Notice]:
        """Return postlinks as soon as there are so many that fit, or what there is after so many real seconds."""

        async def enough() -> Sequence[Notice] | None:
            found = await self.postlinks(client_id, **filters)
            return found if len(found) >= least else None

        found = await self._until(client_id, seconds, enough)
        return await self.postlinks(client_id, **filters) if found is None else found

    async def postlink(self, client_id: str, delivery_id: str) -> Notice:
        """Return one postlink of a merchant's, by its id or as `latest`.

        Raises:
            NotFound: there is no such postlink.

        """
        async with self._store.work(client_id) as work:
            return await stories.notice(work, await _one(work, Delivery, delivery_id))

    async def resend(self, client_id: str, delivery_id: str, changes: Changes) -> Notice:
        """Send a postlink once more, as it was or changed, as a postlink of its own.

        Raises:
            NotFound: there is no such postlink.
            Conflict: what it said is not kept.

        """
        async with self._store.work(client_id) as work:
            old = await _one(work, Delivery, delivery_id)
            if not (old.body or changes.body or work.merchant.keep_bodies):
                rule = "needed, for what that postlink said is not kept: keep_bodies is 0"
                raise Conflict("text", None, rule, CONTROL_API)
            sent = await notices.again(work, old, url=changes.url or old.url, body=changes.of(old.body))
            return await stories.notice(work, sent)

    async def release(self, client_id: str, delivery_id: str) -> Notice:
        """Let a postlink go now that is held, or waits for its time.

        Raises:
            NotFound: there is no such postlink.
            Conflict: there is nothing more to be sent.

        """
        async with self._store.work(client_id) as work:
            held = _unsent(await _one(work, Delivery, delivery_id))
            return await stories.notice(work, notices.release(work, held))

    async def cancel(self, client_id: str, delivery_id: str) -> Notice:
        """Let a postlink never go out, or not again.

        Raises:
            NotFound: there is no such postlink.
            Conflict: there is nothing more to be sent.

        """
        async with self._store.work(client_id) as work:
            unsent = _unsent(await _one(work, Delivery, delivery_id))
            cancelled = replace(unsent, state=DeliveryState.CANCELLED, due_at=None, waits_for=Wait.NOTHING)
            work.save(cancelled)
            work.record("postlink.cancelled", cancelled.invoice_id, delivery=cancelled.id, url=cancelled.url)
            return await stories.notice(work, cancelled)

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
        if until not in EVENTS:
            raise BadField("until", until, f"one of {', '.join(EVENTS)}", CONTROL_API)

        async def there() -> Event | None:
            nonlocal after
            happened = await self._store.events(client_id, after=after)
            after = happened[-1].number if happened else after
            return next((one for one in happened if one.kind == until and invoice_id in {"", one.invoice_id}), None)

        found = await self._until(client_id, seconds, there)
        if found is not None:
            return found
        async with self._store.work(client_id) as work:
            why = await stories.nearest_miss(work, until, invoice_id)
        of = f" for {invoice_id}" if invoice_id else ""
        raise NotInTime(f"no {until}{of} within {seconds:g} s: {why}", field="until", value=until)

    async def about(self, client_id: str, event: Event) -> tuple[Transaction | None, Notice | None]:
        """Return the transaction and the postlink that an event is about."""
        facts = json.loads(event.facts)
        async with self._store.work(client_id) as work:
            delivery = await work.get(Delivery, facts.get("delivery", ""))
            transaction_id = delivery.transaction_id if delivery else facts.get("transaction", "")
            transaction = await work.get(Transaction, transaction_id)
            return transaction, await stories.notice(work, delivery) if delivery else None

    async def unknown(self, client_id: str) -> NotFound:
        """Say that there is no such merchant, and which there are."""
        known = [merchant.client_id for merchant in await self._store.merchants()]
        near = difflib.get_close_matches(client_id, known, n=_SHOWN) or known[:_SHOWN]
        return NotFound(
            f"there is no merchant {client_id[:80]}; there are {', '.join(near)}" + " …" * (len(known) > len(near)),
            field="client_id",
            value=client_id[:80],
        )

    async def _begin(self, merchant: Merchant, *, unless_there: bool = False) -> bool:
        begun = await self._store.add_merchant(merchant, unless_there=unless_there)
        if begun and self._rules:
            async with self._store.work(merchant.client_id) as work:
                await scripts.add(work, rules=self._rules)
        return begun

    async def _until(
        self, client_id: str, seconds: float, look: Callable[[], Coroutine[Any, Any, R | None]]
    ) -> R | None:
        """Look again whenever something has happened, until something is found or the time is over."""
        over = asyncio.create_task(asyncio.sleep(seconds))
        heard = 0
        try:
            while (found := await look()) is None and not over.done():
                heard = await self._heard(client_id, heard, over)
        finally:
            over.cancel()
        return found

    async def _heard(self, client_id: str, heard: int, over: "asyncio.Task[None]") -> int:
        """Wait for news, or until it is over; return the number of the latest event that was heard of."""
        news = asyncio.create_task(self._store.news(client_id, after=heard))
        await asyncio.wait({news, over}, return_when=asyncio.FIRST_COMPLETED)
        if news.done():
            return news.result()[-1].number
        news.cancel()
        return heard


def _unsent(delivery: Delivery) -> Delivery:
    if delivery.state not in {DeliveryState.HELD, DeliveryState.QUEUED}:
        raise Conflict("state", delivery.state, "held or queued: there is nothing more to be sent", CONTROL_API)
    return delivery


def _check_years(moment: datetime | None, now: datetime, seconds: float) -> None:
    """Refuse to leave the years that calendars can name."""
    if (moment or now).year + seconds / _YEAR_S > _LAST_YEAR:
        raise BadField(
            "advance_s", f"{seconds:g}", f"so that the clock stays before the year {_LAST_YEAR}", CONTROL_API
        )


async def _one(work: Work, kind: type[K], key: str) -> K:
    """Return the thing with this id, or the latest."""
    found = await work.some(kind, 1, newest=True) if key == LATEST else [await work.get(kind, key)]
    if not found or found[0] is None:
        name = "transaction" if kind is Transaction else "postlink"
        raise NotFound(f"{work.merchant.client_id} has no {name} {key[:80]}", field="id", value=key[:80])
    return found[0]
