"""How a recipe looks in the languages of tests: a file each, that runs as it is."""

import json
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from mock_epay import quoting
from mock_epay.desk.recipes import Recipe
from mock_epay.records import Record

if TYPE_CHECKING:
    from jinja2 import Environment


class Language(Record, kw_only=True):
    """One way to write a recipe down: its template, how it quotes values, and how a file of it is called."""

    template: str
    quoted: Callable[[object], str]
    file: str


LANGUAGES: Final = {
    "curl": Language(template="curl.sh", quoted=quoting.shell, file="invoice.sh"),
    "pytest": Language(template="pytest.py", quoted=quoting.python, file="test_invoice.py"),
    "playwright": Language(template="playwright.js", quoted=quoting.javascript, file="invoice.spec.js"),
    "phpunit": Language(template="phpunit.php", quoted=quoting.php, file="InvoiceTest.php"),
}


def written(recipe: Recipe, language: str, base_url: str) -> str:
    """Write a recipe down for a sandbox that was met at this address."""
    one = LANGUAGES[language]
    template = _templates().get_template(f"{one.template}.jinja")
    known = [codes for codes in recipe.notices if codes is not None]
    return template.render(
        recipe=recipe,
        base_url=base_url,
        q=one.quoted,
        quoted_json=json.dumps,
        invoice_in_path=quote(recipe.invoice_id, safe=""),
        comparable=len(known) == len(recipe.notices),
    )


@cache
def _templates() -> "Environment":
    """Return the templates. They make source text: each value goes through the quoting of its language instead."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=PackageLoader("mock_epay", "templates/recipes"),
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
