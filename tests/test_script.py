"""Scripts by themselves: which direction applies, which fault strikes, when notices go out."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import an_order

from mock_epay.errors import BadField
from mock_epay.issuer import mask_of
from mock_epay.records import replace
from mock_epay.script import (
    Direction,
    Match,
    NextDecision,
    PlannedFault,
    Rule,
    Script,
    Sending,
    direct,
    read_plan,
    strike,
)

CARD = mask_of("4405639704015096")
DECLINE = Direction(reason_code=484)
HOLD = Direction(plan="on_release")


def script(*decisions: NextDecision, rules: tuple[Rule, ...] = (), faults: tuple[PlannedFault, ...] = ()) -> Script:
    return Script(client_id="shop", decisions=decisions, rules=rules, faults=faults)


def test_a_script_that_says_nothing_leaves_everything_as_it_is() -> None:
    found, after = direct(script(), an_order(), CARD)
    assert (found.then, found.why, found.nearest) == (Direction(), "", "")
    assert after == script()


def test_decisions_are_used_up_in_their_order() -> None:
    told = script(NextDecision(id=1, then=DECLINE, times=2, left=2), NextDecision(id=2, then=HOLD))
    used = []
    for _ in range(4):
        found, told = direct(told, an_order(), CARD)
        used.append((found.why, found.then))
    assert used == [("decision 1", DECLINE), ("decision 1", DECLINE), ("decision 2", HOLD), ("", Direction())]
    assert told.decisions == ()


def test_a_decision_for_one_invoice_waits_for_it() -> None:
    told = script(NextDecision(id=1, then=DECLINE, invoice_id="000000002"), NextDecision(id=2, then=HOLD))
    found, told = direct(told, an_order(invoice_id="000000001"), CARD)
    assert found.why == "decision 2"
    found, told = direct(told, an_order(invoice_id="000000003"), CARD)
    assert found.why == ""
    found, told = direct(told, an_order(invoice_id="000000002"), CARD)
    assert (found.why, told.decisions) == ("decision 1", ())


def test_a_decision_for_one_invoice_counts_before_an_older_one_for_any() -> None:
    told = script(NextDecision(id=1, then=DECLINE), NextDecision(id=2, then=HOLD, invoice_id="000000002"))
    found, told = direct(told, an_order(invoice_id="000000002"), CARD)
    assert (found.why, found.then) == ("decision 2", HOLD)
    found, told = direct(told, an_order(invoice_id="000000002"), CARD)
    assert (found.why, told.decisions) == ("decision 1", ())


def test_decisions_come_before_rules_and_of_rules_the_first_that_fits() -> None:
    always = Match()
    told = script(
        NextDecision(id=1, then=HOLD),
        rules=(
            Rule(name="dear", match=Match(at_least=Decimal(5000)), then=DECLINE),
            Rule(name="first", match=always, then=DECLINE),
            Rule(name="second", match=always, then=HOLD),
        ),
    )
    found, told = direct(told, an_order(), CARD)
    assert found.why == "decision 1"
    found, told = direct(told, an_order(), CARD)
    assert (found.why, found.then) == ("rule first", DECLINE)
    assert [rule.used for rule in told.rules] == [0, 1, 0]


@pytest.mark.parametrize(
    ("match", "broken"),
    [
        (Match(invoice_id="000000001"), ""),
        (Match(invoice_id="0000*"), ""),
        (Match(invoice_id="1*"), 'invoice_id is "000000001", not "1*"'),
        (Match(description="*in a*"), 'description is "Order", not "*in a*"'),
        (Match(description="Or*"), ""),
        (Match(account_id="*"), ""),
        (Match(account_id="vip"), 'account_id is "", not "vip"'),
        (Match(card=CARD), ""),
        (Match(card=mask_of("4003032704547597")), "the card is 4405...5096, not 4003...7597"),
        (Match(at_least=Decimal(100)), ""),
        (Match(at_least=Decimal("100.01")), "amount is 100, less than 100.01"),
        (Match(at_most=Decimal(100)), ""),
        (Match(at_most=Decimal(99)), "amount is 100, more than 99"),
    ],
)
def test_a_rule_says_what_was_in_its_way(match: Match, broken: str) -> None:
    found, _ = direct(script(rules=(Rule(name="r", match=match, then=DECLINE),)), an_order(), CARD)
    assert found.why == ("" if broken else "rule r")
    assert found.nearest == (f"rule r did not apply: {broken}" if broken else "")


def test_the_rule_that_nearly_applied_is_the_one_with_the_fewest_obstacles() -> None:
    far = Rule(name="far", match=Match(invoice_id="1", at_least=Decimal(500)), then=DECLINE)
    near = Rule(name="near", match=Match(at_least=Decimal(500)), then=DECLINE)
    found, _ = direct(script(rules=(far, near, replace(far, name="too"))), an_order(), CARD)
    assert found.nearest == "rule near did not apply: amount is 100, less than 500"


def test_a_fault_strikes_where_and_as_often_as_it_should() -> None:
    told = script(faults=(PlannedFault(id=1, at="token", times=2), PlannedFault(id=2, at="page", times=None)))
    seen = []
    for at in ("token", "status", "token", "token", "page", "page"):
        fault, changed = strike(told, at, lambda _: 0.5)
        seen.append(fault and fault.id)
        told = changed or told
    assert seen == [1, None, 1, None, 2, 2]
    assert [(fault.struck, fault.over) for fault in told.faults] == [(2, True), (2, False)]


def test_a_fault_of_some_probability_strikes_when_chance_has_it() -> None:
    told = script(faults=(PlannedFault(id=1, at="token", probability=0.5), PlannedFault(id=2, at="token")))
    fault, after = strike(told, "token", lambda _: 0.5)
    assert fault is not None
    assert after is not None
    assert (fault.id, [one.asked for one in after.faults], [one.struck for one in after.faults]) == (2, [1, 1], [0, 1])
    fault, after = strike(after, "token", lambda fault: 0.4 if fault.asked else 1)
    assert fault is not None
    assert fault.id == 1
    unlikely = script(faults=(PlannedFault(id=1, at="token", probability=0.5),))
    fault, after = strike(unlikely, "token", lambda _: 0.9)
    assert fault is None
    assert after is not None
    assert after.faults[0].asked == 1


@pytest.mark.parametrize(
    ("text", "sendings"),
    [
        ("immediate", [Sending()]),
        (" never ", []),
        ("before_redirect", [Sending()]),
        ("after_redirect", [Sending(until_left=True)]),
        ("after_redirect(5)", [Sending(after_s=5, until_left=True)]),
        ("on_release", [Sending(after_s=None)]),
        ("delay", [Sending(after_s=60)]),
        ("delay (0.5)", [Sending(after_s=0.5)]),
        ("duplicate", [Sending(), Sending()]),
        ("duplicate(3, 10)", [Sending(), Sending(after_s=10), Sending(after_s=20)]),
        ("duplicate(1,0)", [Sending()]),
        ("failure_then_success", [Sending(spoilt="failure"), Sending(spoilt="success")]),
        ("success_then_failure(7)", [Sending(spoilt="success"), Sending(after_s=7, spoilt="failure")]),
        ("wrong_amount", [Sending(spoilt="wrong_amount")]),
        ("out_of_order", [Sending(after_s=None, until_other=True)]),
        ("slow_body(2)", [Sending(slow_s=2)]),
    ],
)
def test_a_plan_says_which_notices_go_out_and_when(text: str, sendings: list[Sending]) -> None:
    plan, found = read_plan(text)
    assert list(found) == sendings
    assert plan.holds_page is (text == "before_redirect")
    assert plan.incident


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sometimes",
        "delay(1, 2)",
        "delay(.)",
        "delay(99999999999)",
        "delay(-1)",
        "duplicate(0, 1)",
        "duplicate(1.5, 1)",
        "duplicate(101, 1)",
        "duplicate(2, 99999999999)",
        "immediate(1)",
        "delay(1",
        "slow_body(3601)",
    ],
)
def test_what_is_no_plan_is_answered_with_those_there_are(text: str) -> None:
    with pytest.raises(BadField, match=r"one of immediate, before_redirect, after_redirect\(seconds\), delay\(sec"):
        read_plan(text)


@given(st.text(max_size=40) | st.from_regex(r"\A[a-z_]{3,10}\([0-9., ]{0,9}\)\Z"))
def test_any_text_is_a_plan_or_is_refused(text: str) -> None:
    with suppress(BadField):
        assert all(one.after_s is None or one.after_s >= 0 for one in read_plan(text)[1])
