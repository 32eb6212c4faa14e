"""The schemas at work: what breaks them, in words a developer can use. The one home of jsonschema."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from mock_epay import resources
from mock_epay.compact import as_bytes
from mock_epay.errors import BadField, InvalidClient, InvalidScope, Refusal, UnsupportedGrant, excerpt
from mock_epay.notes import Notes
from mock_epay.wire import quick

if TYPE_CHECKING:  # it is imported when the first schema is broken: that takes as long as to start all else
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

# Fields whose refusal is not a plain `invalid_request`: credentials always, the others when they are there and wrong.
_CREDENTIALS: Final = dict.fromkeys(("client_id", "client_secret"), InvalidClient)
_REFUSALS: Final[dict[str, type[BadField]]] = _CREDENTIALS | {"grant_type": UnsupportedGrant, "scope": InvalidScope}
AMOUNT_INVALID: Final = 470
DESCRIPTION_TOO_LONG: Final = 3298
_CODES: Final = {"amount": AMOUNT_INVALID, "description": DESCRIPTION_TOO_LONG}
_NAMES_OF_ORDERS: Final = frozenset({"invoiceId", "invoice_id"})  # without one there is no order to be lenient about
_MAKES_USELESS: Final = frozenset({"type", "const"})  # keywords whose break leaves a value that no rule can use
_NEAR: Final = 0.85  # as difflib measures it
_MOST_COMPARED: Final = 50  # fields; to compare names takes longer than all else that is done with them


def check_request(name: str, fields: dict[str, Any], notes: Notes) -> None:
    """Refuse fields that break the schema, beginning with the field that stands first in it.

    What the schema calls lenient is left to `notes`; what cannot be used even so is taken out of `fields`.
    """
    if _quick(name)(fields):
        return
    broken = [(found, _explain(name, fields, found)) for found in _validator(name).iter_errors(fields)]
    order = list(resources.schema(name)["properties"])
    broken.sort(key=lambda pair: order.index(str(pair[1].field).partition(".")[0]))
    for found, refusal in broken:
        if not _row(resources.schema(name), str(refusal.field)).get("x-lenient"):
            raise refusal
        useless = found.validator in _MAKES_USELESS
        if refusal.field in _NAMES_OF_ORDERS and (useless or not found.absolute_path):
            raise refusal
        notes.broken(refusal)
        if useless:
            fields.pop(str(refusal.field), None)


def check_closed(name: str, fields: Mapping[str, Any]) -> None:
    """Refuse fields that break a schema which knows all fields there are; what is not known is named, and what is.

    Raises:
        Refusal: a field means nothing.
        BadField: a field breaks its rule.

    """
    if _quick(name)(fields):
        return
    found = next(iter(_validator(name).iter_errors(fields)), None)
    if found is None:
        return
    schema = resources.schema(name)
    source = f"documented: {schema['x-document']}, {schema['title'].lower()}"
    rule, where = found.schema.get("x-rule", ""), [str(step) for step in found.absolute_path]
    if found.validator == "additionalProperties":
        known = list(found.schema["properties"])
        unknown = next(name for name in found.instance if name not in known)
        nearest = difflib.get_close_matches(unknown, known, n=1)
        meant = f"; did you mean {nearest[0]}?" if nearest else ""
        field, rule = ".".join([*where, excerpt(unknown)]), f"one of {', '.join(known)}"
        raise Refusal(f"{field} means nothing here: {rule}{meant} ({source})", field=field, rule=rule, source=source)
    if found.validator == "required":
        missing = next(name for name in found.validator_value if name not in found.instance)
        raise BadField(".".join([*where, missing]), None, f"needed: {rule}" if rule else "needed", source)
    secret = found.schema.get("writeOnly") or not isinstance(found.instance, str | int | float | Decimal)
    raise BadField(".".join(where), "(not shown)" if secret else str(found.instance), rule, source)


def near_names(name: str, fields: Mapping[str, object], notes: Notes) -> None:
    """Remark on fields that the schema does not have, but nearly."""
    near_some(resources.schema(name)["properties"].keys(), fields, notes)


def near_some(known: AbstractSet[str], fields: Mapping[str, object], notes: Notes) -> None:
    """Remark on fields that are not among the known ones, but nearly."""
    if fields.keys() <= known:
        return
    for field in list(fields.keys() - known)[:_MOST_COMPARED]:
        otherwise = [name for name in known if name.lower() == field.lower()]
        nearest = otherwise or difflib.get_close_matches(field, known, n=1, cutoff=_NEAR)
        if nearest:
            notes.remark("near-name", field, meant=nearest[0])  # what stands in it may be a secret


def encode(name: str, body: Mapping[str, object] | Sequence[object], *, check: bool) -> bytes:
    """Return `body` as JSON; with `check`, only if the schema `name` agrees.

    Raises:
        jsonschema.ValidationError: the sandbox was about to send what its own schema forbids.

    """
    text = as_bytes(body)
    if check and not _quick(name)(read := json.loads(text)):
        _validator(name).validate(read)
    return text


@cache
def _quick(name: str) -> quick.Check:
    return quick.check_of(_whole(resources.schema(name)))


@cache
def _validator(name: str) -> "Draft202012Validator":
    validator: Draft202012Validator = _validators()(_whole(resources.schema(name)))
    return validator


@cache
def _validators() -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415
    from jsonschema.validators import extend  # noqa: PLC0415

    def max_bytes(_: Draft202012Validator, most: int, text: object, __: object) -> Iterator[ValidationError]:
        if isinstance(text, str) and len(text.encode("utf-8", "surrogatepass")) > most:
            yield ValidationError(f"more than {most} bytes")

    def matches(_: Draft202012Validator, pattern: str, text: object, __: object) -> Iterator[ValidationError]:
        if isinstance(text, str) and not quick.expression(pattern).search(text):
            yield ValidationError(f"not of the form {pattern}")

    return extend(Draft202012Validator, {"x-maxBytes": max_bytes, "pattern": matches})  # type: ignore[no-untyped-call]


def _whole(part: Any) -> Any:
    """Put the schemas that a schema refers to in the places where it does."""
    if isinstance(part, list):
        return [_whole(one) for one in part]
    if not isinstance(part, dict):
        return part
    inner = {name: _whole(one) for name, one in part.items() if name != "$ref"}
    return _whole(resources.schema(part["$ref"].removesuffix(".json"))) | inner if "$ref" in part else inner


def _explain(name: str, fields: Mapping[str, Any], found: "ValidationError") -> BadField:
    """Turn what jsonschema found into the field, its value, the rule and where it stands."""
    schema = resources.schema(name)
    field = ".".join(str(step) for step in found.absolute_path) or _missing(found, fields)
    row = _row(schema, field)
    source = f"{row['x-source']}: {schema['x-document']}"
    if not found.absolute_path:
        rule = f"needed, {row['x-rule']}{_near(field, fields)}"
        return _CREDENTIALS.get(field, BadField)(field, None, rule, source)
    value = "(not shown)" if row.get("writeOnly") else str(found.instance)
    return _REFUSALS.get(field, BadField)(field, value, row["x-rule"], source, code=_CODES.get(field))


def _row(schema: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    row: Mapping[str, Any] = schema
    for step in field.split("."):
        row = row["properties"][step]
    return row


def _missing(found: "ValidationError", fields: Mapping[str, Any]) -> str:
    """Name the field that is not there. jsonschema tells it in words only, so it is looked up again."""
    needed: Any = found.validator_value
    names: Iterable[str] = needed["invoiceID"] if isinstance(needed, dict) else needed
    return next(name for name in names if name not in fields and repr(name) in found.message)


def _near(field: str, fields: Mapping[str, Any]) -> str:
    spelt = next((name for name in fields if name.lower() == field.lower()), None)
    return f'; there is a "{spelt}", but case matters' if spelt else ""
