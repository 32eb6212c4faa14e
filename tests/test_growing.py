"""What is not imported before somebody asks for it: that it is not, and that nobody notices."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from mock_epay.bank import Bank
from mock_epay.server import running
from mock_epay.settings import Settings
from mock_epay.store.memory import MemoryStore
from mock_epay.web import create_app
from mock_epay.web.growing import Growing

# An address of each part, and how a shop or a browser is answered there.
ADDRESSES: Final = {
    "/check-status/payment/transaction/000000001": 401,
    "/api/check-status/payment/transaction/000000001": 401,
    "/payform/": 400,
    "/payform/payment-api.js": 200,
    "/payform/static/pay.css": 200,
    "/api/redirect/invoice-link/nothing": 404,
    "/acs/8f7c1f2e-6a40-4d0c-9d0e-0f0a3f5b7c11": 404,
    "/_control/health": 200,
    "/_control/merchants/nobody": 404,
    "/openapi.json": 200,
    "/schemas/error.json": 200,
    "/demo": 200,
    "/demo/": 307,
    "/": 200,
    "/cabinet/test": 200,
    "/cabinet/test/": 307,
    "/nowhere": 404,
    "/nowhere/": 404,
}

LATE: Final = {
    *(
        f"mock_epay.web.{name}"
        for name in ("acs", "api", "cabinet", "control", "demo", "payform", "reference", "views")
    ),
    *("starlette.staticfiles", "zoneinfo"),
}


def _app() -> Growing:
    return create_app(Bank(MemoryStore(), Settings()))


def _paths(routes: Sequence[BaseRoute]) -> set[str]:
    assert all(isinstance(route, Route | Mount) for route in routes)
    return {route.path for route in routes if isinstance(route, Route | Mount)}


ALL: Final = _paths(_app().routes)


def test_a_token_waits_for_nothing_else() -> None:
    program = """if True:
        import json, sys, urllib.error, urllib.request
        from mock_epay.server import running
        with running() as sandbox:
            try:
                urllib.request.urlopen(f"{sandbox.url}/oauth2/token", b"grant_type=client_credentials")
            except urllib.error.HTTPError as refused:
                assert "error" in json.load(refused)
        print(sorted(LATE & set(sys.modules)))
    """.replace("LATE", repr(LATE))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("step", sorted({path.split("/")[1] for path in ALL}))
def test_the_first_step_of_an_address_leads_to_its_part(step: str) -> None:
    app = _app()
    assert len(_paths(app.router.routes)) < len(ALL) / 10

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
            await http.options(f"/{step}")

    asyncio.run(ask())
    assert _paths(app.router.routes) >= {path for path in ALL if path.split("/")[1] == step}
    assert _paths(app.routes) == ALL


def test_the_first_to_ask_is_answered_as_all_others_at_whatever_moment() -> None:
    async def ask(url: str) -> list[int]:
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            answers = await asyncio.gather(*(http.get(path) for path in [*ADDRESSES] * 5))
        return [answer.status_code for answer in answers]

    with running(Settings(port=0)) as sandbox:
        assert asyncio.run(ask(sandbox.url)) == [*ADDRESSES.values()] * 5
        counts = httpx.get(f"{sandbox.url}/metrics").text
    for route in ("/demo", "/payform/static/{path}", "/cabinet/{client_id}", "/_control/health", "none"):
        assert f'route="{route}"' in counts


async def _here(_: Request) -> Response:
    return PlainTextResponse("here")


def test_a_part_that_cannot_be_imported_says_so_each_time_it_is_asked_for() -> None:
    broken = [True]

    def part() -> Sequence[BaseRoute]:
        if broken:
            raise ImportError("a file is missing")
        return [Route("/here", _here)]

    app = Growing([("/here", part)], routes=[], exception_handlers={HTTPException: lambda *_: Response(None, 404)})

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
            for _ in range(2):
                with pytest.raises(ImportError, match="a file is missing"):
                    await http.get("/here")
            assert (await http.get("/there")).status_code == 404
            broken.clear()
            assert (await http.get("/here")).text == "here"

    asyncio.run(ask())
