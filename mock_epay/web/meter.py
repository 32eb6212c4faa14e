"""What is counted of each request, and the address at which Prometheus reads it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from mock_epay.bank import Bank
from mock_epay.metrics import TYPE, Metrics
from mock_epay.web import guard

ADDRESS: Final = "/metrics"
NOWHERE: Final = "none"  # the route of what leads nowhere: its address could be anything


def routes(bank: Bank, metrics: Metrics) -> list[BaseRoute]:
    """Return the address at which the counts are read, guarded as the control API is."""
    names = guard.own_names(bank.settings)

    async def counts(request: Request) -> Response:
        guard.check_visitor(request, names)
        if not guard.brings(request, bank.settings.control_token):
            raise guard.no_token()
        return Response(metrics.text(await bank.store.tally()), headers=guard.NO_STORE | {"Content-Type": TYPE})

    return [Route(ADDRESS, counts)]


class Meter:
    """Counts the answers of an application, by its routes."""

    def __init__(self, app: Starlette, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._learn()

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer, which took so many seconds, to this request."""
        self._metrics.answered(self._route(scope), status, seconds)

    def _route(self, scope: Scope) -> str:
        """Return the path, as the router knows it, that has answered."""
        path: str = scope["path"]
        return (
            self._paths.get(path)
            or self._folders.get(path.rpartition("/")[0])
            or self._endpoints.get(scope.get("endpoint"))
            or self._new_route(scope)
        )

    def _new_route(self, scope: Scope) -> str:
        """Return the same for a route that was not there before, if that is what has answered."""
        if len(self._app.router.routes) == self._known:
            return NOWHERE
        self._learn()
        return self._route(scope)

    def _learn(self) -> None:
        routes = self._app.router.routes
        self._known = len(routes)
        self._paths, self._folders, self._endpoints = _named(routes)


def _named(routes: Sequence[BaseRoute]) -> tuple[Mapping[str, str], Mapping[str, str], Mapping[Any, str]]:
    """Return paths by the addresses that are all there is to them, by what stands before a last name, by endpoint."""
    paths: dict[str, str] = {}
    folders: dict[str, str] = {}
    endpoints: dict[Any, str] = {}
    for route in routes:
        if isinstance(route, Mount):
            endpoints[route.app] = f"{route.path}/{{path}}"
        else:
            assert isinstance(route, Route)
            endpoints.setdefault(route.endpoint, route.path)
            folder, _, last = route.path.rpartition("/")
            if not route.param_convertors:
                paths[route.path] = route.path
            elif "{" not in folder and last in {f"{{{name}}}" for name in route.param_convertors}:
                folders[folder] = route.path
    return paths, folders, endpoints
