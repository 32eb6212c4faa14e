"""Who is signed in to the cabinet, and what a session is good for."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from support import PATIENCE_S
from worlds import CONTROL, World, new_world

from mock_epay.clock import Clock
from mock_epay.desk import sessions
from mock_epay.model import Merchant
from mock_epay.server import Sandbox, running
from mock_epay.settings import SettingError, Settings

SESSION: Final = f"{CONTROL}/session"
DOCUMENTED: Final = {"email": "epay@halykbank.kz", "password": "XZG1E@Mm"}
NOBODY: Final = {"client_id": "", "name": "", "email": "", "open": False}
TOKEN: Final = "s3cret"


@pytest.fixture
def browser(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """Give a client that keeps its cookies to itself."""
    with httpx.Client(base_url=sandbox.url, timeout=PATIENCE_S) as http:
        yield http


@pytest.fixture(scope="module")
def locked() -> Iterator[Sandbox]:
    with running(Settings(port=0, control_token=TOKEN, self_check=True)) as sandbox:
        yield sandbox


@pytest.fixture
def stranger(locked: Sandbox) -> Iterator[httpx.Client]:
    """Give a visitor of a server that asks for a control token, who has none."""
    with httpx.Client(base_url=locked.url, timeout=PATIENCE_S) as http:
        yield http


def _proof(http: httpx.Client) -> str:
    return str(http.cookies["mock_epay_session"])


def test_the_documented_merchants_user_signs_in_and_out(browser: httpx.Client) -> None:
    assert browser.get(SESSION).json() == NOBODY
    answer = browser.post(SESSION, json=DOCUMENTED)
    user = {"client_id": "test", "name": "Test merchant", "email": "epay@halykbank.kz", "open": False}
    assert (answer.status_code, answer.json()) == (200, user)
    flags = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert flags == {"path=/", "httponly", "samesite=strict", "max-age=604800"}
    assert browser.get(SESSION).json() == user
    assert browser.delete(SESSION).status_code == 204
    assert "mock_epay_session" not in browser.cookies
    assert browser.get(SESSION).json() == NOBODY


def test_over_https_the_cookie_is_for_https_alone(browser: httpx.Client) -> None:
    answer = browser.post(SESSION, json=DOCUMENTED, headers={"X-Forwarded-Proto": "https"})
    assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "said",
    [
        {"email": "epay@halykbank.kz", "password": "wrong"},
        {"email": "nobody@example.kz", "password": "XZG1E@Mm"},
        {"email": "", "password": ""},
        {"password": "XZG1E@Mm"},
        {},
    ],
)
def test_a_wrong_user_is_not_told_what_is_wrong(browser: httpx.Client, said: dict[str, str]) -> None:
    refused = browser.post(SESSION, json=said)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_user")
    assert "XZG1E@Mm" not in refused.text
    assert "sign-in page" in refused.json()["message"]
    assert "set-cookie" not in refused.headers
    assert "www-authenticate" not in refused.headers  # or the browser would ask by itself


def test_whoever_signs_in_elsewhere_than_from_our_own_pages_is_refused(browser: httpx.Client) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.post(SESSION, json=DOCUMENTED, headers=headers).status_code == 403
    assert browser.post(SESSION, data=DOCUMENTED).status_code == 415
    assert browser.post(SESSION, json={"client_id": "test"}).json()["field"] == "client_id"
    assert browser.post(SESSION, json={"user": "x"}).json()["field"] == "user"


def test_a_session_ends_with_the_password_and_with_the_merchant(browser: httpx.Client, world: World) -> None:
    user = {"email": f" {world.facts['email'].upper()}", "password": world.facts["password"]}
    assert browser.post(SESSION, json=user).json()["client_id"] == world.client_id
    world.do("POST", "/reset")
    assert browser.get(SESSION).json()["client_id"] == world.client_id
    world.do("PATCH", "", {"password": "another"})
    assert browser.get(SESSION).json() == NOBODY
    assert browser.post(SESSION, json=user | {"password": "another"}).status_code == 200
    world.do("DELETE")
    assert browser.get(SESSION).json() == NOBODY


def test_a_session_holds_on_another_server_with_the_same_merchants(browser: httpx.Client) -> None:
    browser.post(SESSION, json=DOCUMENTED)
    with running() as other, httpx.Client(base_url=other.url, cookies={"mock_epay_session": _proof(browser)}) as http:
        assert http.get(SESSION).json()["client_id"] == "test"


@pytest.mark.parametrize(
    "forge",
    [
        lambda proof: proof[:-1] + ("0" if proof[-1] != "0" else "1"),
        lambda proof: proof.replace("test:", "halykfinanceUSD:"),
        lambda proof: proof.replace(proof.split(":")[1], "9999999999"),
        lambda proof: proof.replace(proof.split(":")[1], "٣"),
        lambda proof: proof.replace(proof.split(":")[1], "x"),
        lambda proof: proof.replace(proof.split(":")[1], "9" * 5000),  # more digits than Python makes a number of
        lambda _: "test",
        lambda _: "test::",
        lambda _: "",
        lambda _: "nobody:1:2",
    ],
)
def test_a_forged_proof_proves_nothing(browser: httpx.Client, forge: Any) -> None:
    browser.post(SESSION, json=DOCUMENTED)
    forged = forge(_proof(browser))
    browser.cookies.clear()
    headers = {"Cookie": b"mock_epay_session=" + forged.encode()}
    assert browser.get(SESSION, headers=headers).json() == NOBODY


def test_a_proof_lasts_a_week(sandbox: Sandbox) -> None:
    merchant = sandbox.do(sandbox.bank.store.merchant("test"))
    assert isinstance(merchant, Merchant)
    now = Clock().now()
    proof = sessions.prove(merchant, now)
    assert sessions.holds(merchant, proof, now + sessions.LASTS * 0.99)
    assert not sessions.holds(merchant, proof, now + sessions.LASTS)


# With a control token.


def test_a_session_is_as_good_as_the_control_token_for_its_own_merchant(stranger: httpx.Client) -> None:
    mine = f"{CONTROL}/merchants/test"
    assert stranger.get(mine).status_code == 401
    assert stranger.get(SESSION).json() == NOBODY
    assert stranger.post(SESSION, json=DOCUMENTED).status_code == 200
    for path in ("", "/invoices", "/events", "/clock"):
        assert stranger.get(mine + path).status_code == 200
    assert stranger.post(f"{mine}/payments", json={}).status_code == 201
    for path in ("/settings", "/cards", "/reasons"):
        assert stranger.get(CONTROL + path).status_code == 200
    assert stranger.get(f"{CONTROL}/qr", params={"text": "http://a/"}).status_code == 200


def test_a_session_is_good_for_nothing_else(stranger: httpx.Client) -> None:
    stranger.post(SESSION, json=DOCUMENTED)
    for method, path in (
        ("GET", "/merchants"),
        ("POST", "/merchants"),
        ("GET", "/merchants/halykfinanceUSD"),
        ("POST", "/merchants/halykfinanceUSD/reset"),
        ("GET", "/merchants/nobody/invoices"),
    ):
        assert stranger.request(method, CONTROL + path).status_code == 401, path


def test_without_a_session_the_facts_need_the_token_too(stranger: httpx.Client) -> None:
    for path in ("/settings", "/cards", "/reasons", "/qr?text=http://a/"):
        assert stranger.get(CONTROL + path).status_code == 401
        assert stranger.get(CONTROL + path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_session_is_for_our_own_pages_alone(stranger: httpx.Client) -> None:
    stranger.post(SESSION, json=DOCUMENTED)
    refused = stranger.post(f"{CONTROL}/merchants/test/reset", headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403


# An open cabinet.


@pytest.fixture
def open_to_all() -> Iterator[httpx.Client]:
    settings = Settings(port=0, cabinet_open=True, self_check=True)
    with running(settings) as sandbox, httpx.Client(base_url=sandbox.url, timeout=PATIENCE_S) as http:
        yield http


def test_an_open_cabinet_asks_nobody(open_to_all: httpx.Client) -> None:
    test = {"client_id": "test", "name": "Test merchant", "email": "epay@halykbank.kz", "open": True}
    assert open_to_all.get(SESSION).json() == test
    world = new_world(open_to_all)
    assert open_to_all.post(SESSION, json={"client_id": world.client_id}).json()["client_id"] == world.client_id
    assert open_to_all.get(SESSION).json()["client_id"] == world.client_id
    assert open_to_all.post(SESSION, json={"client_id": "nobody"}).status_code == 404
    open_to_all.delete(SESSION)
    assert open_to_all.get(SESSION).json() == test


def test_an_open_cabinet_behind_a_token_makes_no_sense() -> None:
    settings = Settings(port=0, cabinet_open=True, control_token=TOKEN)
    with pytest.raises(SettingError, match="contradict") as refused, running(settings):
        pass
    assert {"MOCK_EPAY_CABINET_OPEN", "MOCK_EPAY_CONTROL_TOKEN"} <= set(str(refused.value).split())
    assert "\n" not in str(refused.value)


# Streams that a browser keeps.


def test_a_stream_goes_on_after_a_reset_and_after_a_restart(browser: httpx.Client, world: World) -> None:
    world.pay()
    last = world.get("/events")["last"]
    stream = f"{CONTROL}/merchants/{world.client_id}/events"
    accept = {"Accept": "text/event-stream"}
    with browser.stream("GET", stream, headers=accept | {"Last-Event-ID": str(last)}) as answer:
        world.do("POST", "/reset")
        assert [line for line in answer.iter_lines() if line.startswith("id:")] == []  # and it has ended
    world.pay()
    with browser.stream("GET", stream, headers=accept | {"Last-Event-ID": str(last)}) as answer:
        ids = (line for line in answer.iter_lines() if line.startswith("id:"))
        assert next(ids) == f"id: {last + 1}"
    with browser.stream("GET", stream, headers=accept | {"Last-Event-ID": "999999"}) as answer:
        ids = (line for line in answer.iter_lines() if line.startswith("id:"))
        assert next(ids) == f"id: {last + 1}"
