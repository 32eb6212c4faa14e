"""What keeps requests small and pages harmless: body limits and security headers."""

import hmac
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from mock_epay import addresses
from mock_epay.errors import CONTROL_API, SHOWN, BadField, Forbidden, InvalidToken, NotJson, TooLarge
from mock_epay.model import Hint
from mock_epay.notes import Notes
from mock_epay.settings import Settings
from mock_epay.wire import outgoing

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors "
)
_PAGE: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the page's address carries the token
    "X-Content-Type-Options": "nosniff",
}
NO_STORE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
ANY_ORIGIN: Final = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
HINTS: Final = "X-Mock-Epay-Hints"
_HINTS: Final = HINTS.lower().encode()


def page_headers(*, framed: bool, sends_away: bool = False) -> dict[str, str]:
    """Return the headers of a page.

    Only the widget may stand in a frame, and in anybody's. A form that `sends_away` leads, at once or by redirects, to
    an address of the shop's.
    """
    return _PAGE | {"Content-Security-Policy": policy(framed=framed, sends_away=sends_away)}


def policy(*, framed: bool = False, sends_away: bool = False) -> str:
    """Return what a browser may do with a page, in the words of the header Content-Security-Policy."""
    words = _POLICY.replace("form-action 'self'", "form-action http: https:") if sends_away else _POLICY
    return words + ("*" if framed else "'none'")


def hint_headers(notes: Notes) -> dict[str, str]:
    """Return the header that tells a developer what the bank may not like about the request."""
    return {HINTS: _hints(tuple(notes.hints)).decode()} if notes.hints else {}


class Answer(Response):
    """An answer whose headers are encoded already: to do that takes longer than many an answer."""

    def __init__(self, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.status_code, self.body, self.background = 200, body, None
        self.raw_headers = [*headers, (b"content-length", b"%d" % len(body))]


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as they go over the wire."""
    return [(name.lower().encode(), text.encode("latin-1")) for name, text in headers.items()]


def hints_encoded(notes: Notes) -> list[tuple[bytes, bytes]]:
    """Return what `hint_headers` does, as it goes over the wire."""
    return [(_HINTS, _hints(tuple(notes.hints)))] if notes.hints else []


@lru_cache(256)
def _hints(hints: tuple[Hint, ...]) -> bytes:
    return outgoing.hints(hints).encode()


def base_url(request: Request) -> str:
    """Return where the sandbox was met: links that it makes lead there too."""
    return f"{request.url.scheme}://{request.url.netloc}"


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read a request's body, at most `limit` bytes of it.

    Raises:
        TooLarge: it is longer; as soon as that is known, not when all has arrived.
        BadField: the client went away before it had sent all.

    """
    _check_length(declared_length(scope), limit)
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadField("body", None, "whole, and the connection ended before that", "RFC 9112, section 8")
        body += message.get("body", b"")
        _check_length(len(body), limit)
        more = message.get("more_body", False)
    return bytes(body)


def check_visitor(request: Request, names: Collection[str]) -> None:
    """Refuse whoever is not a developer's own tool: pages of other sites, names that somebody else gave this machine.

    A browser says which site a request comes from. A page that has its own name lead here (DNS rebinding) would be of
    the same site, but then the Host is that name; addresses, names without a dot and those that no public server can
    have are nobody else's.

    Raises:
        Forbidden: it is such a page or name.

    """
    check_host(request, names)
    site, origin = request.headers.get("sec-fetch-site", "none"), request.headers.get("origin")
    if site not in {"none", "same-origin"} or origin not in {None, base_url(request)}:
        rule = "requests of other sites' pages are not served"
        raise Forbidden(
            f"a page of {(origin or site)[:SHOWN]} asked: {rule}", field="Origin", rule=rule, source=CONTROL_API
        )


def brings(request: Request, token: str) -> bool:
    """Return whether a request brings the control token; where none is set, nothing is asked for."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return not token or (scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()))


def no_token() -> InvalidToken:
    """Make the refusal of a request that lacks the control token."""
    return InvalidToken(
        "the control token is missing or wrong: send it in the header Authorization, behind the word Bearer",
        field="Authorization",
        rule="Bearer and the setting control_token",
        source=CONTROL_API,
    )


def check_host(request: Request, names: Collection[str]) -> None:
    """Refuse a request by a name that somebody else may have given this machine.

    Raises:
        Forbidden: it is neither an address, nor a local name, nor one of these.

    """
    host = request.url.hostname or ""
    if not (addresses.is_own(host) or host.lower() in names):
        rule = "an address, a local name, or one of the setting control_hosts"
        raise Forbidden(
            f"Host is {host[:SHOWN]}: {rule}", field="Host", value=host[:SHOWN], rule=rule, source=CONTROL_API
        )


def own_names(settings: Settings) -> frozenset[str]:
    """Return the names that this machine may be met by besides local ones."""
    return frozenset(name.strip().lower() for name in settings.control_hosts.split(",") if name.strip())


def check_json(request: Request) -> None:
    """Refuse a body of another type than JSON, which a form on a strange page could send.

    Raises:
        NotJson: it is such a body.

    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and (kind or _has_body(request)):
        raise NotJson("Content-Type", kind, "application/json", CONTROL_API)


def _has_body(request: Request) -> bool:
    return declared_length(request.scope) > 0 or "transfer-encoding" in request.headers


def declared_length(scope: Scope) -> int:
    """Return the Content-Length of a request; 0 when it has none."""
    length = header(scope, b"content-length")
    return int(length) if length.isdigit() else 0


def header(scope: Scope, name: bytes) -> bytes:
    """Return a request's header by its name in lower case, the first if there are several; empty if there is none."""
    for one, value in scope["headers"]:
        if one == name:
            return cast("bytes", value)
    return b""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Return a request's headers by their names in lower case; of a repeated one the first counts."""
    return dict(reversed(scope["headers"]))


def _check_length(length: int, limit: int) -> None:
    if length > limit:
        rule = f"at most {limit} bytes"
        raise TooLarge(f"the body is too long: {rule}", field="body", rule=rule, source="setting max_body_kb")
