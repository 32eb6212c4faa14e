"""What keeps requests small and pages harmless: body limits and security headers."""

from typing import Final

from starlette.requests import Request
from starlette.types import Receive, Scope

from mock_epay.errors import BadField, TooLarge
from mock_epay.notes import Notes
from mock_epay.wire import outgoing

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
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


def page_headers(*, framed: bool, sends_away: bool = False) -> dict[str, str]:
    """Return the headers of a page.

    Only the widget may stand in a frame, and in anybody's. A form that `sends_away` leads, at once or by redirects, to
    an address of the shop's.
    """
    policy = _POLICY.replace("form-action 'self'", "form-action http: https:") if sends_away else _POLICY
    return _PAGE | {"Content-Security-Policy": policy + ("*" if framed else "'none'")}


def hint_headers(notes: Notes) -> dict[str, str]:
    """Return the header that tells a developer what the bank may not like about the request."""
    return {HINTS: outgoing.hints(notes.hints)} if notes.hints else {}


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


def declared_length(scope: Scope) -> int:
    """Return the Content-Length of a request; 0 when it has none."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return next((int(value) for name, value in headers if name == b"content-length" and value.isdigit()), 0)


def _check_length(length: int, limit: int) -> None:
    if length > limit:
        rule = f"at most {limit} bytes"
        raise TooLarge(f"the body is too long: {rule}", field="body", rule=rule, source="setting max_body_kb")
