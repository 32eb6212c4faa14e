"""What a test wants to happen: decisions in a row, rules by condition, plans for postlinks, faults. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final, Literal

from mock_epay.errors import BadField
from mock_epay.model import CardMask, PaymentObject, ThreeDs
from mock_epay.records import Record, replace

SOURCE: Final = "documented: control API, script"

# Where a fault can strike: a service of the bank's, as its routes are grouped.
PLACES: Final = ("token", "script", "page", "status", "operations", "payments", "cards", "links", "terminals")
Place = Literal["token", "script", "page", "status", "operations", "payments", "cards", "links", "terminals"]


class Direction(Record, kw_only=True):
    """What is to become of an attempt; what is not said here is decided as always.

    `plan` is how the postlink is delivered. `delay_s` are real seconds between the decision and the payer's answer.
    """

    reason_code: int | None = None
    challenge: ThreeDs | None = None
    plan: str = ""
    delay_s: float = 0


class NextDecision(Record, kw_only=True):
    """A direction for the next attempt, or for the next one to pay this invoice; it has `left` more uses of `times`."""

    id: int
    then: Direction
    invoice_id: str = ""
    times: int = 1
    left: int = 1


class Match(Record, kw_only=True):
    """The conditions of a rule; in texts `*` stands for anything, and an empty one is no condition."""

    invoice_id: str = ""
    description: str = ""
    account_id: str = ""
    card: CardMask | None = None
    at_least: Decimal | None = None
    at_most: Decimal | None = None


class Rule(Record, kw_only=True):
    """A direction for each attempt that meets the conditions."""

    name: str
    match: Match
    then: Direction
    of_file: bool = False
    used: int = 0


class PlannedFault(Record, kw_only=True):
    """A service that is to fail: slowly, with a status, with broken JSON, or without an answer.

    `after` lets the request take effect first. `times` of None is always; `asked` counts the chances it had.
    """

    id: int
    at: Place
    delay_s: float = 0
    status: int | None = None
    garbled: bool = False
    drop: bool = False
    after: bool = False
    times: int | None = 1
    probability: float = 1
    asked: int = 0
    struck: int = 0

    @property
    def over(self) -> bool:
        """Whether it will strike no more."""
        return self.times is not None and self.struck >= self.times


class Script(Record, kw_only=True):
    """All that is wanted in one merchant's world. `serial` is the number of the latest entry."""

    client_id: str
    decisions: tuple[NextDecision, ...] = ()
    rules: tuple[Rule, ...] = ()
    faults: tuple[PlannedFault, ...] = ()
    serial: int = 0


class Found(Record, kw_only=True):
    """What a script says of one attempt: the direction, if there is one, who gave it, and which rule nearly did."""

    then: Direction
    why: str = ""
    nearest: str = ""


def direct(script: Script, order: PaymentObject, card: CardMask) -> tuple[Found, Script]:
    """Return what is to become of an attempt, and the script as it stands after that.

    A decision for this very invoice counts before an older one for any: who names an invoice means no other.
    """
    for decision in sorted(script.decisions, key=lambda one: one.invoice_id != order.invoice_id):
        if decision.invoice_id in {"", order.invoice_id}:
            rest = replace(decision, left=decision.left - 1)
            decisions = tuple(rest if one is decision else one for one in script.decisions)
            left = tuple(one for one in decisions if one.left)
            return Found(then=decision.then, why=f"decision {decision.id}"), replace(script, decisions=left)
    broken = [(rule, list(_broken(rule.match, order, card))) for rule in script.rules]
    for number, (rule, found) in enumerate(broken):
        if not found:
            rules = (*script.rules[:number], replace(rule, used=rule.used + 1), *script.rules[number + 1 :])
            return Found(then=rule.then, why=f"rule {rule.name}"), replace(script, rules=rules)
    return Found(then=Direction(), nearest=_nearest(broken)), script


def strike(
    script: Script, at: Place, chance: Callable[[PlannedFault], float]
) -> tuple[PlannedFault | None, Script | None]:
    """Return the fault that strikes at this place now, and the script as it stands after that, if it has changed.

    `chance` draws a number from 0 to 1 for a fault.
    """
    here = [fault for fault in script.faults if fault.at == at and not fault.over]
    if not here:
        return None, None
    faults = list(script.faults)
    struck = None
    for fault in here:
        hit = chance(fault) < fault.probability
        faults[faults.index(fault)] = replace(fault, asked=fault.asked + 1, struck=fault.struck + hit)
        if hit:
            struck = fault
            break
    return struck, replace(script, faults=tuple(faults))


class Sending(Record, kw_only=True):
    """One notice of a plan: how many seconds after the decision it goes out, what is wrong with it, what it waits for.

    `after_s` of None waits to be released: by hand, or, for another invoice's notice, by that. `until_left` waits until
    the customer has left the pay page. `slow_s` is how long, in real seconds, its body takes to be sent.
    """

    after_s: float | None = 0
    spoilt: str = ""
    until_left: bool = False
    until_other: bool = False
    slow_s: float = 0


class Plan(Record, kw_only=True):
    """One way to deliver a postlink: what it takes in brackets, and when not said; its notices; what it is like.

    With `holds_page` the customer waits until the shop has answered.
    """

    takes: tuple[tuple[str, float], ...] = ()
    sendings: Callable[..., tuple[Sending, ...]]
    incident: str
    holds_page: bool = False

    def spelt(self, name: str) -> str:
        """Return how the plan is written."""
        return f"{name}({', '.join(taken for taken, _ in self.takes)})" if self.takes else name


def read_plan(text: str) -> tuple[Plan, tuple[Sending, ...]]:
    """Return the plan that a text names, and its notices in their order.

    Raises:
        BadField: there is no such plan.

    """
    written = _PLAN.fullmatch(text.strip())
    plan = PLANS.get(written[1]) if written else None
    try:
        if written is None or plan is None:
            raise ValueError(text)
        return plan, plan.sendings(*_arguments(plan, written[2]))
    except ValueError:
        spelt = ", ".join(plan.spelt(name) for name, plan in PLANS.items())
        raise BadField("plan", text, f"one of {spelt}", SOURCE) from None


_PLAN: Final = re.compile(r"([a-z_]+)\s*(?:\(([0-9., ]*)\))?")
_MOST_NOTICES: Final = 100
_LONGEST_S: Final = 10_000_000
_SLOWEST_S: Final = 3600


def _arguments(plan: Plan, text: str | None) -> list[float]:
    given = [float(one) for one in (text or "").split(",")] if (text or "").strip() else []
    usual = [default for _, default in plan.takes]
    if len(given) > len(usual) or any(number > _LONGEST_S for number in given):
        raise ValueError(text)
    return given + usual[len(given) :]


def _duplicated(times: float, gap_s: float) -> tuple[Sending, ...]:
    if not 1 <= times <= _MOST_NOTICES or times != int(times):
        raise ValueError(times)
    return tuple(Sending(after_s=gap_s * number) for number in range(int(times)))


def _in_turn(first: str, second: str) -> Callable[[float], tuple[Sending, ...]]:
    return lambda gap_s: (Sending(spoilt=first), Sending(after_s=gap_s, spoilt=second))


def _wrong(how: str) -> Callable[[], tuple[Sending, ...]]:
    return lambda: (Sending(spoilt=how),)


def _slow(seconds: float) -> tuple[Sending, ...]:
    if seconds > _SLOWEST_S:
        raise ValueError(seconds)
    return (Sending(slow_s=seconds),)


_GAP: Final = (("seconds between", 0.0),)

PLANS: Final[dict[str, Plan]] = {
    "immediate": Plan(sendings=lambda: (Sending(),), incident="The usual: the notice goes out with the decision."),
    "before_redirect": Plan(
        sendings=lambda: (Sending(),),
        holds_page=True,
        incident="The notice arrives while the customer still looks at the pay page, before any return.",
    ),
    "after_redirect": Plan(
        takes=(("seconds", 0.0),),
        sendings=lambda seconds: (Sending(after_s=seconds, until_left=True),),
        incident="The customer is back before the notice; a thank-you page that trusts the return shows too much.",
    ),
    "delay": Plan(
        takes=(("seconds", 60.0),),
        sendings=lambda seconds: (Sending(after_s=seconds),),
        incident="The notice comes late, when the order was given up or its stock released.",
    ),
    "on_release": Plan(
        sendings=lambda: (Sending(after_s=None),), incident="The notice waits until the test lets it go."
    ),
    "never": Plan(sendings=lambda: (), incident="The notice is lost; only check-status knows that the order is paid."),
    "duplicate": Plan(
        takes=(("times", 2.0), ("seconds between", 0.0)),
        sendings=_duplicated,
        incident="The notice comes again; a handler that is not idempotent ships twice.",
    ),
    "failure_then_success": Plan(
        takes=_GAP,
        sendings=_in_turn("failure", "success"),
        incident="A first attempt fails and a second pays; a shop that cancels at the first notice loses the order.",
    ),
    "success_then_failure": Plan(
        takes=_GAP,
        sendings=_in_turn("success", "failure"),
        incident="The notice of a failed attempt comes behind that of the paid one; the order must stay paid.",
    ),
    "wrong_amount": Plan(
        sendings=_wrong("wrong_amount"), incident="The amount is not the order's; someone pays one tenge for a phone."
    ),
    "wrong_secret_hash": Plan(
        sendings=_wrong("wrong_secret_hash"), incident="Somebody who is not the bank posts a notice of success."
    ),
    "unknown_invoice": Plan(
        sendings=_wrong("unknown_invoice"), incident="A notice of an order that the shop does not have."
    ),
    "missing_fields": Plan(
        sendings=_wrong("missing_fields"), incident="The bank leaves out fields; the handler must not fall over them."
    ),
    "truncated": Plan(sendings=_wrong("truncated"), incident="The body breaks off in the middle of its JSON."),
    "out_of_order": Plan(
        sendings=lambda: (Sending(after_s=None, until_other=True),),
        incident="This order's notice comes only after the next order's.",
    ),
    "slow_body": Plan(
        takes=(("seconds", 3.0),),
        sendings=_slow,
        incident="The body arrives drop by drop; a server with few workers stands still.",
    ),
}


def _broken(match: Match, order: PaymentObject, card: CardMask) -> Iterator[str]:
    """Name each condition that an attempt does not meet."""
    for name in ("invoice_id", "description", "account_id"):
        wanted, is_ = getattr(match, name), getattr(order, name)
        if wanted and not fnmatchcase(is_, wanted):
            yield f'{name} is "{is_}", not "{wanted}"'
    if match.card is not None and (match.card.first, match.card.last) != (card.first, card.last):
        yield f"the card is {card.short()}, not {match.card.short()}"
    if match.at_least is not None and order.amount < match.at_least:
        yield f"amount is {order.amount}, less than {match.at_least}"
    if match.at_most is not None and order.amount > match.at_most:
        yield f"amount is {order.amount}, more than {match.at_most}"


def _nearest(broken: Sequence[tuple[Rule, list[str]]]) -> str:
    """Say of the rule with the fewest conditions that are not met what was in its way."""
    if not broken:
        return ""
    rule, found = min(broken, key=lambda pair: len(pair[1]))
    return f"rule {rule.name} did not apply: {'; '.join(found)}"
