"""The services that a shop's server calls with a token."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mock_epay import wire
from mock_epay.bank import Bank
from mock_epay.errors import InvalidToken
from mock_epay.web import guard


def routes(bank: Bank) -> list[BaseRoute]:
    """Return the services, each with and without `/api` in front: hosts of two generations differ in that."""

    async def status(request: Request) -> Response:
        answer = await bank.status(bearer(request), request.path_params["invoice_id"])
        body = wire.encode("status-response", wire.status_response(answer), check=bank.settings.self_check)
        return Response(body, headers=guard.NO_STORE, media_type="application/json")

    services = [("/check-status/payment/transaction/{invoice_id}", status, ["GET"])]
    return [
        Route(prefix + path, endpoint, methods=methods)
        for prefix in ("", "/api")
        for path, endpoint, methods in services
    ]


def bearer(request: Request) -> str:
    """Return the token that a request presents.

    Raises:
        InvalidToken: it presents none.

    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidToken(
            "the token is missing: send it in the header Authorization, behind the word Bearer",
            field="Authorization",
            rule="Bearer and the access_token",
            source="documented: transaction status service",
        )
    return token.strip()
