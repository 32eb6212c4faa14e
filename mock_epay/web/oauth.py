"""The token endpoint."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from mock_epay.bank import Bank
from mock_epay.dialects import SPELLINGS
from mock_epay.errors import Refusal, WrongMethod
from mock_epay.notes import Notes
from mock_epay.web import faults, forms, guard
from mock_epay.wire import contracts, outgoing, tokens

# Browser clients ask for tokens themselves (observed), whatever that says about their secrets.
_CORS: Final = guard.ANY_ORIGIN | {"Access-Control-Expose-Headers": guard.HINTS}
_PREFLIGHT: Final = _CORS | {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Requested-With",
    "Access-Control-Max-Age": "600",
}
_HEADERS: Final = guard.encoded(_CORS | guard.NO_STORE | {"Content-Type": "application/json"})
_ALLOW: Final = {"Allow": "POST, OPTIONS"}


def routes(bank: Bank) -> list[BaseRoute]:
    """Return the token endpoint under the paths of both generations of hosts."""
    endpoint = TokenEndpoint(bank)
    return [Route(path, endpoint) for path in ("/oauth2/token", "/epay2/oauth2/token")]


class TokenEndpoint:
    """`POST …/oauth2/token`, with CORS on every answer, refusals too."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        state = scope.setdefault("state", {})
        try:
            response = await self._answer(scope, receive, state)
        except Refusal as refusal:
            headers = _CORS | guard.NO_STORE | guard.hint_headers(state.get("notes", Notes()))
            response = refused(refusal, headers=headers, check=self._bank.settings.self_check)
            if isinstance(refusal, WrongMethod):
                response.headers.update(_ALLOW)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, state: dict[str, Any]) -> Response:
        if scope["method"] == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT | _ALLOW)
        if scope["method"] != "POST":
            raise WrongMethod(f"a token is asked for with POST, not {scope['method']}", rule="POST")
        headers = guard.headers_of(scope)
        body = await guard.read_body(scope, receive, self._bank.settings.max_body_kb * 1024)
        fields = forms.read_fields(headers.get(b"content-type", b"").decode("latin-1"), body)
        if b"authorization" in headers:
            # Credentials in the body count before those in the header, as with the bank's own clients.
            credentials = forms.basic_credentials(headers[b"authorization"].decode("latin-1"))
            fields |= {name: text for name, text in credentials.items() if not fields.get(name, "").strip()}
        state["notes"] = notes = await self._bank.notes(fields.get("client_id"))
        if b"origin" in headers:
            notes.remark("secret-in-browser", "client_secret")
        answer = partial(self._issue, fields, notes)
        return await faults.spoilt(self._bank, "token", fields.get("client_id"), answer, _CORS)

    async def _issue(self, fields: Mapping[str, str], notes: Notes) -> Response:
        token, merchant = await self._bank.issue_token(tokens.token_request(fields, notes), notes)
        spelling = SPELLINGS[merchant.dialect]
        body = contracts.encode(
            "token-response" + spelling.schema_suffix,
            outgoing.token_response(token, spelling),
            check=self._bank.settings.self_check,
        )
        return guard.Answer(body, [*_HEADERS, *guard.hints_encoded(notes)])


def refused(refusal: Refusal, *, check: bool, headers: dict[str, str] | None = None) -> Response:
    """Write a refusal as JSON."""
    body = contracts.encode("error", outgoing.error(refusal), check=check)
    return Response(body, refusal.status, headers=headers, media_type="application/json")
