"""The addresses that merchants name: which may be opened, which a postlink may go to."""

import re
from collections.abc import Mapping
from typing import Any, Final

from mock_epay import addresses, resources
from mock_epay.errors import BadField

_POSTLINKS: Final = {"post_link", "failure_post_link"}


def link(text: str) -> str | None:
    """Return an address that is fit to be opened, else None."""
    pattern = resources.schema("payment-object")["properties"]["backLink"]["pattern"]
    return text.strip() if re.search(pattern, text.strip()) else None


def check_postlinks(fields: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Refuse fields with such an address; `names` are the model's names for them.

    Raises:
        BadField: there is one.

    """
    for name, attribute in names.items():
        if attribute in _POSTLINKS and name in fields:
            check_postlink(name, fields[name])


def check_postlink(name: str, url: str) -> None:
    """Refuse an address that no postlink will go to, whatever its host's name leads to.

    Raises:
        BadField: it is such a one; the delivery would refuse it for the same reason.

    """
    try:
        if not addresses.forbidden_host(addresses.receiver(url)):
            return
        rule = "not link-local, multicast, or where a cloud tells its secrets"
    except ValueError as wrong:
        rule = f"an http or https address that something can be sent to; {wrong}"
    raise BadField(name, url, rule, "sandbox: where postlinks may go")
