"""The token endpoint."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from mock_epay.bank import Bank
from mock_epay.dialects import SPELLINGS
from mock_epay.errors import Refusal, WrongMethod
from mock_epay.notes import Notes
from mock_epay.web import faults, forms, guard
from mock_epay.wire import contracts, incoming, outgoing

# Browser clients ask for tokens themselves (observed), whatever that says about their secrets.
_CORS: Final = guard.ANY_ORIGIN | {"Access-Control-Expose-Headers": guard.HINTS}
_PREFLIGHT: Final = _CORS | {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Requested-With",
    "Access-Control-Max-Age": "600",
}
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
        request = Request(scope)
        try:
            response = await self._answer(request, receive)
        except Refusal as refusal:
            headers = _CORS | guard.NO_STORE | guard.hint_headers(getattr(request.state, "notes", Notes()))
            response = refused(refusal, headers=headers, check=self._bank.settings.self_check)
            if isinstance(refusal, WrongMethod):
                response.headers.update(_ALLOW)
        await response(scope, receive, send)

    async def _answer(self, request: Request, receive: Receive) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT | _ALLOW)
        if request.method != "POST":
            raise WrongMethod(f"a token is asked for with POST, not {request.method}", rule="POST")
        headers = request.headers
        body = await guard.read_body(request.scope, receive, self._bank.settings.max_body_kb * 1024)
        fields = forms.read_fields(headers.get("content-type", ""), body)
        # Credentials in the body count before those in the header, as with the bank's own clients.
        credentials = forms.basic_credentials(headers.get("authorization", ""))
        fields |= {name: text for name, text in credentials.items() if not fields.get(name, "").strip()}
        request.state.notes = notes = await self._bank.notes(fields.get("client_id"))
        if "origin" in headers:
            notes.remark("secret-in-browser", "client_secret")
        answer = partial(self._issue, fields, notes)
        return await faults.spoilt(self._bank, "token", fields.get("client_id"), answer, _CORS)

    async def _issue(self, fields: Mapping[str, str], notes: Notes) -> Response:
        token, merchant = await self._bank.issue_token(incoming.token_request(fields, notes), notes)
        spelling = SPELLINGS[merchant.dialect]
        return Response(
            contracts.encode(
                "token-response" + spelling.schema_suffix,
                outgoing.token_response(token, spelling),
                check=self._bank.settings.self_check,
            ),
            headers=_CORS | guard.NO_STORE | guard.hint_headers(notes),
            media_type="application/json",
        )


def refused(refusal: Refusal, *, check: bool, headers: dict[str, str] | None = None) -> Response:
    """Write a refusal as JSON."""
    body = contracts.encode("error", outgoing.error(refusal), check=check)
    return Response(body, refusal.status, headers=headers, media_type="application/json")
