"""How a shop is reached: with payments in a merchant's world, whose notices go to its address."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from mock_epay.answers import Attempt, Postlink, Transaction
from mock_epay.client import TAIL, Epay, EpayError, EpayServer
from mock_epay.clock import stopwatch
from mock_epay.handler_check.notices import Notice
from mock_epay.handler_check.orders import NoOrderError, Order, made

LONGEST_S: Final = 20  # that a shop may be given for an answer: the sandbox must answer us meanwhile

_MOMENT_S: Final = 0.001
_FIRST: Final = 100_000_000  # of the invented order numbers,
_NUMBERS: Final = 900_000_000  # all of which have nine digits


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


class Shop:
    """A shop's address, to which a merchant's world sends notices; it keeps count of them.

    `needed` is how many orders of the shop's own all checks take.
    """

    def __init__(self, epay: Epay, asked: Asked, needed: int) -> None:
        self.notices: list[Notice] = []
        self.timeout_s = float(epay.merchant["postlink_timeout_s"])
        self._epay = epay
        self._asked = asked
        self._needed = needed
        self._numbers = _free_numbers(epay)
        self._orders = iter(asked.orders)

    def order(self) -> Order:
        """Return another order of the shop.

        Raises:
            NoOrderError: it has made none, or there is none left.

        """
        if self._asked.new_order:
            order = made(self._asked.new_order)
        elif self._asked.orders:
            order = next(self._orders, None) or self._none_left()
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

    def _none_left(self) -> Order:
        fewer = "orders has fewer" if self._asked.over_http else "--invoice gives one each"
        raise NoOrderError(f"no order is left for it: all checks together need {self._needed}, {fewer}")


@contextmanager
def reached(server: EpayServer, asked: Asked, needed: int) -> Iterator[Shop]:
    """Give the shop that was asked about; at the end the merchant who sent its notices is dropped, or as it was.

    Raises:
        EpayError: there is no sandbox, or no such merchant.

    """
    with _world(server, asked) as epay:
        yield Shop(epay, asked, needed)


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
    taken = {invoice.invoice_id[-TAIL:] for invoice in epay.invoices()}
    start = int.from_bytes(sha256(epay.seed.encode()).digest(), "big")
    numbers = (str(_FIRST + (start + step) % _NUMBERS) for step in range(_NUMBERS))
    return (number for number in numbers if number[-TAIL:] not in taken)
