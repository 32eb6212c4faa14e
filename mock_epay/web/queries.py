"""What an address of the control API asks for behind its question mark."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Literal, cast

from starlette.requests import Request

from mock_epay.desk import invoices
from mock_epay.desk.invoices import Search
from mock_epay.errors import CONTROL_API, BadField

_LONGEST_WAIT_S: Final = 60
_MOST_DIGITS: Final = 15


def read(request: Request, *known: str) -> dict[str, str]:
    """Return the parameters in an address.

    Raises:
        BadField: one of them means nothing.

    """
    for name, value in request.query_params.items():
        if name not in known:
            raise BadField(name, value, f"no such parameter; there are {', '.join(known)}", CONTROL_API)
    return {name: value.strip() for name, value in request.query_params.items() if value.strip()}


def search(request: Request) -> Search:
    """Return which invoices an address asks for.

    Raises:
        BadField: a parameter means nothing, or not that.

    """
    query = read(request, "order", "limit", "before", "q", "status", "postlink", "reason", "ids")
    order = query.get("order", "oldest")
    if order not in invoices.ORDERS:
        raise BadField("order", order, f"one of {', '.join(invoices.ORDERS)}", CONTROL_API)
    limit = whole(query, "limit", invoices.MOST) if "limit" in query else None
    if limit is not None and not 1 <= limit <= invoices.MOST:
        raise BadField("limit", str(limit), f"a whole number from 1 to {invoices.MOST}", CONTROL_API)
    return Search(
        order=cast("Literal['oldest', 'newest']", order),
        limit=limit,
        behind=query.get("before", ""),
        text=query.get("q", ""),
        status=query.get("status", ""),
        postlink=query.get("postlink", ""),
        reason_code=whole(query, "reason", 0) if "reason" in query else None,
        numbers=tuple(filter(None, query.get("ids", "").split(","))),
    )


def whole(query: Mapping[str, str], name: str, usual: int) -> int:
    """Return a whole number that is not negative.

    Raises:
        BadField: it is none.

    """
    text = query.get(name, str(usual))
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise BadField(name, text, "a whole number, 0 or more", CONTROL_API)
    return int(text)


def seconds(query: Mapping[str, str], name: str, usual: float) -> float:
    """Return for how many real seconds somebody wants to wait.

    Raises:
        BadField: they are no number, or too many.

    """
    text = query.get(name, str(usual))
    with suppress(ValueError):
        if 0 <= float(text) <= _LONGEST_WAIT_S:
            return float(text)
    raise BadField(name, text, f"a number of real seconds from 0 to {_LONGEST_WAIT_S}", CONTROL_API)
