"""The cabinet: the pages that a developer keeps open beside the shop. All they show comes from the control API."""

import json
from collections.abc import Collection
from functools import cache
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from mock_epay import resources
from mock_epay.bank import merchants
from mock_epay.model import Language
from mock_epay.settings import Settings
from mock_epay.web import guard, render
from mock_epay.web.looks import Looks

_ROOT: Final = "/cabinet"
_STATIC: Final = f"{_ROOT}/static"
_VIEWS: Final = ("new", "script", "clock", "settings", "handler")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": guard.policy(),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_USUAL: Final[Language] = "eng"


def routes(settings: Settings) -> list[BaseRoute]:
    """Return the pages and their files. What stands at an address is for the scripts to find out."""
    names = guard.own_names(settings)
    one = f"{_ROOT}/{{client_id}}"

    async def sign_in(request: Request) -> Response:
        return _page(request, names, "cabinet_sign_in.html", **_documented())

    async def shell(request: Request) -> Response:
        return _page(request, names, "cabinet.html", client_id=request.path_params["client_id"])

    async def missing(request: Request) -> Response:
        return _page(request, names, "cabinet_missing.html", status=404)

    async def slashless(request: Request) -> Response:
        guard.check_host(request, names)
        return RedirectResponse(request.url.path.rstrip("/"), 307, headers=guard.NO_STORE)

    return [
        Mount(_STATIC, StaticFiles(directory=resources.STATIC / "cabinet")),
        *(Route(path, sign_in) for path in ("/", _ROOT)),
        *(Route(path, slashless) for path in (f"{_ROOT}/", f"{one}/")),
        Route(one, shell),
        Route(f"{one}/invoices/{{invoice_id}}", shell),
        *(Route(f"{one}/{view}", shell) for view in _VIEWS),
        Route(f"{_ROOT}/{{rest:path}}", missing),
    ]


def _page(request: Request, names: Collection[str], template: str, *, status: int = 200, **facts: object) -> Response:
    """Return a page without any data of a world, so that whoever is of this machine may have it."""
    guard.check_host(request, names)
    looks = Looks.of(request)
    language = looks.language(_preferred(request))
    html = render.page(
        template,
        language=language,
        static=_STATIC,
        short=False,
        languages=looks.same_address(request),
        look=looks,
        words=_words(language),
        **facts,
    )
    return HTMLResponse(html, status, headers=_HEADERS)


def _preferred(request: Request) -> Language:
    """Return the first of a browser's languages that the pages speak."""
    spoken: dict[str, Language] = {code: language for language, code in render.LANG.items()}
    for wish in request.headers.get("accept-language", "").lower().split(","):
        code = wish.partition(";")[0].strip().partition("-")[0]
        if code in spoken:
            return spoken[code]
    return _USUAL


@cache
def _words(language: Language) -> str:
    """Return the words that the scripts speak with, as JSON that cannot end the element it stands in."""
    text = json.dumps(resources.words(language)["cabinet"], ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


@cache
def _documented() -> dict[str, Any]:
    """Return what signs in the merchant whose credentials the bank has published."""
    row = merchants.documented()
    return {"email": row["email"], "password": row["password"]}
