"""How worlds look in the answers of the control API."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from mock_epay import issuer, resources, settings
from mock_epay.bank import merchants
from mock_epay.desk.invoices import Line, Page
from mock_epay.desk.postlinks import Notice
from mock_epay.desk.stories import Timeline
from mock_epay.desk.timekeeper import ClockFace, Happening
from mock_epay.model import Challenge, Event, InvoiceLink, Merchant, Token, Transaction
from mock_epay.script import Direction, Match, NextDecision, PlannedFault, Rule, Script
from mock_epay.settings import Settings
from mock_epay.store.bounds import Tally
from mock_epay.wire import orders, outgoing
from mock_epay.wire.outgoing import number

Json = dict[str, Any]


def setting_rows(chosen: Settings) -> list[Json]:
    """Show the settings that the server runs with; secrets only as set or not."""
    return [
        {
            "name": row.name,
            "flag": row.flag,
            "variable": row.variable,
            "value": _value(row, getattr(chosen, row.name)),
            "default": row.default,
            "explanation": row.explanation,
            "per_merchant": row.per_merchant,
        }
        for row in settings.rows()
    ]


def _value(row: settings.Row, value: Any) -> Any:
    if row.secret:
        return bool(value)
    return settings.without_password(value) if isinstance(value, str) else value


def cards() -> list[Json]:
    """Show the test cards, the bank's and the sandbox's own, with what becomes of each."""
    bank = [
        {"pan": card.pan, "expiry": pair.expiry, "cvc": pair.cvc, "brand": card.brand, "issuer": card.issuer}
        | {"reason_code": issuer.APPROVED if card.status == "unlock" else issuer.BLOCKED}
        | {"three_ds": "none", "of": "bank"}
        for card in issuer.test_cards().values()
        for pair in card.pairs
    ]
    own = [
        {"pan": card.pan, "expiry": issuer.ANY_EXPIRY, "cvc": issuer.ANY_CODE, "brand": card.brand}
        | {"issuer": card.issuer, "reason_code": card.reason_code, "three_ds": card.three_ds, "of": "sandbox"}
        for card in issuer.own_cards().values()
    ]
    return bank + own


def reasons() -> list[Json]:
    """Show the reason codes, in words, with a card number that leads to each."""
    return [
        {"code": int(code), **{name: row[name] for name in ("rus", "kaz", "eng", "final")}}
        | {"pan": issuer.card_for(int(code))}
        for code, row in resources.table("reasons").items()
    ]


def session(user: Merchant | None, *, open_: bool) -> Json:
    """Show who is signed in to the cabinet."""
    known = {name: getattr(user, name) if user else "" for name in ("client_id", "name", "email")}
    return known | {"open": open_}


def link(shown: InvoiceLink, base_url: str) -> Json:
    """Show an order that waits at an address."""
    url = f"{base_url}/api/redirect/invoice-link/{shown.id}"
    return {"invoice_id": shown.order.invoice_id, "url": url, "expires_at": shown.expires_at.isoformat()}


def merchant(shown: Merchant, base_url: str) -> Json:
    """Show a merchant, and the addresses where the sandbox was met."""
    return {
        "client_id": shown.client_id,
        "client_secret": shown.client_secret,
        "name": shown.name,
        "email": shown.email,
        "password": shown.password,
        "seed": shown.seed,
        "terminal": shown.terminals[0].id,
        "terminals": [
            {"id": one.id, "tid": one.tid, "shop_id": one.shop_id, "two_stage": one.two_stage}
            for one in shown.terminals
        ],
        **{name: getattr(shown, name) for name in merchants.OWN},
        "built_in": shown.client_id in merchants.built_in_ids(),
        "urls": {
            "token": f"{base_url}/oauth2/token",
            "script": f"{base_url}/payform/payment-api.js?client_id={shown.client_id}",
            "payform": f"{base_url}/payform/",
            "api": base_url,
            "cabinet": f"{base_url}/cabinet/{shown.client_id}",
        },
    }


def kept(tally: Tally, limits: Settings | Merchant) -> Json:
    """Show how much there is, how much there may be, and how much was forgotten."""
    counts = {
        name: {"kept": one.kept, "limit": getattr(limits, f"keep_{name}"), "forgotten": one.forgotten}
        for name, one in (("transactions", tally.transactions), ("events", tally.events), ("bodies", tally.bodies))
    }
    return counts | {"postlinks": {"waiting": tally.waiting.kept, "lost": tally.waiting.forgotten}}


def clock(face: ClockFace) -> Json:
    """Show a clock, what fell due while it was turned, and what lies ahead."""
    return {
        "now": face.now.isoformat(),
        "frozen": face.frozen,
        "fired": [_happening(one) | {"result": one.result} for one in face.fired],
        "due": [_happening(one) for one in face.due],
    }


def script(shown: Script) -> Json:
    """Show what is left of a script."""
    return {
        "decisions": [_decision(one) for one in shown.decisions],
        "rules": [_rule(one) for one in shown.rules],
    }


def faults(shown: Sequence[PlannedFault]) -> list[Json]:
    """Show planned faults."""
    return [
        {
            "id": one.id,
            "at": one.at,
            "delay_s": one.delay_s,
            "status": one.status,
            "garbled": one.garbled,
            "drop": one.drop,
            "after": one.after,
            "times": one.times,
            "probability": one.probability,
            "struck": one.struck,
            "left": None if one.times is None else one.times - one.struck,
        }
        for one in shown
    ]


def transaction(shown: Transaction, base_url: str, challenge: Challenge | None = None) -> Json:
    """Show a transaction."""
    order, mask = shown.order, shown.card
    declined = shown.reason_code != 0
    return {
        "id": shown.id,
        "invoice_id": shown.invoice_id,
        "number": shown.number,
        "status": shown.status.value,
        "reason_code": shown.reason_code,
        "reason": outgoing.reason(shown.reason_code, "eng") if declined else "",
        "decided_by": shown.decided_by,
        "nearest_rule": shown.nearest_rule,
        "plan": shown.plan,
        "amount": number(order.amount),
        "currency": order.currency,
        "terminal": order.terminal,
        "card_mask": mask.short() if mask else "",
        "card_type": mask.brand if mask else "",
        "issuer": mask.issuer if mask else "",
        "card_id": shown.card_id,
        "reference": shown.reference,
        "int_reference": shown.int_reference,
        "approval_code": shown.approval_code,
        "secure": shown.secure,
        "taken": number(shown.taken),
        "returned": number(shown.returned),
        "description": order.description,
        "account_id": order.account_id,
        "name": shown.payer.name,
        "email": shown.payer.email,
        "phone": shown.payer.phone,
        "created_at": shown.created_at.isoformat(),
        "decided_at": shown.decided_at.isoformat() if shown.decided_at else None,
        "page_url": f"{base_url}/payform/{shown.checkout_id}" if shown.checkout_id else "",
        "challenge_url": f"{base_url}/acs/{challenge.id}" if challenge else "",
    }


def invoice(shown: Line) -> Json:
    """Show an invoice in a line."""
    latest, sent = shown.latest, shown.postlink
    order = latest.order if latest else shown.link.order if shown.link else None
    asked = shown.tokens[-1].request if shown.tokens else None
    amount = order.amount if order else asked.amount if asked else None
    reason_code, mask = (latest.reason_code, latest.card) if latest else (0, None)
    return {
        "invoice_id": shown.invoice.number,
        "paid_by": shown.invoice.paid_by,
        "tokens": shown.invoice.tokens,
        "status": latest.status.value if latest else "",
        "amount": None if amount is None else number(amount),
        "currency": (order.currency if order else asked.currency if asked else None) or "",
        "description": order.description if order else "",
        "account_id": order.account_id if order else "",
        "card_mask": mask.short() if mask else "",
        "card_type": mask.brand if mask else "",
        "reason_code": reason_code,
        "reason": outgoing.reason(reason_code, "eng") if reason_code else "",
        "decided_by": latest.decided_by if latest else "",
        "attempts": sum(one.card is not None for one in shown.transactions),
        "transaction_id": latest.id if latest else "",
        "postlink": sent.state.value if sent else "",
        "postlink_id": sent.id if sent else "",
        "postlink_result": sent.result if sent else "",
        "tries": sent.tries if sent else 0,
        "hints": len(shown.hints),
        "first_at": shown.first_at.isoformat() if shown.first_at else None,
        "last_at": shown.last_at.isoformat() if shown.last_at else None,
    }


def invoices(shown: Page) -> Json:
    """Show a page of the list of invoices."""
    lines = [invoice(one) for one in shown.lines]
    return {"invoices": lines, "total": shown.total, "last_event": shown.last_event}


def token(shown: Token) -> Json:
    """Show what a token was asked for; neither its value nor the secret."""
    asked = shown.request
    return {
        "issued_at": shown.issued_at.isoformat(),
        "expires_at": shown.expires_at.isoformat(),
        "spent": shown.spent,
        "scope": asked.scope,
        "amount": None if asked.amount is None else number(asked.amount),
        "currency": asked.currency or "",
        "terminal": asked.terminal or "",
        "post_link": asked.post_link or "",
        "failure_post_link": asked.failure_post_link or "",
        "secret_hash": bool(asked.secret_hash),
        "hints": [outgoing.hint(one) for one in asked.hints],
    }


def timeline(shown: Timeline, transactions: Sequence[Json], base_url: str) -> Json:
    """Show all that is known of an invoice."""
    return {
        "invoice_id": shown.invoice.number,
        "paid_by": shown.invoice.paid_by,
        "hints": [outgoing.hint(one) for one in shown.hints],
        "tokens": [token(one) for one in shown.tokens],
        "objects": [
            {
                "transaction": one.id,
                "fields": [{"name": name, "value": value} for name, value in orders.object_pairs(one.order)],
            }
            for one in shown.transactions
        ],
        "compared": [
            {"field": one.field, "token": one.token, "object": one.object, "postlink": one.postlink, "same": one.same}
            for one in shown.compared
        ],
        "challenge": challenge(shown.challenge, base_url) if shown.challenge else None,
        "transactions": list(transactions),
        "postlinks": [notice(one) for one in shown.notices],
        "events": [event(one) for one in shown.events],
        "story": list(shown.story),
    }


def challenge(shown: Challenge, base_url: str) -> Json:
    """Show what the issuer asks the cardholder."""
    return {
        "transaction": shown.transaction_id,
        "url": f"{base_url}/acs/{shown.id}",
        "tries_left": shown.tries_left,
        "expires_at": shown.expires_at.isoformat(),
    }


def notice(shown: Notice) -> Json:
    """Show a postlink with each try to deliver it."""
    delivery = shown.delivery
    return {
        "id": delivery.id,
        "invoice_id": delivery.invoice_id,
        "transaction_id": delivery.transaction_id,
        "url": delivery.url,
        "state": delivery.state.value,
        "result": delivery.result,
        "tries": delivery.tries,
        "queued_at": delivery.queued_at.isoformat(),
        "due_at": delivery.due_at.isoformat() if delivery.due_at else None,
        "waits_for": delivery.waits_for.value,
        "spoilt": delivery.spoilt,
        "text": delivery.body.decode("utf-8", "replace"),
        "body": _read(delivery.body),
        "attempts": [
            {
                "number": attempt.number,
                "at": attempt.at.isoformat(),
                "url": attempt.url,
                "result": attempt.result,
                "status": attempt.status,
                "headers": [{"name": name, "value": value} for name, value in attempt.headers],
                "answer": attempt.answer,
                "milliseconds": attempt.milliseconds,
            }
            for attempt in shown.attempts
        ],
    }


def event(shown: Event) -> Json:
    """Show an event."""
    return {
        "number": shown.number,
        "at": shown.at.isoformat(),
        "kind": shown.kind,
        "invoice_id": shown.invoice_id,
        "facts": json.loads(shown.facts),
    }


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _happening(shown: Happening) -> Json:
    return {"at": shown.at.isoformat(), "what": shown.what, "id": shown.id, "invoice_id": shown.invoice_id}


def _direction(shown: Direction) -> Json:
    return {
        "reason_code": shown.reason_code,
        "challenge": shown.challenge,
        "plan": shown.plan,
        "delay_s": shown.delay_s,
    }


def _decision(shown: NextDecision) -> Json:
    own = {"id": shown.id, "invoice_id": shown.invoice_id, "times": shown.times, "left": shown.left}
    return own | _direction(shown.then)


def _rule(shown: Rule) -> Json:
    source = "file" if shown.of_file else "api"
    match, then = _said(_match(shown.match)), _said(_direction(shown.then))
    return {"name": shown.name, "match": match, "then": then, "used": shown.used, "from": source}


def _match(shown: Match) -> Json:
    limits = {"gte": shown.at_least, "lte": shown.at_most}
    return {
        "invoice_id": shown.invoice_id,
        "amount": {name: number(Decimal(limit)) for name, limit in limits.items() if limit is not None},
        "pan": shown.card.short() if shown.card else "",
        "description": shown.description,
        "account_id": shown.account_id,
    }


def _said(facts: Mapping[str, Any]) -> Json:
    """Leave out what says nothing."""
    return {name: fact for name, fact in facts.items() if fact not in ("", None, {}) and (name, fact) != ("delay_s", 0)}
