"""The checks, a row each: what is sent, what it should be answered, why that matters."""

from dataclasses import dataclass
from typing import Final

from mock_epay.handler_check.notices import ANSWERED, REFUSED, TAKEN, TURNED_AWAY, Want
from mock_epay.handler_check.ways import Way, again_later, edited, late, out_of_order, planned, without

_SLOW_S: Final = 1  # how long the body takes that comes slowly
_TOO_LITTLE_MONEY: Final = 484


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


CHECKS: Final = (
    Check(
        name="takes a notice of success",
        sends="a notice of success",
        way=planned("immediate", "a notice of success"),
        wants=TAKEN,
        incident="the customer has paid, and the shop does not know it",
        vouches=True,
    ),
    Check(
        name="takes the same notice twice",
        sends="a notice that comes twice",
        way=planned("duplicate(2, 0)", "a notice", "the same notice again"),
        wants=TAKEN,
        incident="a duplicate that is not taken comes again and again; whether it ships twice, only the shop can tell",
        vouches=True,
    ),
    Check(
        name="refuses another secret_hash",
        sends="a notice with another secret_hash",
        way=planned("wrong_secret_hash", "a notice with another secret_hash"),
        wants=REFUSED,
        incident="whoever finds the address can tell the shop that an order is paid",
    ),
    Check(
        name="refuses another amount",
        sends="a notice with another amount",
        way=planned("wrong_amount", "a notice with another amount"),
        wants=REFUSED,
        incident="somebody pays one tenge for a telephone",
    ),
    Check(
        name="refuses an unknown order",
        sends="a notice of an order that the shop does not have",
        way=planned("unknown_invoice", "a notice of an order that the shop does not have", known=False),
        wants=REFUSED,
        incident="money for an order that nobody can find is lost without a word",
        orders=0,
    ),
    Check(
        name="takes a notice of failure",
        sends="a notice of failure",
        way=planned("immediate", "a notice of failure", reason_code=_TOO_LITTLE_MONEY),
        wants=TAKEN,
        incident="the customer is told to wait for a payment that has failed",
    ),
    Check(
        name="takes failure, then success",
        sends="notices of failure, then success",
        way=planned("failure_then_success(0)", "a notice of failure", "a notice of success behind one of failure"),
        wants=TAKEN,
        incident="the second attempt pays, and the shop has given the order up after the first",
    ),
    Check(
        name="takes success, then failure",
        sends="notices of success, then failure",
        way=planned("success_then_failure(0)", "a notice of success", "a notice of failure behind one of success"),
        wants=TAKEN,
        incident="a late word of a failed attempt falls on an order that is paid",
    ),
    Check(
        name="takes the same notice a day later",
        sends="a notice that comes again a day later",
        way=again_later,
        wants=TAKEN,
        incident="the bank tries again long after the shop has forgotten the first time",
    ),
    Check(
        name="takes a late notice",
        sends="a notice that is an hour late",
        way=late,
        wants=TAKEN,
        incident="the order was given up, or its stock released, before the notice came",
    ),
    Check(
        name="takes an early notice",
        sends="a notice that comes before the customer returns",
        way=planned("before_redirect", "a notice that comes before the customer returns"),
        wants=TAKEN,
        incident="the notice comes while the shop still waits for the customer's return",
    ),
    Check(
        name="takes notices out of order",
        sends="notices of two orders in the wrong order",
        way=out_of_order,
        wants=TAKEN,
        incident="the notice of the newer order comes first",
        orders=2,
    ),
    Check(
        name="takes a slow body",
        sends="a notice whose body comes slowly",
        way=planned(f"slow_body({_SLOW_S})", "a notice whose body comes slowly", slow_s=_SLOW_S),
        wants=TAKEN,
        incident="the body comes drop by drop, and the server gives up or stands still",
    ),
    Check(
        name="refuses what proves nothing",
        sends="notices without what they are known by",
        way=edited(*without("invoiceId", "amount", "secret_hash"), ("a notice without any field", {"text": "{}"})),
        wants=TURNED_AWAY,
        incident="what is not there is not compared, and the notice passes",
    ),
    Check(
        name="survives missing fields",
        sends="notices that lack a field",
        way=edited(*without("id", "code", "reasonCode", "reason", "currency", "terminal", "dateTime", "reference")),
        wants=ANSWERED,
        incident="the bank leaves a field out, the handler falls over it, and the notice is lost",
    ),
    Check(
        name="survives some missing at once",
        sends="a notice that lacks some fields at once",
        way=planned("missing_fields", "a notice that lacks some fields at once"),
        wants=ANSWERED,
        incident="the bank leaves fields out, the handler falls over them, and the notice is lost",
    ),
    Check(
        name="survives a body that breaks off",
        sends="a body that breaks off",
        way=planned("truncated", "a body that breaks off", known=False),
        wants=TURNED_AWAY,
        incident="half a notice is taken for a whole one, or brings the handler down",
        orders=0,
    ),
    Check(
        name="survives a body of another kind",
        sends="bodies that are no JSON object",
        way=edited(
            *((f"the body {text}", {"text": text}) for text in ("[]", "null", '"ok"', "code=ok&amount=100")),
            known=False,
        ),
        wants=TURNED_AWAY,
        incident="a scanner, or a form, posts something else to the address, and the handler falls over it",
        orders=0,
    ),
)
ORDERS: Final = sum(check.orders for check in CHECKS)
