"""The list of invoices: what a line tells of each, which of them are meant, and in which order."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeVar

from mock_epay.desk import stories
from mock_epay.errors import BadField
from mock_epay.model import Delivery, DeliveryState, Hint, Invoice, InvoiceLink, Status, Token, Transaction
from mock_epay.store import Work

SOURCE: Final = "documented: control API"
NONE: Final = "none"  # instead of a state: those that have nothing which could be in one
ORDERS: Final = ("oldest", "newest")
MOST: Final = 1000

Of = TypeVar("Of", Transaction, Delivery)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which invoices are meant. What is empty limits nothing; `behind` is the invoice that the page before ended with.

    `numbers` are the only ones that are looked at.
    """

    order: Literal["oldest", "newest"] = "oldest"
    limit: int | None = None
    behind: str = ""
    text: str = ""
    status: str = ""
    postlink: str = ""
    reason_code: int | None = None
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
                raise BadField(field, value, f"one of {', '.join(known)}, or {NONE}", SOURCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
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
    return Page(lines=[await _line(work, one) for one in shown], total=total, last_event=work.last_event)


async def _listed(work: Work, search: Search) -> tuple[Sequence[Invoice], int]:
    """Return the invoices of a page out of all, and how many they are, without looking at the others."""
    if search.behind and await work.get(Invoice, search.behind) is None:
        raise _lost(search.behind)
    newest = search.order == "newest"
    return await work.some(Invoice, search.limit, newest=newest, behind=search.behind), work.invoices


async def _found(work: Work, search: Search) -> tuple[Sequence[Invoice], int]:
    """Return the invoices of a page out of those that are searched for, and how many they are."""
    found = await _named(work, search.numbers) if search.numbers else await work.all(Invoice)
    ordered = list(found) if search.order == "oldest" else list(reversed(found))
    fit = await _picked(work, ordered, search) if search.picks else ordered
    return _behind(ordered, fit, search.behind)[: search.limit], len(fit)


async def _named(work: Work, numbers: Sequence[str]) -> list[Invoice]:
    named = [await work.get(Invoice, number) for number in dict.fromkeys(numbers)]
    return [invoice for invoice in named if invoice is not None]


async def _picked(work: Work, invoices: Sequence[Invoice], search: Search) -> list[Invoice]:
    """Return the invoices that have what is searched for."""
    transactions, deliveries = _grouped(await work.all(Transaction)), _grouped(await work.all(Delivery))
    links = {link.order.invoice_id: link for link in await work.all(InvoiceLink)}
    tests = list(_tests(search))

    def fits(invoice: Invoice) -> bool:
        line = Line(
            invoice=invoice,
            tokens=(),
            link=links.get(invoice.number),
            transactions=transactions.get(invoice.number, ()),
            deliveries=deliveries.get(invoice.number, ()),
        )
        return all(test(line) for test in tests)

    return [invoice for invoice in invoices if fits(invoice)]


def _tests(search: Search) -> list[Callable[[Line], bool]]:
    """Return the conditions of a search."""
    wanted = search.text.lower()
    of: dict[Callable[[Line], bool], object] = {
        lambda line: (line.latest.status if line.latest else NONE) == search.status: search.status,
        lambda line: (line.postlink.state if line.postlink else NONE) == search.postlink: search.postlink,
        lambda line: line.latest is not None and line.latest.reason_code == search.reason_code: (
            search.reason_code is not None
        ),
        lambda line: any(wanted in text.lower() for text in _texts(line)): wanted,
    }
    return [test for test, asked in of.items() if asked]


def _texts(line: Line) -> list[str]:
    """Return what an invoice can be searched by."""
    orders = [one.order for one in line.transactions] + ([line.link.order] if line.link else [])
    texts = [text for order in orders for text in (order.description, order.account_id, order.email)]
    masks = [one.card.short() for one in line.transactions if one.card]
    return [line.invoice.number, *texts, *masks, *(one.payer.email for one in line.transactions)]


def _grouped(things: Sequence[Of]) -> Mapping[str, list[Of]]:
    groups: defaultdict[str, list[Of]] = defaultdict(list)
    for thing in things:
        groups[thing.invoice_id].append(thing)
    return groups


def _behind(ordered: Sequence[Invoice], fit: Sequence[Invoice], number: str) -> Sequence[Invoice]:
    """Return those that stand behind an invoice, itself one that fits or not."""
    if not number:
        return fit
    place = next((place for place, invoice in enumerate(ordered) if invoice.number == number), None)
    if place is None:
        raise _lost(number)
    rest = {invoice.number for invoice in ordered[place + 1 :]}
    return [invoice for invoice in fit if invoice.number in rest]


def _lost(number: str) -> BadField:
    return BadField("before", number, "the invoice_id of an invoice in the list", SOURCE)


async def _line(work: Work, invoice: Invoice) -> Line:
    tokens = await work.find(Token, "invoice_id", invoice.number)
    links = await work.find(InvoiceLink, "invoice_id", invoice.number)
    transactions = await work.find(Transaction, "invoice_id", invoice.number)
    events = await work.events(invoice.number)
    return Line(
        invoice=invoice,
        tokens=tokens,
        link=links[-1] if links else None,
        transactions=transactions,
        deliveries=await work.find(Delivery, "invoice_id", invoice.number),
        hints=stories.hints_of(tokens, links, transactions),
        first_at=events[0].at if events else None,
        last_at=events[-1].at if events else None,
    )
