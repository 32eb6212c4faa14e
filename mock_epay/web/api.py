"""The services that a shop's server calls with a token."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mock_epay.bank import Bank
from mock_epay.bank.operations import OPERATIONS
from mock_epay.dialects import SPELLINGS
from mock_epay.errors import InvalidToken
from mock_epay.model import StatusAnswer
from mock_epay.web import forms, guard
from mock_epay.wire import contracts, incoming, outgoing


def routes(bank: Bank) -> list[BaseRoute]:
    """Return the services, each with and without `/api` in front: hosts of two generations differ in that."""
    check = bank.settings.self_check

    def answered(schema: str, body: dict[str, object]) -> Response:
        encoded = contracts.encode(schema, body, check=check)
        return Response(encoded, headers=guard.NO_STORE, media_type="application/json")

    def told(answer: StatusAnswer) -> Response:
        suffix = SPELLINGS[answer.merchant.dialect].schema_suffix
        return answered(f"status-response{suffix}", outgoing.status_response(answer))

    async def status(request: Request) -> Response:
        answer = await bank.status(bearer(request), request.path_params["invoice_id"])
        return told(answer)

    async def status_by_id(request: Request) -> Response:
        answer = await bank.status_by_id(bearer(request), request.path_params["id"])
        return told(answer)

    async def operate(request: Request) -> Response:
        token = bearer(request)
        operation = request.url.path.rpartition("/")[2]
        body = await guard.read_body(request.scope, request.receive, bank.settings.max_body_kb * 1024)
        # Clients announce JSON and send nothing; an empty body is empty whatever its type.
        fields = forms.read_fields(request.headers.get("content-type", ""), body) if body.strip() else {}
        amount = incoming.operation_amount(request.query_params, fields)
        done = await bank.operate(token, operation, request.path_params["id"], amount)
        return answered("operation-response", outgoing.operation_response(done))

    services = [
        ("/check-status/payment/transaction/{invoice_id}", status, ["GET"]),
        ("/check-status/payment/transactionId/{id}", status_by_id, ["GET"]),
        *((f"/operation/{{id}}/{operation}", operate, ["POST"]) for operation in OPERATIONS),
    ]
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
