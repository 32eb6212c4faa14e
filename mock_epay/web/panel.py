"""The sandbox's tools beside the pay form: cards, ways to end a payment, and what the shop has sent."""

import json
from collections.abc import Collection, Iterable
from functools import cache
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mock_epay import issuer, script
from mock_epay.bank.checkouts import CheckoutView
from mock_epay.errors import NotFound
from mock_epay.model import Hint, Language, PaymentObject, TokenRequest
from mock_epay.records import Record
from mock_epay.web import guard, render
from mock_epay.wire import orders, outgoing, tokens

_REASONS: Final = "/payform/reasons"
_SAME_NAMES: Final = {"invoiceID": "invoiceId"}  # how the token request spells what the payment object has too


def routes() -> list[BaseRoute]:
    """Return what the tools load once they are used."""
    return [Route(f"{_REASONS}/{{language}}.json", _reasons)]


class Tools(Record, kw_only=True):
    """What the tools of a checkout show: test cards, what the shop has sent, and where all that happened is told.

    Of each field the row says what stood in the token's request and in the payment object, and if there is a hint.
    """

    cards: str
    sent: tuple[tuple[str, str, str, bool], ...]
    timeline: str


def tools(view: CheckoutView, language: Language, hints: Iterable[Hint], sheet: render.Sheet) -> Tools:
    """Return what the tools of a checkout show beside its hints."""
    client_id, invoice_id = quote(view.merchant.client_id, safe=""), quote(view.checkout.invoice_id, safe="")
    return Tools(
        cards=_cards(language),
        sent=_sent(view.asked, view.checkout.order, {hint.field for hint in hints}, sheet),
        timeline=sheet.text(f"/cabinet/{client_id}/invoices/{invoice_id}"),
    )


def _sent(
    asked: TokenRequest, order: PaymentObject, hinted: Collection[str], sheet: render.Sheet
) -> tuple[tuple[str, str, str, bool], ...]:
    """Put what a token was asked for with beside the payment object; what is the same in both is one text."""
    of_object = dict(orders.object_pairs(order))
    of_token = {_SAME_NAMES.get(name, name): value for name, value in tokens.token_pairs(asked)}
    rows = []
    for name in of_object | of_token:
        in_token, in_object = of_token.get(name), of_object.get(name)
        place = sheet.text(in_object)
        rows.append((name, place if in_token == in_object else sheet.text(in_token), place, name in hinted))
    return tuple(rows)


async def _reasons(request: Request) -> Response:
    """Give the reason codes that a payment can be made to end with, each with the card number for it."""
    language = request.path_params["language"]
    if language not in render.LANG:
        known = ", ".join(render.LANG)
        raise NotFound(f"no reasons in {language[:20]}; there are {known}", field="language", rule=known)
    return Response(_reason_list(language), headers=guard.NO_STORE, media_type="application/json")


@cache
def _reason_list(language: Language) -> str:
    reasons = [
        {"code": code, "reason": outgoing.reason(code, language), "pan": issuer.card_for(code)}
        for code in outgoing.reason_codes()
        if code
    ]
    return json.dumps(reasons, ensure_ascii=False)


@cache
def _cards(language: Language) -> str:
    """Return the part that is the same for every checkout; half of the page's time would go into it."""
    documented = [
        {"pan": card.pan, "brand": card.brand, "expiry": pair.expiry, "cvc": pair.cvc, "status": card.status}
        for card in issuer.test_cards().values()
        for pair in card.pairs[:1]
    ]
    own = [
        {
            "pan": card.pan,
            "brand": card.brand,
            "expiry": issuer.ANY_EXPIRY,
            "cvc": issuer.ANY_CODE,
            "status": "lock" if card.reason_code else "unlock",
            "code": card.reason_code,
            "reason": outgoing.reason(card.reason_code, language),
            "secure": card.three_ds,
        }
        for card in issuer.own_cards().values()
    ]
    return render.part(
        "_cards.html",
        language=language,
        cards=documented,
        own=own,
        any_card={"expiry": issuer.ANY_EXPIRY, "cvc": issuer.ANY_CODE},
        reasons=f"{_REASONS}/{language}.json",
        plans=[{"name": name, "incident": plan.incident} for name, plan in script.PLANS.items()],
    )
