"""The two spellings of the bank, difference by difference."""

import re

import httpx
import pytest
from support import Receiver, Shop, in_dialect

from mock_epay.model import Dialect
from mock_epay.server import running
from mock_epay.settings import Settings

DIFFERENCES: dict[Dialect, dict[str, object]] = {
    "documented": {"ttl": 7200, "digits": 5, "keys": "as documented", "last": "cardId"},
    "observed": {"ttl": "1200", "digits": 9, "keys": "alphabetical", "last": "tokenRecipient"},
}


@pytest.mark.parametrize("dialect", ["documented", "observed"])
def test_what_no_single_field_shows(dialect: Dialect, shop: Shop, shop_server: Receiver) -> None:
    shop = in_dialect(shop, dialect)
    expected = DIFFERENCES[dialect]
    token = shop.token()
    assert token["expires_in"] == expected["ttl"]
    shop.buy(token=token)
    notice = shop_server.wait(path=shop.post_link.removeprefix(shop_server.url))[0].body
    assert (list(notice) == sorted(notice)) == (expected["keys"] == "alphabetical")
    assert list(notice)[-1] == expected["last"]
    found = re.search(r"\.(\d+)\+05:00$", notice["dateTime"])
    assert found
    assert len(found[1]) == expected["digits"]
    assert ("approvalCode" in notice) == (dialect == "observed")


def test_a_token_lives_as_long_as_its_answer_says(shop: Shop) -> None:
    shop = in_dialect(shop, "observed")
    token = shop.token()
    shop.advance(1200)
    assert shop.open(token=token).status_code == 401


@pytest.mark.parametrize(
    ("settings", "expires_in"),
    [
        (Settings(port=0, dialect="observed"), "1200"),
        (Settings(port=0, dialect="observed", token_ttl_s=60), "60"),
        (Settings(port=0, token_ttl_s=60), 60),
    ],
)
def test_the_server_has_a_dialect_of_its_own_for_the_documented_merchant(
    settings: Settings, expires_in: object
) -> None:
    with running(settings) as sandbox, httpx.Client(base_url=sandbox.url) as http:
        merchant = sandbox.do(sandbox.bank.store.merchant("test"))
        assert merchant is not None
        assert merchant.dialect == settings.dialect
        assert merchant.terminals[0].two_stage is (settings.dialect == "observed")
        assert Shop(sandbox, http, merchant, "").token()["expires_in"] == expires_in
