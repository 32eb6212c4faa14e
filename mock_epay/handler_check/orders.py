"""Orders of a shop: as texts give them, or as a command of the shop's makes them."""

import json
import re
import subprocess
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

_COMMAND_S: Final = 60  # how long a shop may take to make an order
_INVENTED: Final = 100  # an invented order's amount
_SHOWN: Final = 200  # characters of what is not understood
_NUMBER: Final = re.compile(r"[0-9]{6,15}")
_ORDER: Final = '{"invoice_id": "000000001", "amount": 100, "secret_hash": "if the shop expects one"}'


class NoOrderError(Exception):
    """There is no order to send a notice of; the message says why."""


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


def made(command: str) -> Order:
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
        raise NoOrderError(one_line(f"the command of --new-order ended with {done.returncode}: {last}"))
    return _printed(done.stdout.decode("utf-8", "replace"))


def one_line(text: str) -> str:
    """Return a text in one line, without what a terminal or an XML file would not bear."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


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
            one_line(f"the command of --new-order printed {text[:_SHOWN]!r}: it should print {_ORDER}")
        ) from None
