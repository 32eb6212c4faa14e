"""What commands take: how an argument is called, explained, read from its text."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mock_epay import resources

if TYPE_CHECKING:
    from mock_epay.handler_check.orders import Order

SCHEMES: Final = ("http://", "https://")

# Arguments whose flags have other names.
_FLAGS: Final = {"invoice_id": "invoice", "orders": "invoice", "timeout_s": "timeout"}

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Argument:
    """What a command takes, as argparse wants it said. Of those that stand `alone` there can be one in a call."""

    name: str
    how: Facts
    alone: bool = False


def option(name: str, explanation: str, *, alone: bool = False, **how: Any) -> Argument:
    """Make an argument that has a flag. `how` is argparse's; without a default, one that is absent is no fact."""
    flag = "--" + _FLAGS.get(name, name).replace("_", "-")
    return Argument(flag, {"dest": name, "default": argparse.SUPPRESS, "help": _help(explanation)} | how, alone)


def place(name: str, explanation: str, **how: Any) -> Argument:
    """Make an argument that has a place. `how` is argparse's."""
    return Argument(name, {"metavar": name.upper(), "help": _help(explanation)} | how)


def options(properties: Mapping[str, Facts], *others: str) -> tuple[Argument, ...]:
    """Make an option of each property of a schema but the others."""
    return tuple(
        option(name, one["description"], **_reader(one)) for name, one in properties.items() if name not in others
    )


def properties_of(schema: str) -> Mapping[str, Facts]:
    """Return the properties of a schema of ours, by name."""
    properties: Mapping[str, Facts] = resources.schema(schema)["properties"]
    return properties


def wrong(text: str, rule: str) -> argparse.ArgumentTypeError:
    """Make what argparse says of a text that cannot be read, behind the name of its argument."""
    return argparse.ArgumentTypeError(f'"{text}" is not understood: it takes {rule}')


def number(text: str) -> float:
    """Read a number; a whole one stays whole."""
    try:
        read = float(text)
    except ValueError:
        raise wrong(text, "a number, such as 100 or 1500.50") from None
    return int(read) if read.is_integer() else read


def numbers(text: str) -> list[float]:
    """Read numbers with commas between them."""
    return [number(part) for part in text.split(",") if part.strip()]


def numbers_or_word(text: str) -> list[float] | str:
    """Read numbers, or else leave the text as it is."""
    try:
        return numbers(text)
    except argparse.ArgumentTypeError:
        return text


def order(text: str) -> "Order":
    """Read an order's number and its amount, with a colon between them."""
    from mock_epay.handler_check.orders import read_order  # noqa: PLC0415  (--help and --version ask nobody)

    try:
        return read_order(*text.split(":"))
    except (TypeError, ValueError):
        raise wrong(text, "NUMBER:AMOUNT, a number of 6 to 15 digits, such as 000000001:100") from None


def address(text: str) -> str:
    """Read an address of the web."""
    if not text.lower().startswith(SCHEMES):
        raise wrong(text, "an address that begins with http:// or https://")
    return text


def changed_field(text: str) -> tuple[str, Any]:
    """Read a field's name and its new value."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise wrong(text, "NAME=VALUE, such as amount=200")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def patience(text: str) -> float:
    """Read how long somebody may take."""
    from mock_epay.handler_check.shop import LONGEST_S  # noqa: PLC0415

    seconds = number(text)
    if not 0 < seconds <= LONGEST_S:
        raise wrong(text, f"seconds, more than 0 and at most {LONGEST_S}")
    return seconds


# How a value is read that a schema has as this type.
_READERS: Final[Mapping[str, Facts]] = {
    "array": {"metavar": "NUMBERS", "type": numbers},
    "array or string": {"metavar": "NUMBERS", "type": numbers_or_word},
    "boolean": {"action": argparse.BooleanOptionalAction},
    "integer": {"metavar": "NUMBER", "type": number},
    "number": {"metavar": "NUMBER", "type": number},
}


def _reader(one: Facts) -> Facts:
    types = " or ".join(kind["type"] for kind in one.get("anyOf", [one]))
    return {"choices": one["enum"]} if "enum" in one else _READERS.get(types, {"metavar": "TEXT"})


def _help(explanation: str) -> str:
    """Return what argparse shows; the first word is not to begin it like a sentence, unless it has capitals anyway."""
    word = explanation.split(maxsplit=1)[0]
    text = explanation if word != word.capitalize() else word.lower() + explanation.removeprefix(word)
    return text.rstrip(".").replace("%", "%%")
