"""The OpenAPI document with its schemas, and a page to read and try it, without the internet."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from mock_epay import resources
from mock_epay.errors import NotFound
from mock_epay.web import guard

_PAGE: Final = resources.STATIC / "reference.html"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-cache",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# The files of Swagger UI, by the name that a page knows them by, as the package that brings them calls them.
_SWAGGER_UI: Final = {"swagger-ui.css": "swagger_style.css", "swagger-ui-bundle.js": "swagger_bundle.js"}


def routes() -> list[BaseRoute]:
    """Return the document, its schemas, the page and its files."""
    return [
        Route("/schemas/samples/{name}.json", _sample),
        Route("/schemas/{name}.json", _schema),
        Route("/openapi.json", _document),
        Route("/docs", _page),
        *(Route(f"/docs/{name}", _swagger_ui) for name in _SWAGGER_UI),
        Mount("/docs/static", StaticFiles(directory=resources.STATIC / "reference")),
    ]


@cache
def document() -> str:
    """Return the OpenAPI document, its references to schemas turned into the addresses that these are served at."""
    read = json.loads(resources.OPENAPI.read_text("utf-8"), object_hook=_served)
    return json.dumps(read, ensure_ascii=False, separators=(",", ":"))


def _served(part: dict[str, Any]) -> dict[str, Any]:
    target = part.get("$ref")
    if isinstance(target, str) and not target.startswith("#"):
        return part | {"$ref": f"/schemas/{target}"}
    return part


@cache
def _swagger_ui_folder() -> Path:
    """Find the package without importing it: it would read all that it has, Swagger UI being the least."""
    found = importlib.util.find_spec("offapi")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


async def _document(_: Request) -> Response:
    return Response(document(), headers=guard.ANY_ORIGIN, media_type="application/json")


async def _schema(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in resources.schema_names():
        known = ", ".join(sorted(resources.schema_names()))
        raise NotFound(f"there is no schema {name[:40]}; there are {known}", rule=known)
    return Response(resources.schema_text(name), headers=guard.ANY_ORIGIN, media_type="application/schema+json")


async def _sample(request: Request) -> Response:
    samples = {path.stem: path for path in resources.SAMPLES.glob("*.json")}
    name = request.path_params["name"]
    if name not in samples:
        known = ", ".join(sorted(samples))
        raise NotFound(f"there is no sample {name[:40]}; there are {known}", rule=known)
    return FileResponse(samples[name], headers=guard.ANY_ORIGIN, media_type="application/json")


async def _page(_: Request) -> Response:
    return FileResponse(_PAGE, headers=_HEADERS)


async def _swagger_ui(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return FileResponse(_swagger_ui_folder() / _SWAGGER_UI[name], headers={"X-Content-Type-Options": "nosniff"})
