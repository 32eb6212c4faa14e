"""The fields of the pay form: read, tidied, and checked for what cannot be sent to a card system. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from mock_epay import issuer
from mock_epay.model import Card, Payer
from mock_epay.records import Record, replace

NOBODY: Final = Payer()

_PAN: Final = re.compile(r"[0-9]{12,19}")
_EXPIRY: Final = re.compile(r"([0-9]{2})\s*/?\s*(?:20)?([0-9]{2})")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_PHONE: Final = re.compile(r"\+?[0-9 ()\-]{5,}")
_MONTHS: Final = range(1, 13)
_AMEX_CODE: Final = 4
_CODE: Final = 3


class CardForm(Record, kw_only=True):
    """What the cardholder sent. `problems` names by field what has to be mended; without any, `card` may be tried.

    `saved_card` is the id of a saved card, of which only the code was asked. `save_card` is None when nothing was said.
    """

    card: Card
    payer: Payer
    saved_card: str
    save_card: bool | None
    problems: Mapping[str, str]


def read(fields: Mapping[str, str], known: Payer = NOBODY) -> CardForm:
    """Read the form's fields: `pan`, `expiry`, `cvc`, `name`, `email`, `phone`, `save_card`, `card_id`.

    Who sends no name, e-mail or telephone number at all, not even a blank one, is who is `known` already.

    Only the form of each is checked here. Whether the number has a right check digit, whether the date is the card's:
    that is for the issuer to say, with a reason code.
    """
    texts = {name: fields.get(name, "").strip() for name in ("pan", "expiry", "cvc", "name", "email", "phone")}
    pan = re.sub(r"[\s-]", "", texts["pan"])
    expiry = _EXPIRY.fullmatch(texts["expiry"])
    card = Card(pan=pan, expiry=f"{expiry[1]}/{expiry[2]}" if expiry else "", cvc=texts["cvc"])
    saved_card = fields.get("card_id", "").strip()
    of_card = {"pan": _pan_problem(pan), "expiry": _expiry_problem(texts["expiry"], expiry)}
    problems = {
        **({} if saved_card else of_card),
        "cvc": _cvc_problem(texts["cvc"], "" if saved_card else pan, known=not saved_card),
    } | {name: check(texts[name]) for name, check in _OPTIONAL.items() if texts[name]}
    return CardForm(
        card=card,
        payer=replace(known, **{name: texts[name] for name in _OPTIONAL if name in fields}),
        saved_card=saved_card,
        save_card={"true": True, "false": False}.get(fields.get("save_card", "")),
        problems={name: problem for name, problem in problems.items() if problem},
    )


def _pan_problem(pan: str) -> str:
    if not pan:
        return "pan_missing"
    return "" if _PAN.fullmatch(pan) else "pan_short"


def _expiry_problem(text: str, expiry: re.Match[str] | None) -> str:
    if expiry is None:
        return "expiry_format" if text else "expiry_missing"
    return "" if int(expiry[1]) in _MONTHS else "expiry_month"


def _cvc_problem(cvc: str, pan: str, *, known: bool) -> str:
    """Check the code; of a saved card the number is not `known` here, so it may have either length."""
    if not cvc:
        return "cvc_missing"
    if not re.fullmatch("[0-9]+", cvc):
        return "cvc_format"
    if not known:
        return "" if len(cvc) in {_CODE, _AMEX_CODE} else "cvc_format"
    if pan[:2].isdecimal() and issuer.brand_of(pan) == "AMEX":
        return "" if len(cvc) == _AMEX_CODE else "cvc_four"
    return "" if len(cvc) == _CODE else "cvc_three"


def _too_long(problem: str, most: int) -> Callable[[str], str]:
    return lambda text: problem if len(text) > most else ""


def _email_problem(text: str) -> str:
    return _too_long("email_long", 255)(text) or ("" if _EMAIL.fullmatch(text) else "email_format")


def _phone_problem(text: str) -> str:
    return _too_long("phone_long", 64)(text) or ("" if _PHONE.fullmatch(text) else "phone_format")


_OPTIONAL: Final[dict[str, Callable[[str], str]]] = {
    "name": _too_long("name_long", 255),
    "email": _email_problem,
    "phone": _phone_problem,
}
