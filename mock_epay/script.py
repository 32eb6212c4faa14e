"""What a test wants to happen: decisions in a row, rules by condition, plans for postlinks, faults. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final, Literal

from mock_epay.errors import BadField
from mock_epay.model import CardMask, PaymentObject, ThreeDs

SOURCE: Final = "documented: control API, script"

# Where a fault can strike: a service of the bank's, as its routes are grouped.
PLACES: Final = ("token", "script", "page", "status", "operations", "payments", "cards", "links", "terminals")
Place = Literal["token", "script", "page", "status", "operations", "payments", "cards", "links", "terminals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """What is to become of an attempt; what is not said here is decided as always.

    `plan` is how the postlink is delivered. `delay_s` are real seconds between the decision and the payer's answer.
    """

    reason_code: int | None = None
    challenge: ThreeDs | None = None
    plan: str = ""
    delay_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDecision:
    """A direction for the next attempt, or for the next one to pay this invoice; it has `left` more uses of `times`."""

    id: int
    then: Direction
    invoice_id: str = ""
    times: int = 1
    left: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The conditions of a rule; in texts `*` stands for anything, and an empty one is no condition."""

    invoice_id: str = ""
    description: str = ""
    account_id: str = ""
    card: CardMask | None = None
    at_least: Decimal | None = None
    at_most: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A direction for each attempt that meets the conditions."""

    name: str
    match: Match
    then: Direction
    of_file: bool = False
    used: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """All that is wanted in one merchant's world. `serial` is the number of the latest entry."""

    client_id: str
    decisions: tuple[NextDecision, ...] = ()
    rules: tuple[Rule, ...] = ()
    faults: tuple[PlannedFault, ...] = ()
    serial: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a script says of one attempt: the direction, if there is one, who gave it, and which rule nearly did."""

    then: Direction
    why: str = ""
    nearest: str = ""


def direct(script: Script, order: PaymentObject, card: CardMask) -> tuple[Found, Script]:
    """Return what is to become of an attempt, and the script as it stands after that."""
    for decision in script.decisions:
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


def timetable(plan: str) -> tuple[float | None, ...]:
    """Return for each notice of a plan how many seconds after the decision it goes out; None waits to be released.

    Raises:
        BadField: there is no such plan.

    """
    written = _PLAN.fullmatch(plan.strip())
    name, arguments = (
        (written[1], [one for one in (written[2] or "").split(",") if one.strip()]) if written else ("", [])
    )
    known = PLANS.get(name)
    try:
        if known is None or len(arguments) != len(known.takes):
            raise ValueError(plan)
        return known.times(*(float(one) for one in arguments))
    except ValueError:
        spelt = ", ".join(f"{name}({', '.join(plan.takes)})" if plan.takes else name for name, plan in PLANS.items())
        raise BadField("plan", plan, f"one of {spelt}", SOURCE) from None


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to deliver a postlink: what it takes in brackets, and when its notices go out."""

    takes: tuple[str, ...]
    times: Callable[..., tuple[float | None, ...]]


_PLAN: Final = re.compile(r"([a-z_]+)\s*(?:\(([0-9., ]*)\))?")
_MOST_NOTICES: Final = 100
_LONGEST_S: Final = 10_000_000


def _delayed(seconds: float) -> tuple[float]:
    if seconds > _LONGEST_S:
        raise ValueError(seconds)
    return (seconds,)


def _repeated(times: float, gap_s: float) -> tuple[float, ...]:
    if not 1 <= times <= _MOST_NOTICES or times != int(times) or gap_s > _LONGEST_S:
        raise ValueError(times)
    return tuple(gap_s * number for number in range(int(times)))


PLANS: Final[dict[str, Plan]] = {
    "immediate": Plan((), lambda: (0.0,)),
    "never": Plan((), lambda: ()),
    "on_release": Plan((), lambda: (None,)),
    "delay": Plan(("seconds",), _delayed),
    "duplicate": Plan(("times", "seconds between"), _repeated),
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
