"""JSON that comes from outside, read without trust in its form or its depth."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from mock_epay.errors import BadField

_DEEPEST: Final = 32
_TEXTS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


def json_fields(body: bytes) -> dict[str, str]:
    """Read a JSON object as text fields, numbers as they are written.

    Raises:
        BadField: it is not JSON, not an object, or a value is not a text, number, Boolean or null.

    """
    return {name: _as_text(name, value) for name, value in json_object(body, number=str).items()}


def json_object(body: bytes, number: Callable[[str], Any] = Decimal) -> dict[str, Any]:
    """Read a JSON object, its numbers made by `number`.

    Raises:
        BadField: it is not JSON, or not an object.

    """
    check_depth(body)
    try:
        read = json.loads(body, parse_float=number, parse_int=number, parse_constant=str)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise BadField("body", None, "a JSON object is needed", "RFC 8259")
    return read


def check_depth(body: bytes) -> None:
    """Refuse JSON whose objects and arrays stand too deep in each other.

    Raises:
        BadField: they do.

    """
    if body.count(b"{") + body.count(b"[") <= _DEEPEST:  # nearly all there is
        return
    depth = 0
    for mark in _BRACKETS.findall(_TEXTS.sub(b"", body)):
        depth += 1 if mark in b"{[" else -1
        if depth > _DEEPEST:
            raise BadField("body", "(not shown)", f"JSON that is nested at most {_DEEPEST} deep", "RFC 8259, section 9")


def _as_text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    found = "an object" if isinstance(value, dict) else "an array"
    raise BadField(name, found, "a text, a number or a Boolean", "RFC 8259")
