import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_schemas import CONTROL, NAMES, REQUESTS, SAMPLES

from mock_epay import resources
from mock_epay.wire import contracts, quick

VALID: Final = [*SAMPLES.items(), *REQUESTS.items(), *CONTROL]
SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers(-2, 10**13)
    | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(
        ["KZT", "password", "cardVerification", "cardId", "0" * 6, "1" * 16, "ы" * 63, "x" * 300, "\ud800"]
    )
)
VALUES: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)
# Fields that rules about several fields ask for.
NAMED: Final = st.sampled_from(
    ["grant_type", "username", "cardSave", "accountId", "paymentType", "amount", "invoiceID"]
)


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the ways to all that is in a value."""
    yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, one in inner:
        yield from _places(one, (*way, step))


def _changed(draw: st.DrawFn, whole: Any) -> Any:
    """Return a value with something put, added or taken away somewhere."""
    whole = copy.deepcopy(whole)
    *way, last = draw(st.sampled_from([place for place in _places(whole) if place]))
    inner = whole
    for step in way:
        inner = inner[step]
    kind = draw(st.sampled_from(["put", "add", "take"]))
    if kind == "take":
        del inner[last]
    elif kind == "add" and isinstance(inner, dict):
        inner[draw(NAMED | st.text(max_size=3))] = draw(VALUES)
    else:
        inner[last] = draw(VALUES)
    return whole


@st.composite
def nearly_valid(draw: st.DrawFn) -> tuple[str, Any]:
    name, value = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 3))):
        value = _changed(draw, value) if value else value
    return name, value


@settings(deadline=None, max_examples=400)
@given(nearly_valid())
def test_what_is_passed_keeps_the_schema(case: tuple[str, Any]) -> None:
    name, value = case
    if contracts._quick(name)(value):
        assert contracts._validator(name).is_valid(value), (name, value)


@pytest.mark.parametrize(("name", "sample"), VALID)
def test_what_usually_comes_is_passed(name: str, sample: Any) -> None:
    assert contracts._quick(name)(sample)


@pytest.mark.parametrize("name", NAMES)
def test_no_schema_has_a_rule_that_is_not_known(name: str) -> None:
    used = set(_keywords(contracts._whole(resources.schema(name))))
    assert used <= {*quick._KEYWORDS, *quick._SAYS_NOTHING, "type", "x-rule", "x-source", "x-document", "x-lenient"}


def _keywords(schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    yield from schema
    for part in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from _keywords(part)
    for word in ("items", "if", "then", "additionalProperties"):
        yield from _keywords(schema.get(word))


@pytest.mark.parametrize(
    ("schema", "value", "passed"),
    [
        ({}, "anything", True),
        ({"multipleOf": 2}, 4, False),  # a rule that is not known
        ({"if": {"minimum": 1}, "then": {"type": "string"}}, {}, False),
        ({"if": {"properties": {"a": {"const": 1, "minimum": 1}}, "required": ["a"]}}, {}, False),
        ({"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}}, {"a": 1}, True),
        ({"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, False),
        ({"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}}, {}, False),
        ({"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}}, {"a": 2}, True),
        ({"if": {"required": ["a"]}}, {}, False),
        ({"additionalProperties": True}, {"a": 1}, True),
        ({"additionalProperties": {"type": "string"}}, {"a": "b"}, False),
        ({"additionalProperties": False}, {"a": "b"}, False),
        ({"pattern": "^a"}, 5, True),  # it says nothing about numbers
        ({"minimum": 1}, None, True),
        ({"const": 1}, True, False),
        ({"enum": [True]}, 1, False),
        ({"const": 0}, Decimal("0.00"), True),
        ({"enum": [None, 1.5]}, 1.5, False),  # only texts, whole numbers and such are compared
        ({"type": "number"}, True, False),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, False),
        ({"dependentRequired": {"a": ["b"]}}, {"b": 1}, True),
        ({"type": "string"}, type("Text", (str,), {})("odd"), False),
    ],
)
def test_rules_are_passed_only_when_that_is_certain(schema: dict[str, Any], value: Any, *, passed: bool) -> None:
    assert quick.check_of(schema)(value) is passed
    if passed:
        assert Draft202012Validator(schema).is_valid(value)


def test_numbers_as_json_has_them_are_passed() -> None:
    sample = json.loads(json.dumps(SAMPLES["postlink-success"]), parse_float=Decimal, parse_int=Decimal)
    check = contracts._quick("postlink-success")
    assert not check(sample)  # to jsonschema a Decimal is a number, but no whole one
    assert check(sample | {"reasonCode": 0})


def test_jsonschema_has_the_last_word() -> None:
    odd = type("Text", (str,), {})("Tea")
    assert not contracts._quick("control-merchant")({"name": odd})
    contracts.check_closed("control-merchant", {"name": odd})
