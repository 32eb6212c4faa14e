"""The cardholder's bank: which card this is and what becomes of an attempt to pay with it. Pure."""

from functools import cache
from typing import Final, Literal

from mock_epay import resources
from mock_epay.model import Card, CardMask, ThreeDs
from mock_epay.records import Record

# Reason codes, contract §14 of the bank's table.
APPROVED: Final = 0
WRONG_EXPIRY: Final = 457
BLOCKED: Final = 465
INVALID_NUMBER: Final = 471
WRONG_CODE: Final = 486
THREE_DS_FAILED: Final = 473
CODE_WRONG: Final = 499

# What to type where any will do.
ANY_EXPIRY: Final = "12/30"
ANY_CODE: Final = "123"

# Why an attempt was decided as it was, for those who ask.
NOT_A_TEST_CARD: Final = "not a test card"
BAD_CHECK_DIGIT: Final = "the number fails its check digit"
UNKNOWN_CARD: Final = (NOT_A_TEST_CARD, BAD_CHECK_DIGIT)

_WRONG_DATA: Final = {WRONG_EXPIRY, WRONG_CODE, INVALID_NUMBER}
_FAMILY: Final = "40000099"

_BRANDS: Final = (
    ("AMEX", (34, 34)),
    ("AMEX", (37, 37)),
    ("MasterCard", (51, 55)),
    ("MasterCard", (22, 27)),
    ("VISA", (40, 49)),
)


class Pair(Record, kw_only=True):
    """An expiry date (`MM/YY`) with the code printed beside it."""

    expiry: str
    cvc: str


class TestCard(Record, kw_only=True):
    """A published test card. These numbers belong to nobody, so they may be shown whole."""

    __test__ = False  # pytest collects classes by name

    pan: str
    brand: str
    issuer: str
    status: Literal["unlock", "lock"]
    pairs: tuple[Pair, ...]


class OwnCard(Record, kw_only=True):
    """A card that only the sandbox has: any date and code will do, and its reason code says what becomes of it."""

    pan: str
    brand: str
    reason_code: int
    three_ds: ThreeDs = "none"
    issuer: str = ""


class Decision(Record, kw_only=True):
    """The issuer's answer to an attempt: 0 approves, any other reason code declines; `why` is for the developer.

    With the 3-D Secure of a `challenge` it counts only once the cardholder has answered a question. The rest is what
    a script adds: which rule nearly applied, how the postlink is delivered, how many seconds the payer waits.
    """

    reason_code: int
    mask: CardMask
    why: str
    three_ds: ThreeDs = "none"
    nearest_rule: str = ""
    plan: str = ""
    delay_s: float = 0


@cache
def test_cards() -> dict[str, TestCard]:
    """Return the test cards by number, in the order of the table."""
    return {
        row["pan"]: TestCard(**(row | {"pairs": tuple(Pair(**pair) for pair in row["pairs"])}))
        for row in resources.table("cards")["card"]
    }


@cache
def own_cards() -> dict[str, OwnCard]:
    """Return the sandbox's own cards by number, in the order of the table."""
    return {row["pan"]: OwnCard(**row) for row in resources.table("cards")["own"]}


test_cards.__test__ = False  # type: ignore[attr-defined]  # likewise


def decide(card: Card, policy: ThreeDs | Literal["card"] = "card") -> Decision:
    """Decide an attempt: the number, then the date, then the code, then whether the card is blocked.

    The sandbox's own cards do as their table says. A number outside the tables may be somebody's real card, so it is
    refused whatever else is right (471). The calendar has no say: the bank's test cards are years past their dates.
    A `policy` other than `card` overrules what the card itself has of 3-D Secure.
    """
    own = own_cards().get(card.pan) or _of_family(card.pan)
    if own is not None:
        return _decided(own.reason_code, mask_of(card.pan, own.issuer), "the sandbox's own card", own.three_ds, policy)
    known = test_cards().get(card.pan)
    if known is None:
        why = NOT_A_TEST_CARD if passes_check_digit(card.pan) else BAD_CHECK_DIGIT
        return Decision(reason_code=INVALID_NUMBER, mask=mask_of(card.pan), why=why)
    mask = mask_of(card.pan, known.issuer)
    return _decided(_reason(known, card), mask, f"test card, {known.status}", "none", policy)


def decide_saved(mask: CardMask, cvc: str | None, policy: ThreeDs | Literal["card"] = "card") -> Decision:
    """Decide an attempt with a saved card, of which only the mask is known; without a code, none is checked."""
    own = next((card for card in own_cards().values() if mask_of(card.pan, card.issuer) == mask), None)
    if own is not None:
        return _decided(own.reason_code, mask, "the sandbox's own card, saved", own.three_ds, policy)
    known = next(card for card in test_cards().values() if mask_of(card.pan, card.issuer) == mask)
    pair = next((pair for pair in known.pairs if cvc in {None, pair.cvc}), None)
    reason = WRONG_CODE if pair is None else _reason(known, Card(pan=known.pan, expiry=pair.expiry, cvc=pair.cvc))
    return _decided(reason, mask, f"test card, {known.status}, saved", "none", policy)


def card_for(reason_code: int) -> str:
    """Return a card number that is declined with this reason code: 40000099, the code in four digits, 000, check digit.

    The first digits belong to no bank.
    """
    number = f"{_FAMILY}{reason_code:04}000"
    return next(number + digit for digit in "0123456789" if passes_check_digit(number + digit))


def card_of(pan: str) -> Card | None:
    """Return the card with this number as its holder would type it, or None when it is no test card."""
    if pan in own_cards() or _of_family(pan):
        return Card(pan=pan, expiry=ANY_EXPIRY, cvc=ANY_CODE)
    known = test_cards().get(pan)
    return Card(pan=pan, expiry=known.pairs[0].expiry, cvc=known.pairs[0].cvc) if known else None


def mask_of(pan: str, issuer: str = "") -> CardMask:
    """Return what may be kept of a card number: its first six digits and its last four."""
    return CardMask(first=pan[:6], last=pan[-4:], brand=brand_of(pan), issuer=issuer)


def brand_of(pan: str) -> str:
    """Return the card system by the first digits, or an empty text."""
    bin_ = int(pan[:2])
    return next((brand for brand, (low, high) in _BRANDS if low <= bin_ <= high), "")


def passes_check_digit(pan: str) -> bool:
    """Return whether the number satisfies the Luhn formula."""
    digits = [int(digit) for digit in reversed(pan)]
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[1::2])  # noqa: PLR2004  (9 is cast out of 10 to 18)
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _of_family(pan: str) -> OwnCard | None:
    code = pan[len(_FAMILY) : len(_FAMILY) + 4].lstrip("0")
    if not code or code not in resources.table("reasons") or pan != card_for(int(code)):
        return None
    return OwnCard(pan=pan, brand=brand_of(pan), reason_code=int(code))


def _decided(reason: int, mask: CardMask, why: str, own: ThreeDs, policy: ThreeDs | Literal["card"]) -> Decision:
    """Say whether the cardholder is asked first; nobody is asked for a card whose data are wrong."""
    three_ds = own if policy == "card" else policy
    if reason in _WRONG_DATA:
        three_ds = "none"
    return Decision(reason_code=reason, mask=mask, why=why, three_ds=three_ds)


def _reason(known: TestCard, card: Card) -> int:
    of_date = [pair for pair in known.pairs if pair.expiry == card.expiry]
    if not of_date:
        return WRONG_EXPIRY
    if card.cvc not in {pair.cvc for pair in of_date}:
        return WRONG_CODE
    return BLOCKED if known.status == "lock" else APPROVED
