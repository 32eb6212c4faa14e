"""JSON as the sandbox writes it: without blanks, letters as they are."""

import json
from typing import Any, Final

import msgspec

_quick: Final = msgspec.json.Encoder().encode
_usual: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def as_json(value: Any) -> str:
    """Return a value as JSON text; half of a surrogate pair stands in it as it is."""
    try:
        return _quick(value).decode()
    except (UnicodeEncodeError, TypeError, OverflowError):  # what only Python's own can write
        return _usual(value)
