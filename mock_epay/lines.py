"""How answers of the control API look in a terminal: facts one below another, columns, or JSON."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

Facts = Mapping[str, Any]
Column = tuple[str, Callable[[Facts], object]]

_GAP: Final = "  "


def as_json(answer: Any) -> list[str]:
    """Show an answer as it is, if there is any."""
    return [] if answer is None else [json.dumps(answer, ensure_ascii=False)]


def health(answer: Facts) -> list[str]:
    """Show that the sandbox takes payments."""
    return [f"{answer['status']}, mock-epay {answer['version']}"]


def transaction(answer: Facts) -> list[str]:
    """Show an attempt to pay."""
    return _listed(
        {
            "transaction": answer["id"],
            "invoice": answer["invoice_id"],
            "status": answer["status"],
            "amount": _amount(answer),
            "card": f"{answer['card_mask']} {answer['card_type']}",
            "reason": _reason(answer),
            "decided by": answer["decided_by"],
            "page": answer["page_url"],
            "challenge": answer["challenge_url"],
        }
    )


def transactions(answer: Facts) -> list[str]:
    """Show attempts to pay, a line for each."""
    return _columns(_TRANSACTION, answer["transactions"])


def postlink(answer: Facts) -> list[str]:
    """Show a postlink."""
    return _columns(_POSTLINK, [answer])


def postlinks(answer: Facts) -> list[str]:
    """Show postlinks, a line for each."""
    return _columns(_POSTLINK, answer["postlinks"])


def event(answer: Facts) -> list[str]:
    """Show an event in a line that has its columns where the next one will have them."""
    facts = (answer["facts"].get(name) for name in ("url", "result"))
    shown = (_moment(answer["at"]), f"{answer['kind']:<18}", f"{answer['invoice_id']:<15}", *filter(None, facts))
    return [_GAP.join(shown).rstrip()]


def happening(answer: Facts) -> list[str]:
    """Show an event that was waited for, and what it is about."""
    about = [(_TRANSACTION, answer["transaction"]), (_POSTLINK, answer["postlink"])]
    return event(answer["event"]) + [line for how, one in about if one for line in ("", *_columns(how, [one]))]


def timeline(answer: Facts) -> list[str]:
    """Tell the story of an invoice, and what the bank may not like about it."""
    return [*answer["story"], *(f"hint {hint['rule']}: {hint['why']}" for hint in answer["hints"])]


def clock(answer: Facts) -> list[str]:
    """Show a clock, what its turn set off, and what lies ahead."""
    turned = [*answer["fired"], *({**due, "result": "due"} for due in answer["due"])]
    state = "frozen" if answer["frozen"] else "running"
    return [f"{_moment(answer['now'])} UTC, {state}", *(["", *_columns(_FALLING_DUE, turned)] if turned else [])]


def script(answer: Facts) -> list[str]:
    """Show the decisions that wait for payments."""
    return _columns(_DECISION, answer["decisions"])


def merchant(answer: Facts) -> list[str]:
    """Show a merchant with its credentials."""
    return _listed(
        {
            "ClientID": answer["client_id"],
            "ClientSecret": answer["client_secret"],
            "TerminalID": answer["terminal"],
            "name": answer["name"],
            "cabinet": f"{answer['email']} {answer['password']}",
            "dialect": answer["dialect"],
            "checks": answer["checks"],
            "token": answer["urls"]["token"],
            "script": answer["urls"]["script"],
        }
    )


def merchants(answer: Facts) -> list[str]:
    """Show merchants, a line for each."""
    return _columns(_MERCHANT, answer["merchants"])


def cards(answer: Facts) -> list[str]:
    """Show test cards, a line for each."""
    return _columns(_CARD, answer["cards"])


def reasons(answer: Facts) -> list[str]:
    """Show reason codes, a line for each."""
    return _columns(_REASON, answer["reasons"])


def _amount(one: Facts) -> str:
    return f"{one['amount']} {one['currency']}"


def _reason(one: Facts) -> str:
    return f"{one['reason_code']} {one['reason']}" if one["reason_code"] else ""


def _moment(text: str) -> str:
    return text[:19].replace("T", " ")


def _says(one: Facts) -> str:
    """Return what a notice tells the shop, if that can be read."""
    body = one["body"] if isinstance(one["body"], dict) else {}
    return str(body.get("code", "-"))


def _named(name: str) -> Callable[[Facts], object]:
    return lambda one: one[name]


_TRANSACTION: Final[tuple[Column, ...]] = (
    ("ID", _named("id")),
    ("INVOICE", _named("invoice_id")),
    ("STATUS", _named("status")),
    ("AMOUNT", _amount),
    ("CARD", _named("card_mask")),
    ("REASON", _reason),
)
_POSTLINK: Final[tuple[Column, ...]] = (
    ("ID", _named("id")),
    ("INVOICE", _named("invoice_id")),
    ("SAYS", _says),
    ("STATE", _named("state")),
    ("TRIES", _named("tries")),
    ("RESULT", _named("result")),
    ("URL", _named("url")),
)
_FALLING_DUE: Final[tuple[Column, ...]] = (
    ("AT", lambda one: _moment(one["at"])),
    ("WHAT", _named("what")),
    ("INVOICE", _named("invoice_id")),
    ("RESULT", _named("result")),
)
_DECISION: Final[tuple[Column, ...]] = (
    ("CODE", lambda one: "" if one["reason_code"] is None else one["reason_code"]),
    ("LEFT", _named("left")),
    ("INVOICE", lambda one: one["invoice_id"] or "any"),
    ("POSTLINK", lambda one: one["plan"] or "immediate"),
)
_MERCHANT: Final[tuple[Column, ...]] = (
    ("CLIENT ID", _named("client_id")),
    ("TERMINAL ID", _named("terminal")),
    ("DIALECT", _named("dialect")),
    ("CHECKS", _named("checks")),
    ("NAME", _named("name")),
)
_CARD: Final[tuple[Column, ...]] = (
    ("PAN", _named("pan")),
    ("EXPIRY", _named("expiry")),
    ("CODE", _named("cvc")),
    ("BRAND", _named("brand")),
    ("REASON", lambda one: one["reason_code"] or "approved"),
    ("3-D SECURE", _named("three_ds")),
    ("OF", _named("of")),
)
_REASON: Final[tuple[Column, ...]] = (
    ("CODE", _named("code")),
    ("PAN", _named("pan")),
    ("FINAL", lambda one: "yes" if one["final"] else "no"),
    ("MEANING", _named("eng")),
)


def _listed(facts: Facts) -> list[str]:
    """Put facts one below another, without those that say nothing."""
    said = {name: str(fact).strip() for name, fact in facts.items()}
    width = max(map(len, said))
    return [f"{name:<{width}}{_GAP}{fact}" for name, fact in said.items() if fact]


def _columns(columns: Sequence[Column], things: Iterable[Facts]) -> list[str]:
    """Put things one below another, with a title over each column."""
    rows = [[title for title, _ in columns], *([str(value(one)) for _, value in columns] for one in things)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [_GAP.join(map(str.ljust, row, widths)).rstrip() for row in rows]
