"""The control API: worlds, clocks, scripts and what happened, as JSON under `/_control`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from mock_epay import __version__, qr
from mock_epay.bank import merchants
from mock_epay.bank.operations import OPERATIONS
from mock_epay.desk import Desk
from mock_epay.desk.payments import Answer, DirectPayment
from mock_epay.desk.postlinks import Changes
from mock_epay.errors import CONTROL_API, BadField, NotFound
from mock_epay.model import EVENTS, Merchant, Transaction
from mock_epay.store import UnknownMerchantError
from mock_epay.web import cardform, checks, guard, queries, recipes, stream, views
from mock_epay.web.checks import CheckHandler
from mock_epay.web.door import Asked, Door
from mock_epay.wire import contracts, control

PREFIX: Final = "/_control"

_USUAL_WAIT_S: Final = 5
_HEALTH: Final = "/health"  # for the health checks of containers, which have no token
_SESSION: Final = "/session"

_OWNER: Final = "session of the merchant"
# What is as good as the control token, where one is set; elsewhere it is a session of the merchant in the address.
_ASKED: Final[dict[str, Asked]] = {
    _HEALTH: "nothing",
    _SESSION: "nothing",
    "/merchants": "token",
    **dict.fromkeys(("/settings", "/cards", "/reasons", "/qr"), "session of anybody"),
}

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(desk: Desk, check_handler: CheckHandler | None = None) -> list[BaseRoute]:
    """Return the control API. Each row has its methods, in capitals, and what answers them."""
    api = Control(desk, check_handler)
    one = "/merchants/{client_id}"
    rows: list[tuple[str, dict[str, Endpoint]]] = [
        (_HEALTH, {"GET": api.health}),
        ("/settings", {"GET": api.settings}),
        ("/cards", {"GET": api.cards}),
        ("/reasons", {"GET": api.reasons}),
        ("/qr", {"GET": api.qr}),
        (_SESSION, {"GET": api.session, "POST": api.sign_in, "DELETE": api.sign_out}),
        ("/merchants", {"GET": api.merchants, "POST": api.new_merchant}),
        (one, {"GET": api.merchant, "PATCH": api.change_merchant, "DELETE": api.drop_merchant}),
        (f"{one}/reset", {"POST": api.reset}),
        (f"{one}/kept", {"GET": api.kept}),
        (f"{one}/clock", {"GET": api.clock, "PUT": api.turn_clock}),
        (f"{one}/script", {"GET": api.script, "POST": api.add_to_script, "DELETE": api.clear_script}),
        (f"{one}/faults", {"GET": api.faults, "POST": api.add_faults, "DELETE": api.clear_faults}),
        (f"{one}/payments", {"POST": api.pay}),
        (f"{one}/transactions", {"GET": api.transactions}),
        (f"{one}/transactions/{{id}}", {"GET": api.transaction}),
        *((f"{one}/transactions/{{id}}/{operation}", {"POST": api.operation(operation)}) for operation in OPERATIONS),
        (f"{one}/transactions/{{id}}/challenge", {"POST": api.answer}),
        (f"{one}/links", {"POST": api.make_link}),
        (f"{one}/invoices", {"GET": api.invoices}),
        (f"{one}/invoices/{{invoice_id}}", {"GET": api.timeline}),
        (f"{one}/invoices/{{invoice_id}}/test", {"GET": api.test}),
        (f"{one}/postlinks", {"GET": api.postlinks}),
        (f"{one}/postlinks/{{id}}", {"GET": api.postlink}),
        (f"{one}/postlinks/{{id}}/resend", {"POST": api.resend}),
        (f"{one}/postlinks/{{id}}/release", {"POST": api.release}),
        (f"{one}/postlinks/{{id}}/cancel", {"POST": api.cancel}),
        (f"{one}/check-handler", {"POST": api.check_handler}),
        (f"{one}/events", {"GET": api.events}),
        (f"{one}/wait", {"GET": api.wait}),
    ]
    return [
        Route(PREFIX + path, api.endpoint(methods, _ASKED.get(path, _OWNER)), methods=list(methods))
        for path, methods in rows
    ]


class Control:
    """The control API over one desk."""

    def __init__(self, desk: Desk, check_handler: CheckHandler | None) -> None:
        self._desk = desk
        self._check_handler = check_handler
        self._settings = desk.bank.settings
        self._door = Door(desk)

    def endpoint(self, methods: Mapping[str, Endpoint], asked: Asked) -> Endpoint:
        """Return what answers one address, for visitors that are let in: with the control token, or what is `asked`."""

        async def answered(request: Request) -> Response:
            await self._door.check(request, asked)
            method = "GET" if request.method == "HEAD" else request.method
            try:
                return await methods[method](request)
            except UnknownMerchantError as unknown:
                raise await self._desk.worlds.unknown(str(unknown.args[0])) from None

        return answered

    async def session(self, request: Request) -> Response:
        """Show who is signed in; where the cabinet is open, somebody always is."""
        user = await self._door.user(request)
        if user is None and self._settings.cabinet_open:
            user = await self._desk.worlds.merchant(merchants.DOCUMENTED)
        return self._session(user)

    async def sign_in(self, request: Request) -> Response:
        """Let the user of a merchant into its cabinet."""
        email, password, client_id = control.session(await self._body(request))
        if client_id and not self._settings.cabinet_open:
            rule = "absent, unless the setting cabinet_open lets anybody in: give email and password"
            raise BadField("client_id", client_id, rule, CONTROL_API)
        found = self._desk.worlds.merchant(client_id) if client_id else self._desk.sessions.user(email, password)
        user = await found
        response = self._session(user)
        self._door.begin(request, response, user)
        return response

    async def sign_out(self, request: Request) -> Response:
        """Let the user out of the cabinet."""
        response = _done()
        self._door.end(request, response)
        return response

    async def qr(self, request: Request) -> Response:
        """Draw the QR code of an address."""
        drawn = qr.picture(queries.read(request, "text").get("text", ""))
        return Response(drawn, headers=guard.NO_STORE, media_type="image/svg+xml")

    async def health(self, _: Request) -> Response:
        """Say that payments can be taken, which is so while the store can be read, and how much it keeps."""
        tally = await self._desk.worlds.tally()
        kept = views.kept(tally, self._settings)
        return self._json("health", {"status": "ok", "version": __version__, "worlds": tally.worlds, "kept": kept})

    async def settings(self, _: Request) -> Response:
        """Show the settings that the server runs with."""
        return self._json("settings", {"settings": views.setting_rows(self._settings)})

    async def cards(self, _: Request) -> Response:
        """Show the test cards."""
        return self._json("cards", {"cards": views.cards()})

    async def reasons(self, _: Request) -> Response:
        """Show the reason codes."""
        return self._json("reasons", {"reasons": views.reasons()})

    async def merchants(self, request: Request) -> Response:
        """Show all merchants."""
        found = await self._desk.worlds.merchants()
        return self._json("merchants", {"merchants": [views.merchant(one, guard.base_url(request)) for one in found]})

    async def new_merchant(self, request: Request) -> Response:
        """Make a merchant."""
        facts = control.merchant("control-merchant", await self._body(request))
        merchant = await self._desk.worlds.new_merchant(facts)
        return self._merchant(request, merchant, 201)

    async def merchant(self, request: Request) -> Response:
        """Show a merchant."""
        return self._merchant(request, await self._desk.worlds.merchant(_client_id(request)))

    async def change_merchant(self, request: Request) -> Response:
        """Change a merchant."""
        facts = control.merchant("control-merchant-change", await self._body(request))
        merchant = await self._desk.worlds.change_merchant(_client_id(request), facts)
        return self._merchant(request, merchant)

    async def drop_merchant(self, request: Request) -> Response:
        """End a merchant's world."""
        await self._desk.worlds.drop_merchant(_client_id(request))
        return _done()

    async def reset(self, request: Request) -> Response:
        """Begin a merchant's world anew."""
        control.nothing(await self._body(request))
        return self._merchant(request, await self._desk.worlds.reset(_client_id(request)))

    async def kept(self, request: Request) -> Response:
        """Show how much is kept of a merchant's world."""
        merchant = await self._desk.worlds.merchant(_client_id(request))
        return self._json("kept", views.kept(await self._desk.worlds.tally(merchant.client_id), merchant))

    async def clock(self, request: Request) -> Response:
        """Show a clock."""
        return self._json("clock-response", views.clock(await self._desk.timekeeper.clock(_client_id(request))))

    async def turn_clock(self, request: Request) -> Response:
        """Turn a clock."""
        turn = control.clock(await self._body(request))
        face = await self._desk.timekeeper.turn(
            _client_id(request), freeze=turn.freeze, moment=turn.moment, seconds=turn.seconds, resume=turn.resume
        )
        return self._json("clock-response", views.clock(face))

    async def script(self, request: Request) -> Response:
        """Show what is left of a script."""
        return self._json("script-response", views.script(await self._desk.script(_client_id(request))))

    async def add_to_script(self, request: Request) -> Response:
        """Put decisions and rules into a script."""
        decisions, rules = control.additions(await self._body(request))
        script = await self._desk.add_to_script(_client_id(request), decisions=decisions, rules=rules)
        return self._json("script-response", views.script(script))

    async def clear_script(self, request: Request) -> Response:
        """Take decisions and rules out of a script."""
        await self._desk.clear_script(_client_id(request))
        return _done()

    async def faults(self, request: Request) -> Response:
        """Show the planned faults."""
        script = await self._desk.script(_client_id(request))
        return self._json("faults-response", {"faults": views.faults(script.faults)})

    async def add_faults(self, request: Request) -> Response:
        """Plan faults."""
        faults = control.faults(await self._body(request))
        script = await self._desk.add_to_script(_client_id(request), faults=faults)
        return self._json("faults-response", {"faults": views.faults(script.faults)})

    async def clear_faults(self, request: Request) -> Response:
        """Let everything work again."""
        await self._desk.clear_faults(_client_id(request))
        return _done()

    async def pay(self, request: Request) -> Response:
        """Pay without a browser."""
        asked = control.payment(await self._body(request))
        form = cardform.read(asked.form)
        if form.problems:
            field, problem = next(iter(form.problems.items()))
            raise BadField(f"card.{field}", "(not shown)", f"as the pay page takes it: {problem}", CONTROL_API)
        payment = DirectPayment(
            fields=asked.fields,
            card=form.card,
            payer=form.payer,
            saved_card=form.saved_card,
            answer=cast("Answer", asked.more.get("challenge", "pass")),
            token=asked.more.get("token", ""),
            secret_hash=asked.more.get("secret_hash", ""),
            plan=asked.more.get("plan", ""),
        )
        paid = await self._desk.pay(_client_id(request), payment)
        return self._json("transaction", await self._transaction(request, paid), 201)

    async def transactions(self, request: Request) -> Response:
        """Show transactions."""
        query = queries.read(request, "invoice_id", "status")
        found = await self._desk.transactions(_client_id(request), **query)
        return self._json("transactions", {"transactions": [await self._transaction(request, one) for one in found]})

    async def transaction(self, request: Request) -> Response:
        """Show a transaction."""
        found = await self._desk.transaction(_client_id(request), request.path_params["id"])
        return self._json("transaction", await self._transaction(request, found))

    def operation(self, name: str) -> Endpoint:
        """Return what charges, cancels or refunds a transaction, as the shop may."""

        async def answered(request: Request) -> Response:
            amount = control.operation(await self._body(request))
            done = await self._desk.operate(_client_id(request), name, request.path_params["id"], amount)
            return self._json("transaction", await self._transaction(request, done))

        return answered

    async def answer(self, request: Request) -> Response:
        """Answer 3-D Secure as the cardholder may."""
        answer = cast("Answer", control.answer(await self._body(request)))
        done = await self._desk.answer(_client_id(request), request.path_params["id"], answer)
        return self._json("transaction", await self._transaction(request, done))

    async def make_link(self, request: Request) -> Response:
        """Let an order wait at an address."""
        client_id = _client_id(request)
        shop_id = (await self._desk.worlds.merchant(client_id)).terminals[0].shop_id
        notes = await self._desk.bank.notes(client_id)
        body = await self._body(request)
        made = await self._desk.make_link(client_id, lambda number: control.link(body, shop_id, number, notes), notes)
        return self._json("link-response", views.link(made, guard.base_url(request)), 201)

    async def invoices(self, request: Request) -> Response:
        """Show the invoices, a line for each."""
        found = await self._desk.invoices(_client_id(request), queries.search(request))
        return self._json("invoices", views.invoices(found))

    async def timeline(self, request: Request) -> Response:
        """Show all that is known of an invoice."""
        found = await self._desk.timeline(_client_id(request), request.path_params["invoice_id"])
        transactions = [await self._transaction(request, one) for one in found.transactions]
        return self._json("timeline", views.timeline(found, transactions, guard.base_url(request)))

    async def test(self, request: Request) -> Response:
        """Write down, as a test in some language, how an invoice happens again."""
        language = queries.read(request, "as").get("as", "")
        if language not in recipes.LANGUAGES:
            raise BadField("as", language or None, f"one of {', '.join(recipes.LANGUAGES)}", CONTROL_API)
        recipe = await self._desk.recipe(_client_id(request), request.path_params["invoice_id"])
        headers = guard.NO_STORE | {"Content-Disposition": f'inline; filename="{recipes.LANGUAGES[language].file}"'}
        return PlainTextResponse(recipes.written(recipe, language, guard.base_url(request)), headers=headers)

    async def postlinks(self, request: Request) -> Response:
        """Show postlinks, or wait until there are so many."""
        query = queries.read(request, "invoice_id", "transaction_id", "state", "wait_s", "count")
        seconds, least = queries.seconds(query, "wait_s", 0), queries.whole(query, "count", 1)
        for name in ("wait_s", "count"):
            query.pop(name, None)
        found = await self._desk.postlinks_within(_client_id(request), seconds, least, **query)
        return self._json("postlinks", {"postlinks": [views.notice(one) for one in found]})

    async def postlink(self, request: Request) -> Response:
        """Show a postlink."""
        shown = await self._desk.postlink(_client_id(request), request.path_params["id"])
        return self._json("postlink", views.notice(shown))

    async def resend(self, request: Request) -> Response:
        """Send a postlink once more, as it was or changed."""
        changes = Changes(**control.resend(await self._body(request)))
        sent = await self._desk.resend(_client_id(request), request.path_params["id"], changes)
        return self._json("postlink", views.notice(sent), 201)

    async def release(self, request: Request) -> Response:
        """Let a held postlink go."""
        control.nothing(await self._body(request))
        shown = await self._desk.release(_client_id(request), request.path_params["id"])
        return self._json("postlink", views.notice(shown))

    async def cancel(self, request: Request) -> Response:
        """Let a postlink never go out, or not again."""
        control.nothing(await self._body(request))
        return self._json(
            "postlink", views.notice(await self._desk.cancel(_client_id(request), request.path_params["id"]))
        )

    async def check_handler(self, request: Request) -> Response:
        """Check a shop's handler of postlinks, and tell each verdict as it is reached."""
        client_id = _client_id(request)
        facts = control.check(await self._body(request))
        await self._desk.worlds.merchant(client_id)
        if self._check_handler is None:
            raise NotFound("nobody checks handlers here: that takes a server that mock-epay serve has started")
        run = checks.Run(self._check_handler(client_id, facts))
        told = await run.begin()
        return StreamingResponse(told, headers=guard.NO_STORE, media_type="application/x-ndjson")

    async def events(self, request: Request) -> Response:
        """Show events, or go on showing them as they happen."""
        query = queries.read(request, "after", "kind", "invoice_id")
        client_id, after = _client_id(request), queries.whole(query, "after", 0)
        kind, invoice_id = query.get("kind", ""), query.get("invoice_id", "")
        if kind and kind not in EVENTS:
            raise BadField("kind", kind, f"one of {', '.join(EVENTS)}", CONTROL_API)
        await self._desk.worlds.merchant(client_id)
        if stream.wanted(request):
            return await stream.begin(self._desk, request, client_id, after, kind=kind, invoice_id=invoice_id)
        happened = await self._desk.events(client_id, after=after)
        fit = [views.event(one) for one in happened if one.is_of(kind, invoice_id)]
        return self._json("events", {"events": fit, "last": happened[-1].number if happened else after})

    async def wait(self, request: Request) -> Response:
        """Wait for an event."""
        query = queries.read(request, "until", "invoice_id", "after", "timeout_s")
        client_id = _client_id(request)
        event = await self._desk.wait(
            client_id,
            query.get("until", ""),
            invoice_id=query.get("invoice_id", ""),
            after=queries.whole(query, "after", 0),
            seconds=queries.seconds(query, "timeout_s", _USUAL_WAIT_S),
        )
        transaction, notice = await self._desk.about(client_id, event)
        return self._json(
            "wait",
            {
                "event": views.event(event),
                "transaction": await self._transaction(request, transaction) if transaction else None,
                "postlink": views.notice(notice) if notice else None,
            },
        )

    async def _transaction(self, request: Request, shown: Transaction) -> dict[str, Any]:
        challenge = await self._desk.challenge(_client_id(request), shown)
        return views.transaction(shown, guard.base_url(request), challenge)

    def _merchant(self, request: Request, shown: Merchant, status: int = 200) -> Response:
        return self._json("merchant-response", views.merchant(shown, guard.base_url(request)), status)

    def _session(self, user: Merchant | None) -> Response:
        return self._json("session-response", views.session(user, open_=self._settings.cabinet_open))

    def _json(self, schema: str, body: Mapping[str, Any], status: int = 200) -> Response:
        encoded = contracts.encode(f"control-{schema}", body, check=self._settings.self_check)
        return Response(encoded, status, headers=guard.NO_STORE, media_type="application/json")

    async def _body(self, request: Request) -> dict[str, Any]:
        guard.check_json(request)
        return control.body(await guard.read_body(request.scope, request.receive, self._settings.max_body_kb * 1024))


def _done() -> Response:
    return Response(status_code=204, headers=guard.NO_STORE)


def _client_id(request: Request) -> str:
    client_id: str = request.path_params["client_id"]
    return client_id
