"""The sandbox's tools beside the pay form: cards, ways to end a payment, and what the shop has sent."""

import json
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mock_epay import issuer, script
from mock_epay.bank.checkouts import CheckoutView
from mock_epay.errors import NotFound
from mock_epay.model import Language, PaymentObject, TokenRequest
from mock_epay.web import guard, render
from mock_epay.wire import orders, outgoing, tokens

_REASONS: Final = "/payform/reasons"
_SAME_NAMES: Final = {"invoiceID": "invoiceId"}  # how the token request spells what the payment object has too


def routes() -> list[BaseRoute]:
    """Return what the tools load once they are used."""
    return [Route(f"{_REASONS}/{{language}}.json", _reasons)]


def tools(view: CheckoutView, language: Language) -> dict[str, Any]:
    """Return what the tools of a checkout show."""
    client_id, invoice_id = quote(view.merchant.client_id, safe=""), quote(view.checkout.invoice_id, safe="")
    return {
        "cards": _cards(language),
        "sent": sent(view.asked, view.checkout.order),
        "timeline": f"/cabinet/{client_id}/invoices/{invoice_id}",
    }


def sent(asked: TokenRequest, order: PaymentObject) -> list[tuple[str, str | None, str | None]]:
    """Put what a token was asked for with beside the payment object: a row for each field, None where it is not."""
    of_object = dict(orders.object_pairs(order))
    of_token = {_SAME_NAMES.get(name, name): value for name, value in tokens.token_pairs(asked)}
    return [(name, of_token.get(name), of_object.get(name)) for name in dict.fromkeys((*of_object, *of_token))]


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
