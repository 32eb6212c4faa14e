"""Answers as they are written: the same, byte for byte, as uvicorn alone would write them."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import pytest
import uvicorn
from support import PATIENCE_S
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mock_epay.connections import Connection, Limits
from mock_epay.settings import Settings

LENGTH: Final = (b"content-length", b"4")
PLAIN: Final = (b"Content-Type", b"text/plain")
# Of each answer: status, headers, and the pieces of its body.
HEAD: Final = b"HTTP/1.1 200 OK\r\ndate: now\r\nserver: uvicorn\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n"
ANSWERS: Final[dict[str, tuple[int, list[tuple[bytes, bytes]], list[bytes]]]] = {
    "whole": (200, [PLAIN, LENGTH], [b"whole"[:4]]),
    "in pieces": (200, [PLAIN, LENGTH], [b"wh", b"", b"ol"]),
    "without length": (404, [PLAIN], [b"wh", b"ole"]),
    "without body": (204, [PLAIN], [b""]),
    "unchanged": (304, [(b"content-length", b"0")], [b""]),
    "the last": (200, [LENGTH, (b"connection", b"close")], [b"last"]),
    "chunked": (200, [(b"transfer-encoding", b"chunked")], [b"whole"]),
    "with a cookie": (200, [LENGTH, (b"set-cookie", b"a=1")], [b"whol"]),
    "long": (200, [(b"content-length", b"300000")], [b"x" * 300_000]),
    "longer than a client takes at once": (200, [(b"content-length", b"16000000")], [b"x" * 1_000_000] * 16),
    "too short": (200, [LENGTH], [b"who"]),
    "too long": (200, [LENGTH], [b"whole"]),
    "a header that makes two": (200, [LENGTH, (b"x", b"1\r\ny: 2")], [b"bad!"]),
    "a name that makes two": (200, [LENGTH, (b"x: 1\r\ny", b"2")], [b"bad!"]),
}
# What an application may do wrong: what it sends, and whether it fails behind that.
START: Final = {"type": "http.response.start", "status": 200, "headers": [PLAIN, LENGTH]}
BODY: Final = {"type": "http.response.body", "body": b"body"}
WRONGS: Final[dict[str, tuple[list[dict[str, Any]], bool]]] = {
    "says nothing": ([], False),
    "says a head only": ([START], False),
    "says a body first": ([BODY], False),
    "says two heads": ([START, START], False),
    "says two bodies": ([START, BODY, BODY], False),
    "fails at once": ([], True),
    "fails behind the head": ([START], True),
    "fails behind its answer": ([START, BODY], True),
}


async def app(scope: Any, _: Any, send: Any) -> None:
    """Give the answer that the address names."""
    name = scope["path"].strip("/").replace("-", " ")
    if name in WRONGS:
        messages, fails = WRONGS[name]
        for message in messages:
            await send(message)
        if fails:
            raise OSError(name)
        return
    status, headers, pieces = ANSWERS[name]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": pieces[-1]})


@contextmanager
def served(http: Any) -> Iterator[int]:
    """Serve the application by a protocol, in a thread; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        quiet: dict[str, Any] = {"log_level": "error", "access_log": False, "lifespan": "off", "ws": "none"}
        server = uvicorn.Server(uvicorn.Config(app, http=http, **quiet))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Serve by uvicorn's own protocol, and by ours."""
    with served(HttpToolsProtocol) as usual, served(partial(Connection, Limits.of(Settings()))) as ours:
        yield usual, ours


def told(port: int, *requests: bytes) -> bytes:
    """Send requests at once and return all that comes, but for the time."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(b"".join(requests))
        answer = b""
        while more := client.recv(65_536):
            answer += more
    return re.sub(rb"date: [^\r]+", b"date: now", answer)


def request(name: str, method: str = "GET", *, last: bool = True) -> bytes:
    closing = "Connection: close\r\n" * last
    return f"{method} /{name.replace(' ', '-')} HTTP/1.1\r\nHost: bank\r\n{closing}\r\n".encode()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_written_as_uvicorn_writes_it(ports: tuple[int, int], name: str, method: str) -> None:
    for requests in ([request(name, method)], [request(name, method, last=False), request("the last")]):
        usual, ours = (told(port, *requests) for port in ports)
        assert ours == usual


@pytest.mark.parametrize("name", WRONGS)
def test_what_an_application_does_wrong_has_the_same_end(ports: tuple[int, int], name: str) -> None:
    usual, ours = (told(port, request(name, last=False)) for port in ports)
    assert ours == usual


def test_a_failure_is_logged_in_one_line_whatever_the_address(
    ports: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    _, ours = ports
    told(ours, request("%66ails at once%0Aand more", last=False))
    assert "GET /%66ails-at-once%0Aand-more has failed" in caplog.messages


@pytest.mark.parametrize(
    "address", ["http://bank/whole", "/whole#here", "/whole?x#", "//whole", "/%77hole", "/who%6ce?%"]
)
def test_an_address_is_taken_apart_as_uvicorn_does_it(ports: tuple[int, int], address: str) -> None:
    asked = f"GET {address} HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n".encode()
    usual, ours = (told(port, asked) for port in ports)
    assert ours == usual
    assert b"whol" in ours


def test_a_usual_answer_is_written_at_once(ports: tuple[int, int]) -> None:
    _, ours = ports
    assert told(ours, request("whole")) == HEAD + b"connection: close\r\n\r\nwhol"


@pytest.mark.parametrize("name", ["whole", "in pieces", "without body", "long", "without length"])
def test_answers_to_requests_that_were_sent_ahead_come_in_their_order(ports: tuple[int, int], name: str) -> None:
    requests = [request(one, last=False) for one in (name, "whole", name)]
    usual, ours = (told(port, *requests, request("the last")) for port in ports)
    assert ours == usual
    assert ours.count(b"HTTP/1.1 ") == 4


@pytest.mark.parametrize("name", ["a header that makes two", "a name that makes two"])
def test_a_header_never_makes_two(ports: tuple[int, int], name: str) -> None:
    for port in ports:
        assert b"y: 2" not in told(port, request(name, last=False))
