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
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from mock_epay import resources
from mock_epay.bank import Bank
from mock_epay.desk import Desk
from mock_epay.errors import Fault, InvalidToken, NotFound, OutOfOrder, Refusal, WrongMethod
from mock_epay.metrics import Metrics
from mock_epay.notes import Notes
from mock_epay.postlinks import Courier
from mock_epay.postlinks.roads import Roads
from mock_epay.script import Rule
from mock_epay.store import StoreError
from mock_epay.web import acs, api, cabinet, control, demo, guard, meter, oauth, payform, reference
from mock_epay.web.checks import CheckHandler
from mock_epay.web.table import Application

_log: Final = logging.getLogger("mock_epay")

DEMO_MERCHANT: Final = "test"
_PAGES: Final = ("/payform", "/acs")  # what stands there answers with pages


def create_app(
    bank: Bank,
    rules: Sequence[Rule] = (),
    own: Sequence[Mapping[str, Any]] = (),
    *,
    authority: bytes = b"",
    check_handler: CheckHandler | None = None,
    metrics: Metrics | None = None,
) -> Application:
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

    return Application(
        routes=[*_routes(bank, desk, authority, check_handler), *meter.routes(bank, metrics)],
        lifespan=lifespan,
        exception_handlers={
            Refusal: _refused,
            HTTPException: _lost,
            StoreError: _out_of_order,
            Exception: _failed,
        },
    )


def _routes(bank: Bank, desk: Desk, authority: bytes, check_handler: CheckHandler | None) -> list[BaseRoute]:
    return [
        *oauth.routes(bank),
        *api.routes(bank),
        *payform.routes(bank),
        *acs.routes(bank),
        *control.routes(desk, check_handler),
        Route("/schemas/samples/{name}.json", _sample),
        Route("/schemas/{name}.json", _schema),
        *reference.routes(),
        *demo.demo_shop(**_demo_credentials()),
        *cabinet.routes(bank.settings),
        Route("/ca.pem", partial(_authority, authority)),
    ]


def _demo_credentials() -> dict[str, str]:
    rows: list[Mapping[str, Any]] = resources.table("merchants")["merchant"]
    row = next(row for row in rows if row["client_id"] == DEMO_MERCHANT)
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


async def _schema(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in resources.schema_names():
        known = ", ".join(sorted(resources.schema_names()))
        raise NotFound(f"there is no schema {name[:40]}; there are {known}", rule=known)
    return Response(resources.schema_text(name), headers=guard.ANY_ORIGIN, media_type="application/schema+json")


async def _sample(request: Request) -> Response:
    samples = {path.stem: path for path in resources.SAMPLES.glob("*.json")}
    name = request.path_params["name"]
    if name not in samples:
        known = ", ".join(sorted(samples))
        raise NotFound(f"there is no sample {name[:40]}; there are {known}", rule=known)
    return FileResponse(samples[name], headers=guard.ANY_ORIGIN, media_type="application/json")


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
    response: Response = payform.refused_page(request, wrong) if page else oauth.refused(wrong, check=False)
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
        return payform.refused_page(request, fault)
    return oauth.refused(fault, check=False)
