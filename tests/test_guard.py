import asyncio
import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope
from support import PATIENCE_S, Shop

from mock_epay.errors import BadField, TooLarge
from mock_epay.server import Sandbox
from mock_epay.web import guard


class Client:
    """A request that arrives chunk by chunk; `taken` counts the chunks that were asked for."""

    def __init__(self, *chunks: bytes, ends: bool = True) -> None:
        self._messages = self._told(chunks, ends=ends)
        self.taken = 0

    async def receive(self) -> Message:
        self.taken += 1
        return next(self._messages)

    @staticmethod
    def _told(chunks: tuple[bytes, ...], *, ends: bool) -> Iterator[Message]:
        for number, chunk in enumerate(chunks, start=1):
            yield {"type": "http.request", "body": chunk, "more_body": not ends or number < len(chunks)}
        if not chunks and ends:
            yield {"type": "http.request"}
        yield {"type": "http.disconnect"}


def read(receive: Receive, limit: int, *headers: tuple[bytes, bytes]) -> bytes:
    scope: Scope = {"type": "http", "headers": list(headers)}
    return asyncio.run(guard.read_body(scope, receive, limit))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=5), st.integers(0, 60))
def test_a_body_is_read_whole_up_to_the_limit_and_not_at_all_above_it(chunks: list[bytes], limit: int) -> None:
    whole = b"".join(chunks)
    client = Client(*chunks)

    if len(whole) <= limit:
        assert read(client.receive, limit) == whole
    else:
        with pytest.raises(TooLarge):
            read(client.receive, limit)


def test_a_body_declared_too_long_is_refused_before_any_of_it_is_read() -> None:
    client = Client(b"short")

    with pytest.raises(TooLarge) as refused:
        read(client.receive, 10, (b"host", b"x"), (b"content-length", b"11"))

    assert client.taken == 0
    assert (refused.value.status, refused.value.field, refused.value.rule) == (413, "body", "at most 10 bytes")
    assert refused.value.message == "the body is too long: at most 10 bytes"


def test_a_body_of_unknown_length_is_refused_with_the_chunk_that_is_too_much() -> None:
    client = Client(b"12345", b"67890", b"1", b"never asked for")

    with pytest.raises(TooLarge):
        read(client.receive, 10)

    assert client.taken == 3


def test_a_body_longer_than_it_was_declared_is_refused_too() -> None:
    with pytest.raises(TooLarge):
        read(Client(b"12345678901").receive, 10, (b"content-length", b"1"))


def test_a_body_without_bytes_is_empty() -> None:
    assert read(Client().receive, 0) == b""


def test_a_body_that_the_client_did_not_finish_is_not_taken_for_whole() -> None:
    client = Client(b"amount=1", ends=False)

    with pytest.raises(BadField) as refused:
        read(client.receive, 100)

    assert refused.value.field == "body"


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], 0),
        ([(b"content-type", b"7")], 0),
        ([(b"content-length", b"7")], 7),
        ([(b"content-length", b"")], 0),
        ([(b"content-length", b"-7")], 0),
        ([(b"content-length", b"seven")], 0),
        ([(b"content-length", "٧".encode())], 0),
    ],
)
def test_the_declared_length_is_the_header_s_where_it_is_a_number(
    headers: list[tuple[bytes, bytes]], length: int
) -> None:
    assert guard.declared_length({"type": "http", "headers": headers}) == length


def ask(sandbox: Sandbox, headers: dict[str, str], sent: bytes) -> http.client.HTTPResponse:
    """Send a token request up to a point, without its end, and return the answer that comes all the same."""
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=PATIENCE_S)
    try:
        connection.putrequest("POST", "/oauth2/token")
        for name, text in headers.items():
            connection.putheader(name, text)
        connection.endheaders(sent)
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def test_on_a_socket_a_long_body_is_refused_before_it_is_sent(sandbox: Sandbox) -> None:
    assert ask(sandbox, {"Content-Length": "10000000"}, b"").status == 413


def test_on_a_socket_a_body_without_end_is_refused_once_it_is_too_long(sandbox: Sandbox) -> None:
    chunk = b"10001\r\n" + b"x" * 0x10001 + b"\r\n"

    assert ask(sandbox, {"Transfer-Encoding": "chunked"}, chunk).status == 413


def policy(headers: dict[str, str]) -> dict[str, list[str]]:
    directives = (part.split() for part in headers["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in directives}


@pytest.mark.parametrize(("framed", "ancestors"), [(False, ["'none'"]), (True, ["*"])])
def test_only_the_widget_may_stand_in_a_frame(*, framed: bool, ancestors: list[str]) -> None:
    assert policy(guard.page_headers(framed=framed))["frame-ancestors"] == ancestors


@pytest.mark.parametrize("framed", [False, True])
def test_a_page_is_not_kept_not_told_about_and_loads_nothing_from_elsewhere(*, framed: bool) -> None:
    headers = guard.page_headers(framed=framed)

    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    loaded = policy(headers)
    assert loaded.pop("frame-ancestors")
    assert loaded == {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
    }


def test_the_pay_page_has_these_headers(shop: Shop) -> None:
    page = shop.open()

    expected = guard.page_headers(framed=False)
    assert {name: page.headers[name] for name in expected} == expected
