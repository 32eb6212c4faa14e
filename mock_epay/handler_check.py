"""Is a shop's handler of postlinks safe? Sends it notices, right ones and wrong ones, and judges by its answers alone.

It is a client of the control API; the shop is asked nothing, so what its handler answers is all there is to go by.
"""

import json
import re
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing as ended
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from itertools import compress
from typing import Any, Final, Literal
from xml.etree import ElementTree as ET

from mock_epay.answers import Attempt, Postlink, Transaction
from mock_epay.client import Epay, EpayError, EpayServer
from mock_epay.clock import stopwatch
from mock_epay.errors import BadField

SOURCE: Final = "documented: control API, check of a handler"
LONGEST_S: Final = 20  # that a shop may be given for an answer: the sandbox must answer us meanwhile

Facts = Mapping[str, Any]
State = Literal["passed", "failed", "not known"]

_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S
_SLOW_S: Final = 1  # how long the body takes that comes slowly
_MOMENT_S: Final = 0.001
_COMMAND_S: Final = 60  # how long a shop may take to make an order
_TOO_LITTLE_MONEY: Final = 484
_INVENTED: Final = 100  # an invented order's amount
_FIRST: Final = 100_000_000  # of the invented order numbers,
_NUMBERS: Final = 900_000_000  # all of which have nine digits
_TAIL: Final = 6  # digits that belong to one order alone
_SHOWN: Final = 200  # characters of what is not understood
_NUMBER: Final = re.compile(r"[0-9]{6,15}")
_ACCEPTED: Final = 2
_REDIRECTED: Final = 3
_REFUSED: Final = 4
_ORDER: Final = '{"invoice_id": "000000001", "amount": 100, "secret_hash": "if the shop expects one"}'


# What can be said of a shop that does not know our orders: as flags of the command, as fields of the control API.
_FLAGS: Final = (
    "--new-order COMMAND, or --invoice ID:AMOUNT, if it knows only its own orders",
    "--secret-hash VALUE, if it expects one",
    "--merchant CLIENT_ID, if it expects the terminal of its own",
)
_FIELDS: Final = ("orders, if it knows only its own", "secret_hash, if it expects one", "")


class NoOrderError(Exception):
    """There is no order to send a notice of; the message says why."""


class NobodyThereError(Exception):
    """The shop's address leads to nobody; the message says what came of the attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the shop expects a notice of."""

    invoice_id: str
    amount: Decimal = Decimal(_INVENTED)
    secret_hash: str = ""


def read_order(invoice_id: str, amount: str, secret_hash: str = "") -> Order:
    """Make an order of texts.

    Raises:
        ValueError: the number has not 6 to 15 digits, or the amount is none.

    """
    try:
        money = Decimal(amount)
    except InvalidOperation:
        raise ValueError(amount) from None
    if not _NUMBER.fullmatch(invoice_id) or not money.is_finite() or money <= 0:
        raise ValueError(invoice_id)
    return Order(invoice_id=invoice_id, amount=money, secret_hash=secret_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be checked. `new_order` is a command of the shell; without one, and without orders, they are invented.

    `merchant` is the one whose credentials the shop has; without it a new one is made. `timeout_s` is how long the shop
    has for an answer, in real seconds; when not said, what the sandbox has.
    """

    post_link: str
    failure_post_link: str = ""
    merchant: str = ""
    new_order: str = ""
    orders: tuple[Order, ...] = ()
    secret_hash: str = ""
    timeout_s: float | None = None
    over_http: bool = False

    @property
    def advice(self) -> str:
        """Say what a shop may lack that does not take the plain notice of success."""
        lacking = (
            not (self.new_order or self.orders),
            not (self.secret_hash or self.new_order),
            not self.merchant,
        )
        known = _FIELDS if self.over_http else _FLAGS
        ways = "; ".join(compress(known, lacking)) or "nothing more: its log may say why"
        return (
            "The shop does not take the plain notice of success, so what it refuses besides proves nothing. "
            f"It probably does not know our orders. What can be passed: {ways}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice and what the shop made of it. `status` is None when it answered nothing."""

    what: str
    result: str
    status: int | None
    milliseconds: float

    @property
    def refused(self) -> bool:
        """Whether it was answered, and not taken, and the shop did not fall over it."""
        return self.status is not None and self.status // 100 in {_REDIRECTED, _REFUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What an answer should be, and how that is said."""

    met: Callable[[Notice], bool]
    should: str


TAKEN: Final = Want(met=lambda one: one.result == "delivered", should="it should have been taken, with a 2xx")
REFUSED: Final = Want(
    met=lambda one: one.status is not None and one.status // 100 != _ACCEPTED, should="it should have been refused"
)
TURNED_AWAY: Final = Want(
    met=lambda one: one.status is not None and one.status // 100 == _REFUSED,
    should="it should have been refused, with a 4xx",
)
ANSWERED: Final = Want(
    met=lambda one: one.refused or TAKEN.met(one), should="it should have been answered, and not with a 5xx"
)


class Shop:
    """A shop's address, to which a merchant's world sends notices; it keeps count of them."""

    def __init__(self, epay: Epay, asked: Asked) -> None:
        self.notices: list[Notice] = []
        self.timeout_s = float(epay.merchant["postlink_timeout_s"])
        self._epay = epay
        self._asked = asked
        self._numbers = _free_numbers(epay)
        self._orders = iter(asked.orders)

    def order(self) -> Order:
        """Return another order of the shop.

        Raises:
            NoOrderError: it has made none, or there is none left.

        """
        if self._asked.new_order:
            order = _made(self._asked.new_order)
        elif self._asked.orders:
            order = next(self._orders, None) or _none_left()
        else:
            order = self.invented()
        return replace(order, secret_hash=order.secret_hash or self._asked.secret_hash)

    def invented(self) -> Order:
        """Return an order that no shop has made."""
        return Order(invoice_id=next(self._numbers), secret_hash=self._asked.secret_hash)

    def pay(self, order: Order, plan: str, reason_code: int = 0) -> Transaction:
        """Pay an order whatever else is planned in this world."""
        self._epay.decide_next(reason_code=reason_code, challenge="none", plan=plan, invoice_id=order.invoice_id)
        links = {"post_link": self._asked.post_link, "failure_post_link": self._asked.failure_post_link}
        more = {"secret_hash": order.secret_hash} | links
        said = {name: text for name, text in more.items() if text}
        return self._epay.pay(order.invoice_id, amount=order.amount, **said)

    def postlinks(self, paid: Transaction) -> list[Postlink]:
        """Return the postlinks of a payment when all that is due has been tried."""
        self._epay.clock.advance(_MOMENT_S)
        return self._epay.postlinks(transaction_id=paid.id)

    def again(self, sent: Postlink, **changes: Any) -> Postlink:
        """Send a postlink once more, or another in its place, and return it when that has been tried."""
        facts = self._epay.control("POST", f"/postlinks/{sent.id}/resend", changes)
        self._epay.clock.advance(_MOMENT_S)
        return self._epay.postlink(facts["id"])

    def release(self, held: Postlink) -> None:
        """Let a postlink go that is held still."""
        if self._epay.postlink(held).state == "held":
            self._epay.release(held)

    def cancel(self, held: Postlink) -> None:
        """Let a postlink never go out."""
        self._epay.control("POST", f"/postlinks/{held.id}/cancel")

    @contextmanager
    def earlier(self, seconds: float) -> Iterator[None]:
        """Let something happen so many seconds ago: what falls due in between does so at the end."""
        clock = self._epay.clock
        clock.set(clock.now - timedelta(seconds=seconds))
        try:
            yield
        finally:
            clock.advance(seconds)

    def told(self, what: str, sent: Postlink, *, slow_s: float = 0) -> Notice:
        """Return what came of a postlink, `slow_s` seconds of which were ours."""
        tried: Attempt = sent.attempts[-1]
        took = max(0.0, tried.milliseconds - 1000 * slow_s)
        self.notices.append(Notice(what=what, result=tried.result, status=tried.status, milliseconds=took))
        return self.notices[-1]


Way = Callable[[Shop], Iterator[Notice]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A row of the table: what is sent and how, what it should be answered, and why that matters.

    `orders` is how many of the shop's own it needs. What `vouches`, when taken, shows that the shop knows our orders.
    """

    name: str
    sends: str
    way: Way
    wants: Want
    incident: str
    orders: int = 1
    vouches: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a check."""

    name: str
    state: State
    why: str
    incident: str
    notices: tuple[Notice, ...] = ()


def _planned(plan: str, *said: str, reason_code: int = 0, known: bool = True, slow_s: float = 0) -> Way:
    """Pay an order with a plan for its notices, each of which is said to be something."""

    def way(shop: Shop) -> Iterator[Notice]:
        order = shop.order() if known else shop.invented()
        paid = shop.pay(order, plan, reason_code)
        for what, sent in zip(said, shop.postlinks(paid), strict=True):
            yield shop.told(what, sent, slow_s=slow_s)

    return way


def _edited(*edits: tuple[str, Facts], known: bool = True) -> Way:
    """Pay an order and hold its notice; send others in its place, but none without a field that it does not have."""

    def way(shop: Shop) -> Iterator[Notice]:
        paid = shop.pay(shop.order() if known else shop.invented(), "on_release")
        (held,) = shop.postlinks(paid)
        for what, changes in edits:
            if changes.get("fields", {}).keys() <= held.body.keys():
                yield shop.told(what, shop.again(held, **changes))
        shop.cancel(held)

    return way


def _without(*names: str) -> list[tuple[str, Facts]]:
    return [(f"a notice without {name}", {"fields": {name: None}}) for name in names]


def _late(shop: Shop) -> Iterator[Notice]:
    """Pay an hour ago, by the world's clock, and let the notice go out now."""
    order = shop.order()
    with shop.earlier(_HOUR_S):
        paid = shop.pay(order, f"delay({_HOUR_S})")
    (sent,) = shop.postlinks(paid)
    yield shop.told("a notice that is an hour late", sent)


def _again_later(shop: Shop) -> Iterator[Notice]:
    """Pay a day ago, by the world's clock, and send the notice again now."""
    order = shop.order()
    with shop.earlier(_DAY_S):
        paid = shop.pay(order, "immediate")
        (sent,) = shop.postlinks(paid)
    yield shop.told("a notice", sent)
    yield shop.told("the same notice a day later", shop.again(sent))


def _out_of_order(shop: Shop) -> Iterator[Notice]:
    """Pay two orders, the first of which is told of behind the second."""
    first, second = shop.order(), shop.order()
    waiting = shop.pay(first, "out_of_order")
    (sent,) = shop.postlinks(shop.pay(second, "immediate"))
    yield shop.told("the notice of the order that was paid second", sent)
    (held,) = shop.postlinks(waiting)
    shop.release(held)  # it waits for one that was taken
    (sent,) = shop.postlinks(waiting)
    yield shop.told("the notice of the order that was paid first, which comes second", sent)


CHECKS: Final = (
    Check(
        name="takes a notice of success",
        sends="a notice of success",
        way=_planned("immediate", "a notice of success"),
        wants=TAKEN,
        incident="the customer has paid, and the shop does not know it",
        vouches=True,
    ),
    Check(
        name="takes the same notice twice",
        sends="a notice that comes twice",
        way=_planned("duplicate(2, 0)", "a notice", "the same notice again"),
        wants=TAKEN,
        incident="a duplicate that is not taken comes again and again; whether it ships twice, only the shop can tell",
        vouches=True,
    ),
    Check(
        name="refuses another secret_hash",
        sends="a notice with another secret_hash",
        way=_planned("wrong_secret_hash", "a notice with another secret_hash"),
        wants=REFUSED,
        incident="whoever finds the address can tell the shop that an order is paid",
    ),
    Check(
        name="refuses another amount",
        sends="a notice with another amount",
        way=_planned("wrong_amount", "a notice with another amount"),
        wants=REFUSED,
        incident="somebody pays one tenge for a telephone",
    ),
    Check(
        name="refuses an unknown order",
        sends="a notice of an order that the shop does not have",
        way=_planned("unknown_invoice", "a notice of an order that the shop does not have", known=False),
        wants=REFUSED,
        incident="money for an order that nobody can find is lost without a word",
        orders=0,
    ),
    Check(
        name="takes a notice of failure",
        sends="a notice of failure",
        way=_planned("immediate", "a notice of failure", reason_code=_TOO_LITTLE_MONEY),
        wants=TAKEN,
        incident="the customer is told to wait for a payment that has failed",
    ),
    Check(
        name="takes failure, then success",
        sends="notices of failure, then success",
        way=_planned("failure_then_success(0)", "a notice of failure", "a notice of success behind one of failure"),
        wants=TAKEN,
        incident="the second attempt pays, and the shop has given the order up after the first",
    ),
    Check(
        name="takes success, then failure",
        sends="notices of success, then failure",
        way=_planned("success_then_failure(0)", "a notice of success", "a notice of failure behind one of success"),
        wants=TAKEN,
        incident="a late word of a failed attempt falls on an order that is paid",
    ),
    Check(
        name="takes the same notice a day later",
        sends="a notice that comes again a day later",
        way=_again_later,
        wants=TAKEN,
        incident="the bank tries again long after the shop has forgotten the first time",
    ),
    Check(
        name="takes a late notice",
        sends="a notice that is an hour late",
        way=_late,
        wants=TAKEN,
        incident="the order was given up, or its stock released, before the notice came",
    ),
    Check(
        name="takes an early notice",
        sends="a notice that comes before the customer returns",
        way=_planned("before_redirect", "a notice that comes before the customer returns"),
        wants=TAKEN,
        incident="the notice comes while the shop still waits for the customer's return",
    ),
    Check(
        name="takes notices out of order",
        sends="notices of two orders in the wrong order",
        way=_out_of_order,
        wants=TAKEN,
        incident="the notice of the newer order comes first",
        orders=2,
    ),
    Check(
        name="takes a slow body",
        sends="a notice whose body comes slowly",
        way=_planned(f"slow_body({_SLOW_S})", "a notice whose body comes slowly", slow_s=_SLOW_S),
        wants=TAKEN,
        incident="the body comes drop by drop, and the server gives up or stands still",
    ),
    Check(
        name="refuses what proves nothing",
        sends="notices without what they are known by",
        way=_edited(*_without("invoiceId", "amount", "secret_hash"), ("a notice without any field", {"text": "{}"})),
        wants=TURNED_AWAY,
        incident="what is not there is not compared, and the notice passes",
    ),
    Check(
        name="survives missing fields",
        sends="notices that lack a field",
        way=_edited(*_without("id", "code", "reasonCode", "reason", "currency", "terminal", "dateTime", "reference")),
        wants=ANSWERED,
        incident="the bank leaves a field out, the handler falls over it, and the notice is lost",
    ),
    Check(
        name="survives some missing at once",
        sends="a notice that lacks some fields at once",
        way=_planned("missing_fields", "a notice that lacks some fields at once"),
        wants=ANSWERED,
        incident="the bank leaves fields out, the handler falls over them, and the notice is lost",
    ),
    Check(
        name="survives a body that breaks off",
        sends="a body that breaks off",
        way=_planned("truncated", "a body that breaks off", known=False),
        wants=TURNED_AWAY,
        incident="half a notice is taken for a whole one, or brings the handler down",
        orders=0,
    ),
    Check(
        name="survives a body of another kind",
        sends="bodies that are no JSON object",
        way=_edited(
            *((f"the body {text}", {"text": text}) for text in ("[]", "null", '"ok"', "code=ok&amount=100")),
            known=False,
        ),
        wants=TURNED_AWAY,
        incident="a scanner, or a form, posts something else to the address, and the handler falls over it",
        orders=0,
    ),
)
ORDERS: Final = sum(check.orders for check in CHECKS)
IN_TIME: Final = "answers in time"

# What came of a notice, when it was not an answer.
_SILENCE: Final = {
    "timeout": "gave no answer within {timeout_s:g} s to {what}",
    "disconnected": "dropped the connection at {what}",
    "garbled": "answered {what} with what is no HTTP",
}
_NOBODY: Final = {
    "refused": "nobody listens there",
    "dns": "its name leads nowhere",
    "tls": "its certificate is not good",
    "blocked": "the sandbox sends nothing to such an address",
    "bad address": "it is no address",
}


def verdicts(server: EpayServer, asked: Asked) -> Generator[Verdict, None, None]:
    """Make the checks, one after the other, and judge; whoever stops before the end closes this.

    Raises:
        NobodyThereError: the address leads to nobody.
        NoOrderError: not even the first check had an order.
        EpayError: there is no sandbox or no such merchant, or it did not take the first payment.

    """
    with _world(server, asked) as epay:
        shop = Shop(epay, asked)
        vouched = False
        for check in CHECKS:
            first = check is CHECKS[0]
            try:
                notices = list(check.way(shop))
            except (NoOrderError, EpayError) as wrong:
                if first or (isinstance(wrong, EpayError) and not wrong.status):  # the sandbox has gone
                    raise
                yield _not_made(check, wrong)
                continue
            if first and notices[0].result in _NOBODY:
                raise NobodyThereError(_NOBODY[notices[0].result])
            vouched = vouched or (check.vouches and all(map(TAKEN.met, notices)))
            yield _judged(check, notices, vouched=vouched or first, timeout_s=shop.timeout_s)
        yield _in_time(shop, vouched=vouched)


def _not_made(check: Check, wrong: NoOrderError | EpayError) -> Verdict:
    said = f"the sandbox did not take the payment: {wrong}" if isinstance(wrong, EpayError) else str(wrong)
    return Verdict(name=check.name, state="not known", why=_line(said), incident=check.incident)


def _judged(check: Check, notices: Sequence[Notice], *, vouched: bool, timeout_s: float) -> Verdict:
    """Judge the answers. A refusal by a shop that may not know our orders proves nothing, wanted or not."""
    wrong = next((one for one in notices if not check.wants.met(one)), None)
    if wrong is None:
        state: State = "passed"
        why, doubtful = _all_answered(check, notices), check.wants is not TAKEN
    else:
        state = "failed"
        why, doubtful = f"{_did(wrong, timeout_s)}: {check.wants.should}", check.wants is TAKEN and wrong.refused
    if doubtful and not vouched:
        state = "not known"
        answered = _did(wrong, timeout_s) if wrong else why
        why = f"{answered}: it does not take the plain notice either"
    return Verdict(name=check.name, state=state, why=why, incident=check.incident, notices=tuple(notices))


def _in_time(shop: Shop, *, vouched: bool) -> Verdict:
    """Judge how long the answers took, all of them."""
    slowest = max(shop.notices, key=lambda one: one.milliseconds)
    silent = sum(one.status is None for one in shop.notices)
    state: State = "failed" if silent else "passed" if vouched else "not known"
    why = (
        f"the slowest answer took {slowest.milliseconds:.0f} ms, to {slowest.what}; the bank waits {shop.timeout_s:g} s"
    )
    if silent:
        why = f"{silent} of {len(shop.notices)} notices had no answer within {shop.timeout_s:g} s"
    elif not vouched:
        why += "; the shop may have more to do for an order that it knows"
    return Verdict(
        name=IN_TIME,
        state=state,
        why=why,
        incident="the bank gives up waiting, counts the notice as lost, and sends it again",
    )


def _all_answered(check: Check, notices: Sequence[Notice]) -> str:
    statuses = ", ".join(str(one.status) for one in notices)
    most = max(one.milliseconds for one in notices)
    return f"answered {statuses} in {most:.0f} ms{' at most' if len(notices) > 1 else ''} to {check.sends}"


def _did(notice: Notice, timeout_s: float) -> str:
    """Say in a few words what the shop made of a notice."""
    if notice.status is None:
        said = _SILENCE.get(notice.result, f"could not be told of {{what}}: {notice.result}")
        return said.format(timeout_s=timeout_s, what=notice.what)
    more = " and more than is read" if notice.result == "too large" else ""
    return f"answered {notice.status}{more} in {notice.milliseconds:.0f} ms to {notice.what}"


def marks(encoding: str) -> Mapping[State, str]:
    """Return what stands in front of each verdict, in signs that can be written."""
    try:
        "".join(_MARKS.values()).encode(encoding)
    except (UnicodeError, LookupError):
        return _PLAIN_MARKS
    return _MARKS


def lines(verdict: Verdict, signs: Mapping[State, str]) -> list[str]:
    """Show a verdict; one that is bad has its incident below."""
    shown = [f"{signs[verdict.state]} {verdict.name:<{_WIDTH}}  {verdict.why}"]
    return shown + ([f"{'':{_WIDTH + 4}}({verdict.incident})"] if verdict.state == "failed" else [])


def summary(found: Sequence[Verdict]) -> str:
    """Count the verdicts, in words."""
    counts = {state: sum(one.state == state for one in found) for state in _MARKS}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(found)} checks: {told}"


def closing(found: Sequence[Verdict], asked: Asked) -> list[str]:
    """Show what is below all verdicts."""
    return ["", *filter(None, [advice(found, asked)]), summary(found)]


def safe(found: Sequence[Verdict]) -> bool:
    """Whether all checks were passed."""
    return all(one.state == "passed" for one in found)


def advice(found: Sequence[Verdict], asked: Asked) -> str:
    """Say what the shop may lack, if it has taken no plain notice of success."""
    vouching = {check.name for check in CHECKS if check.vouches}
    return "" if any(one.name in vouching and one.state == "passed" for one in found) else asked.advice


def document(found: Sequence[Verdict], asked: Asked) -> dict[str, Any]:
    """Return all that was found, as JSON has it."""
    return {
        "post_link": asked.post_link,
        "safe": safe(found),
        "advice": advice(found, asked),
        "checks": [asdict(one) for one in found],
    }


def told(server: EpayServer, merchant: str, facts: Facts) -> Generator[dict[str, Any], None, None]:
    """Make the checks that the control API asks for; return each verdict as JSON has it, and all of them at the end.

    Raises:
        BadField: the address leads to nobody; the sandbox did not take the first payment.

    """
    orders = tuple(
        read_order(row["invoice_id"], str(row["amount"]), row.get("secret_hash", "")) for row in facts.get("orders", ())
    )
    asked = Asked(**{**facts, "orders": orders}, merchant=merchant, over_http=True)
    found = []
    try:
        with ended(verdicts(server, asked)) as reached:
            for verdict in reached:
                found.append(verdict)
                yield asdict(verdict)
    except (NobodyThereError, EpayError) as wrong:
        raise BadField("post_link", asked.post_link, f"an address where a shop answers: {wrong}", SOURCE) from None
    yield document(found, asked)


def junit(found: Sequence[Verdict]) -> bytes:
    """Return the verdicts as an XML file of JUnit's; what is not known counts as skipped."""
    states = [one.state for one in found]
    failed, skipped, took = states.count("failed"), states.count("not known"), sum(map(_seconds, found))
    counts = {"tests": str(len(found)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}
    suite = ET.Element("testsuite", {"name": "mock-epay check-handler", **counts, "time": f"{took:.3f}"})
    for one in found:
        facts = {"classname": "check-handler", "name": one.name, "time": f"{_seconds(one):.3f}"}
        case = ET.SubElement(suite, "testcase", facts)
        if one.state != "passed":
            what = ET.SubElement(case, "failure" if one.state == "failed" else "skipped", {"message": one.why})
            what.text = one.incident
    file: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return file


def _seconds(verdict: Verdict) -> float:
    return sum(one.milliseconds for one in verdict.notices) / 1000


_MARKS: Final[Mapping[State, str]] = {"passed": "✓", "failed": "✗", "not known": "?"}
_PLAIN_MARKS: Final[Mapping[State, str]] = {"passed": "+", "failed": "-", "not known": "?"}
_WIDTH: Final = max(len(check.name) for check in CHECKS)


@contextmanager
def _world(server: EpayServer, asked: Asked) -> Iterator[Epay]:
    """Give a merchant that tries each notice once: a new one, or for a while the one whose credentials the shop has."""
    if not asked.merchant:
        epay = server.new_merchant(name="check-handler")
        try:
            epay.configure(**_way_of_sending(epay, asked))
            yield epay
        finally:
            epay.drop()
        return
    epay = server.merchant(asked.merchant)
    sending = _way_of_sending(epay, asked)
    usual = {name: epay.merchant[name] for name in sending}
    began, running, elapsed_ms = epay.clock.now, not epay.clock.frozen, stopwatch()
    try:
        epay.configure(**sending)
        yield epay
    finally:
        with suppress(EpayError):  # a world that is gone needs nothing put back
            epay.configure(**usual)
            epay.clock.set(began + timedelta(milliseconds=elapsed_ms() * running))


def _way_of_sending(epay: Epay, asked: Asked) -> dict[str, Any]:
    """Return how notices are to go out, as facts of a merchant."""
    timeout_s = asked.timeout_s or min(LONGEST_S, epay.merchant["postlink_timeout_s"])
    return {"postlink_retry_s": "none", "postlink_timeout_s": timeout_s, "notify_each_failure": True}


def _free_numbers(epay: Epay) -> Iterator[str]:
    """Return numbers for orders that neither this world has nor, by all likelihood, the shop."""
    taken = {invoice.invoice_id[-_TAIL:] for invoice in epay.invoices()}
    start = int.from_bytes(sha256(epay.seed.encode()).digest(), "big")
    numbers = (str(_FIRST + (start + step) % _NUMBERS) for step in range(_NUMBERS))
    return (number for number in numbers if number[-_TAIL:] not in taken)


def _none_left() -> Order:
    raise NoOrderError(f"no order is left for it: all checks together need {ORDERS}, --invoice gives one each")


def _made(command: str) -> Order:
    """Let the shop make an order.

    Raises:
        NoOrderError: the command fails, takes too long, or prints something else.

    """
    try:
        done = subprocess.run(  # noqa: S602  (a command of the shell is what was asked for)
            command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoOrderError(f"the command of --new-order took more than {_COMMAND_S} s") from None
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[-1]
        raise NoOrderError(_line(f"the command of --new-order ended with {done.returncode}: {last}"))
    return _printed(done.stdout.decode("utf-8", "replace"))


def _printed(text: str) -> Order:
    """Read what a command has printed.

    Raises:
        NoOrderError: it is no order.

    """
    try:
        facts = json.loads(text, parse_float=Decimal)
        return read_order(str(facts["invoice_id"]), str(facts["amount"]), str(facts.get("secret_hash") or ""))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NoOrderError(
            _line(f"the command of --new-order printed {text[:_SHOWN]!r}: it should print {_ORDER}")
        ) from None


def _line(text: str) -> str:
    """Return a text in one line, without what a terminal or an XML file would not bear."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
