"""Clients that want too much, or take too long, each told so in its own way; over sockets, byte by byte."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from soak import weight
from support import PATIENCE_S, eventually
from test_cli import MODULE, serving

from mock_epay import lz
from mock_epay.connections import MOST_AHEAD, MOST_HEADERS
from mock_epay.server import Sandbox, running
from mock_epay.settings import SettingError, Settings

HOST: Final = b"Host: localhost\r\n"
HEALTH: Final = b"GET /_control/health HTTP/1.1\r\n" + HOST
TOKEN: Final = b"POST /oauth2/token HTTP/1.1\r\n" + HOST
JSON: Final = b"Content-Type: application/json\r\n"
FORM: Final = b"Content-Type: application/x-www-form-urlencoded\r\n"
PARTS: Final = b"Content-Type: multipart/form-data; boundary=b\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"
PART: Final = b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n'
FILE: Final = PART.replace(b'"f%d"', b'"client_secret"; filename="secret.txt"') + b"--b--\r\n"
WAIT: Final = b"GET /_control/merchants/test/wait?until=card.saved&timeout_s=%d HTTP/1.1\r\n" + HOST + b"\r\n"
BUNDLE: Final = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\n" + HOST + b"\r\n"
HASTE_S: Final = 0.4
CROWD: Final = 8


@pytest.fixture(scope="module")
def hasty() -> Iterator[Sandbox]:
    """Run a sandbox that is soon out of patience, and wants to see few connections."""
    with running(Settings(port=0, request_s=HASTE_S, max_connections=CROWD)) as sandbox:
        yield sandbox


@contextmanager
def connected(sandbox: Sandbox, at: str = "127.0.0.1", **options: int) -> Iterator[socket.socket]:
    """Connect from an address; `SO_RCVBUF` and its like have to be set before that."""
    with socket.socket() as client:
        client.bind((at, 0))
        for name, number in options.items():
            client.setsockopt(socket.SOL_SOCKET, getattr(socket, name), number)
        client.settimeout(PATIENCE_S)
        client.connect(("127.0.0.1", int(sandbox.url.rpartition(":")[2])))
        yield client


def rest(client: socket.socket) -> bytes:
    """Return all that comes until the connection ends."""
    told = b""
    with suppress(ConnectionResetError, ssl.SSLEOFError):
        while more := client.recv(65536):
            told += more
    return told


def answer(client: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Read one answer and no more; the connection may go on."""
    file = client.makefile("rb", buffering=0)
    status = int(file.readline().split()[1])
    headers = {}
    while line := file.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    body = b""
    while len(body) < int(headers["content-length"]):
        body += file.read(int(headers["content-length"]) - len(body)) or b""
    return status, headers, json.loads(body)


def said(client: socket.socket, request: bytes) -> tuple[int, dict[str, str], Any]:
    """Send as much of a request as is taken, and read the answer."""
    with suppress(BrokenPipeError, ConnectionResetError):
        client.sendall(request)
    return answer(client)


def with_length(head: bytes, body: bytes) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("request_", "status", "rule"),
    [
        (HEALTH + b"X: " + b"x" * 70_000 + b"\r\n\r\n", 431, "at most 65536 bytes, address and all headers"),
        (HEALTH + b"X: " + b"x" * 3_000_000, 431, "at most 65536 bytes, address and all headers"),
        (HEALTH + b"X" * 70_000 + b": x\r\n\r\n", 431, "at most 65536 bytes, address and all headers"),
        (HEALTH + b"X: x\r\n" * (MOST_HEADERS + 1) + b"\r\n", 431, f"at most {MOST_HEADERS} headers"),
        (b"GET /" + b"x" * 65_535 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "at most 65535 bytes"),
        (b"GET /" + b"x" * 65_500 + b" HTTP/1.1\r\n" + HOST * 3 + b"\r\n", 414, "at most 65536 bytes"),
        (b"GET /" + b"x" * 3_000_000, 414, "at most 65536 bytes"),
        (b"X" * 70_000, 400, "HTTP/1.1, as RFC 9112 says"),
        (b"\r\n" * 40_000, 431, "at most 65536 bytes"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "HTTP/1.1, as RFC 9112 says"),
        (TOKEN + b"Content-Length: 3\r\n" + CHUNKED + b"0\r\n\r\n", 400, "HTTP/1.1, as RFC 9112 says"),
        (TOKEN + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400, "HTTP/1.1, as RFC 9112 says"),
        (TOKEN + b"X : x\r\n\r\n", 400, "HTTP/1.1, as RFC 9112 says"),
        (b"CONNECT bank:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "HTTP/1.1, as RFC 9112 says"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HTTP/1.1, as RFC 9112 says"),
        (TOKEN + CHUNKED + b"3;" + b"x" * 3_000_000, 413, "at most 196608 bytes with all its chunks"),
        (
            TOKEN + CHUNKED + b"3\r\na=1\r\n0\r\n" + b"X: x\r\n" * 50_000,
            413,
            "at most 196608 bytes with all its chunks",
        ),
        (TOKEN + FORM + b"Content-Length: 65537\r\n\r\n", 413, "at most 65536 bytes"),
        (TOKEN + FORM + CHUNKED + b"10001\r\n" + b"x" * 0x10001, 413, "at most 65536 bytes"),
        (TOKEN + FORM + CHUNKED + b"1\r\nx\r\n" * 65_537, 413, "bytes"),
        (with_length(TOKEN + FORM, b"&".join(b"f%d=1" % one for one in range(101))), 400, "at most 100 form fields"),
        (
            with_length(TOKEN + PARTS, b"".join(PART % one for one in range(101)) + b"--b--\r\n"),
            400,
            "at most 100 parts",
        ),
        (with_length(TOKEN + PARTS, FILE), 400, "a field with a text; it came as a file"),
        (with_length(TOKEN + PARTS, FILE.replace(b"\r\nx\r\n", b"\r\n" + b"x" * 65_000 + b"\r\n")), 400, "as a file"),
        (
            with_length(TOKEN + PARTS, FILE.replace(b"\r\nx\r\n", b"\r\n" + b"x" * 66_000 + b"\r\n")),
            413,
            "at most 65536",
        ),
        (with_length(TOKEN + PARTS, PART.replace(b"f%d", b"f" * 300)), 400, "the name of a part has more than 100"),
        (with_length(TOKEN + PARTS, PART.replace(b"\r\n", b"\r\n" + b"X: y\r\n" * 10_000, 1)), 400, "at most 6 lines"),
        (with_length(TOKEN + PARTS, PART.replace(b"form-data", b"x" * 60_000)), 400, "of 1000 bytes"),
        (
            with_length(TOKEN + PARTS.replace(b"=b", b"=" + b"b" * 60_000), PART),
            400,
            "the boundary has more than 70 bytes",
        ),
        (with_length(TOKEN + JSON, b'{"a":' * 33 + b"1" + b"}" * 33), 400, "nested at most 32 deep"),
        (with_length(TOKEN + JSON, b"[" * 60_000), 400, "nested at most 32 deep"),
        (with_length(TOKEN + JSON, b'{"amount": ' + b"9" * 60_000 + b"}"), 400, ""),
        (
            with_length(b"POST /_control/merchants HTTP/1.1\r\n" + HOST + JSON, b'{"a":' * 33 + b"1" + b"}" * 33),
            400,
            "nested at most 32 deep",
        ),
    ],
    ids=[
        "a long header",
        "a header without end",
        "a long name",
        "many headers",
        "a long address",
        "an address too long for its headers",
        "an address without end",
        "a word without end",
        "lines without end",
        "TLS",
        "length and chunks",
        "two lengths",
        "a blank before a colon",
        "a tunnel",
        "HTTP/2",
        "a chunk's extension without end",
        "trailers without end",
        "a long body, as declared",
        "a long chunk",
        "many chunks",
        "many fields",
        "many parts",
        "a file",
        "a long file",
        "a file that is too long",
        "a part's name without end",
        "a part's head without end",
        "a line in it without end",
        "a boundary without end",
        "deep JSON",
        "deeper JSON",
        "a number without end",
        "deep JSON for the control API",
    ],
)
def test_what_is_too_much_has_an_answer_of_its_own(sandbox: Sandbox, request_: bytes, status: int, rule: str) -> None:
    with connected(sandbox) as client:
        got, headers, told = said(client, request_)
    assert (got, told["code"]) == (status, status)
    assert headers["content-type"] == "application/json"
    assert rule in told["rule"]
    assert told["source"]


@pytest.mark.parametrize(
    ("params", "status", "why"),
    [
        (lz.compress("a" * 2_000_000).encode(), b"400", b"longer than 65536 characters"),
        (b"B" * (16 * 1024 + 1), b"413", b"16384"),
    ],
)
def test_what_unpacks_to_too_much_is_refused_before_that(
    sandbox: Sandbox, params: bytes, status: bytes, why: bytes
) -> None:
    with connected(sandbox) as client:
        client.sendall(b"GET /payform/?params=" + params + b" HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
        told = rest(client)
    assert told.split()[1] == status
    assert why in told


def test_a_body_is_refused_early_and_the_connection_goes_on_when_it_has_come(sandbox: Sandbox) -> None:
    with connected(sandbox) as client:
        client.sendall(TOKEN + FORM + b"Content-Length: 3000000\r\n\r\n")
        assert answer(client)[0] == 413
        client.sendall(b"x" * 3_000_000)
        assert said(client, HEALTH + b"\r\n")[0] == 200


def test_an_answer_is_not_followed_by_a_second_one(sandbox: Sandbox) -> None:
    with connected(sandbox) as client:
        client.sendall(TOKEN + FORM + CHUNKED + b"10001\r\n" + b"x" * 0x10001 + b"\r\n")
        assert answer(client)[0] == 413
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(b"10001\r\n" + b"x" * 0x10001 + b"\r\n" * 3)
            client.sendall(b"3;" + b"x" * 3_000_000)
        assert rest(client) == b""


def test_what_is_no_request_does_not_overtake_the_answer_of_another(sandbox: Sandbox) -> None:
    with connected(sandbox) as client:
        client.sendall(WAIT % 30)
        client.sendall(b"\x00\x01\x02")
        assert rest(client) == b""


def test_requests_may_be_sent_ahead_but_not_without_end(sandbox: Sandbox) -> None:
    with connected(sandbox) as client:
        client.sendall((HEALTH + b"\r\n") * 50)
        assert [answer(client)[0] for _ in range(50)] == [200] * 50
    with connected(sandbox) as client:
        client.sendall(WAIT % 30 + (HEALTH + b"\r\n") * (MOST_AHEAD + 2))
        assert rest(client) == b""


def test_a_socket_that_is_offered_to_a_page_is_passed_over_too(sandbox: Sandbox) -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with connected(sandbox) as client:
        assert said(client, HEALTH + offer)[0] == 200
        assert said(client, HEALTH + offer + HEALTH + b"Connection: close\r\n\r\n")[0] == 200
        assert rest(client).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("body", [b"", b"grant_type=x"])
def test_an_offer_to_speak_another_protocol_is_passed_over(sandbox: Sandbox, body: bytes) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
    with connected(sandbox) as client:
        assert said(client, with_length(TOKEN + FORM + offer, body))[0] in {400, 401}
        assert said(client, HEALTH + offer + b"\r\n" + HEALTH + b"Connection: close\r\n\r\n")[0] == 200
        assert rest(client).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("at", "named", "scheme"),
    [
        ("127.0.0.1", b"X-Forwarded-Proto: https\r\n", "https"),
        ("127.0.0.1", b"X-Forwarded-Proto: gopher\r\n", "http"),
        ("127.0.0.1", b"", "http"),
        ("127.0.0.2", b"X-Forwarded-Proto: https\r\n", "http"),
    ],
)
def test_links_have_the_scheme_by_which_a_proxy_on_this_machine_was_asked(
    sandbox: Sandbox, at: str, named: bytes, scheme: str
) -> None:
    with connected(sandbox, at) as client:
        told = said(client, b"GET /_control/merchants/test HTTP/1.1\r\n" + HOST + named + b"\r\n")[2]
    assert told["urls"]["token"] == f"{scheme}://localhost/oauth2/token"


def test_what_stands_behind_a_body_is_read_and_means_nothing(sandbox: Sandbox) -> None:
    request = TOKEN + FORM + CHUNKED + b"12;why=not\r\ngrant_type=unknown\r\n0\r\nContent-Type: text/plain\r\n\r\n"
    with connected(sandbox) as client:
        assert said(client, request)[2]["value"] == "unknown"


def test_over_tls_it_is_the_same(tmp_path: Path) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with running(Settings(port=0, tls=True, tls_port=0, tls_dir=str(tmp_path))) as sandbox:
        place = ("127.0.0.1", int(sandbox.tls_url.rpartition(":")[2]))
        with socket.create_connection(place, PATIENCE_S) as plain, trusting.wrap_socket(plain) as client:
            client.sendall(HEALTH + b"X: " + b"x" * 66_000 + b"\r\n")
            assert b"HTTP/1.1 431 " in rest(client)


def test_who_never_ends_a_handshake_is_left(tmp_path: Path) -> None:
    settings = Settings(port=0, tls=True, tls_port=0, tls_dir=str(tmp_path), request_s=HASTE_S)
    with running(settings) as sandbox:
        place = ("127.0.0.1", int(sandbox.tls_url.rpartition(":")[2]))
        with socket.create_connection(place, PATIENCE_S) as client:
            client.sendall(b"\x16\x03\x01")
            assert rest(client) == b""


@pytest.mark.parametrize(
    ("begun", "drop"),
    [
        (HEALTH + b"X: ", b"x"),
        (b"GET /", b"x"),
        (TOKEN + FORM + b"Content-Length: 1000\r\n\r\n", b"x"),
        (TOKEN + FORM + CHUNKED, b"1\r\nx\r\n"),
        (TOKEN + FORM + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n", b"x"),
    ],
    ids=["head", "address", "body", "chunks", "body that was asked for"],
)
def test_a_request_that_comes_drop_by_drop_is_told_that_it_takes_too_long(
    hasty: Sandbox, begun: bytes, drop: bytes
) -> None:
    began = time.monotonic()
    with connected(hasty) as client:
        client.sendall(begun)
        client.settimeout(0.1)
        told = b""
        while b"\r\n\r\n{" not in told:
            with suppress(TimeoutError):
                told += client.recv(65536)
            assert time.monotonic() - began < PATIENCE_S
            with suppress(BrokenPipeError):
                client.sendall(drop)
    assert b"HTTP/1.1 408 " in told
    assert b"setting request_s" in told
    assert time.monotonic() - began >= HASTE_S


@pytest.mark.parametrize("said_before", [b"", HEALTH + b"\r\n", TOKEN + FORM + b"Content-Length: 65537\r\n\r\n"])
def test_a_connection_that_nothing_comes_by_ends_without_a_word(hasty: Sandbox, said_before: bytes) -> None:
    with connected(hasty) as client:
        client.sendall(said_before)
        if said_before:
            assert answer(client)[0] in {200, 413}
            client.sendall(b"\r\n" if said_before.startswith(HEALTH) else b"x")  # it does not count as a beginning
        assert rest(client) == b""


def test_who_does_not_read_is_left(hasty: Sandbox) -> None:
    with connected(hasty, SO_RCVBUF=4096) as client:
        client.sendall(BUNDLE * 20)  # more than the machine itself would keep for the client
        first = client.recv(4096)
        length = int(first.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        eventually(lambda: _connections(hasty) == 0)
        assert 0 < len(first) + len(rest(client)) < length * 20


def test_who_hears_the_refusal_and_does_not_leave_is_left_too(hasty: Sandbox) -> None:
    with connected(hasty) as client:
        assert said(client, b"nonsense\r\n\r\n")[0] == 400
        client.sendall(b"more nonsense")
        eventually(lambda: _is_left(client))


def _is_left(client: socket.socket) -> bool:
    try:
        client.sendall(b"x")
    except OSError:
        return True
    return False


def test_nobody_is_hurried_who_waits_for_the_sandbox(hasty: Sandbox) -> None:
    events = b"GET /_control/merchants/test/events HTTP/1.1\r\n" + HOST + b"Accept: text/event-stream\r\n\r\n"
    with connected(hasty) as client, connected(hasty) as reader, connected(hasty) as early:
        early.sendall(WAIT % 1 + b"GET /")  # the next request is begun, but this one is not answered
        reader.sendall(events)
        heard = reader.recv(65536)
        while b"here are the events" not in heard:
            heard += reader.recv(65536)
        assert said(client, WAIT % 1)[2]["error"] == "timeout"
        assert answer(early)[2]["error"] == "timeout"
        reader.settimeout(0.1)
        with pytest.raises(TimeoutError):
            reader.recv(1)


def test_a_client_with_too_many_connections_is_told_and_has_them_again_later(hasty: Sandbox) -> None:
    eventually(lambda: _connections(hasty) == 0)
    with ExitStack() as stack:
        first, *others = [stack.enter_context(connected(hasty)) for _ in range(CROWD)]
        for client in (first, *others):
            assert said(client, HEALTH + b"\r\n")[0] == 200
        with connected(hasty) as surplus:
            status, headers, told = said(surplus, HEALTH + b"\r\n")
            assert (status, told["error"], headers["retry-after"]) == (503, "busy", "1")
            assert told["rule"] == f"at most {CROWD} of one client at once"
            assert rest(surplus) == b""
        first.close()
        eventually(lambda: _connections(hasty) < CROWD)
        with connected(hasty) as again:
            assert said(again, HEALTH + b"\r\n")[0] == 200


def test_a_crowd_is_not_even_told(hasty: Sandbox) -> None:
    eventually(lambda: _connections(hasty) == 0)
    with ExitStack() as stack:
        crowd = [stack.enter_context(connected(hasty)) for _ in range(CROWD + 102)]
        for client in crowd[:CROWD]:
            client.sendall(HEALTH + b"\r\n")
        assert rest(crowd[-1]) == b""
        assert [answer(client)[0] for client in crowd[:CROWD]] == [200] * CROWD


def test_a_crowd_is_in_nobody_elses_way(hasty: Sandbox) -> None:
    eventually(lambda: _connections(hasty) == 0)
    with ExitStack() as stack:
        crowd = [stack.enter_context(connected(hasty, at="127.0.0.2")) for _ in range(CROWD + 50)]
        for client in crowd:
            client.sendall(b"GET /")
        with connected(hasty) as client:
            assert said(client, HEALTH + b"\r\n")[0] == 200


def test_a_flood_is_not_kept_and_files_do_not_run_out() -> None:
    few_files = ("sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh")
    with serving(*few_files, *MODULE, "--port", "0") as sandbox, ExitStack() as stack:
        place = ("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        before = weight(sandbox.process.pid)
        flood = [stack.enter_context(socket.create_connection(place, PATIENCE_S)) for _ in range(200)]
        for client in flood:
            with suppress(BrokenPipeError, ConnectionResetError):
                client.sendall(HEALTH + b"X: " + b"x" * 2_000_000)
        assert [answer(client)[0] for client in flood] == [431] * len(flood)
        assert weight(sandbox.process.pid) - before < 30


def _connections(sandbox: Sandbox) -> int:
    """Count a sandbox's connections, by what the machine knows of its port."""
    port = f":{int(sandbox.url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


def test_params_are_part_of_a_head() -> None:
    with pytest.raises(SettingError, match=r"^MOCK_EPAY_MAX_PARAMS_KB \(--max-params-kb\) is 64: .* which is 64$"):
        running(Settings(port=0, max_params_kb=64)).__enter__()
