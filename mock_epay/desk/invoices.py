"""The list of invoices: what a line tells of each, which of them are meant, and in which order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from mock_epay.desk import stories
from mock_epay.errors import CONTROL_API, BadField
from mock_epay.model import Delivery, DeliveryState, Hint, Invoice, InvoiceLink, Status, Token, Transaction
from mock_epay.records import Record
from mock_epay.store import Work
from mock_epay.store.search import NONE, Sought

ORDERS: Final = ("oldest", "newest")
MOST: Final = 1000


class Search(Sought, kw_only=True):
    """Which invoices are meant, in which order; `behind` is the invoice that the page before ended with.

    `numbers` are the only ones that are looked at, in this order.
    """

    order: Literal["oldest", "newest"] = "oldest"
    limit: int | None = None
    behind: str = ""
    numbers: Sequence[str] = ()

    @property
    def picks(self) -> bool:
        """Whether invoices have to be looked into before one knows if they are meant."""
        return bool(self.text or self.status or self.postlink or self.reason_code is not None)

    def check(self) -> None:
        """Refuse states that there are not.

        Raises:
            BadField: it is such.

        """
        for field, value, known in (("status", self.status, Status), ("postlink", self.postlink, DeliveryState)):
            if value and value not in {*known, NONE}:
                raise BadField(field, value, f"one of {', '.join(known)}, or {NONE}", CONTROL_API)


class Line(Record, kw_only=True):
    """An invoice in a line: with what was made of it so far, and when something happened to it."""

    invoice: Invoice
    tokens: Sequence[Token]
    link: InvoiceLink | None
    transactions: Sequence[Transaction]
    deliveries: Sequence[Delivery]
    hints: Sequence[Hint] = ()
    first_at: datetime | None = None
    last_at: datetime | None = None

    @property
    def latest(self) -> Transaction | None:
        """The latest attempt to pay, if only the opening of a page."""
        return self.transactions[-1] if self.transactions else None

    @property
    def postlink(self) -> Delivery | None:
        """The latest postlink."""
        return self.deliveries[-1] if self.deliveries else None


class Page(Record, kw_only=True):
    """Some of the invoices that are meant, and how many are; `last_event` is the number of the world's latest event."""

    lines: Sequence[Line]
    total: int
    last_event: int


async def page(work: Work, search: Search) -> Page:
    """Return the invoices that are meant.

    Raises:
        BadField: the page before ended with an invoice that is not there.

    """
    search.check()
    shown, total = await (_found(work, search) if search.picks or search.numbers else _listed(work, search))
    return Page(lines=await _lines(work, shown), total=total, last_event=work.last_event)


async def _listed(work: Work, search: Search) -> tuple[Sequence[Invoice], int]:
    """Return the invoices of a page out of all, and how many they are, without looking at the others."""
    if search.behind and await work.get(Invoice, search.behind) is None:
        raise _lost(search.behind)
    newest = search.order == "newest"
    return await work.some(Invoice, search.limit, newest=newest, behind=search.behind), work.invoices


async def _found(work: Work, search: Search) -> tuple[Sequence[Invoice], int]:
    """Return the invoices of a page out of those that are searched for, and how many they are."""
    fit = list(await work.search(search)) if search.picks else list(search.numbers)
    if search.numbers:
        meant = set(fit)
        fit = [one.number for one in await work.get_each(Invoice, search.numbers) if one.number in meant]
    if search.order == "newest":
        fit.reverse()
    rest = await _behind(work, fit, search) if search.behind else fit
    return await work.get_each(Invoice, rest[: search.limit]), len(fit)


async def _behind(work: Work, fit: Sequence[str], search: Search) -> Sequence[str]:
    """Return the numbers that stand behind an invoice, itself one that fits or, by now, not."""
    if search.behind in fit:
        return fit[fit.index(search.behind) + 1 :]
    if await work.get(Invoice, search.behind) is None:
        raise _lost(search.behind)
    behind = await work.some(Invoice, None, newest=search.order == "newest", behind=search.behind)
    rest = {invoice.number for invoice in behind}
    return [number for number in fit if number in rest]


def _lost(number: str) -> BadField:
    return BadField("before", number, "the invoice_id of an invoice in the list", CONTROL_API)


async def _lines(work: Work, shown: Sequence[Invoice]) -> list[Line]:
    """Return a line for each invoice, with no more questions for many than for one."""
    numbers = [invoice.number for invoice in shown]
    tokens = await work.find_each(Token, "invoice_id", numbers)
    links = await work.find_each(InvoiceLink, "invoice_id", numbers)
    transactions = await work.find_each(Transaction, "invoice_id", numbers)
    deliveries = await work.find_each(Delivery, "invoice_id", numbers)
    moments = await work.moments(numbers)

    def line(invoice: Invoice) -> Line:
        number = invoice.number
        first_at, last_at = moments.get(number, (None, None))
        return Line(
            invoice=invoice,
            tokens=tokens[number],
            link=links[number][-1] if links[number] else None,
            transactions=transactions[number],
            deliveries=deliveries[number],
            hints=stories.hints_of(tokens[number], links[number], transactions[number]),
            first_at=first_at,
            last_at=last_at,
        )

    return [line(invoice) for invoice in shown]
