"""What axe-core finds on a page, in every language, by day and by night."""

from pathlib import Path
from typing import Final

from playwright.sync_api import Page

AXE: Final = (Path(__file__).parent / "js/node_modules/axe-core/axe.min.js").read_text("utf-8")
FOUND: Final = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`))"""
UNFOLD: Final = "document.querySelectorAll('details').forEach((details) => { details.open = true; })"
LANGUAGES: Final = ("rus", "kaz", "eng")


def found(page: Page) -> list[str]:
    """Return what axe-core finds, also in what is folded."""
    page.evaluate(UNFOLD)
    page.evaluate(AXE)
    complaints: list[str] = page.evaluate(FOUND)
    return complaints


def unsound(page: Page) -> list[str]:
    """Return what axe-core finds by day and by night."""
    complaints: list[str] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        complaints += found(page)
    return complaints
