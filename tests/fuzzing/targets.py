"""What is fuzzed. A target takes any bytes and ends well, or by a refusal; whatever else it does is a fault of ours."""

import asyncio
import json
import string
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_to_bytes

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.types import Message, Scope

from mock_epay import cryptogram, lz
from mock_epay.bank import Bank, merchants
from mock_epay.connections import Connection, Limits
from mock_epay.errors import NotSimulated, PlannedRefusal, Refusal
from mock_epay.notes import Notes
from mock_epay.postlinks.lines import Answer as ShopsAnswer
from mock_epay.postlinks.lines import DisconnectedError, GarbledError, Line
from mock_epay.settings import Settings
from mock_epay.store.memory import MemoryStore
from mock_epay.web import create_app, faults, forms
from mock_epay.wire import orders, tokens

MOST_SECONDS: Final = 5
FRESH_AFTER: Final = 500  # requests, after which a new sandbox takes over: what is kept must not slow it down
_SEALED_BYTES: Final = 501  # that is as much as the key takes
# What is meant to last, and what sends postlinks.
_LEFT_OUT: Final = (b"/wait", b"wait_s", b"timeout_s", b"delay_s", b"/clock")
_PRINTABLE: Final = string.ascii_letters + string.digits + string.punctuation

Target = Callable[[bytes], None]


def codec(data: bytes) -> None:
    """Unpack and parse any address; and pack any text so that it comes back."""
    text = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
    with suppress(lz.LzError):
        lz.parse(lz.decompress(text))
    with suppress(lz.LzError):
        lz.parse(text)
    whole = text.encode("utf-16-le", "surrogatepass").decode(
        "utf-16-le", "surrogatepass"
    )  # halves that meet are joined
    assert lz.decompress(lz.compress(text), limit=len(text) * 2) == whole


def fields(data: bytes) -> None:
    """Read any body, of the type that its first line says: forms of all kinds, multipart among them."""
    kind, _, body = data.partition(b"\n")
    with suppress(Refusal):
        read = forms.read_fields(kind.decode("latin-1"), body)
        assert all(type(name) is type(text) is str for name, text in read.items())


def token(data: bytes) -> None:
    """Read any request for a token."""
    with suppress(Refusal):
        kind = "application/json" if data.startswith(b"{") else ""
        tokens.token_request(forms.read_fields(kind, data), _notes(data))


def payment_object(data: bytes) -> None:
    """Read any payment object, flattened as `halyk.pay` does it; and from JSON, as from a shop's own form."""
    text = data.decode("utf-8", "replace")
    with suppress(Refusal):
        pairs = orders.page_address(lz.compress(text))
        order, _ = orders.payment_object(pairs, orders.token_answer(pairs), _notes(data))
        assert order.amount >= 0
    for schema in ("card-payment-request", "saved-card-payment-request"):
        with suppress(Refusal):
            orders.card_payment(schema, data, _notes(data), cryptogram.FIELD_SPELLINGS)
    with suppress(Refusal):
        orders.invoice_link(data, _notes(data))


def sealed_card(data: bytes) -> None:
    """Open anything as a cryptogram, and anything that was rightly encrypted."""
    with suppress(Refusal):
        cryptogram.decrypt(data.decode("latin-1"))
    if data.startswith(b"{"):
        with suppress(Refusal):
            cryptogram.decrypt(b64encode(_key().encrypt(data[:_SEALED_BYTES], PKCS1v15())).decode())


def answers(data: bytes) -> None:
    """Hear anything as a shop's answer, whole or byte by byte, which must come to the same."""
    assert heard([data]) == heard(data[at : at + 1] for at in range(len(data)))


def requests(data: bytes) -> None:
    """Answer any request: a line with method and address, one with the type of the body, and the body."""
    if any(word in unquote_to_bytes(data) for word in _LEFT_OUT):
        return
    line, _, rest = data.partition(b"\n")
    kind, _, body = rest.partition(b"\n")
    method, _, address = line.partition(b" ")
    answer = _sandbox().answer(method.decode("latin-1"), address, kind, body)
    good = answer.status < 500 or answer.status == NotSimulated.status or PlannedRefusal.error.encode() in answer.body
    assert good, f"answered {answer.status}"


def connections(data: bytes) -> None:
    """Take anything that may come by a connection, whole, byte by byte, and slowly; the first two come to the same."""
    if b"upgrade" in data.lower():  # an offer is passed over if it is seen whole
        return
    bytewise = [data[at : at + 1] for at in range(len(data))]
    whole, pieces, _ = (_loop().run_until_complete(_told(*how)) for how in (([data], 0), (bytewise, 0), (bytewise, 3)))
    assert whole == pieces
    assert whole == b"" or whole.startswith(b"HTTP/1.1 ")


TARGETS: Final[Mapping[str, Target]] = {
    "codec": codec,
    "fields": fields,
    "token": token,
    "payment_object": payment_object,
    "sealed_card": sealed_card,
    "answers": answers,
    "connections": connections,
    "requests": requests,
}
# How many of a hundred inputs go to each, by what one costs: to open a cryptogram takes milliseconds.
SHARES: Final[Mapping[str, int]] = {
    "codec": 20,
    "fields": 20,
    "token": 15,
    "payment_object": 12,
    "sealed_card": 3,
    "answers": 10,
    "connections": 10,
    "requests": 10,
}


def heard(pieces: Iterable[bytes]) -> ShopsAnswer | str:
    """Return what comes of an answer that arrives in these pieces, behind which the shop ends the connection."""
    return _loop().run_until_complete(_heard(pieces))


async def _heard(pieces: Iterable[bytes]) -> ShopsAnswer | str:
    line = Line()
    line.connection_made(_Nowhere())
    for piece in pieces:
        line.data_received(piece)
    line.connection_lost(None)
    try:
        return await line.answer
    except (DisconnectedError, GarbledError) as wrong:
        return type(wrong).__name__


async def _told(pieces: Iterable[bytes], turns: int) -> bytes:
    """Return what is written to who sends these pieces, with so many turns of the loop between them, and leaves."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length, more = 0, True
        while more and (message := await receive())["type"] == "http.request":
            length, more = length + len(message["body"]), message["more_body"]
        body = f"{scope['method']} {scope['path']} {length}".encode("utf-8", "replace")
        head = [(b"content-length", b"%d" % len(body))] if scope["method"] != "PUT" else []
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    there = _Nowhere()
    server = SimpleNamespace(connections=set(), tasks=set(), default_headers=[])
    config = SimpleNamespace(loaded_app=app)
    connection = Connection(_limits(), config=config, server_state=server, app_state={})
    connection.connection_made(there)
    for piece in pieces:
        if not there.is_closing():
            connection.data_received(piece)
        for _ in range(turns):
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    connection.look_after()
    connection.connection_lost(None)
    await asyncio.gather(*server.tasks)
    return bytes(there.written)


@cache
def _limits() -> Limits:
    return Limits.of(Settings())


class _Nowhere(asyncio.Transport):
    """A connection without another end."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self._closing = False

    def write(self, data: Any) -> None:
        """Keep what is written."""
        self.written += data

    def can_write_eof(self) -> bool:
        """Say yes."""
        return True

    def write_eof(self) -> None:
        """Do nothing: who left hears nothing."""

    def get_write_buffer_size(self) -> int:
        """Say that all has been taken."""
        return 0

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self._closing

    def close(self) -> None:
        """Close."""
        self._closing = True

    abort = close

    def pause_reading(self) -> None:
        """Do nothing: so much is never given."""

    resume_reading = pause_reading


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request got."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Sandbox:
    """A sandbox without a socket and without postlinks. In requests, words stand for what is in it (`known`)."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        settings = Settings(self_check=True)
        bank = Bank(MemoryStore(), settings)
        self._loop.run_until_complete(bank.store.add_merchant(merchants.make(merchants.built_in()[0], settings)))
        self._app = create_app(bank)
        self.known = {b"SECRET": merchants.built_in()[0]["client_secret"].encode()}
        self.known[b"TOKEN"] = self._token()
        self.known[b"ORDER"] = self._order(b"000000002")
        self.known[b"PAGE"] = self._page(self._order(b"000000003"))
        paid = self._page(self._order(b"000000001"))
        card = b"pan=4405639704015096&expiry=01/25&cvc=815"
        assert self.answer("POST", b"/payform/" + paid, b"application/x-www-form-urlencoded", card).status == 303
        told = self.answer("GET", b"/check-status/payment/transaction/000000001", b"", b"").body
        self.known[b"PAID"] = json.loads(told)["transaction"]["id"].encode()
        self.served = 0

    def answer(self, method: str, address: bytes, kind: bytes, body: bytes) -> Answer:
        """Answer one request, in time."""
        self.served = getattr(self, "served", 0) + 1
        for word, meant in self.known.items():
            address, body = address.replace(word, meant), body.replace(word, meant)
        path, _, query = quote(address, safe=_PRINTABLE).encode().partition(b"?")  # the parser refuses other bytes
        headers = [(b"host", b"localhost"), (b"authorization", b"Bearer " + self.known.get(b"TOKEN", b""))]
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path.decode("latin-1")),  # as uvicorn does it
            "raw_path": path,
            "root_path": "",
            "query_string": query,
            "headers": [*headers, (b"content-type", kind)] if kind else headers,
            "server": ("localhost", None),
            "client": ("127.0.0.1", 1),
            "extensions": {faults.DROP: lambda: None},
        }
        return self._loop.run_until_complete(asyncio.wait_for(self._answer(scope, body), MOST_SECONDS))

    async def _answer(self, scope: Scope, body: bytes) -> Answer:
        sent: list[Message] = []

        arriving: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return arriving.pop() if arriving else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        whole = b"".join(message.get("body", b"") for message in sent)
        if not sent:  # as a planned fault had it
            return Answer(status=0, headers={}, body=b"")
        return Answer(status=sent[0]["status"], headers=dict(sent[0]["headers"]), body=whole)

    def _token(self, order: bytes = b"") -> bytes:
        terminal = merchants.built_in()[0]["terminals"][0]["id"].encode()
        asked = b"grant_type=client_credentials&scope=payment&client_id=test&client_secret=SECRET&terminal="
        asked += terminal + order
        answer = self.answer("POST", b"/oauth2/token", b"application/x-www-form-urlencoded", asked)
        return str(json.loads(answer.body)["access_token"]).encode()

    def _order(self, number: bytes) -> bytes:
        terminal = merchants.built_in()[0]["terminals"][0]["id"]
        token = self._token(b"&amount=100&currency=KZT&invoiceID=" + number)
        order = {
            "invoiceId": number.decode(),
            "backLink": "https://shop.kz/",
            "postLink": "https://shop.kz/notice",
            "language": "eng",
            "description": "Order",
            "terminal": terminal,
            "amount": 100,
            "currency": "KZT",
            "auth": {"access_token": token.decode(), "scope": "payment", "token_type": "Bearer"},
        }
        return quote(lz.compress(lz.flatten(order))).encode()

    def _page(self, order: bytes) -> bytes:
        page = self.answer("GET", b"/payform/?params=" + order, b"", b"")
        assert page.status == 200, page
        return page.body.partition(b'action="/payform/')[2].partition(b'"')[0]


_sandboxes: Final[list[Sandbox]] = []


def _sandbox() -> Sandbox:
    """Return a sandbox that has not served too many yet."""
    if not _sandboxes or _sandboxes[-1].served > FRESH_AFTER:
        _sandboxes[:] = [Sandbox()]
    return _sandboxes[-1]


def _notes(data: bytes) -> Notes:
    return Notes(lenient=len(data) % 2 == 1)


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


@cache
def _key() -> RSAPublicKey:
    key = load_pem_public_key(cryptogram.public_key().encode())
    assert isinstance(key, RSAPublicKey)
    return key
