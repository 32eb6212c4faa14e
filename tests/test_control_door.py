"""Who may use the control API: the developer's own tools, and no page of anybody else's."""

from collections.abc import Iterator
from typing import Final

import httpx
import pytest
from support import Shop
from worlds import CONTROL

from mock_epay.addresses import is_own
from mock_epay.server import running
from mock_epay.settings import Settings

TOKEN: Final = "s3cret"


@pytest.fixture(scope="module")
def locked() -> Iterator[httpx.Client]:
    """Give a server that asks for a control token, and that one more name leads to."""
    settings = Settings(port=0, control_token=TOKEN, control_hosts="epay.company.kz, Other.KZ")
    with running(settings) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        yield http


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080",
        "localhost",
        "LocalHost:80",
        "epay",
        "mock-epay:8080",
        "[::1]:8080",
        "epay.localhost",
        "192.168.1.5",
        "host.docker.internal",
        "203.0.113.7",
        "shop.test",
    ],
)
def test_local_names_and_addresses_are_let_in(http: httpx.Client, host: str) -> None:
    assert http.get(f"{CONTROL}/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "1.evil"])
def test_a_name_that_somebody_has_made_lead_here_is_not(http: httpx.Client, host: str) -> None:
    response = http.get(f"{CONTROL}/health", headers={"Host": host})
    assert (response.status_code, response.json()["error"], response.json()["field"]) == (403, "forbidden", "Host")
    assert "control_hosts" in response.json()["message"]


def test_names_of_the_setting_are_let_in(locked: httpx.Client) -> None:
    for host, status in (("epay.company.kz", 200), ("other.kz:1", 200), ("company.kz", 403)):
        headers = {"Host": host, "Authorization": f"Bearer {TOKEN}"}
        assert locked.get(f"{CONTROL}/cards", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
def test_pages_of_other_sites_are_not_served(http: httpx.Client, headers: dict[str, str], status: int) -> None:
    response = http.post(f"{CONTROL}/merchants", json={}, headers=headers)
    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers


def test_the_sandboxs_own_pages_are_served(http: httpx.Client) -> None:
    headers = {"Origin": str(http.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert http.post(f"{CONTROL}/merchants", json={}, headers=headers).status_code == 201


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 201),
        ("application/json; charset=utf-8", b" ", 201),
        (None, b"", 201),
        ("text/plain", b"{}", 415),
        ("application/x-www-form-urlencoded", b"a=1", 415),
        ("text/plain", b"", 415),
        (None, b"{}", 415),
    ],
)
def test_only_json_is_read(http: httpx.Client, kind: str | None, body: bytes, status: int) -> None:
    headers = {"Content-Type": kind} if kind else {}
    response = http.post(f"{CONTROL}/merchants", content=body, headers=headers)
    assert response.status_code == status
    if status == 415:
        assert (response.json()["error"], response.json()["field"]) == ("not_json", "Content-Type")


def test_a_body_in_chunks_has_to_be_json_as_well(http: httpx.Client) -> None:
    assert http.post(f"{CONTROL}/merchants", content=iter([b"{", b"}"])).status_code == 415


def test_long_bodies_are_refused(http: httpx.Client) -> None:
    assert http.post(f"{CONTROL}/merchants", json={"name": "x" * 70_000}).status_code == 413


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Basic s3cret", "Bearer", "Bearer s3cretandmore", "s3cret"])
def test_a_server_with_a_control_token_asks_for_it(locked: httpx.Client, given: str | None) -> None:
    headers = {"Authorization": given} if given else {}
    response = locked.get(f"{CONTROL}/merchants", headers=headers)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
    assert response.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in response.text.replace("control_token", "")


def test_whether_the_server_is_well_needs_no_token(locked: httpx.Client) -> None:
    assert locked.get(f"{CONTROL}/health").json()["status"] == "ok"
    assert locked.get(f"{CONTROL}/health", headers={"Host": "evil.example"}).status_code == 403


def test_with_the_control_token_everything_is_open(locked: httpx.Client) -> None:
    headers = {"Authorization": f"bearer  {TOKEN}"}
    rows = locked.get(f"{CONTROL}/settings", headers=headers).json()["settings"]
    assert next(row["value"] for row in rows if row["name"] == "control_token") is True
    assert TOKEN not in str(rows)


def test_the_bank_itself_answers_strangers_as_it_always_did(shop: Shop) -> None:
    headers = {"Host": "evil.example", "Sec-Fetch-Site": "cross-site", "Origin": "https://shop.example"}
    response = shop.http.post("/oauth2/token", data=shop.request(), headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_a_method_that_an_address_does_not_take_is_refused(http: httpx.Client, method: str) -> None:
    response = http.request(method, f"{CONTROL}/cards")
    assert (response.status_code, set(response.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


def test_a_head_is_answered_without_a_body(http: httpx.Client) -> None:
    response = http.head(f"{CONTROL}/health")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("host", "own"), [("", True), ("fe80::1%eth0", True), ("8.8.8.8", True), ("halykbank.kz", False)]
)
def test_a_host_is_ones_own_if_nobody_far_away_can_have_named_it(host: str, *, own: bool) -> None:
    assert is_own(host) is own
