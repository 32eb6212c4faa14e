"""The verdicts as they are shown: lines for a terminal, JSON, a file of JUnit's."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import compress
from typing import Any, Final
from xml.etree import ElementTree as ET

from mock_epay.handler_check.checks import CHECKS
from mock_epay.handler_check.judging import State, Verdict
from mock_epay.handler_check.shop import Asked

_MARKS: Final[Mapping[State, str]] = {"passed": "✓", "failed": "✗", "not known": "?"}
_PLAIN_MARKS: Final[Mapping[State, str]] = {"passed": "+", "failed": "-", "not known": "?"}
_WIDTH: Final = max(len(check.name) for check in CHECKS)

# What can be said of a shop that does not know our orders: as flags of the command, as fields of the control API.
_FLAGS: Final = (
    "--new-order COMMAND, or --invoice ID:AMOUNT, if it knows only its own orders",
    "--secret-hash VALUE, if it expects one",
    "--merchant CLIENT_ID, if it expects the terminal of its own",
)
_FIELDS: Final = ("orders, if it knows only its own", "secret_hash, if it expects one", "")


def marks(encoding: str) -> Mapping[State, str]:
    """Return what stands in front of each verdict, in signs that can be written."""
    try:
        "".join(_MARKS.values()).encode(encoding)
    except (UnicodeError, LookupError):
        return _PLAIN_MARKS
    return _MARKS


def lines(verdict: Verdict, signs: Mapping[State, str]) -> list[str]:
    """Show a verdict; one that is bad has its incident below."""
    shown = [f"{signs[verdict.state]} {verdict.name:<{_WIDTH}}  {verdict.why}"]
    return shown + ([f"{'':{_WIDTH + 4}}({verdict.incident})"] if verdict.state == "failed" else [])


def summary(found: Sequence[Verdict]) -> str:
    """Count the verdicts, in words."""
    counts = {state: sum(one.state == state for one in found) for state in _MARKS}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(found)} checks: {told}"


def closing(found: Sequence[Verdict], asked: Asked) -> list[str]:
    """Show what is below all verdicts."""
    return ["", *filter(None, [advice(found, asked)]), summary(found)]


def safe(found: Sequence[Verdict]) -> bool:
    """Whether all checks were passed."""
    return all(one.state == "passed" for one in found)


def advice(found: Sequence[Verdict], asked: Asked) -> str:
    """Say what the shop may lack, if it has taken no plain notice of success."""
    vouching = {check.name for check in CHECKS if check.vouches}
    return "" if any(one.name in vouching and one.state == "passed" for one in found) else _lacking(asked)


def document(found: Sequence[Verdict], asked: Asked) -> dict[str, Any]:
    """Return all that was found, as JSON has it."""
    return {
        "post_link": asked.post_link,
        "safe": safe(found),
        "advice": advice(found, asked),
        "checks": [asdict(one) for one in found],
    }


def junit(found: Sequence[Verdict]) -> bytes:
    """Return the verdicts as an XML file of JUnit's; what is not known counts as skipped."""
    states = [one.state for one in found]
    failed, skipped, took = states.count("failed"), states.count("not known"), sum(map(_seconds, found))
    counts = {"tests": str(len(found)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}
    suite = ET.Element("testsuite", {"name": "mock-epay check-handler", **counts, "time": f"{took:.3f}"})
    for one in found:
        facts = {"classname": "check-handler", "name": one.name, "time": f"{_seconds(one):.3f}"}
        case = ET.SubElement(suite, "testcase", facts)
        if one.state != "passed":
            what = ET.SubElement(case, "failure" if one.state == "failed" else "skipped", {"message": one.why})
            what.text = one.incident
    file: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return file


def _lacking(asked: Asked) -> str:
    """Say what a shop may lack that does not take the plain notice of success."""
    lacking = (
        not (asked.new_order or asked.orders),
        not (asked.secret_hash or asked.new_order),
        not asked.merchant,
    )
    known = _FIELDS if asked.over_http else _FLAGS
    ways = "; ".join(compress(known, lacking)) or "nothing more: its log may say why"
    return (
        "The shop does not take the plain notice of success, so what it refuses besides proves nothing. "
        f"It probably does not know our orders. What can be passed: {ways}."
    )


def _seconds(verdict: Verdict) -> float:
    return sum(one.milliseconds for one in verdict.notices) / 1000
