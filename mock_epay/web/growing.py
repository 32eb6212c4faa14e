"""An application that is not whole at its start: most of it is imported when somebody first asks for it."""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from mock_epay.web.table import Application

# What the addresses of some routes begin with, up to a second slash, and what imports and makes these routes.
Part = tuple[str, Callable[[], Sequence[BaseRoute]]]


class Growing(Application):
    """An application to which parts are added, each by the first request that nothing but it may answer.

    That takes no turn of the loop, so no other request meets half of a part.
    """

    def __init__(self, parts: Sequence[Part], **more: Any) -> None:
        super().__init__(**more)
        self._parts = list(parts)
        self.router.default = self._answer_by_part

    @property
    def routes(self) -> list[BaseRoute]:
        """All routes there may be: whoever looks at them makes the application whole."""
        self._add(self._parts)
        return self.router.routes

    async def _answer_by_part(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what no route was found for as yet."""
        step = "/" + scope["path"][1:].partition("/")[0]
        parts = [part for part in self._parts if step in part[0].split()]
        self._add(parts)
        answer = self if parts else self.router.not_found
        await answer(scope, receive, send)

    def _add(self, parts: Sequence[Part]) -> None:
        for part in list(parts):
            routes = part[1]()  # a part that cannot be imported stays, so that each request for it says why
            self._parts.remove(part)
            self.router.routes += routes
            self._enter(routes)
