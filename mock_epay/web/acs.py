"""The issuer's page of 3-D Secure, the access control server: asks the cardholder for a code and sends them back."""

from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from mock_epay import resources
from mock_epay.bank import Bank, challenges
from mock_epay.bank.challenges import ChallengeView
from mock_epay.errors import BadField
from mock_epay.web import forms, guard, payform, render
from mock_epay.web.looks import Looks
from mock_epay.wire import links

_STATIC: Final = "/acs/static"
# What the buttons of the page answer with instead of the code that was typed; the second is the sandbox's own.
_CANCEL: Final = "cancel"
_FAIL: Final = "fail"
_WRONG: Final = "000"  # never the right code: that has six digits


def routes(bank: Bank) -> list[BaseRoute]:
    """Return the issuer's entrance, its page and its files."""
    pages = IssuerPages(bank)
    return [
        Route("/acs", payform.as_page(pages.enter), methods=["POST"]),
        Mount(_STATIC, StaticFiles(directory=resources.STATIC / "issuer")),
        Route("/acs/{challenge_id:uuid}", payform.as_page(pages.show), methods=["GET", "POST"]),
    ]


class IssuerPages:
    """The pages on which cardholders answer."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._settings = bank.settings

    async def enter(self, request: Request) -> Response:
        """Take in a cardholder whom the shop's page has sent, with `PaReq`, `MD` and `TermUrl`."""
        fields = await self._fields(request)
        for name in ("PaReq", "MD", "TermUrl"):
            if not fields.get(name, "").strip():
                raise BadField(name, None, "needed, as in the secure3D of the payment's answer", _source(name))
        term_url = links.link(fields["TermUrl"])
        if term_url is None:
            raise BadField("TermUrl", fields["TermUrl"], "an http or https address", _source("TermUrl"))
        await self._bank.enter_challenge(fields["MD"].strip(), fields["PaReq"].strip(), term_url)
        return RedirectResponse(f"/acs/{fields['MD'].strip()}", 303, headers=guard.NO_STORE)

    async def show(self, request: Request) -> Response:
        """Ask for the code, or take the answer; then send the cardholder back to where they came from."""
        challenge_id = str(request.path_params["challenge_id"])
        if request.method == "GET":
            return self._page(request, await self._bank.challenge(challenge_id))
        fields = await self._fields(request)
        answer = fields.get("answer", "")
        code = {_CANCEL: None, _FAIL: _WRONG}.get(answer, fields.get("code", "").strip())
        seen = await self._bank.answer_challenge(challenge_id, code)
        while answer == _FAIL and seen.open:
            seen = await self._bank.answer_challenge(challenge_id, code)
        if seen.open:
            return RedirectResponse(Looks.of(request).address(_path(challenge_id)), 303, headers=guard.NO_STORE)
        if seen.challenge.checkout_id:  # that of a shop's own form goes on when the shop wants it
            await self._bank.payer_waits(seen.transaction, seen.merchant)
        return self._page(request, seen)

    def _page(self, request: Request, seen: ChallengeView) -> Response:
        challenge, transaction = seen.challenge, seen.transaction
        order = transaction.order
        looks = Looks.of(request)
        language = looks.language(order.reads)
        if not seen.open and challenge.checkout_id:
            page = looks.address(payform.path(challenge.checkout_id))
            return RedirectResponse(page, 303, headers=guard.NO_STORE)
        if not seen.open:
            html = render.page(
                "issuer_return.html",
                language=language,
                static=_STATIC,
                short=looks.short,
                languages={},
                term_url=challenge.term_url,
                md=challenge.id,
                pa_res=challenge.pa_res,
            )
            return HTMLResponse(html, headers=guard.page_headers(framed=looks.short, sends_away=True))
        assert transaction.card is not None
        sheet = render.Sheet()
        page_of_issuer = sheet.page(
            "issuer.html",
            language=language,
            static=_STATIC,
            short=looks.short,
            looks=looks,
            place=sheet.text(_path(challenge.id)),
            shop=sheet.text(seen.merchant.name),
            amount=sheet.text(render.money(order.amount, order.currency, language)),
            card_mask=sheet.text(transaction.card.short()),
            issuer=sheet.text(transaction.card.issuer),
            code=sheet.text(challenge.code) if self._settings.panel and looks.panel is not False else None,
            tries_left=challenge.tries_left,
            wrong=challenge.tries_left < challenges.TRIES,
            leave_url=sheet.text(order.leave_link),
            seconds_left=sheet.text(str(seen.seconds_left)),
            time_left=sheet.text(render.clock(seen.seconds_left)),
        )
        return HTMLResponse(page_of_issuer, headers=guard.page_headers(framed=looks.short))

    async def _fields(self, request: Request) -> dict[str, str]:
        body = await guard.read_body(request.scope, request.receive, self._settings.max_body_kb * 1024)
        return forms.read_fields(request.headers.get("content-type", ""), body)


def _path(challenge_id: str) -> str:
    return f"/acs/{challenge_id}"


def _source(field: str) -> str:
    return f"observed: 3-D Secure of the own card form, {field}"
