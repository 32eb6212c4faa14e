"""What we send beside what the bank sends: the two documented bodies, and the observed ones with made-up values."""

import json
import re
from typing import Any, Final

import httpx
import pytest
from support import LOCKED, Receiver
from worlds import new_world

from mock_epay import resources
from mock_epay.wire import contracts

SAMPLES: Final = {path.stem: json.loads(path.read_text("utf-8")) for path in resources.SAMPLES.glob("*.json")}
# Fields whose values have a form, whatever they say; of the others only the type has to agree.
FORMED: Final = ("id", "terminal", "cardId", "cardMask", "ip", "reference", "approvalCode", "language")
# What our payment says beside the sample's: fields that are echoed when the shop gives them.
ECHOED: Final = {"documented": set(), "observed": {"data", "secret_hash"}}


def sent(http: httpx.Client, shop: Receiver, dialect: str, outcome: str) -> dict[str, Any]:
    """Pay as the samples' customer did, and return the notice."""
    world = new_world(http, dialect=dialect)
    sample = SAMPLES[name(dialect, outcome)]
    world.do("PUT", "/clock", {"freeze": True, "set": sample["dateTime"][:26].rstrip("+") + sample["dateTime"][-6:]})
    world.pay(
        invoice_id=sample["invoiceId"],
        amount=sample["amount"],
        card="4000000000003220" if outcome == "success" else LOCKED,
        account_id=sample["accountId"],
        description="Tea and cups",
        language="rus",
        name=sample["name"],
        email=sample["email"],
        phone=sample["phone"],
        post_link=f"{shop.url}/{world.client_id}",
        **{"data": sample["data"], "secret_hash": "HASH"} if "data" in sample else {},
    )
    body = shop.wait(path=f"/{world.client_id}")[0].body
    world.do("DELETE")
    return body


def name(dialect: str, outcome: str) -> str:
    return f"postlink-{outcome}" + ("-observed" if dialect == "observed" else "")


def form(text: str) -> str:
    """Return a text with every digit a 9, every hexadecimal letter of an id an f, and so on."""
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID", text)
    text = re.sub(r"^(\d{1,3}\.){3}\d{1,3}$", "IP", text)
    return re.sub("[0-9]", "9", text)


@pytest.mark.parametrize("outcome", ["success", "failure"])
@pytest.mark.parametrize("dialect", ["documented", "observed"])
def test_what_we_send_is_what_the_bank_sends(
    http: httpx.Client, shop_server: Receiver, dialect: str, outcome: str
) -> None:
    sample, body = SAMPLES[name(dialect, outcome)], sent(http, shop_server, dialect, outcome)
    assert list(body) == list(sample)
    assert {field: type(value) for field, value in body.items()} == {
        field: int if field == "amount" else type(value) for field, value in sample.items()
    }
    for field in FORMED:
        if field in sample:
            assert form(body[field]) == form(sample[field]), field
    same = {
        "amount",
        "currency",
        "invoiceId",
        "accountId",
        "name",
        "email",
        "phone",
        "code",
        "ipCountry",
        "tokenRecipient",
    }
    assert {field: body[field] for field in same} == {field: sample[field] for field in same}
    empty = {field for field, value in sample.items() if value == "" and field != "invoiceIdAlt"}
    assert {field for field in empty if body[field] != ""} == set()


@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_the_samples_obey_the_schemas(sample: str) -> None:
    contracts.encode(sample, SAMPLES[sample], check=True)


def test_there_is_a_sample_of_each_notice() -> None:
    assert set(SAMPLES) == {name(dialect, outcome) for dialect in ECHOED for outcome in ("success", "failure")}


@pytest.mark.parametrize("sample", sorted(SAMPLES))
def test_the_samples_are_served(http: httpx.Client, sample: str) -> None:
    response = http.get(f"/schemas/samples/{sample}.json")
    assert response.json() == SAMPLES[sample]
    assert response.headers["access-control-allow-origin"] == "*"


def test_a_sample_there_is_not_is_not_found(http: httpx.Client) -> None:
    assert http.get("/schemas/samples/openapi.json").status_code == 404
