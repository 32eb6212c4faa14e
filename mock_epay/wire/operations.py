"""What is asked of a transaction that is there already, read into the model."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from mock_epay.errors import BadField
from mock_epay.notes import Notes
from mock_epay.wire.contracts import AMOUNT_INVALID, check_request, near_some

_OPERATIONS: Final = "documented: operations charge, cancel, refund"
_FIELDS: Final = {"amount"}
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")


def confirmation(schema: str, fields: Mapping[str, Any]) -> tuple[str, str, str]:
    """Read what comes back from the issuer: MD, PaRes, and the transaction's id when it is there.

    Raises:
        BadField: a field is missing or breaks its rule.

    """
    filled = {name: value for name, value in fields.items() if value not in ("", None)}
    check_request(schema, filled, Notes())
    return filled["MD"], filled["PaRes"], filled.get("ID", "")


def operation_amount(query: Mapping[str, str], body: Mapping[str, str], notes: Notes) -> Decimal | None:
    """Read the amount of an operation from the address, the body, or neither; None means all of it.

    A field that is nearly called so earns a hint, for without one more money is moved than was meant.

    Raises:
        BadField: it is no amount, or the two places do not agree.

    """
    for place in (query, body):
        near_some(_FIELDS, place, notes)
    texts = [text.strip() for place in (query, body) if (text := place.get("amount", "")).strip()]
    for text in texts:
        if not _AMOUNT.fullmatch(text) or Decimal(text) == 0:
            rule = "a decimal number above 0 with at most 2 digits behind the point"
            raise BadField("amount", text, rule, _OPERATIONS, code=AMOUNT_INVALID)
    amounts = {Decimal(text) for text in texts}
    if len(amounts) > 1:
        rule = f"the same in the address and in the body, where it is {texts[1]}"
        raise BadField("amount", texts[0], rule, _OPERATIONS, code=AMOUNT_INVALID)
    return amounts.pop() if amounts else None
