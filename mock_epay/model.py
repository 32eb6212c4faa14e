"""The things the bank keeps, with the states they may be in."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal

from mock_epay.errors import BadField
from mock_epay.records import Record, Secret, field
from mock_epay.settings import Settings

_USUAL: Final = Settings()

Language = Literal["rus", "kaz", "eng"]
Dialect = Literal["documented", "observed"]
Checks = Literal["strict", "lenient"]
ThreeDs = Literal["none", "frictionless", "challenge"]


class Status(StrEnum):
    """Where a transaction stands, in the words of check-status."""

    NEW = "NEW"
    FINGERPRINT = "FINGERPRINT"
    THREE_DS = "3D"
    AUTH = "AUTH"
    CHARGE = "CHARGE"
    CANCEL = "CANCEL"
    CANCEL_OLD = "CANCEL_OLD"
    REFUND = "REFUND"
    REJECT = "REJECT"
    FAILED = "FAILED"
    VERIFIED = "VERIFIED"


_DECIDED = frozenset({Status.AUTH, Status.CHARGE, Status.VERIFIED, Status.REJECT, Status.FAILED})

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    Status.NEW: _DECIDED | {Status.FINGERPRINT, Status.THREE_DS},
    Status.FINGERPRINT: _DECIDED | {Status.THREE_DS},
    Status.THREE_DS: _DECIDED,
    Status.AUTH: frozenset({Status.CHARGE, Status.CANCEL, Status.CANCEL_OLD}),
    Status.CHARGE: frozenset({Status.REFUND}),
    Status.CANCEL: frozenset(),
    Status.CANCEL_OLD: frozenset(),
    Status.REFUND: frozenset(),
    Status.REJECT: frozenset(),
    Status.FAILED: frozenset(),
    Status.VERIFIED: frozenset(),
}


class CheckoutState(StrEnum):
    """Where one opening of the pay page stands."""

    OPEN = "open"
    APPROVED = "approved"
    CLOSED = "closed"


class ChallengeState(StrEnum):
    """Where the issuer's question to the cardholder stands."""

    OPEN = "open"
    PASSED = "passed"
    FAILED = "failed"


class DeliveryState(StrEnum):
    """Where a postlink stands."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    GIVEN_UP = "given up"
    HELD = "held"
    CANCELLED = "cancelled"


class Hint(Record, kw_only=True):
    """What in a merchant's request the bank may not like, though the sandbox took it."""

    rule: str
    field: str
    value: str
    why: str
    tag: Literal["documented", "observed", "assumed"]


class Terminal(Record, kw_only=True):
    """A merchant's point of sale. `tid` is the number the card systems know it by, `shop_id` is for invoice links."""

    id: str
    tid: str
    shop_id: str = ""
    two_stage: bool = False


class Merchant(Record, kw_only=True):
    """Who sells; the owner of a world. `seed` decides every invented value in it.

    What follows the seed are the settings that a merchant may have of its own, by the same names.
    """

    client_id: str
    client_secret: Secret
    name: str
    email: str
    password: Secret
    terminals: tuple[Terminal, ...]
    seed: str
    dialect: Dialect = "documented"
    checks: Checks = "strict"
    three_ds: ThreeDs | Literal["card"] = "card"
    foreign_key_card: str = _USUAL.foreign_key_card
    unsettled_s: int = _USUAL.unsettled_s
    token_ttl_s: int = _USUAL.token_ttl_s
    page_ttl_s: int = _USUAL.page_ttl_s
    page_attempts: int = _USUAL.page_attempts
    countdown_s: int = _USUAL.countdown_s
    auto_pay: bool = _USUAL.auto_pay
    notify_each_failure: bool = _USUAL.notify_each_failure
    notify_operations: bool = _USUAL.notify_operations
    plan: str = _USUAL.plan
    postlink_timeout_s: float = _USUAL.postlink_timeout_s
    postlink_connect_s: float = _USUAL.postlink_connect_s
    postlink_retry_s: tuple[float, ...] = _USUAL.postlink_retry_s
    keep_transactions: int = _USUAL.keep_transactions
    keep_events: int = _USUAL.keep_events
    keep_bodies: int = _USUAL.keep_bodies
    self_check: bool = _USUAL.self_check

    def terminal(self, terminal_id: str) -> Terminal | None:
        """Return the terminal with this id, or None when it is not this merchant's."""
        return next((terminal for terminal in self.terminals if terminal.id == terminal_id), None)


class TokenRequest(Record, kw_only=True):
    """What a merchant asks a token for. Without `invoice_id` it is one for status and operations.

    `username` and `password` are those of the cabinet's user, when it is that who asks.
    """

    client_id: str
    client_secret: Secret
    scope: str
    invoice_id: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    terminal: str | None = None
    post_link: str | None = None
    failure_post_link: str | None = None
    secret_hash: Secret | None = None
    username: str | None = None
    password: Secret | None = None
    hints: tuple[Hint, ...] = ()


class Token(Record, kw_only=True):
    """OAuth bearer for one operation."""

    value: Secret
    request: TokenRequest
    issued_at: datetime
    expires_at: datetime
    spent: bool = False

    @property
    def invoice_id(self) -> str:
        """Which order it pays, if any."""
        return self.request.invoice_id or ""


class PaymentObject(Record, kw_only=True):
    """What the shop wants paid, checked: from `halyk.pay`, its own card form, a saved card or an invoice link.

    `language` is as sent; `reads` is what it means to the page.
    """

    invoice_id: str
    invoice_id_alt: str = ""
    back_link: str = ""
    failure_back_link: str = ""
    auto_back_link: bool = False
    post_link: str = ""
    failure_post_link: str = ""
    language: str = ""
    reads: Language
    description: str = ""
    account_id: str = ""
    terminal: str = ""
    amount: Decimal
    currency: str
    data: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""
    card_save: bool = False
    recurrent: bool = False
    payment_type: str = ""
    hints: tuple[Hint, ...] = ()

    @property
    def verification(self) -> bool:
        """Whether a card is to be checked, and kept, and nothing paid."""
        return self.payment_type == "cardVerification"

    @property
    def leave_link(self) -> str:
        """Where a customer who does not pay goes back to."""
        return self.failure_back_link or self.back_link


def tail(number: str) -> str:
    """Return the end of an invoice number, which must be unique by itself (documented: its last six digits)."""
    return number[-6:]


class Invoice(Record, kw_only=True):
    """The merchant's order, by its number. `paid_by` is the id of the transaction that took the money."""

    number: str
    tail: str
    number_alt: str = ""
    tokens: int = 0
    paid_by: str = ""


class Payer(Record, kw_only=True):
    """Who pays, as the form, the shop or the sandbox says."""

    name: str = ""
    email: str = ""
    phone: str = ""


class Checkout(Record, kw_only=True):
    """One opening of the pay page: so many minutes, so many attempts. `payer` is what its form says."""

    id: str
    token: Secret
    order: PaymentObject
    secret_hash: Secret
    opened_at: datetime
    expires_at: datetime
    attempts_left: int
    payer: Payer = field(default_factory=Payer)
    state: CheckoutState = CheckoutState.OPEN
    transaction_id: str
    reason_code: int = 0

    @property
    def invoice_id(self) -> str:
        """Which order it is for."""
        return self.order.invoice_id

    @property
    def due_at(self) -> datetime | None:
        """The moment at which the page's time is over, while that still matters."""
        return self.expires_at if self.state is CheckoutState.OPEN else None


class Card(Record, kw_only=True):
    """What the cardholder typed. It lives as long as the attempt; only its mask is ever kept."""

    pan: Secret
    expiry: Secret
    cvc: Secret


class CardMask(Record, kw_only=True):
    """All that is kept of a card."""

    first: str
    last: str
    brand: str
    issuer: str

    def short(self, first: int = 4) -> str:
        """Return the mask with so many first digits; four is the documented form."""
        return f"{self.first[:first]}...{self.last}"


class Place(Record, kw_only=True):
    """Where the cardholder's browser seems to be."""

    ip: str
    country: str
    city: str
    longitude: float
    latitude: float


class Transaction(Record, kw_only=True):
    """The bank's record of one attempt and its life.

    `reference` and `approval_code` are empty unless approved. `taken` and `returned` are money, in the order's
    currency: what has been charged, and how much of that was given back. `plan` is how its postlink is delivered, and
    `delay_s` how long, in real seconds, the payer waits for the answer; both come from a script.
    """

    id: str
    invoice_id: str
    number: int
    order: PaymentObject
    created_at: datetime
    status: Status = Status.NEW
    decided_at: datetime | None = None
    reason_code: int = 0
    decided_by: str = ""
    nearest_rule: str = ""
    plan: str = ""
    delay_s: float = 0
    checkout_id: str = ""
    card: CardMask | None = None
    payer: Payer
    place: Place
    reference: str = ""
    int_reference: str = ""
    approval_code: str = ""
    card_id: str = ""
    secure: bool = False
    taken: Decimal = Decimal(0)
    returned: Decimal = Decimal(0)

    @property
    def payout(self) -> Decimal:
        """What the shop gets in the end."""
        return self.taken - self.returned

    @property
    def approved(self) -> bool:
        """Whether money was held or taken."""
        return self.status in {Status.AUTH, Status.CHARGE, Status.VERIFIED}


class Challenge(Record, kw_only=True):
    """The issuer's question to the cardholder, 3-D Secure, in the middle of an attempt.

    `outcome` is the reason code that the attempt ends with if the question is answered rightly, `reason_code` the one
    if it is not. Without `checkout_id` the shop's own card form began it, and the shop, or its browser, brings back
    the answer: `pa_res`. The transaction says whether all this still matters.
    """

    id: str
    transaction_id: str
    invoice_id: str
    checkout_id: str = ""
    token: Secret
    secret_hash: Secret
    outcome: int
    code: Secret
    pa_req: str
    pa_res: str
    term_url: str = ""
    expires_at: datetime
    tries_left: int
    state: ChallengeState = ChallengeState.OPEN
    reason_code: int = 0
    settled: bool = False

    @property
    def due_at(self) -> datetime | None:
        """The moment at which nobody waits for an answer any more; on a pay page, the page's own end counts."""
        return None if self.settled or self.checkout_id else self.expires_at


class SavedCard(Record, kw_only=True):
    """A card that a customer of the shop, its account, may pay with again."""

    id: str
    account_id: str
    mask: CardMask
    holder: str
    terminal: str
    transaction_id: str
    reference: str
    int_reference: str
    created_at: datetime
    active: bool = True


class LinkRequest(Record, kw_only=True):
    """What a shop asks an invoice link for. `period` is a number with d, h or m behind it."""

    order: PaymentObject
    shop_id: str
    period: str
    notifier_sms: str = ""

    @property
    def seconds(self) -> int:
        """How long the link lasts."""
        return int(self.period[:-1]) * {"d": 86_400, "h": 3_600, "m": 60}[self.period[-1]]


class InvoiceLink(Record, kw_only=True):
    """An order that waits at an address, for whoever opens it. `token` is the one its latest page was opened with."""

    id: str
    order: PaymentObject
    asked: LinkRequest
    token: Secret = ""
    opened: int = 0
    created_at: datetime
    expires_at: datetime

    @property
    def invoice_id(self) -> str:
        """Which order it is for."""
        return self.order.invoice_id


class StatusAnswer(Record, kw_only=True):
    """What check-status finds. `result` is a code that overrules the transaction's own."""

    merchant: Merchant
    transaction: Transaction | None = None
    result: str | None = None


class Wait(StrEnum):
    """What a postlink waits for besides its time."""

    NOTHING = ""
    LEAVING = "the customer leaves"
    OTHER = "another invoice's postlink"


class Delivery(Record, kw_only=True):
    """One postlink on its way. `due_at` is None while it is held, and once nothing more will be tried.

    `spoilt` names what is wrong with it on purpose; `slow_s` are the real seconds that its body takes to be sent;
    `after_s` the seconds between what it waits for and its going out.
    """

    id: str
    invoice_id: str
    transaction_id: str
    url: str
    body: bytes
    queued_at: datetime
    due_at: datetime | None
    tries: int = 0
    state: DeliveryState = DeliveryState.QUEUED
    result: str = ""
    waits_for: Wait = Wait.NOTHING
    after_s: float = 0
    slow_s: float = 0
    spoilt: str = ""


class Attempt(Record, kw_only=True):
    """One try of a delivery and what the shop answered. `status` is None when nothing came back."""

    id: str
    delivery_id: str
    invoice_id: str
    number: int
    at: datetime
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    request: bytes
    result: str
    status: int | None
    answer: str
    milliseconds: float


class Event(Record, kw_only=True):
    """Something that happened in a world, in order. `facts` is JSON text."""

    number: int
    at: datetime
    kind: str
    invoice_id: str
    facts: str

    def is_of(self, kind: str, invoice_id: str) -> bool:
        """Say whether it is of this kind and invoice; an empty word stands for any."""
        return kind in {"", self.kind} and invoice_id in {"", self.invoice_id}


# Whatever can happen in a world, and what it means.
EVENTS: Final[dict[str, str]] = {
    "token.issued": "the shop asked for a token and got it",
    "link.made": "the shop made an invoice link",
    "checkout.opened": "the pay page was opened",
    "checkout.closed": "the pay page's time, or its last attempt, is over",
    "transaction.challenged": "the issuer asks the cardholder for a code, 3-D Secure",
    "challenge.answered": "the cardholder answered the issuer",
    "transaction.authorized": "the money is held",
    "transaction.charged": "the money is taken",
    "transaction.declined": "the issuer said no",
    "transaction.failed": "the attempt ended without the issuer's answer",
    "transaction.verified": "the card was checked",
    "transaction.cancelled": "the shop let go of held money",
    "transaction.refunded": "the shop gave money back",
    "card.saved": "the card was saved",
    "card.deactivated": "a saved card pays no more",
    "postlink.queued": "a postlink is to go out",
    "postlink.held": "a postlink waits to be released",
    "postlink.released": "a postlink was released",
    "postlink.cancelled": "a postlink was cancelled",
    "postlink.withheld": "no postlink will go out, as the script wants it",
    "postlink.delivered": "the shop took a postlink",
    "postlink.failed": "the shop did not take a postlink",
    "page.left": "the customer went back to the shop",
    "status.asked": "the shop asked for the status",
    "fault.struck": "an answer was spoilt, as was asked for",
    "clock.changed": "the clock was changed",
}


def check_move(old: Status, new: Status) -> None:
    """Refuse a step that the state machine does not have.

    Raises:
        BadField: with reason code 477, "operation already done" (assumed: the bank publishes no code for this).

    """
    if new not in TRANSITIONS[old]:
        allowed = ", ".join(sorted(TRANSITIONS[old])) or "nothing, it is final"
        raise BadField("status", old, f"from {old} a transaction can become {allowed}; not {new}", "assumed", code=477)
