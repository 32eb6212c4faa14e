"""What a request earns beside its answer: hints, and whether a broken rule refuses it or only earns one more."""

from functools import lru_cache
from typing import Final, Literal, cast

from mock_epay.errors import BadField, excerpt
from mock_epay.model import Hint

Tag = Literal["documented", "observed", "assumed"]
_TAGS: Final = ("documented", "observed", "assumed")
_MOST: Final = 20  # hints of one request; more would not be read

# Each rule that is about what the bank takes, and may not like: why, and where we know it from.
RULES: Final[dict[str, tuple[str, Tag]]] = {
    "auto-pay": ("the merchant's setting auto_pay is off, so nothing is paid without a click", "documented"),
    "auto-word": ("auto takes approve or decline, so nothing is paid without a click", "documented"),
    "autofill-card": ("autofill takes a test card's number, so the form stays empty", "documented"),
    "cryptogram-key": ("made with another key than this sandbox's, so the setting says which card it holds", "assumed"),
    "cryptogram-latin": ("the bank's documents spell this field with a Cyrillic с in front", "documented"),
    "data-not-json": ("data is meant to be a JSON text", "documented"),
    "language-spelling": ("the documented spellings are rus, kaz and eng", "observed"),
    "misspelt": ("a misspelling on one of the bank's pages; the field is called {meant}", "documented"),
    "money-held": ("the terminal is two-stage: the money is held until it is charged or cancelled", "observed"),
    "near-name": ("no such field, so it has no effect; did you mean {meant}?", "documented"),
    "no-postlink": ("without a postLink the shop hears nothing of this payment", "documented"),
    "no-secret-hash": ("without a secret_hash the shop cannot tell a postlink from a forged one", "documented"),
    "number-for-text": ("a number where a text belongs; leading zeros are lost that way", "documented"),
    "other-name": ("taken, but the documented name is {meant}", "observed"),
    "payment-type": ("nobody has published this type, so it is taken for a payment by card", "assumed"),
    "postlink-differs": ("the token names another address; the payment object's counts", "assumed"),
    "postlink-local": ("the sandbox reaches this address, the bank will not", "observed"),
    "scope-payment": ("a token that is to pay needs the scope payment", "documented"),
    "secret-in-browser": ("a browser asked for this token, so everybody can read the client_secret", "observed"),
    "verification-account": ("without an accountId the shop cannot list the card that is saved", "assumed"),
}


@lru_cache(1024)
def _hint(rule: str, field: str, value: str, meant: str) -> Hint:
    why, tag = RULES[rule]
    return Hint(rule=rule, field=field, value=value, why=why.format(meant=meant), tag=tag)


class Notes:
    """The hints of one request. Lenient ones turn a broken rule into a hint, as the bank does on a good day."""

    __slots__ = ("_lenient", "hints")

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self.hints: list[Hint] = []

    def remark(self, rule: str, field: str, value: object = "", *, meant: str = "") -> None:
        """Give the hint that `RULES` has under this name; `meant` is the field that should stand there."""
        self._add(_hint(rule, excerpt(field), excerpt(str(value)) if value != "" else "", meant))

    def broken(self, refusal: BadField) -> None:
        """Say that a rule is broken which the bank has been seen to overlook.

        Raises:
            BadField: the refusal itself, unless these notes are lenient.

        """
        if not self._lenient:
            raise refusal
        known = refusal.source.partition(":")[0] if refusal.source else ""
        tag = cast("Tag", known if known in _TAGS else "assumed")
        field, value = refusal.field or "", refusal.value or ""
        self._add(Hint(rule="rule-broken", field=field, value=value, why=refusal.rule or "", tag=tag))

    def _add(self, hint: Hint) -> None:
        if len(self.hints) < _MOST and hint not in self.hints:
            self.hints.append(hint)
