"""The sandbox as one ASGI application: all hosts of the bank answered at one origin."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, NoReturn

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mock_epay.bank import Bank, merchants
from mock_epay.desk import Desk
from mock_epay.errors import Fault, InvalidToken, NotFound, OutOfOrder, Refusal, WrongMethod
from mock_epay.metrics import Metrics
from mock_epay.notes import Notes
from mock_epay.postlinks import Courier
from mock_epay.postlinks.roads import Roads
from mock_epay.script import Rule
from mock_epay.store import StoreError
from mock_epay.web import guard, meter, oauth
from mock_epay.web.checks import CheckHandler
from mock_epay.web.growing import Growing, Part

_log: Final = logging.getLogger("mock_epay")

_PAGES: Final = ("/payform", "/acs")  # what stands there answers with pages


def create_app(
    bank: Bank,
    rules: Sequence[Rule] = (),
    own: Sequence[Mapping[str, Any]] = (),
    *,
    authority: bytes = b"",
    check_handler: CheckHandler | None = None,
    metrics: Metrics | None = None,
) -> Growing:
    """Return the application over a bank; its lifespan runs what happens by itself, such as the delivery of postlinks.

    The rules hold for every merchant; merchants of the sandbox's `own` are there from the start, besides the bank's.
    `authority` is the certificate, PEM, of whoever vouches for the sandbox, if it serves HTTPS.
    `check_handler` checks a shop's handler of postlinks for a visitor. `metrics` are those that it tells; requests are
    counted elsewhere.
    """
    settings = bank.settings
    metrics = metrics or Metrics()
    roads = Roads(settings.postlink_hosts, settings.postlink_localhost, settings.postlink_allow)
    courier = Courier(bank.store, roads, metrics.tried)
    desk = Desk(bank, courier, rules, own)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await desk.worlds.open()
        async with courier:
            works = desk.timekeeper.start()
            for work in works:
                work.add_done_callback(_report)
            yield
            await courier.finish()
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    return Growing(
        _parts(bank, desk, check_handler),
        routes=[*oauth.routes(bank), *meter.routes(bank, metrics), Route("/ca.pem", partial(_authority, authority))],
        lifespan=lifespan,
        exception_handlers={
            Refusal: _refused,
            HTTPException: _lost,
            StoreError: _out_of_order,
            Exception: _failed,
        },
    )


def _parts(bank: Bank, desk: Desk, check_handler: CheckHandler | None) -> Sequence[Part]:
    """Return what nobody's start should wait for; to import and make it all takes a tenth of one."""

    def services() -> Sequence[BaseRoute]:
        from mock_epay.web import api  # noqa: PLC0415

        return api.routes(bank)

    def pages() -> Sequence[BaseRoute]:
        from mock_epay.web import acs, payform  # noqa: PLC0415

        return [*payform.routes(bank), *acs.routes(bank)]

    def control_api() -> Sequence[BaseRoute]:
        from mock_epay.web import control  # noqa: PLC0415

        return control.routes(desk, check_handler)

    def documents() -> Sequence[BaseRoute]:
        from mock_epay.web import reference  # noqa: PLC0415

        return reference.routes()

    def shop() -> Sequence[BaseRoute]:
        from mock_epay.web import demo  # noqa: PLC0415

        return demo.demo_shop(**_demo_credentials())

    def cabinet_pages() -> Sequence[BaseRoute]:
        from mock_epay.web import cabinet  # noqa: PLC0415

        return cabinet.routes(bank.settings)

    return [
        ("/api /card /cards /check-status /invoice /operation /payment /payments /public.rsa /terminals", services),
        ("/acs /api /payform /redesign-payform /redirect", pages),
        ("/_control", control_api),
        ("/docs /openapi.json /schemas", documents),
        ("/demo", shop),
        ("/ /cabinet", cabinet_pages),
    ]


def _demo_credentials() -> dict[str, str]:
    row = merchants.documented()
    return {
        "client_id": row["client_id"],
        "client_secret": row["client_secret"],
        "terminal": row["terminals"][0]["id"],
    }


def _report(work: "asyncio.Task[NoReturn]") -> None:
    """Say that something which should never end has ended; a sandbox that silently sends nothing misleads."""
    wrong = None if work.cancelled() else work.exception()
    if wrong is not None:
        _log.critical("%s has stopped; please report it", work.get_name(), exc_info=wrong)


async def _authority(certificate: bytes, _: Request) -> Response:
    if not certificate:
        raise NotFound("there is no certificate: the setting tls is off", field="path", source="setting tls")
    return Response(certificate, headers=guard.NO_STORE, media_type="application/x-pem-file")


def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(refusal, InvalidToken) else {}
    headers |= guard.hint_headers(getattr(request.state, "notes", Notes()))
    return oauth.refused(refusal, check=False, headers=headers)


def _lost(request: Request, lost: Exception) -> Response:
    """Answer an address or method that no route has."""
    assert isinstance(lost, HTTPException)
    path = request.url.path[:80]
    wrong: Refusal = NotFound(f"nothing stands at {path}; addresses are listed in the README", field="path")
    if lost.status_code == WrongMethod.status:
        allowed = ", ".join(sorted((lost.headers or {}).get("Allow", "").split(", ")))
        wrong = WrongMethod(f"{path} takes {allowed}, not {request.method}", field="method", rule=allowed)
    page = isinstance(wrong, NotFound) and request.url.path.startswith(_PAGES)
    response = _page(request, wrong) if page else oauth.refused(wrong, check=False)
    response.headers.update(lost.headers or {})
    return response


def _out_of_order(request: Request, wrong: Exception) -> Response:
    """Answer while the store fails: nothing is kept by half, and the next request may do better."""
    _log.error("%s", wrong)
    rule = "it has to be within reach, and to have room; nothing is kept by half, and the same may be asked again"
    return _excuse(request, OutOfOrder(str(wrong), field="store", rule=rule, source="setting store"))


def _failed(request: Request, _: Exception) -> Response:
    """Answer for a fault of our own, with a page where a page was asked for."""
    return _excuse(request, Fault("the sandbox has failed; its log says where. Please report it."))


def _excuse(request: Request, fault: Refusal) -> Response:
    if request.url.path.startswith(_PAGES):
        return _page(request, fault)
    return oauth.refused(fault, check=False)


def _page(request: Request, refusal: Refusal) -> Response:
    from mock_epay.web import payform  # noqa: PLC0415  (a part)

    return payform.refused_page(request, refusal)
