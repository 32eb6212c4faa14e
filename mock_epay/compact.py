"""JSON as the sandbox writes it: without blanks, letters as they are."""

import json
from typing import Any, Final

import msgspec

_quick: Final = msgspec.json.Encoder().encode
# What the quick one cannot write, only Python's own can.
_BEYOND: Final = (UnicodeEncodeError, TypeError, OverflowError)
_usual: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def as_json(value: Any) -> str:
    """Return a value as JSON text; half of a surrogate pair stands in it as it is."""
    try:
        return _quick(value).decode()
    except _BEYOND:
        return _usual(value)


def as_bytes(value: Any) -> bytes:
    """Return a value as JSON in UTF-8, with a question mark for half of a surrogate pair."""
    try:
        return _quick(value)
    except _BEYOND:
        return _usual(value).encode("utf-8", "replace")
