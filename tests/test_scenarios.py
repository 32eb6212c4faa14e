"""Plays the stories of tests/scenarios; their README explains the parts."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from support import Receiver, Shop, action, in_dialect, marked, state

from mock_epay.model import Dialect

STORIES = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("dialect", ["documented", "observed"])
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_told(path: Path, dialect: Dialect, shop: Shop, shop_server: Receiver) -> None:
    shop = in_dialect(shop, dialect)
    story = _told(tomllib.loads(path.read_text("utf-8")), shop.post_link, dialect)
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
        _check_attempt(shop.pay(action(opened), attempt["card"]), attempt["page"])
    _check_postlinks(story.get("postlinks", []), shop, shop_server)
    if "status" in story:
        answer, expected = shop.status(), story["status"]
        transaction = expected.pop("transaction", {})
        assert _those_of(expected, answer) == expected
        assert _those_of(transaction, answer["transaction"] or {}) == transaction


def _told(part: Any, shop: str, dialect: Dialect) -> Any:
    if isinstance(part, dict):
        different = part.pop("observed", {})
        told = part | different if dialect == "observed" else part
        return {name: _told(value, shop, dialect) for name, value in told.items()}
    if isinstance(part, list):
        return [_told(value, shop, dialect) for value in part]
    return part.replace("{shop}", shop) if isinstance(part, str) else part


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
