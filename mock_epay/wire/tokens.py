"""The request for a token, read into the model."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from mock_epay.model import TokenRequest
from mock_epay.notes import Notes
from mock_epay.wire.contracts import check_request, near_names
from mock_epay.wire.links import check_postlinks

# Every spelling of a token request's fields that is not the schema's own, and the hint for it.
_ALIASES: Final = {
    "invoiceId": ("invoiceID", "other-name"),
    "terminalId": ("terminal", "other-name"),
    "curency": ("currency", "misspelt"),
}
# A token request's fields, but for credentials.
_NAMES: Final = {
    "invoiceID": "invoice_id",
    "amount": "amount",
    "currency": "currency",
    "terminal": "terminal",
    "postLink": "post_link",
    "failurePostLink": "failure_post_link",
    "scope": "scope",
}
_HIDDEN: Final = "***"


def token_request(fields: Mapping[str, str], notes: Notes) -> TokenRequest:
    """Read the text fields of a token request.

    Raises:
        BadField: a field is missing or breaks its rule; `InvalidClient`, `UnsupportedGrant`, `InvalidScope` likewise.

    """
    filled: dict[str, Any] = {name: kept for name, text in fields.items() if (kept := text.strip())}
    if not filled.keys().isdisjoint(_ALIASES):
        _rename(filled, notes)
    check_request("token-request", filled, notes)
    check_postlinks(filled, _NAMES)
    near_names("token-request", filled, notes)
    given = filled.get
    amount = given("amount")
    if given("invoiceID"):
        if "payment" not in given("scope", "").split():
            notes.remark("scope-payment", "scope", given("scope", ""))
        if "secret_hash" not in filled:
            notes.remark("no-secret-hash", "secret_hash")
    return TokenRequest(
        client_id=filled["client_id"],
        client_secret=filled["client_secret"],
        scope=fields.get("scope", ""),
        invoice_id=given("invoiceID"),
        amount=None if amount is None else Decimal(amount),
        currency=given("currency"),
        terminal=given("terminal"),
        post_link=given("postLink"),
        failure_post_link=given("failurePostLink"),
        secret_hash=given("secret_hash"),
        username=given("username"),
        password=given("password"),
    )


def token_pairs(request: TokenRequest) -> list[tuple[str, str]]:
    """Write what a token was asked for with, as far as it is there, for people to read; a secret stays hidden."""
    values = ((name, getattr(request, attribute)) for name, attribute in _NAMES.items())
    secret = [("secret_hash", _HIDDEN)] if request.secret_hash else []
    return [(name, str(value)) for name, value in values if value is not None] + secret


def _rename(filled: dict[str, Any], notes: Notes) -> None:
    """Give fields the names that they have in the document."""
    for alias, (name, rule) in _ALIASES.items():
        if alias in filled:
            notes.remark(rule, alias, filled[alias], meant=name)
            filled.setdefault(name, filled.pop(alias))
