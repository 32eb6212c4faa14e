"""The pay page: opened by `halyk.pay`, paid on by the cardholder, left for the shop."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, lru_cache, partial, wraps
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from mock_epay import issuer, resources
from mock_epay.bank import Bank
from mock_epay.bank.checkouts import CheckoutView, Choice
from mock_epay.errors import (
    BadField,
    ExpiredLink,
    Fault,
    InvalidToken,
    NotFound,
    NotSimulated,
    Refusal,
    SpentToken,
    TooLarge,
)
from mock_epay.model import Card, Checkout, CheckoutState, Hint, Language, Payer, Status
from mock_epay.notes import Notes
from mock_epay.records import Record, replace
from mock_epay.settings import THREE_DS
from mock_epay.web import cardform, faults, forms, guard, panel, render
from mock_epay.web.looks import Looks
from mock_epay.wire import links, orders, outgoing

_AUTO: Final = "auto"
_AUTOFILL: Final = "autofill"
_DECLINED_BY_ISSUER: Final = 462
_STATIC: Final = "/payform/static"
_SCRIPTS: Final = ("/payform/payment-api.js", "/redesign-payform/payment-api.js")
_DECLINED: Final = {Status.REJECT, Status.FAILED}

# Which of its texts the page of a refusal shows; the first that fits.
_KINDS: Final[tuple[tuple[type[Refusal], str], ...]] = (
    (SpentToken, "finished"),
    (InvalidToken, "token"),
    (TooLarge, "too_large"),
    (NotSimulated, "not_simulated"),
    (NotFound, "missing"),
    (ExpiredLink, "link"),
    (Fault, "internal"),
)

Page = Callable[[Request], Awaitable[Response]]


def routes(bank: Bank) -> list[BaseRoute]:
    """Return the pay page, its script and its files."""
    pages = PayForm(bank)
    library = resources.STATIC / "payform" / "payment-api.js"

    async def declarations(_: Request) -> Response:
        types = library.with_suffix(".d.ts")
        return FileResponse(types, headers=guard.ANY_ORIGIN | {"Cache-Control": "no-cache"}, media_type="text/plain")

    async def file() -> Response:
        return FileResponse(library, headers=guard.ANY_ORIGIN | {"Cache-Control": "no-cache"})

    async def payment_api(request: Request) -> Response:
        return await faults.spoilt(bank, "script", request.query_params.get("client_id"), file, guard.ANY_ORIGIN)

    return [
        *(Route(path, payment_api) for path in _SCRIPTS),
        Route("/payform/payment-api.d.ts", declarations),
        Mount(_STATIC, StaticFiles(directory=resources.STATIC / "payform")),
        *(Route(path, as_page(pages.open), methods=["GET", "POST"]) for path in ("/payform/", "/payform")),
        *panel.routes(),
        *(Route(f"/payform/{service}", as_page(_not_simulated)) for service in ("p2p", "aft", "oct")),
        *(Route(f"{prefix}/redirect/invoice-link/{{link_id}}", as_page(pages.open_link)) for prefix in ("", "/api")),
        Route("/payform/outcome/{transaction_id}", as_page(pages.outcome)),
        Route("/payform/{checkout_id:uuid}/leave", as_page(pages.leave)),
        Route("/payform/{checkout_id:uuid}", as_page(pages.show), methods=["GET", "POST"]),
    ]


class SavedChoice(Record, kw_only=False):
    """A saved card on the form."""

    id: str
    mask: str
    brand: str
    chosen: bool


class PayForm:
    """The pages of one bank's checkouts."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._settings = bank.settings

    async def open(self, request: Request) -> Response:
        """Open a checkout from an address that `halyk.pay`, or the shop's server, has made.

        A POST to that address opens it and pays, for shops' tests that have no browser.
        """
        view = await self._open(request)
        at_once = request.method == "GET" and _AUTO in request.query_params
        step = self._pay if request.method == "POST" else self._pay_at_once if at_once else self._page
        answer = partial(step, request, view)
        return await faults.spoilt(self._bank, "page", view.merchant.client_id, answer)

    async def show(self, request: Request) -> Response:
        """Show a checkout as it stands, or try to pay on it."""
        checkout_id = str(request.path_params["checkout_id"])

        async def answer() -> Response:
            view = await self._bank.checkout(checkout_id)
            return await (self._pay if request.method == "POST" else self._page)(request, view)

        client_id = await self._bank.store.owner(Checkout, checkout_id)
        return await faults.spoilt(self._bank, "page", client_id, answer)

    async def leave(self, request: Request) -> Response:
        """Lead the customer back to the shop, where a postlink waits for that."""
        checkout_id = str(request.path_params["checkout_id"])
        link = await self._bank.leave_page(checkout_id)
        return RedirectResponse(link or path(checkout_id), 303, headers=guard.NO_STORE)

    async def open_link(self, request: Request) -> Response:
        """Lead from an invoice link to its pay page."""
        checkout_id = await self._bank.open_link(request.path_params["link_id"])
        return RedirectResponse(Looks.of(request).address(path(checkout_id)), 303, headers=guard.NO_STORE)

    async def outcome(self, request: Request) -> Response:
        """Show how a payment by the shop's own card form has ended, where the shop gave no address to return to."""
        transaction, merchant = await self._bank.transaction(request.path_params["transaction_id"])
        order = transaction.order
        looks = replace(Looks.of(request), short=False)
        language = looks.language(order.reads)
        html = render.page(
            "outcome.html",
            language=language,
            static=_STATIC,
            short=False,
            languages=looks.same_address(request),
            shop=merchant.name,
            invoice=order.invoice_id,
            amount=render.money(order.amount, order.currency, language),
            approved=transaction.approved,
            reference=transaction.reference,
            **_why(transaction.reason_code, language),
        )
        return HTMLResponse(html, headers=guard.page_headers(framed=False))

    async def _open(self, request: Request) -> CheckoutView:
        limit = self._settings.max_params_kb * 1024
        if len(request.scope["query_string"]) > limit:
            rule = f"at most {limit} characters"
            raise TooLarge(f"params is too long: {rule}", field="params", rule=rule, source="setting max_params_kb")
        params = request.query_params.get("params")
        if not params:
            raise BadField("params", None, "needed: the packed payment object", "observed: payment-api.js")
        pairs = orders.page_address(params)
        # A page that refuses speaks the shop's language and leads back to the shop as well, if that can be read.
        request.state.language = orders.page_language(pairs.get("language", ""))
        request.state.back_link = links.link(pairs.get("backLink", ""))
        request.state.leave_url = links.link(pairs.get("failureBackLink", "")) or request.state.back_link
        answer = orders.token_answer(pairs)
        request.state.notes = notes = await self._bank.notes_for(answer.get("access_token", ""))
        order, access_token = orders.payment_object(pairs, answer, notes)
        return await self._bank.open_checkout(order, access_token, notes)

    async def _pay(self, request: Request, view: CheckoutView) -> Response:
        body = await guard.read_body(request.scope, request.receive, self._settings.max_body_kb * 1024)
        fields = forms.read_fields(request.headers.get("content-type", ""), body)
        form = cardform.read(fields, view.checkout.payer)
        if form.problems:
            return await self._page(request, view, form)
        # A form that says nothing of saving the card, as a test's may, leaves that to the shop.
        save = view.checkout.order.card_save if form.save_card is None else form.save_card
        choice = Choice(
            saved_card=form.saved_card,
            save_card=save,
            plan=fields.get("plan", "").strip(),
            three_ds=_three_ds(fields.get("three_ds", "").strip()),
        )
        return await self._try(request, view, form.card, form.payer, choice)

    async def _pay_at_once(self, request: Request, view: CheckoutView) -> Response:
        """Pay without a click if the merchant allows it and nothing was tried before; else show the page, and why."""
        word = request.query_params[_AUTO]
        card = _cards_at_once().get(word)
        if card is None:
            _notes(request).remark("auto-word", _AUTO, word)
        elif not view.merchant.auto_pay:
            _notes(request).remark("auto-pay", _AUTO, word)
        elif view.transaction.status is Status.NEW:
            choice = Choice(save_card=view.checkout.order.card_save)
            return await self._try(request, view, card, view.checkout.payer, choice)
        return await self._page(request, view)

    async def _try(self, request: Request, view: CheckoutView, card: Card, payer: Payer, choice: Choice) -> Response:
        paid = await self._bank.pay(view.checkout.id, card, payer, choice)
        await self._bank.payer_waits(paid, view.merchant)
        page = Looks.of(request).address(path(view.checkout.id))
        return RedirectResponse(page, 303, headers=guard.NO_STORE)

    async def _page(self, request: Request, view: CheckoutView, form: cardform.CardForm | None = None) -> Response:
        looks = Looks.of(request)
        if view.challenge_id:
            return RedirectResponse(looks.address(f"/acs/{view.challenge_id}"), 303, headers=guard.NO_STORE)
        if view.awaits_leaving and looks.short:  # the widget's page stays the shop's, and the shop has been told
            await self._bank.leave_page(view.checkout.id)
        sheet = render.Sheet()
        order = view.checkout.order
        language = looks.language(order.reads)
        template, facts = self._content(request, view, form, looks, sheet)
        html = sheet.page(
            template,
            language=language,
            static=_STATIC,
            short=looks.short,
            looks=looks,
            place=sheet.text(path(view.checkout.id)),
            shop=sheet.text(view.merchant.name),
            invoice=sheet.text(order.invoice_id),
            amount=sheet.text(render.money(order.amount, order.currency, language)),
            leave_url=sheet.text(_way_out(view, order.leave_link)),
            **facts,
        )
        wrong = form is not None and template == "form.html"
        headers = guard.page_headers(framed=looks.short) | guard.hint_headers(_notes(request))
        return HTMLResponse(html, 422 if wrong else 200, headers=headers)

    def _content(
        self, request: Request, view: CheckoutView, form: cardform.CardForm | None, looks: Looks, sheet: render.Sheet
    ) -> tuple[str, dict[str, Any]]:
        """Choose the page for where the checkout stands, and what it shows beside what all pages do."""
        checkout, transaction = view.checkout, view.transaction
        language = looks.language(checkout.order.reads)
        card = _autofill(request)
        if checkout.state is CheckoutState.APPROVED:
            return "approved.html", self._approved(view, sheet)
        if checkout.state is CheckoutState.CLOSED:
            declined = transaction.status in _DECLINED and transaction.reason_code != checkout.reason_code
            last = outgoing.reason(transaction.reason_code, language) if declined else None
            return "closed.html", _why(checkout.reason_code, language) | {"last_reason": last}
        limits = {
            "attempts_left": checkout.attempts_left,
            "seconds_left": sheet.text(str(view.seconds_left)),
            "time_left": sheet.text(render.clock(view.seconds_left)),
        }
        if transaction.status in _DECLINED and form is None and "again" not in request.query_params:
            strange = {"not_a_test_card": transaction.decided_by == issuer.NOT_A_TEST_CARD}
            return "declined.html", limits | _why(transaction.reason_code, language) | strange
        hints = tuple(dict.fromkeys((*checkout.order.hints, *_notes(request).hints)))
        return "form.html", limits | self._form(view, form, card, looks, sheet, hints=hints)

    def _approved(self, view: CheckoutView, sheet: render.Sheet) -> dict[str, Any]:
        order, transaction = view.checkout.order, view.transaction
        assert transaction.card is not None
        return {
            "card_mask": sheet.text(transaction.card.short()),
            "reference": sheet.text(transaction.reference),
            "approval_code": sheet.text(transaction.approval_code),
            "back_link": sheet.text(_way_out(view, order.back_link)),
            "verified": order.verification,
            "saved_card": transaction.order.card_save or order.verification,
            "countdown_s": 0 if order.auto_back_link else view.merchant.countdown_s,
        }

    def _form(
        self,
        view: CheckoutView,
        form: cardform.CardForm | None,
        card: Card | None,
        looks: Looks,
        sheet: render.Sheet,
        *,
        hints: tuple[Hint, ...],
    ) -> dict[str, Any]:
        order, text = view.checkout.order, sheet.text
        payer = form.payer if form else view.checkout.payer
        shows_panel = self._settings.panel and (not looks.short if looks.panel is None else looks.panel)
        first = "" if card or not view.saved_cards else view.saved_cards[0].id
        chosen = form.saved_card if form else first
        return {
            "description": text(order.description),
            "payer": Payer(name=text(payer.name), email=text(payer.email), phone=text(payer.phone)),
            "problems": tuple(form.problems.items()) if form else (),
            "card": None if form else card,
            "autofill": card.pan if card else "",
            "saved_cards": tuple(
                SavedChoice(text(saved.id), text(saved.mask.short()), saved.mask.brand, saved.id == chosen)
                for saved in view.saved_cards
            ),
            "another_card": not chosen,
            "verification": order.verification,
            "can_save_card": bool(order.account_id) and not order.verification,
            "save_card": order.card_save if form is None or form.save_card is None else form.save_card,
            "hints": tuple(
                replace(hint, field=text(hint.field), value=text(hint.value), why=text(hint.why)) for hint in hints
            ),
            "hints_data": text(_hints_data(hints)),
            "panel": panel.tools(view, looks.language(order.reads), hints, sheet) if shows_panel else None,
        }


def _way_out(view: CheckoutView, link: str) -> str:
    """Return the link to the shop, or, where a postlink waits for it to be followed, an address that leads there."""
    return f"/payform/{view.checkout.id}/leave" if link and view.awaits_leaving else link


def as_page(page: Page) -> Page:
    """Make a page that shows a refusal as a page too."""

    @wraps(page)
    async def shown(request: Request) -> Response:
        try:
            return await page(request)
        except Refusal as refusal:
            return refused_page(request, refusal)

    return shown


def refused_page(request: Request, refusal: Refusal) -> HTMLResponse:
    """Tell the customer that it is not their fault, and the developer whose it is."""
    looks = Looks.of(request)
    kind = next((kind for refused, kind in _KINDS if isinstance(refusal, refused)), None)
    notes = _notes(request)
    html = render.page(
        "refused.html",
        language=looks.language(getattr(request.state, "language", "rus")),
        static=_STATIC,
        short=looks.short,
        languages={} if kind == "too_large" else looks.same_address(request),
        kind=kind or ("address" if refusal.field == "params" else "object"),
        leave_url=getattr(request.state, "back_link" if kind == "finished" else "leave_url", None),
        field=refusal.field,
        value=refusal.value,
        rule=refusal.rule,
        source=refusal.source,
        message=refusal.message,
        reason_code="" if refusal.code == refusal.status else refusal.code,
    )
    headers = guard.page_headers(framed=looks.short) | guard.hint_headers(notes)
    return HTMLResponse(html, refusal.status, headers=headers)


async def _not_simulated(request: Request) -> Response:
    with suppress(BadField):
        pairs = orders.page_address(request.query_params.get("params", ""))
        request.state.language = orders.page_language(pairs.get("language", ""))
        request.state.leave_url = links.link(pairs.get("backLink", ""))
    service = request.url.path.rpartition("/")[2]
    raise NotSimulated(f"halyk.{service} is not simulated; halyk.pay is", rule="halyk.pay")


def _three_ds(word: str) -> Any:
    if word and word not in THREE_DS:
        raise BadField("three_ds", word, f"one of {', '.join(THREE_DS)}, or empty", "setting three_ds")
    return word or None


def _why(code: int, language: Language) -> dict[str, Any]:
    return {"reason": outgoing.reason(code, language), "reason_code": code}


def _notes(request: Request) -> Notes:
    """Return the notes of a request, which is given some if it has none."""
    if not hasattr(request.state, "notes"):
        request.state.notes = Notes()
    notes: Notes = request.state.notes
    return notes


def _autofill(request: Request) -> Card | None:
    """Return the card that the address wants in the form. What is no test card's number is shown nowhere."""
    pan = request.query_params.get(_AUTOFILL, "")
    card = issuer.card_of(pan)
    if pan and card is None:
        _notes(request).remark("autofill-card", _AUTOFILL)
    return card


@lru_cache(256)
def _hints_data(hints: tuple[Hint, ...]) -> str:
    """Return hints as the page's script reads them."""
    return render.script_data([outgoing.hint(hint) for hint in hints])


@cache
def _cards_at_once() -> dict[str, Card]:
    approving = next(card.pan for card in issuer.test_cards().values() if card.status == "unlock")
    pans = {"approve": approving, "decline": issuer.card_for(_DECLINED_BY_ISSUER)}
    return {word: card for word, pan in pans.items() if (card := issuer.card_of(pan))}


def path(checkout_id: str) -> str:
    """Return where a checkout's page stands."""
    return f"/payform/{checkout_id}"
