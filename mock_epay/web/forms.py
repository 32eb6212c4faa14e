"""How the body of a request becomes text fields, whichever of the usual ways it is written in."""

import re
from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_to_bytes

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from mock_epay.errors import BadField
from mock_epay.wire import bodies

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_FIELDS: Final = 100
# Bytes of a part's name, lines in its head and bytes of each, bytes of the boundary; the parser's own limits are wider.
_LONGEST_NAME: Final = 100
_MOST_LINES: Final = 6
_LONGEST_LINE: Final = 1000
_LONGEST_BOUNDARY: Final = 70
_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9._~*+-]|%[0-9A-Fa-f]{2})+")
# Multipart as clients write it.
_BOUNDARY: Final = re.compile(r"multipart/form-data; ?boundary=([A-Za-z0-9_-]{1,70})")
_NAMED: Final = re.compile(
    rb'\r\nContent-Disposition: form-data; name="([A-Za-z0-9_]{1,100})"'
    rb"(?:\r\nContent-(?:Length|Type): [\x20-\x7e]{1,200}){0,2}"
)
_LAST: Final = {b"--", b"--\r\n"}
_PARTS: Final = (
    f"at most {_MOST_FIELDS} parts in UTF-8, as RFC 7578 says, each with a name of at most {_LONGEST_NAME} bytes and "
    f"at most {_MOST_LINES} lines of {_LONGEST_LINE} bytes in its head"
)
_NO_FILE: Final = "a field with a text; it came as a file, since its part has a filename"
_TAKEN: Final = "multipart/form-data, application/x-www-form-urlencoded or application/json"


def read_fields(content_type: str, body: bytes) -> dict[str, str]:
    """Read a body as text fields; of a repeated field the last counts.

    Raises:
        BadField: the type is not one of the three, or the body is not of its type.

    """
    kind = content_type.partition(";")[0].strip().lower()
    read = _READERS.get(kind)
    if read is None:
        raise BadField("Content-Type", kind, _TAKEN, "documented: payment page, request for a token")
    return read(content_type, body)


def basic_credentials(authorization: str) -> dict[str, str]:
    """Read client credentials from an `Authorization: Basic` header; none when it is of another kind.

    Raises:
        BadField: the header is not what it says.

    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client_id, colon, client_secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if not colon:
        raise BadField("Authorization", None, "Basic and base64 of client_id:client_secret", "RFC 6749, section 2.3.1")
    return {"client_id": _unquoted(client_id), "client_secret": _unquoted(client_secret)}


def _unquoted(text: str) -> str:
    """Decode what RFC 6749 wants encoded; most clients send it raw, and then it has characters that show it."""
    return unquote(text) if _ENCODED.fullmatch(text) else text


def _urlencoded(_: str, body: bytes) -> dict[str, str]:
    """Read a form as urllib's parse_qsl does, which takes four times as long."""
    try:
        pairs = body.decode().replace("+", " ").split("&", _MOST_FIELDS)
        if len(pairs) > _MOST_FIELDS:
            raise ValueError("too many fields")
        fields = {}
        for pair in pairs:
            name, _, text = pair.partition("=")
            if "%" in pair:
                name, text = unquote_to_bytes(name).decode(), unquote_to_bytes(text).decode()
            if pair:
                fields[name] = text
    except ValueError:
        rule = f"at most {_MOST_FIELDS} form fields in UTF-8"
        raise BadField("body", None, rule, "application/x-www-form-urlencoded") from None
    return fields


def _json(_: str, body: bytes) -> dict[str, str]:
    return bodies.json_fields(body)


def _multipart(content_type: str, body: bytes) -> dict[str, str]:
    plain = _plain(content_type, body)
    return _parsed(content_type, body) if plain is None else plain


def _plain(content_type: str, body: bytes) -> dict[str, str] | None:
    """Read a body as nearly all clients write it, in a tenth of the time; None if it is not quite like that."""
    marked = _BOUNDARY.fullmatch(content_type)
    if marked is None:
        return None
    first, *parts = (b"\r\n" + body).split(f"\r\n--{marked[1]}".encode())
    if first or not parts or parts.pop() not in _LAST or len(parts) > _MOST_FIELDS:
        return None
    fields = {}
    for part in parts:
        header, blank, data = part.partition(b"\r\n\r\n")
        named = _NAMED.fullmatch(header)
        if named is None or not blank or not data.isascii():
            return None
        fields[named[1].decode()] = data.decode()
    return fields


def _parsed(content_type: str, body: bytes) -> dict[str, str]:
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    collected = _Parts()
    try:
        if not boundary:
            raise MultipartParseError("no boundary")
        _check_length("the boundary", boundary, _LONGEST_BOUNDARY)
        parser = MultipartParser(boundary, collected.callbacks())
        parser.write(body)
        parser.finalize()
        return collected.fields()
    except ValueError as wrong:  # the parser's own errors are of this kind too
        raise BadField("body", None, f"{_PARTS}; {wrong}", "multipart/form-data") from None


def _check_length(what: str, text: bytes | bytearray, most: int) -> None:
    if len(text) > most:
        raise ValueError(f"{what} has more than {most} bytes")


class _Parts:
    """Gathers what the multipart parser finds, as long as that is little.

    Servers put a part with a filename among the files, where nobody looks for a field; so it is refused by name.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[bytearray, bytearray]] = []
        self._header = (bytearray(), bytearray())
        self._lines = 0
        self._complete = False

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_header_begin": self._header_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_end": self._end,
        }

    def fields(self) -> dict[str, str]:
        if not self._complete:
            raise ValueError("the closing boundary is missing")
        return {name.decode(): data.decode() for name, data in self._parts if name}

    def _begin(self) -> None:
        if len(self._parts) == _MOST_FIELDS:
            raise ValueError("too many parts")
        self._parts.append((bytearray(), bytearray()))
        self._lines = 0

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._parts[-1][1].extend(data[start:end])

    def _header_begin(self) -> None:
        self._header = (bytearray(), bytearray())

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _header_end(self) -> None:
        field, value = self._header
        self._lines += 1
        if self._lines > _MOST_LINES:
            raise ValueError(f"a part has more than {_MOST_LINES} lines in its head")
        _check_length("a line in the head of a part", field + value, _LONGEST_LINE)
        if field.lower() == b"content-disposition":
            self._name(parse_options_header(bytes(value))[1])

    def _name(self, options: dict[bytes, bytes]) -> None:
        name = options.get(b"name", b"")
        _check_length("the name of a part", name, _LONGEST_NAME)
        if name and options.get(b"filename"):
            raise BadField(name.decode(), None, _NO_FILE, "assumed: RFC 7578, section 4.2")
        self._parts[-1][0][:] = name

    def _end(self) -> None:
        self._complete = True


_READERS: Final[dict[str, Callable[[str, bytes], dict[str, str]]]] = {
    "": _urlencoded,
    "application/x-www-form-urlencoded": _urlencoded,
    "application/json": _json,
    "multipart/form-data": _multipart,
}
