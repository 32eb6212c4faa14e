import pytest

from mock_epay.store.shapes import SHAPES, Stored


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_kept_has_the_attributes_it_is_named_and_found_by(kind: type[Stored]) -> None:
    assert {SHAPES[kind].key, *SHAPES[kind].found_by} <= set(dir(kind))
    assert SHAPES[kind].falls_due is hasattr(kind, "due_at")
