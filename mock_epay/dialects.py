"""Where the bank's page and the bank's server do not agree: one row for each side."""

from typing import Final

from mock_epay.model import Dialect
from mock_epay.records import Record


class Spelling(Record, kw_only=True):
    """One side of every difference."""

    token_ttl_s: int
    ttl_is_text: bool  # clients of the real server fail on a number
    success_reason: str
    language_as_sent: bool  # else RU, KZ, EN
    mask_digits: int  # of the front of the card number
    card_type: bool
    second_digits: int
    alphabetical: bool
    blank: str  # what a blank in the description becomes
    approval_code: bool
    status_success: str
    two_stage: bool  # the public test terminal
    link_status: str  # of a new invoice link; the documents do not say
    link_echo: bool  # whether the answer gives back the request
    schema_suffix: str


SPELLINGS: Final[dict[Dialect, Spelling]] = {
    "documented": Spelling(
        token_ttl_s=7200,
        ttl_is_text=False,
        success_reason="",
        language_as_sent=False,
        mask_digits=4,
        card_type=False,
        second_digits=5,
        alphabetical=False,
        blank=" ",
        approval_code=False,
        status_success="0",
        two_stage=False,
        link_status="NEW",
        link_echo=False,
        schema_suffix="",
    ),
    "observed": Spelling(
        token_ttl_s=1200,
        ttl_is_text=True,
        success_reason="success",
        language_as_sent=True,
        mask_digits=6,
        card_type=True,
        second_digits=9,
        alphabetical=True,
        blank="+",
        approval_code=True,
        status_success="00",
        two_stage=True,
        link_status="ACTIVE",
        link_echo=True,
        schema_suffix="-observed",
    ),
}
