"""The templates of the pages a customer sees."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

from mock_epay.model import Language
from mock_epay.resources import words

if TYPE_CHECKING:
    from jinja2 import Environment

NO_BREAK = "\N{NO-BREAK SPACE}"

LANG: dict[Language, str] = {"rus": "ru", "kaz": "kk", "eng": "en"}
SYMBOLS = {"KZT": "₸", "USD": "$"}
FIELDS = ("pan", "expiry", "cvc", "name", "email", "phone")  # of the pay form

AMEX_DIGITS = 15


def page(template: str, *, language: Language, **context: object) -> str:
    """Return a page as HTML; a word or a value that a template misses raises UndefinedError."""
    known = {"lang": LANG[language], "language": language, "codes": LANG}
    return _environment(language).get_template(template).render(known | context)


def part(template: str, *, language: Language, **context: object) -> str:
    """Return a piece that other templates put into their page as it is."""
    return Markup(page(template, language=language, **context))  # noqa: S704  (made by an escaping template)


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
    from mock_epay.web import spoken  # noqa: PLC0415  (Jinja is imported when the first page is asked for)

    environment = spoken.environment(words(language))
    environment.globals["marks"] = partial(_marks, language)
    environment.filters |= {"clock": _clock, "fill": _fill, "grouped": _grouped, "plural": _plural}
    environment.globals["parts"] = environment.get_template("_parts.html").module
    return environment


def _marks(language: Language, problems: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str], str]:
    return _marks_of(language, tuple(problems.items()))


@lru_cache(256)
def _marks_of(
    language: Language, problems: tuple[tuple[str, str], ...]
) -> tuple[Mapping[str, str], Mapping[str, str], str]:
    """Return what a form says of its fields: attributes and the problem of each, and the words for all there may be.

    Nearly always that is the same.
    """
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


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"


def _grouped(pan: str) -> str:
    """Space a PAN as it is printed: 4-6-5 for American Express, by four otherwise."""
    edges = (0, 4, 10, 15) if len(pan) == AMEX_DIGITS else (*range(0, len(pan), 4), len(pan))
    return NO_BREAK.join(pan[start:end] for start, end in pairwise(edges))
