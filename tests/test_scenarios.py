"""Plays the stories of tests/scenarios; their README explains the parts."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from support import SHOP_ID, Receiver, Shop, action, encrypted, hidden, in_dialect, marked, state

from mock_epay.model import Dialect

STORIES = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("dialect", ["documented", "observed"])
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_told(path: Path, dialect: Dialect, shop: Shop, shop_server: Receiver) -> None:
    shop = in_dialect(shop, dialect)
    user = {"email": shop.merchant.email, "password": shop.merchant.password, "shop": shop.post_link}
    story = read(path, user, dialect)
    play(story, shop, SHOP_ID)
    if "refused" in story:
        return
    _check_postlinks(story.get("postlinks", []), shop, shop_server)
    if "status" in story:
        answer, expected = shop.status(), story["status"]
        transaction = expected.pop("transaction", {})
        assert _those_of(expected, answer) == expected
        assert _those_of(transaction, answer["transaction"] or {}) == transaction


def read(path: Path, user: dict[str, str], dialect: Dialect) -> dict[str, Any]:
    """Read a story as it is told in this dialect, of this user of the cabinet and this shop."""
    story: dict[str, Any] = _told(tomllib.loads(path.read_text("utf-8")), user, dialect)
    return story


def play(story: dict[str, Any], shop: Shop, shop_id: str) -> None:
    """Let all of it happen, but for what the shop hears in the end."""
    if story.get("attempts") or not story.get("calls"):
        _play_page(story, shop)
    known = {"shop_id": shop_id, "terminal": shop.terminal}
    for call in story.get("calls", []):
        _check_call(call, shop, known)


def _play_page(story: dict[str, Any], shop: Shop) -> None:
    asked = shop.http.post("/oauth2/token", data=shop.request(**story.get("token", {})))
    if "refused" in story:
        expected = story["refused"]
        assert asked.status_code == expected.pop("status")
        assert _those_of(expected, asked.json()) == expected
        return
    assert asked.status_code == 200, asked.text
    opened = shop.http.get(shop.address(shop.order(asked.json()) | story.get("object", {})))
    _check_opening(opened, story.get("page", {"status": 200, "state": "open"}))
    for attempt in story.get("attempts", []):
        page = shop.pay(action(opened), attempt["card"])
        _check_attempt(page, attempt["page"])
        if "code" in attempt:
            _check_attempt(_answer_issuer(shop, page, attempt["code"]), attempt["then"])


def _answer_issuer(shop: Shop, page: Any, answer: str) -> Any:
    """Answer on the issuer's page: with the right code, with wrong ones until it asks no more, or not at all."""
    form = action(page)
    if answer == "wrong":
        while state(page)[0] == "challenge":
            page = shop.pay(form, {"code": "000000"})
        return page
    code = {"answer": "cancel"} if answer == "cancel" else {"code": marked(page, "sandbox-code")}
    return shop.pay(form, code)


def _check_call(call: dict[str, Any], shop: Shop, known: dict[str, str]) -> None:
    """Call a service as the story says; keep of its answer what later calls need."""
    if "card" in call:
        known["cryptogram"] = encrypted(shop.http, call["card"], shop.terminal)
    given = _filled({name: call[name] for name in ("json", "data") if name in call}, known)
    method, path = call["call"].split()
    headers = {}
    if call.get("bearer", True):
        token = shop.token(**call["token"]) if "token" in call else {"access_token": shop.status_token()}
        headers["Authorization"] = f"Bearer {call.get('bearer_as', token['access_token']).format(**known)}"
        known["access_token"] = token["access_token"]
    response = shop.http.request(method, path.format(**known), headers=headers, **given, follow_redirects=False)
    expected = call["answer"]
    assert response.status_code == expected.pop("http", 200), response.text
    if "location" in expected:
        location = response.headers["location"]
        assert _filled(expected.pop("location"), known) in location
        known["page"] = location
        response = shop.http.get(location) if call.get("follow") else response
    if "state" in expected:
        assert state(response)[0] == expected.pop("state")
    for name, test_id in call.get("read", {}).items():
        known[name] = marked(response, test_id)
    for name, field in call.get("fields", {}).items():
        known[name] = hidden(response, field)
    if expected or "keep" in call:
        answer = response.json()
        answer = answer[0] if isinstance(answer, list) else answer
        assert _those_of(expected, answer) == _filled(expected, known)
        known |= {name: _step(answer, key) for name, key in call.get("keep", {}).items()}


def _filled(part: Any, known: dict[str, str]) -> Any:
    if isinstance(part, dict):
        return {name: _filled(value, known) for name, value in part.items()}
    return part.format(**known) if isinstance(part, str) else part


def _step(answer: Any, key: str) -> str:
    for name in key.split("."):
        answer = answer[name]
    return str(answer)


def _told(part: Any, user: dict[str, str], dialect: Dialect) -> Any:
    if isinstance(part, dict):
        different = part.pop("observed", {})
        told = part | different if dialect == "observed" else part
        return {name: _told(value, user, dialect) for name, value in told.items()}
    if isinstance(part, list):
        return [_told(value, user, dialect) for value in part]
    for name, text in user.items() if isinstance(part, str) else ():
        part = part.replace(f"{{{name}}}", text)
    return part


def _those_of(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {name: found.get(name) for name in expected}


def _check_opening(opened: Any, expected: dict[str, Any]) -> None:
    assert (opened.status_code, state(opened)[0]) == (expected["status"], expected["state"]), opened.text
    if "field" in expected:
        assert marked(opened, "error-field") == expected["field"]


def _check_attempt(page: Any, expected: dict[str, Any]) -> None:
    assert state(page) == (expected["state"], expected["reason_code"])
    assert f'data-testid="{expected.get("says", "page")}"' in page.text
    if "attempts_left" in expected:
        assert marked(page, "attempts-left") == expected["attempts_left"]


def _check_postlinks(expected: list[dict[str, Any]], shop: Shop, shop_server: Receiver) -> None:
    own = shop.post_link.removeprefix(shop_server.url)
    with shop_server.news:
        came = shop_server.news.wait_for(lambda: len(_own(shop_server, own)) >= len(expected), 10)
    assert came, shop_server.notices
    for wanted, notice in zip(expected, _own(shop_server, own), strict=True):
        to = wanted.pop("to", "")
        assert notice.path == own + to
        assert _those_of(wanted, notice.body) == wanted


def _own(shop_server: Receiver, path: str) -> list[Any]:
    return [notice for notice in shop_server.notices if notice.path == path or notice.path.startswith(path + "/")]
