"""Merchants that stand in a file are there from the start, and stay."""

from pathlib import Path

import httpx
import pytest

from mock_epay.server import running
from mock_epay.settings import SettingError, Settings

FILE = """
[[merchants]]
client_id = "tea"
client_secret = "leaves #1"
name = "Tea shop"
two_stage = true
postlink_timeout_s = 2.5
postlink_retry_s = "none"

[[merchants]]
client_id = "coffee"
seed = "beans"
"""


def test_merchants_of_a_file_live_beside_the_bank_s(tmp_path: Path) -> None:
    path = tmp_path / "merchants.toml"
    path.write_text(FILE)
    with running(Settings(port=0, merchants=str(path))) as started, httpx.Client(base_url=started.url) as http:
        listed = http.get("/_control/merchants").json()["merchants"]
        tea = next(one for one in listed if one["client_id"] == "tea")
        assert [one["client_id"] for one in listed][-2:] == ["tea", "coffee"]
        assert "test" in [one["client_id"] for one in listed]
        assert (tea["client_secret"], tea["name"]) == ("leaves #1", "Tea shop")
        answer = http.post("/_control/merchants/tea/payments", json={})
        assert answer.json()["status"] == "AUTH"
        assert http.post("/_control/merchants/tea/reset", json={}).json()["client_secret"] == "leaves #1"
        refused = http.delete("/_control/merchants/tea")
        assert refused.status_code == 409
        assert "can only be reset" in refused.json()["message"]


def test_what_a_seed_invents_is_the_same_in_every_run(tmp_path: Path) -> None:
    path = tmp_path / "merchants.toml"
    path.write_text(FILE)
    seen = []
    for _ in range(2):
        with running(Settings(port=0, merchants=str(path))) as started:
            seen.append(httpx.get(f"{started.url}/_control/merchants/coffee").json()["client_secret"])
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[merchants", "TOML is needed: "),
        ("merchant = 1", r'merchant is "\(not shown\)": merchants, as \[\[merchants\]\], and nothing else'),
        ("merchants = 1", r'merchants is "\(not shown\)": tables, each as \[\[merchants\]\]'),
        ("merchants = [1]", r'merchants is "\(not shown\)": tables, each as \[\[merchants\]\]'),
        ("[[merchants]]\nname = 'Tea'", 'merchants.0.client_id is "": needed, and another one for each merchant'),
        ("[[merchants]]\nclient_id = 'test'", 'merchants.0.client_id is "test": needed, and another one'),
        (
            "[[merchants]]\nclient_id = 'a'\n[[merchants]]\nclient_id = 'a'",
            'merchants.1.client_id is "a": needed, and another one',
        ),
        ("[[merchants]]\nclient_id = 'a b'", 'merchants.0: client_id is "a b": 1 to 64 letters'),
        ("[[merchants]]\nclient_id = 'a'\ndialekt = 'x'", "merchants.0: dialekt means nothing here"),
        ("[[merchants]]\nclient_id = 'a'\nplan = 'soon'", "merchants.0: plan is "),
    ],
)
def test_a_file_that_breaks_a_rule_is_one_line(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "merchants.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match=rf'^MOCK_EPAY_MERCHANTS \(--merchants\) is "{path}": {why}[^\n]*$'):
        running(Settings(port=0, merchants=str(path))).__enter__()


def test_a_file_that_is_not_there_is_one_line() -> None:
    with pytest.raises(SettingError, match=r'MOCK_EPAY_MERCHANTS \(--merchants\) is "/nowhere": No such file'):
        running(Settings(port=0, merchants="/nowhere")).__enter__()
