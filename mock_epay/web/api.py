"""The services that a shop's server calls with a token."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mock_epay import cryptogram, issuer
from mock_epay.bank import Bank
from mock_epay.bank.operations import OPERATIONS
from mock_epay.dialects import SPELLINGS
from mock_epay.errors import BadField, Declined, InvalidToken
from mock_epay.model import Card, Challenge, Merchant, Status, StatusAnswer, Token, Transaction
from mock_epay.notes import Notes
from mock_epay.script import Place
from mock_epay.web import faults, forms, guard
from mock_epay.wire import bodies, contracts, operations, orders, outgoing

_HEADERS: Final = guard.encoded(guard.NO_STORE | {"Content-Type": "application/json"})
OWN_FORM: Final = "documented: own card form"

Service = Callable[[Request], Awaitable[Response]]


def routes(bank: Bank) -> list[BaseRoute]:
    """Return the services, each with and without `/api` in front: hosts of two generations differ in that."""
    services = Services(bank)
    rows: list[tuple[str, Service, str, Place]] = [
        ("/check-status/payment/transaction/{invoice_id}", services.status, "GET", "status"),
        ("/check-status/payment/transactionId/{id}", services.status_by_id, "GET", "status"),
        *((f"/operation/{{id}}/{operation}", services.operate, "POST", "operations") for operation in OPERATIONS),
        ("/public.rsa", services.public_key, "GET", "payments"),
        ("/payment/cryptopay", services.pay_by_card, "POST", "payments"),
        ("/payment/confirm", services.confirm, "POST", "payments"),
        ("/payments/cards/confirmPayment", services.confirm_in_browser, "POST", "payments"),
        ("/payments/cards/auth", services.pay_by_saved_card, "POST", "payments"),
        ("/cards/{account_id}", services.saved_cards, "GET", "cards"),
        ("/card/deactivate/{card_id}", services.deactivate_card, "POST", "cards"),
        ("/invoice", services.make_link, "POST", "links"),
        ("/terminals/{id}", services.terminal, "GET", "terminals"),
    ]
    return [
        Route(prefix + path, _breakable(bank, place, service), methods=[method])
        for prefix in ("", "/api")
        for path, service, method, place in rows
    ]


def _breakable(bank: Bank, place: Place, service: Service) -> Service:
    """Let a service fail where the script of the merchant, whose token is presented, wants that."""

    async def served(request: Request) -> Response:
        token = _presented(request)[1] or request.query_params.get("Access")
        client_id = await bank.store.owner(Token, token) if token else None
        return await faults.spoilt(bank, place, client_id, partial(service, request))

    return served


class Services:
    """The services of one bank. Each looks at the token before anything else of the request."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._settings = bank.settings

    async def status(self, request: Request) -> Response:
        """Tell how the latest attempt to pay an invoice stands."""
        return self._told(await self._bank.status(bearer(request), request.path_params["invoice_id"]))

    async def status_by_id(self, request: Request) -> Response:
        """Tell how one transaction stands."""
        return self._told(await self._bank.status_by_id(bearer(request), request.path_params["id"]))

    async def operate(self, request: Request) -> Response:
        """Charge, cancel or refund."""
        token, notes = await self._begin(request)
        operation = request.url.path.rpartition("/")[2]
        body = await self._body(request)
        # Clients announce JSON and send nothing; an empty body is empty whatever its type.
        fields = forms.read_fields(request.headers.get("content-type", ""), body) if body.strip() else {}
        amount = operations.operation_amount(request.query_params, fields, notes)
        done = await self._bank.operate(token, operation, request.path_params["id"], amount, notes)
        return self._answered("operation-response", outgoing.operation_response(done), notes)

    async def public_key(self, _: Request) -> Response:
        """Give the key that the card of a shop's own form is encrypted with."""
        headers = guard.ANY_ORIGIN | {"Cache-Control": "no-cache"}
        return Response(cryptogram.public_key(), headers=headers, media_type="text/plain")

    async def pay_by_card(self, request: Request) -> Response:
        """Pay with a card that the shop's own form took."""
        token, notes = await self._begin(request)
        body = await self._body(request)
        asked = orders.card_payment("card-payment-request", body, notes, cryptogram.FIELD_SPELLINGS)
        card = self._opened(asked, request.state.merchant, notes)
        paid = await self._bank.pay_by_card(token, asked.order, card, notes)
        return await self._paid(request, *paid, notes)

    async def pay_by_saved_card(self, request: Request) -> Response:
        """Pay with a card that a customer has saved."""
        token, notes = await self._begin(request)
        asked = orders.card_payment("saved-card-payment-request", await self._body(request), notes)
        paid = await self._bank.pay_by_saved_card(token, asked.order, asked.saved_card, notes)
        return await self._paid(request, *paid, notes)

    async def confirm(self, request: Request) -> Response:
        """Finish a payment with what the issuer has sent to an address of the shop's."""
        token, notes = await self._begin(request)
        md, pa_res, transaction_id = operations.confirmation(
            "confirm-request", bodies.json_object(await self._body(request))
        )
        transaction = await self._bank.confirm(token, md, pa_res, transaction_id)
        return await self._paid(request, transaction, None, notes)

    async def confirm_in_browser(self, request: Request) -> Response:
        """Finish a payment with what the issuer sends through the cardholder's browser, and lead that on."""
        access = request.query_params.get("Access", "").strip()
        if not access:
            raise InvalidToken("the token is missing: it stands in the address, as Access", field="Access")
        body = await self._body(request)
        fields = forms.read_fields(request.headers.get("content-type", ""), body)
        md, pa_res, _ = operations.confirmation("confirm-form", fields)
        transaction = await self._bank.confirm_in_browser(access, md, pa_res)
        return RedirectResponse(_way_back(transaction), 303, headers=guard.NO_STORE)

    async def saved_cards(self, request: Request) -> Response:
        """List the cards that an account has saved."""
        cards, merchant = await self._bank.saved_cards(bearer(request), request.path_params["account_id"])
        return self._answered("saved-cards", outgoing.saved_cards(cards, merchant))

    async def deactivate_card(self, request: Request) -> Response:
        """Let a saved card pay no more."""
        await self._bank.deactivate_card(bearer(request), request.path_params["card_id"])
        return self._answered("operation-response", outgoing.operation_response("the card pays no more"))

    async def make_link(self, request: Request) -> Response:
        """Let an order wait at an address."""
        token, notes = await self._begin(request)
        asked = orders.invoice_link(await self._body(request), notes)
        link, merchant = await self._bank.make_link(token, asked, notes)
        body = outgoing.invoice_link(link, merchant, guard.base_url(request))
        return self._answered("invoice-link-response", body, notes)

    async def terminal(self, request: Request) -> Response:
        """Tell what is known of a point of sale."""
        found = await self._bank.terminal(bearer(request), request.path_params["id"])
        return self._answered("terminal-response", outgoing.terminal(*found))

    async def _begin(self, request: Request) -> tuple[str, Notes]:
        """Look at the token first, whatever else is wrong; give the request its notes, for refusals too."""
        token = bearer(request)
        request.state.merchant = merchant = await self._bank.check_token(token)
        request.state.notes = await self._bank.notes(merchant.client_id)
        return token, request.state.notes

    async def _body(self, request: Request) -> bytes:
        return await guard.read_body(request.scope, request.receive, self._settings.max_body_kb * 1024)

    def _opened(self, asked: orders.CardPayment, merchant: Merchant, notes: Notes) -> Card:
        """Decrypt the card; what was encrypted for the bank itself stands for a card that is set."""
        try:
            opened = cryptogram.decrypt(asked.cryptogram)
        except cryptogram.ForeignKeyError:
            assumed = issuer.card_of(merchant.foreign_key_card)
            if assumed is None:
                raise
            notes.remark("cryptogram-key", "cryptogram")
            return assumed
        if asked.order.terminal not in {"", opened.terminal_id}:
            rule = f"the same inside the cryptogram, where it is {opened.terminal_id}"
            notes.broken(BadField("terminalId", asked.order.terminal, rule, OWN_FORM))
        return opened.card

    async def _paid(
        self, request: Request, transaction: Transaction, challenge: Challenge | None, notes: Notes
    ) -> Response:
        """Answer for a payment.

        Raises:
            Declined: it was.

        """
        await self._bank.payer_waits(transaction, request.state.merchant)
        if transaction.reason_code:
            message = outgoing.reason(transaction.reason_code, transaction.order.reads)
            raise Declined(message, code=transaction.reason_code)
        body = outgoing.card_payment(transaction, challenge, base_url=guard.base_url(request))
        return self._answered("card-payment-response", body, notes)

    def _told(self, answer: StatusAnswer) -> Response:
        notes = Notes()
        if answer.transaction and answer.transaction.status is Status.AUTH:
            notes.remark("money-held", "statusName", answer.transaction.status.value)
        suffix = SPELLINGS[answer.merchant.dialect].schema_suffix
        return self._answered(f"status-response{suffix}", outgoing.status_response(answer), notes)

    def _answered(self, schema: str, body: Any, notes: Notes | None = None) -> Response:
        encoded = contracts.encode(schema, body, check=self._settings.self_check)
        return guard.Answer(encoded, [*_HEADERS, *guard.hints_encoded(notes)] if notes else _HEADERS)


def bearer(request: Request) -> str:
    """Return the token that a request presents.

    Raises:
        InvalidToken: it presents none.

    """
    scheme, token = _presented(request)
    if scheme != "bearer" or not token:
        raise InvalidToken(
            "the token is missing: send it in the header Authorization, behind the word Bearer",
            field="Authorization",
            rule="Bearer and the access_token",
            source="documented: transaction status service",
        )
    return token


def _presented(request: Request) -> tuple[str, str]:
    """Return the scheme of the header Authorization, in lower case, and what stands behind it."""
    scheme, _, token = guard.header(request.scope, b"authorization").decode("latin-1").partition(" ")
    return scheme.lower(), token.strip()


def _way_back(transaction: Transaction) -> str:
    """Return where the cardholder goes from 3-D Secure: to the shop, told how it ended, or to a page of our own."""
    order = transaction.order
    declined = transaction.reason_code != 0
    told = urlencode({"errorCode": transaction.reason_code} if declined else {"reference": transaction.reference})
    link = (order.leave_link if declined else order.back_link) or f"/payform/outcome/{transaction.id}"
    parts = urlsplit(link)
    return parts._replace(query=f"{parts.query}&{told}" if parts.query else told).geturl()
