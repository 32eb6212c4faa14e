"""How a script takes part: before the issuer is asked, and where a service is to fail."""

from collections.abc import Sequence
from itertools import count
from typing import Final

from mock_epay import script
from mock_epay.fake import Fake
from mock_epay.issuer import UNKNOWN_CARD, Decision
from mock_epay.model import PaymentObject
from mock_epay.records import replace
from mock_epay.script import NextDecision, Place, PlannedFault, Rule, Script
from mock_epay.store import Work

_FINE: Final = 10**6


async def of(work: Work) -> Script:
    """Return this world's script."""
    return await work.get(Script, work.merchant.client_id) or Script(client_id=work.merchant.client_id)


async def direct(work: Work, order: PaymentObject, decision: Decision) -> Decision:
    """Return what the script makes of the issuer's decision. A card that nobody knows is refused all the same."""
    known = await work.get(Script, work.merchant.client_id)
    if known is None or decision.why in UNKNOWN_CARD:
        return decision
    found, changed = script.direct(known, order, decision.mask)
    if changed is not known:
        work.save(changed)
    then = found.then
    return replace(
        decision,
        reason_code=decision.reason_code if then.reason_code is None else then.reason_code,
        three_ds=then.challenge or decision.three_ds,
        why=found.why or decision.why,
        nearest_rule=found.nearest,
        plan=then.plan,
        delay_s=then.delay_s,
    )


async def strike(work: Work, at: Place) -> PlannedFault | None:
    """Return the fault that is to strike at this place now."""
    known = await work.get(Script, work.merchant.client_id)
    if known is None:
        return None
    fault, changed = script.strike(known, at, lambda fault: _chance(work, fault))
    if changed is not None:
        work.save(changed)
    if fault is not None:
        work.record("fault.struck", at=at, fault=fault.id)
    return fault


async def add(
    work: Work,
    *,
    decisions: Sequence[NextDecision] = (),
    rules: Sequence[Rule] = (),
    faults: Sequence[PlannedFault] = (),
) -> Script:
    """Put more into the script, numbered and behind what is there."""
    before = await of(work)
    numbers = count(before.serial + 1)
    after = replace(
        before,
        decisions=before.decisions + tuple(replace(one, id=next(numbers)) for one in decisions),
        rules=before.rules + tuple(_named(rule, next(numbers)) for rule in rules),
        faults=before.faults + tuple(replace(one, id=next(numbers)) for one in faults),
        serial=before.serial + len(decisions) + len(rules) + len(faults),
    )
    work.save(after)
    return after


def _named(rule: Rule, number: int) -> Rule:
    return rule if rule.name else replace(rule, name=str(number))


async def clear(work: Work) -> None:
    """Take decisions and rules out of the script; those of the file stay."""
    before = await of(work)
    kept = tuple(replace(rule, used=0) for rule in before.rules if rule.of_file)
    work.save(replace(before, decisions=(), rules=kept))


async def clear_faults(work: Work) -> None:
    """Let everything work again."""
    work.save(replace(await of(work), faults=()))


def _chance(work: Work, fault: PlannedFault) -> float:
    """Draw a number from 0 to 1 that depends on the seed and on how often the fault had a chance."""
    drawn = Fake(work.merchant.seed, work.merchant.client_id, "fault", str(fault.id), str(fault.asked))
    return drawn.number("chance") % _FINE / _FINE
