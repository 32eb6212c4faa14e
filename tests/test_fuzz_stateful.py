"""Requests that follow from answers, by the links of the OpenAPI document: in whatever order, it stays true."""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.openapi import from_path
from worlds import TROUBLE

from mock_epay import resources
from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings

CONFLICT: Final = 409
ROUNDS: Final = 60
STEPS: Final = 12
WALKS: Final = 5  # which answers are followed is chance; the first walk is the same each time
# Something came of it: a payment was made, and what there is to know about it was found by what its answer said.
REACHED: Final = {"payWithoutBrowser", "getTransaction", "getTimeline", "listPostlinks"}
LINKS: Final = ("post_link", "failure_post_link", "url")
WAITS: Final = ("wait_s", "timeout_s", "delay_s")

# What has links, or is led to by one.
LINKED: Final = {
    name
    for path in json.loads(resources.OPENAPI.read_text("utf-8"))["paths"].values()
    for operation in path.values()
    if "responses" in operation  # a path also has parameters of its own
    for answer in operation["responses"].values()
    if "links" in answer
    for name in (operation["operationId"], *answer["links"])
}

CONFIG: Final = schemathesis.Config.from_dict(
    {
        "seed": 1,
        "generation": {"mode": "positive", "with-security-parameters": False},
        # What has the right form may still be about nothing there is, and 501 is for what is not simulated.
        "checks": {
            "positive_data_acceptance": {"enabled": False},
            "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "501"]},
        },
    }
)


@pytest.fixture(scope="module")
def near() -> Iterator[Sandbox]:
    """Run a sandbox whose postlinks reach nobody but this machine."""
    with running(Settings(port=0, self_check=True, postlink_allow="127.0.0.0/8", postlink_retry_s=(0.01,))) as started:
        yield started


@pytest.mark.slow
def test_what_follows_from_an_answer_is_answered_as_the_document_says(near: Sandbox) -> None:
    document = from_path(resources.OPENAPI, config=CONFIG).include(operation_id=sorted(LINKED))
    heard: set[tuple[str, int]] = set()

    class Machine(document.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            """Begin each walk in the same world, or it could not be walked again."""
            address = f"{near.url}/_control/merchants"
            for merchant in httpx.get(address).json()["merchants"]:
                place = f"{address}/{merchant['client_id']}"
                if httpx.delete(place).status_code == CONFLICT:  # the bank's own stay, and begin anew
                    httpx.post(f"{place}/reset").raise_for_status()

        def get_call_kwargs(self, _: Any) -> dict[str, Any]:
            return {"base_url": near.url, "headers": {"Accept": "application/json"}}

        def before_call(self, case: Any) -> None:
            # Steps that clients fold away before they ask would lead elsewhere.
            steps = dict(case.path_parameters or {})
            case.path_parameters = {name: text if str(text).strip("./") else "nobody" for name, text in steps.items()}
            case.query = _tame(case.query)
            if isinstance(case.body, dict):
                case.body = _tame(case.body)

        def after_call(self, response: Any, case: Any) -> None:
            heard.add((case.operation.definition.raw["operationId"], response.status_code))

    for walk in range(WALKS):
        Machine.run(
            settings=settings(
                max_examples=ROUNDS,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=walk == 0,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
        )
        if {name for name, status in heard if status < 300} >= REACHED:
            return
    raise AssertionError(f"of {sorted(REACHED)} something was never reached: {sorted(heard)}")


def _tame(values: Any) -> dict[str, Any]:
    """Let no notice reach anybody, and no request last."""
    tame: dict[str, Any] = {}
    for name, value in dict(values or {}).items():
        if isinstance(value, dict):
            tame[name] = _tame(value)
        elif isinstance(value, list):
            tame[name] = [_tame(one) if isinstance(one, dict) else one for one in value]
        else:
            tame[name] = TROUBLE if name in LINKS else 0.01 if name in WAITS else value
    return tame
