"""The card of a shop's own form: encrypted in the shop's page for the bank, opened here.

A cryptogram is base64 of RSA, PKCS#1 v1.5, of a JSON object with `hpan`, `expDate` (MMYY), `cvc` and `terminalId`
(documented: own card form). What stands in it is never repeated in a message.
"""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from mock_epay import resources
from mock_epay.errors import BadField
from mock_epay.model import Card
from mock_epay.records import Record

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

# The names that the field with the cryptogram goes by. The documents spell it with a Cyrillic с in front.
FIELD_SPELLINGS: Final = ("cryptogram", "\u0441ryptogram")

_SOURCE: Final = "documented: own card form"
_HIDDEN: Final = "(not shown)"
_CHECK_THE_DATA: Final = 469  # reason codes; which of them the bank gives for a bad cryptogram is assumed
_INVALID_NUMBER: Final = 471
_WRONG_EXPIRY: Final = 457
_WRONG_CODE: Final = 486
_KEY_BYTES: Final = 512
_READABLE: Final = 20  # characters; what another key's cryptogram decrypts to is not readable for so long by chance
_TO_BASE64: Final = str.maketrans("-_ ", "+/+", "\r\n\t=")  # a + in a form arrives as a blank


class _Inner(Record, kw_only=False):
    """A field inside the cryptogram: its form, the rule in words, the reason code for one that breaks it."""

    form: re.Pattern[str]
    rule: str
    code: int


_INSIDE: Final = {
    "hpan": _Inner(re.compile("[0-9]{12,19}"), "the card's number, 12 to 19 digits and no blanks", _INVALID_NUMBER),
    "expDate": _Inner(re.compile("(0[1-9]|1[0-2])[0-9]{2}"), "the expiry date as MMYY, four digits", _WRONG_EXPIRY),
    "cvc": _Inner(re.compile("[0-9]{3,4}"), "the card's code, a text of 3 or 4 digits", _WRONG_CODE),
    "terminalId": _Inner(
        re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"), "the terminal's UUID", _CHECK_THE_DATA
    ),
}


class ForeignKeyError(BadField):
    """A cryptogram that was made with another key than the sandbox's, such as the bank's own."""


class Opened(Record, kw_only=True):
    """What was in a cryptogram: the card, and the UUID of the terminal that it was meant for, as it was written."""

    card: Card
    terminal_id: str


@cache
def public_key() -> str:
    """Return the key that cryptograms are made with, 4096 bits, in PEM: `BEGIN RSA PUBLIC KEY` (documented)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415  (slow to import)

    return _private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()


def decrypt(cryptogram: str) -> Opened:
    """Open a cryptogram, in any spelling of base64.

    Raises:
        ForeignKeyError: it was made with another key.
        BadField: it is no cryptogram, or what stands in it is not a card (documented; the reason codes are assumed).

    """
    inside = _object(_text(_bytes(cryptogram)))
    pan, expiry, cvc, terminal_id = (_field(name, inside) for name in _INSIDE)
    return Opened(card=Card(pan=pan, expiry=f"{expiry[:2]}/{expiry[2:]}", cvc=cvc), terminal_id=terminal_id)


@cache
def _private_key() -> "RSAPrivateKey":
    """Load the sandbox's key.

    It protects nothing, for what is encrypted with it are the numbers of test cards, so everybody may have it; and a
    fixed one makes runs repeatable. Whether it is a good key was seen when it was made; to see it again takes longer
    than all the rest of the start.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415  (slow to import)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    text = (resources.DATA / "sandbox_key.pem").read_bytes()
    key = load_pem_private_key(text, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, RSAPrivateKey)
    return key


def _bytes(cryptogram: str) -> bytes:
    tidy = cryptogram.strip().translate(_TO_BASE64)
    try:
        packed = b64decode(tidy.encode("ascii", "replace") + b"=" * (-len(tidy) % 4), validate=True)
    except ValueError:
        packed = b""
    if len(packed) != _KEY_BYTES:
        found = f"{len(packed)} bytes in base64" if packed else "not base64"
        rule = f"base64 of {_KEY_BYTES} bytes, which is what a key of {_KEY_BYTES * 8} bits makes; this is {found}"
        raise BadField("cryptogram", _HIDDEN, rule, _SOURCE, code=_CHECK_THE_DATA)
    return packed


def _text(packed: bytes) -> str:
    """Decrypt; empty when that is no text. With another key OpenSSL gives random bytes rather than an error."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415  (slow to import)

    try:
        return _private_key().decrypt(packed, PKCS1v15()).decode()
    except ValueError:
        return ""


def _object(text: str) -> Mapping[str, Any]:
    try:
        inside = json.loads(text)
    except (ValueError, RecursionError):
        inside = None
    if isinstance(inside, dict):
        return inside
    if len(text) >= _READABLE and all(sign.isprintable() or sign.isspace() for sign in text):
        rule = f"inside, a JSON object with {', '.join(_INSIDE)}"
        raise BadField("cryptogram", _HIDDEN, rule, _SOURCE, code=_CHECK_THE_DATA)
    rule = (
        "encrypted with this sandbox's key, and this was with another, perhaps the bank's own: "
        "fetch public.rsa from the sandbox, or name the card to assume in the setting foreign_key_card"
    )
    raise ForeignKeyError("cryptogram", _HIDDEN, rule, _SOURCE, code=_CHECK_THE_DATA)


def _field(name: str, inside: Mapping[str, Any]) -> str:
    value, inner = inside.get(name), _INSIDE[name]
    if value in (None, ""):
        raise BadField(f"cryptogram.{name}", None, f"needed, {inner.rule}", _SOURCE, code=inner.code)
    text = value.strip() if isinstance(value, str) else ""
    if not inner.form.fullmatch(text):
        raise BadField(f"cryptogram.{name}", _HIDDEN, inner.rule, _SOURCE, code=inner.code)
    return text
