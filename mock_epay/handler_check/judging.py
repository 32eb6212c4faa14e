"""The judging of a shop by its answers alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from mock_epay.client import EpayError
from mock_epay.handler_check.checks import Check
from mock_epay.handler_check.notices import TAKEN, Notice
from mock_epay.handler_check.orders import NoOrderError, one_line

State = Literal["passed", "failed", "not known"]

IN_TIME: Final = "answers in time"

# What came of a notice, when it was not an answer.
_SILENCE: Final = {
    "timeout": "gave no answer within {timeout_s:g} s to {what}",
    "disconnected": "dropped the connection at {what}",
    "garbled": "answered {what} with what is no HTTP",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a check."""

    name: str
    state: State
    why: str
    incident: str
    notices: tuple[Notice, ...] = ()


def not_made(check: Check, wrong: NoOrderError | EpayError) -> Verdict:
    """Say of a check why it was not made."""
    said = f"the sandbox did not take the payment: {wrong}" if isinstance(wrong, EpayError) else str(wrong)
    return Verdict(name=check.name, state="not known", why=one_line(said), incident=check.incident)


def judged(check: Check, notices: Sequence[Notice], *, vouched: bool, timeout_s: float) -> Verdict:
    """Judge the answers. A refusal by a shop that may not know our orders proves nothing, wanted or not."""
    wrong = next((one for one in notices if not check.wants.met(one)), None)
    if wrong is None:
        state: State = "passed"
        why, doubtful = _all_answered(check, notices), check.wants is not TAKEN
    else:
        state = "failed"
        why, doubtful = f"{_did(wrong, timeout_s)}: {check.wants.should}", check.wants is TAKEN and wrong.refused
    if doubtful and not vouched:
        state = "not known"
        answered = _did(wrong, timeout_s) if wrong else why
        why = f"{answered}: it does not take the plain notice either"
    return Verdict(name=check.name, state=state, why=why, incident=check.incident, notices=tuple(notices))


def in_time(notices: Sequence[Notice], *, vouched: bool, timeout_s: float) -> Verdict:
    """Judge how long the answers took, all of them."""
    slowest = max(notices, key=lambda one: one.milliseconds)
    silent = sum(one.status is None for one in notices)
    state: State = "failed" if silent else "passed" if vouched else "not known"
    why = f"the slowest answer took {slowest.milliseconds:.0f} ms, to {slowest.what}; the bank waits {timeout_s:g} s"
    if silent:
        why = f"{silent} of {len(notices)} notices had no answer within {timeout_s:g} s"
    elif not vouched:
        why += "; the shop may have more to do for an order that it knows"
    return Verdict(
        name=IN_TIME,
        state=state,
        why=why,
        incident="the bank gives up waiting, counts the notice as lost, and sends it again",
    )


def _all_answered(check: Check, notices: Sequence[Notice]) -> str:
    statuses = ", ".join(str(one.status) for one in notices)
    most = max(one.milliseconds for one in notices)
    return f"answered {statuses} in {most:.0f} ms{' at most' if len(notices) > 1 else ''} to {check.sends}"


def _did(notice: Notice, timeout_s: float) -> str:
    """Say in a few words what the shop made of a notice."""
    if notice.status is None:
        said = _SILENCE.get(notice.result, f"could not be told of {{what}}: {notice.result}")
        return said.format(timeout_s=timeout_s, what=notice.what)
    more = " and more than is read" if notice.result == "too large" else ""
    return f"answered {notice.status}{more} in {notice.milliseconds:.0f} ms to {notice.what}"
