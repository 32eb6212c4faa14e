"""The schemas: complete, served, and in agreement with the documented samples."""

import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError

from mock_epay import resources
from mock_epay.wire import contracts

NAMES = sorted(resources.schema_names())

POSTLINK: dict[str, Any] = {
    "id": "ffffffff-0000-000f-f000-00f0000f000f",
    "dateTime": "2020-01-01T00:00:00.00000+06:00",
    "invoiceId": "10000000001",
    "invoiceIdAlt": "8564546",
    "amount": 100,
    "currency": "KZT",
    "terminal": "67e34d63-102f-4bd1-898e-370781d0074d",
    "accountId": "1",
    "description": "Интернет дүкенде төлеу ",
    "language": "RU",
    "cardMask": "4444...4444",
    "cardType": "",
    "issuer": "Halyk bank",
    "reference": "001111111111",
    "secure": "yes",
    "tokenRecipient": "",
    "code": "ok",
    "reason": "",
    "reasonCode": 0,
    "name": "CARD HOLDER",
    "email": "ch@example.kz",
    "phone": "77777777777",
    "ip": "5.188.155.135",
    "ipCountry": "Kazakhstan",
    "ipCity": "Almaty",
    "ipRegion": "",
    "ipDistrict": "",
    "ipLongitude": 76.9293,
    "ipLatitude": 43.2638,
    "cardId": "e7e2587f-de26-4f41-ae1f-80c1fea31728",
}
FAILURE = {name: value for name, value in POSTLINK.items() if name != "cardId"} | {
    "reference": "",
    "code": "error",
    "reason": "қатенің сипаттамасы",
    "reasonCode": 498,
}
TOKEN = {
    "access_token": "DCEB8O_ZM5U7SO_T_U5EJQ",
    "expires_in": 7200,
    "refresh_token": "",
    "scope": " webapi usermanagement email_send verification statement statistics payment",
    "token_type": "Bearer",
}
SAMPLES = {"postlink-success": POSTLINK, "postlink-failure": FAILURE, "token-response": TOKEN}


def test_all_contracts_have_a_schema() -> None:
    assert set(NAMES) >= {
        "token-request",
        "token-response",
        "payment-object",
        "postlink-success",
        "postlink-failure",
        "status-response",
        "error",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_explains_each_field(name: str) -> None:
    schema = resources.schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["title"]
    assert schema["x-document"]
    for field, row in schema["properties"].items():
        assert row["description"], field
        assert row["x-source"] in {"documented", "observed", "assumed"}, field
        assert {"type", "enum", "const", "anyOf"} & set(row), field


LIMITS = {"string": {"maxLength", "pattern", "enum", "const", "x-maxBytes"}, "number": {"minimum", "const"}}
LIMITS["integer"] = LIMITS["number"]


@pytest.mark.parametrize("name", NAMES)
def test_each_text_and_number_has_limits(name: str) -> None:
    rows = dict(resources.schema(name)["properties"])
    for choice in rows.get("transaction", {}).get("anyOf", []):
        rows |= choice.get("properties", {})
    for field, row in rows.items():
        needed = LIMITS.get(str(row.get("type")))
        assert needed is None or needed & set(row), field


@pytest.mark.parametrize("name", ["token-request", "payment-object"])
def test_what_merchants_send_is_open_and_each_field_states_its_rule(name: str) -> None:
    schema = resources.schema(name)
    assert schema.get("additionalProperties", True) is True
    assert all(row["x-rule"] for row in schema["properties"].values())


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_documented_samples_are_valid_with_their_fields_in_order(name: str) -> None:
    contracts.encode(name, SAMPLES[name], check=True)
    fields = list(resources.schema(name)["properties"])
    assert [field for field in fields if field in SAMPLES[name]] == list(SAMPLES[name])


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_what_we_send_is_strict(name: str) -> None:
    sample = SAMPLES[name]
    for field in sample:
        with pytest.raises(ValidationError):
            contracts.encode(name, {key: value for key, value in sample.items() if key != field}, check=True)
        with pytest.raises(ValidationError):
            contracts.encode(name, sample | {field: [sample[field]]}, check=True)
    with pytest.raises(ValidationError):
        contracts.encode(name, sample | {"more": 1}, check=True)


def test_success_and_failure_are_told_apart() -> None:
    assert len(POSTLINK) == 30
    for name, other in (("postlink-success", FAILURE), ("postlink-failure", POSTLINK)):
        with pytest.raises(ValidationError):
            contracts.encode(name, other, check=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_served_to_everybody(http: httpx.Client, name: str) -> None:
    response = http.get(f"/schemas/{name}.json")
    assert response.headers["content-type"].startswith("application/schema+json")
    assert response.headers["access-control-allow-origin"] == "*"
    assert json.loads(response.text) == resources.schema(name)


def test_a_schema_that_is_not_there_lists_those_that_are(http: httpx.Client) -> None:
    response = http.get("/schemas/postlink.json")
    assert response.status_code == 404
    assert "postlink-success" in response.json()["message"]
