"""A table of addresses in front of Starlette's router, which tries one pattern after the other."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, Final, NoReturn

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

_FAILURE: Final = "mock_epay.failure"

# What answers, to which methods, and what the last step is called; nothing if the route has to say whether it fits.
_Way = tuple[Route, ASGIApp, frozenset[str] | None, str]


class Application(Starlette):
    """Starlette's application; what is asked at an address of the table does not go through its router.

    In the table are the routes whose addresses are whole, or end in a name. All others, methods that a route does
    not take, and whatever goes wrong, go the usual way.
    """

    def __init__(
        self, routes: Sequence[BaseRoute], exception_handlers: Mapping[Any, Callable[..., Any]], **more: Any
    ) -> None:
        super().__init__(routes=routes, exception_handlers=exception_handlers, **more)
        self._failing = Starlette(routes=[Mount("/", _fail)], exception_handlers=exception_handlers)
        self._ways: dict[str, _Way] = {}
        self._folders: dict[str, _Way] = {}
        self._enter(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        way = self._way(scope) if scope["type"] == "http" else None
        if way is None:
            await super().__call__(scope, receive, send)
            return
        try:
            await way(scope, receive, send)
        except Exception as wrong:  # noqa: BLE001  (the usual way knows what to answer, and raises what is a fault)
            scope[_FAILURE] = wrong
            await self._failing(scope, receive, send)

    def _enter(self, routes: Iterable[BaseRoute]) -> None:
        """Put those routes into the table that are for it."""
        for route in (one for one in routes if isinstance(one, Route)):
            name = next(iter(route.param_convertors), "")
            answers = _straight(route.endpoint) if iscoroutinefunction(route.endpoint) else route.app
            way = (route, answers, frozenset(route.methods) if route.methods else None, name)
            folder, _, last = route.path.rpartition("/")
            if not name:
                self._ways.setdefault(route.path, way)
            elif last == f"{{{name}}}":
                self._folders.setdefault(folder, way)
            elif last.startswith(f"{{{name}:"):
                self._folders.setdefault(folder, (*way[:3], ""))

    def _way(self, scope: Scope) -> ASGIApp | None:
        """Find what answers a request, and note what its address names."""
        path: str = scope["path"]
        found = self._ways.get(path)
        named: dict[str, Any] = {}
        if found is None:
            folder, _, last = path.rpartition("/")
            found = self._folders.get(folder)
            if found is None or not last:
                return None
            named = {found[3]: last} if found[3] else found[0].matches(scope)[1].get("path_params", {})
            if not named:
                return None
        route, way, methods, _ = found
        if methods is not None and scope["method"] not in methods:
            return None
        scope["endpoint"], scope["path_params"] = route.endpoint, named
        return way


def _straight(endpoint: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """Return an endpoint without what Starlette puts around it for what is raised in it: that is dealt with here."""

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    return answers


async def _fail(scope: Scope, _: Receive, __: Send) -> NoReturn:
    raise scope[_FAILURE]
