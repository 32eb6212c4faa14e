"""Things go into a database and come back the same."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import new_merchant

from mock_epay.model import Invoice, Merchant
from mock_epay.script import Direction, Match, Rule
from mock_epay.store.codec import UnreadableError, decode, encode
from mock_epay.store.shapes import SHAPES, Stored

st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False))
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


@pytest.mark.parametrize("kind", [Merchant, *SHAPES])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_written_is_read_as_it_was(kind: type[Stored], data: st.DataObject) -> None:
    every: dict[str, Any] = dict.fromkeys(kind.__struct_fields__, ...)
    thing = data.draw(st.builds(kind, **every))

    text = encode(thing)

    assert decode(kind, text) == thing
    assert text.isascii()


def test_a_field_that_was_not_there_yet_has_its_default() -> None:
    facts = json.loads(encode(Invoice(number="1", tail="1", tokens=3)))
    del facts["tokens"]
    assert decode(Invoice, json.dumps(facts)) == Invoice(number="1", tail="1")


def test_a_field_of_a_newer_version_is_refused_by_name() -> None:
    facts = json.loads(encode(Invoice(number="1", tail="1"))) | {"colour": "blue"}
    with pytest.raises(UnreadableError, match="Invoice was written by another version: it differs in colour"):
        decode(Invoice, json.dumps(facts))


def test_a_field_that_must_be_there_is_missed_by_name() -> None:
    facts = json.loads(encode(new_merchant("a")))
    del facts["client_secret"]
    with pytest.raises(UnreadableError, match="it differs in client_secret"):
        decode(Merchant, json.dumps(facts))


def test_money_keeps_its_digits() -> None:
    rule = Rule(name="r", match=Match(at_least=Decimal("0.10")), then=Direction())
    assert json.loads(encode(rule))["match"]["at_least"] == "0.10"
