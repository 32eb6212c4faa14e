import asyncio
import re
import socket
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.routing import Match, Mount, Route
from support import Shop

from mock_epay.bank import Bank
from mock_epay.server import Sandbox
from mock_epay.settings import Settings
from mock_epay.store import StoreError
from mock_epay.store.memory import MemoryStore
from mock_epay.web import create_app

APP: Final = create_app(Bank(MemoryStore(), Settings()))
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
STEPS: Final = ("8f7c1f2e-6a40-4d0c-9d0e-0f0a3f5b7c11", "000000001", "eng.json", "static", "")


def _addresses() -> Iterator[str]:
    """Return addresses of all routes, with all kinds of names in them."""
    for route in APP.routes:
        assert isinstance(route, Route | Mount)
        for step in STEPS:
            yield re.sub(r"\{\w+(:\w+)?\}", step, route.path)


@pytest.mark.parametrize("method", METHODS)
def test_the_table_and_the_router_know_the_same_way(method: str) -> None:
    in_table = 0
    for path in _addresses():
        scope: dict[str, Any] = {"type": "http", "path": path, "method": method, "headers": []}
        usual = next((route for route in APP.routes if route.matches(scope)[0] is Match.FULL), None)
        way = APP._way(scope)
        if way is not None:
            assert isinstance(usual, Route)
            assert scope["endpoint"] is usual.endpoint, path
            assert scope["path_params"] == usual.matches(scope)[1]["path_params"]
            in_table += 1
    assert in_table or method in {"PUT", "DELETE"}


def test_a_refusal_on_the_short_way_is_told_as_on_the_usual_one(shop: Shop) -> None:
    response = shop.http.get("/check-status/payment/transaction/000000001")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["field"] == "Authorization"


class Failing(MemoryStore):
    """A store that fails as it was told to."""

    def __init__(self, wrong: Exception) -> None:
        super().__init__()
        self.wrong = wrong

    async def merchant(self, _: str) -> Any:
        raise self.wrong


async def _answer(wrong: Exception) -> httpx.Response:
    app = create_app(Bank(Failing(wrong), Settings()))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://bank") as client:
        return await client.post("/oauth2/token", data={"client_id": "test"})


@pytest.mark.parametrize(
    ("wrong", "status", "told"),
    [
        (StoreError("it is away"), 503, "it is away"),
        (OSError("it is broken"), 500, "the sandbox has failed"),
    ],
)
def test_what_fails_on_the_short_way_is_told_as_on_the_usual_one(wrong: Exception, status: int, told: str) -> None:
    response = asyncio.run(_answer(wrong))
    assert response.status_code == status
    assert told in response.json()["error_description"]


def _head(url: str, request: str) -> bytes:
    """Send a request and return the first answer, as far as its headers."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(request.encode())
        got = b""
        while b"\r\n\r\n" not in got:
            more = connection.recv(65536)
            assert more, got
            got += more
    return got


@pytest.mark.parametrize("more", ["", "Connection: close\r\n"])
def test_headers_come_although_no_body_does(sandbox: Sandbox, more: str) -> None:
    asked = f"HEAD /schemas/error.json HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"
    head, _, body = _head(sandbox.url, asked).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: " in head
    assert body == b""
