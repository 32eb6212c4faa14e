"""Is a shop's handler of postlinks safe? Sends it notices, right ones and wrong ones, and judges by its answers alone.

It is a client of the control API; the shop is asked nothing, so what its handler answers is all there is to go by.
"""

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any, Final

from mock_epay.client import EpayError, EpayServer
from mock_epay.errors import BadField
from mock_epay.handler_check import judging, report
from mock_epay.handler_check.checks import CHECKS, ORDERS
from mock_epay.handler_check.judging import Verdict
from mock_epay.handler_check.notices import TAKEN
from mock_epay.handler_check.orders import NoOrderError, read_order
from mock_epay.handler_check.shop import Asked, reached

_SOURCE: Final = "documented: control API, check of a handler"

# What came of a notice, when it got to nobody.
_NOBODY: Final = {
    "refused": "nobody listens there",
    "dns": "its name leads nowhere",
    "tls": "its certificate is not good",
    "blocked": "the sandbox sends nothing to such an address",
    "bad address": "it is no address",
}


class NobodyThereError(Exception):
    """The shop's address leads to nobody; the message says what came of the attempt."""


def verdicts(server: EpayServer, asked: Asked) -> Generator[Verdict, None, None]:
    """Make the checks, one after the other, and judge; whoever stops before the end closes this.

    Raises:
        NobodyThereError: the address leads to nobody.
        NoOrderError: not even the first check had an order.
        EpayError: there is no sandbox or no such merchant, or it did not take the first payment.

    """
    with reached(server, asked, ORDERS) as shop:
        vouched = False
        for check in CHECKS:
            first = check is CHECKS[0]
            try:
                notices = list(check.way(shop))
            except (NoOrderError, EpayError) as wrong:
                if first or (isinstance(wrong, EpayError) and not wrong.status):  # the sandbox has gone
                    raise
                yield judging.not_made(check, wrong)
                continue
            if first and notices[0].result in _NOBODY:
                raise NobodyThereError(_NOBODY[notices[0].result])
            vouched = vouched or (check.vouches and all(map(TAKEN.met, notices)))
            yield judging.judged(check, notices, vouched=vouched or first, timeout_s=shop.timeout_s)
        yield judging.in_time(shop.notices, vouched=vouched, timeout_s=shop.timeout_s)


def told(server: EpayServer, merchant: str, facts: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
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
        with closing(verdicts(server, asked)) as judged:
            for verdict in judged:
                found.append(verdict)
                yield asdict(verdict)
    except (NobodyThereError, EpayError) as wrong:
        raise BadField("post_link", asked.post_link, f"an address where a shop answers: {wrong}", _SOURCE) from None
    yield report.document(found, asked)
