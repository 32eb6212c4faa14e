"""The door of the control API: whom it lets in."""

from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from mock_epay.desk import Desk, sessions
from mock_epay.model import Merchant
from mock_epay.web import guard

_COOKIE: Final = "mock_epay_session"

# What is as good as the control token, where one is set.
Asked = Literal["nothing", "token", "session of anybody", "session of the merchant"]


class Door:
    """Lets in who brings the control token, or the session that a user of the cabinet has begun."""

    def __init__(self, desk: Desk) -> None:
        self._sessions = desk.sessions
        self._token = desk.bank.settings.control_token
        self._names = guard.own_names(desk.bank.settings)

    async def check(self, request: Request, asked: Asked) -> None:
        """Refuse who is not to come in.

        Raises:
            Forbidden: it is a page of another site, or comes by somebody else's name.
            InvalidToken: it lacks the control token, and what is `asked` instead.

        """
        guard.check_visitor(request, self._names)
        if asked == "nothing" or guard.brings(request, self._token):
            return
        user = await self.user(request) if asked != "token" else None
        if user is None or request.path_params.get("client_id", user.client_id) != user.client_id:
            raise guard.no_token()

    async def user(self, request: Request) -> Merchant | None:
        """Return the merchant whose user is signed in."""
        return await self._sessions.signed_in(request.cookies.get(_COOKIE, ""))

    def begin(self, request: Request, response: Response, user: Merchant) -> None:
        """Let a response begin the session of a merchant's user."""
        _set_cookie(request, response, self._sessions.begin(user), int(sessions.LASTS.total_seconds()))

    def end(self, request: Request, response: Response) -> None:
        """Let a response end the session."""
        _set_cookie(request, response, "", 0)


def _set_cookie(request: Request, response: Response, proof: str, seconds: int) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(_COOKIE, proof, max_age=seconds, httponly=True, samesite="strict", secure=secure)
