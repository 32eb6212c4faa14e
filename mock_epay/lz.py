"""The `params` codec of the pay page address, bounded.

A shop's page flattens its payment object to `key=value&…` and packs that text with LZ-string, so that it fits an
address: `pack = compress(flatten(value))`, and back `parse(decompress(pack))`. Texts are JavaScript's here: length
counts UTF-16 units, a character beyond U+FFFF is packed as its surrogate pair and comes back joined, and a lone
surrogate survives packing (as in the reference) but is refused by `flatten` and `parse`, since no address holds it.
"""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import isfinite
from urllib.parse import quote, unquote_to_bytes

_ASTRAL = re.compile(r"[\U00010000-\U0010ffff]")
_FOREIGN = re.compile(r"[^A-Za-z0-9+\-$ ]")
# Six bits to a character, as in base64 with another last letter. `$` stands for no bits at all: old versions of the
# reference pad with it, new ones read it as zeros.
_TO_BASE64 = bytes.maketrans(b" -$", b"+/A")
_FROM_BASE64 = bytes.maketrans(b"/", b"-")
# Numbers are written lowest bit first, characters are filled highest bit first.
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

# The first codes of the stream are not phrases.
_SHORT, _LONG, _END = range(3)
# How much to read ahead at a time, and when: one code takes a number, a 16-bit character and what fills the last byte.
_WINDOW_BYTES, _CODE_BITS = 48, 64

# JavaScript prints a number whose first digit stands here without an exponent.
_PLAIN_EXPONENTS = range(-6, 21)
_PAIRS = 200


class LzError(ValueError):
    """The text cannot be packed, unpacked or parsed."""


def compress(text: str) -> str:
    """Pack a text as `compressToEncodedURIComponent` does, bit for bit."""
    bits: list[str] = []
    numbers: dict[str, int] = {}
    unsent: set[str] = set()
    # What the reader's dictionary holds when it reads the next code; it decides how wide the code is.
    known = 2
    for phrase in _phrases(_ASTRAL.sub(_surrogates, text), numbers, unsent):
        width = known.bit_length()
        if phrase in unsent:
            unsent.remove(phrase)
            code, size = (_SHORT, 8) if phrase < "\u0100" else (_LONG, 16)
            bits.append(f"{code:0{width}b}"[::-1] + f"{ord(phrase):0{size}b}"[::-1])
            known += 1
        else:
            bits.append(f"{numbers[phrase]:0{width}b}"[::-1])
        known += 1
    bits.append(f"{_END:0{known.bit_length()}b}"[::-1])
    return _characters("".join(bits))


def decompress(packed: str, *, limit: int = 65_536) -> str:
    """Unpack what `compressToEncodedURIComponent` packed; a blank counts as `+`.

    Anything behind the end mark is ignored, as in the reference. A text without the whole of that mark is refused,
    where the reference takes missing bits for zeros and may give a part for the whole. A text longer than `limit`
    UTF-16 units is refused before it is built whole.
    """
    if foreign := _FOREIGN.search(packed):
        raise LzError(f"{foreign[0]!r} at {foreign.start()} is not a character of the packed alphabet")
    text = _unpacked(packed, limit)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def flatten(value: object) -> str:
    """Write a payment object as the bank's script does: `key=encodeURIComponent(flatten(value))`, joined by `&`.

    None is empty, booleans are `true` and `false`, numbers look as JavaScript prints them, a list counts as an
    object with the keys 0, 1, …; keys stay as they are.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal):
        return _number(float(Decimal(value)))
    if isinstance(value, Mapping):
        return "&".join(f"{key}={_encoded(flatten(item))}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return flatten(dict(enumerate(value)))
    return str(value)


def parse(text: str) -> dict[str, str]:
    """Read the top level of a flattened object back; a nested object stays text, to be parsed in its turn.

    As lenient as an address must be: a key without `=` is empty, an empty pair is nothing, of a repeated key the
    last wins, a `%` that starts no escape is a percent sign.
    """
    _whole(text)
    pairs = text.split("&", _PAIRS)
    if len(pairs) > _PAIRS:
        raise LzError(f"more than {_PAIRS} fields")
    fields = {}
    for pair in filter(None, pairs):
        key, _, value = pair.partition("=")
        fields[key] = _decoded(key, value) if "%" in value else value
    return fields


def _surrogates(astral: re.Match[str]) -> str:
    high, low = divmod(ord(astral[0]) - 0x1_0000, 0x400)
    return chr(0xD800 + high) + chr(0xDC00 + low)


def _phrases(units: str, numbers: dict[str, int], unsent: set[str]) -> Iterable[str]:
    """Cut a text into the longest phrases seen before; number each new phrase and each new unit (those are unsent)."""
    phrase = ""
    for unit in units:
        if unit not in numbers:
            numbers[unit] = len(numbers) + _END + 1
            unsent.add(unit)
        longer = phrase + unit
        if longer in numbers:
            phrase = longer
            continue
        yield phrase
        numbers[longer] = len(numbers) + _END + 1
        phrase = unit
    if phrase:
        yield phrase


def _characters(bits: str) -> str:
    # At least one bit of the last character is filling, even when that takes a character of its own.
    count = len(bits) // 6 + 1
    size = count // 4 * 3 + 3
    packed = b2a_base64(int(bits.ljust(size * 8, "0"), 2).to_bytes(size), newline=False)
    return packed[:count].translate(_FROM_BASE64).decode("ascii")


def _unpacked(packed: str, limit: int) -> str:
    """Follow the codes; one plain loop over plain integers, for each opening of the pay page waits for it."""
    stream, filling = _stream(packed)
    position = window = held = 0
    # Two stand-ins make the first character number 3, behind the three codes that are not phrases.
    entries, size, width, mask = ["", ""], 2, 2, 0b11
    previous = ""
    text = ""
    phrases: list[str] = []
    while True:
        if held < _CODE_BITS:
            text = _within(limit, text, phrases)
            phrases = []
            ahead = stream[position : position + _WINDOW_BYTES]
            if held + 8 * len(ahead) <= filling:
                raise LzError("the packed text ends too early")
            window |= int.from_bytes(ahead, "little") << held
            position += _WINDOW_BYTES
            held += 8 * len(ahead)
        code = window & mask
        window >>= width
        held -= width
        if _END < code < size:
            phrase = entries[code]
        elif code < _END:
            unit_bits = 8 << code
            phrase = chr(window & ((1 << unit_bits) - 1))
            window >>= unit_bits
            held -= unit_bits
            entries.append(phrase)
            size += 1
        elif code == _END and held >= filling:
            return _within(limit, text, phrases)
        elif code == size:
            phrase = previous + previous[0]
        else:
            fault = "ends too early" if held < filling else f"names phrase {code} where {size} is the next"
            raise LzError(f"the packed text {fault}")
        entries.append(previous + phrase[0])
        phrases.append(phrase)
        previous = phrase
        size += 1
        if size > mask:
            width += 1
            mask = 2 * mask + 1


def _stream(packed: str) -> tuple[bytes, int]:
    """Give the packed bits, lowest first, and how many bits of filling stand behind them."""
    base64 = packed.encode("ascii").translate(_TO_BASE64)
    stream = a2b_base64(base64 + b"A" * (-len(base64) % 4)).translate(_MIRROR)
    return stream, 8 * len(stream) - 6 * len(packed)


def _within(limit: int, text: str, phrases: list[str]) -> str:
    text += "".join(phrases)
    if len(text) > limit:
        raise LzError(f"the unpacked text is longer than {limit} characters")
    return text


def _number(value: float) -> str:
    if not isfinite(value):
        return repr(value).replace("inf", "Infinity").replace("nan", "NaN")
    exact = Decimal(repr(value or 0.0)).normalize()
    return f"{exact:f}" if exact.adjusted() in _PLAIN_EXPONENTS else f"{exact:e}"


def _encoded(text: str) -> str:
    return quote(_whole(text), safe="!~*'()")


def _decoded(key: str, value: str) -> str:
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise LzError(f"the value of {key[:40]!r} is not UTF-8") from None


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise LzError(f"half of a surrogate pair at {error.start}, no address can hold it") from None
    return text
