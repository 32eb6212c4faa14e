"""The templates of the pages a customer sees."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from mock_epay.model import Language
from mock_epay.resources import TEMPLATES, words

if TYPE_CHECKING:
    from jinja2 import Environment

NO_BREAK = "\N{NO-BREAK SPACE}"

LANG: dict[Language, str] = {"rus": "ru", "kaz": "kk", "eng": "en"}
SYMBOLS = {"KZT": "₸", "USD": "$"}
FIELDS = ("pan", "expiry", "cvc", "name", "email", "phone")  # of the pay form

AMEX_DIGITS = 15

_FIRST_PLACE: Final = 0x10_0000  # private use: no template has such a character
_PLACES: Final = re.compile("([\U00100000-\U0010ffff])")
_SPECIAL: Final = re.compile("""[&<>'"]""")


class Sheet:
    """A page made of two: its outline, which many pages share, so it is kept; and texts that are its own.

    A text has a place in the outline, and comes to stand there, escaped, at the end. A template can show it, or ask
    whether there is one, and no more; what it chooses by are facts. A stranger's words are never facts.
    """

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: list[str] = []

    def text(self, text: str | None) -> str:
        """Return the place of a text; where there is none, nothing."""
        if not text:
            return ""
        self._texts.append(text)
        return chr(_FIRST_PLACE + len(self._texts) - 1)

    def page(self, template: str, *, language: Language, **facts: object) -> bytes:
        """Return the page as HTML, in whose facts the places of its texts stand."""
        texts = [_shown(text).encode() for text in self._texts]
        outline = _outline(template, language, tuple(facts.items()))
        return b"".join([texts[part] if isinstance(part, int) else part for part in outline])


def _shown(text: str) -> str:
    """Return a text escaped; most have nothing to escape, which is soon found out."""
    return escape(text) if _SPECIAL.search(text) else text


def page(template: str, *, language: Language, **context: object) -> str:
    """Return a page as HTML; a word or a value that a template misses raises UndefinedError."""
    known = {"lang": LANG[language], "language": language, "codes": LANG}
    return _environment(language).get_template(template).render(known | context)


def part(template: str, *, language: Language, **context: object) -> str:
    """Return a piece that other templates put into their page as it is."""
    return Markup(page(template, language=language, **context))  # noqa: S704  (made by an escaping template)


def script_data(value: object) -> str:
    """Return a value as JSON that a page can have in a script."""
    from jinja2.utils import htmlsafe_json_dumps  # noqa: PLC0415

    return htmlsafe_json_dumps(value, sort_keys=True)


def clock(seconds: int) -> str:
    """Return a time as minutes and seconds."""
    return f"{seconds // 60}:{seconds % 60:02}"


def money(amount: Decimal, currency: str, language: Language) -> str:
    """Return an amount as the language writes it: `15 000,50 ₸`, `15,000.50 ₸`, `$15,000.50`."""
    figures = f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"
    if language != "eng":
        figures = figures.translate({ord(","): NO_BREAK, ord("."): ","})
    elif currency == "USD":
        return f"${figures}"
    return f"{figures}{NO_BREAK}{SYMBOLS.get(currency, currency)}"


@cache
def _environment(language: Language) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  (with the first page)

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.globals |= {"t": words(language), "marks": partial(_marks, language)}
    made.filters |= {"fill": _fill, "grouped": _grouped, "plural": _plural}
    made.globals["parts"] = made.get_template("_parts.html").module
    return made


@lru_cache(128)
def _outline(template: str, language: Language, facts: tuple[tuple[str, object], ...]) -> list[bytes | int]:
    """Return what stands between the texts of a page, and which text stands where."""
    parts = _PLACES.split(page(template, language=language, **dict(facts)))
    return [ord(part) - _FIRST_PLACE if number % 2 else part.encode() for number, part in enumerate(parts)]


def _marks(language: Language, problems: Sequence[tuple[str, str]]) -> tuple[Mapping[str, str], Mapping[str, str], str]:
    """Return what a form says of its fields: attributes and the problem of each, and the words for all there may be."""
    wrong = dict(problems)
    described, problem = (
        {name: part(template, language=language, name=name, problem=wrong.get(name, "")) for name in FIELDS}
        for template in ("_described.html", "_problem.html")
    )
    return described, problem, part("_problems.html", language=language)


def _plural(number: int, forms: Sequence[str]) -> str:
    """Choose by the number of forms: Kazakh has one, English two, Russian three."""
    return forms[PLURALS[len(forms)](number)].format(n=number)


def _one_of_two(number: int) -> int:
    return int(number != 1)


def _one_of_three(number: int) -> int:
    if number % 10 == 1 and number % 100 != 11:  # noqa: PLR2004
        return 0
    return 1 if number % 10 in {2, 3, 4} and number % 100 not in {12, 13, 14} else 2


PLURALS: dict[int, Callable[[int], int]] = {1: lambda _: 0, 2: _one_of_two, 3: _one_of_three}


def _fill(word: str, **values: object) -> str:
    return word.format(**values)


def _grouped(pan: str) -> str:
    """Space a PAN as it is printed: 4-6-5 for American Express, by four otherwise."""
    edges = (0, 4, 10, 15) if len(pan) == AMEX_DIGITS else (*range(0, len(pan), 4), len(pan))
    return NO_BREAK.join(pan[start:end] for start, end in pairwise(edges))
