"""Where postlinks never go: every way to write such a place, at the door and at the delivery; names that lead there."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from support import Shop
from test_postlinks import attempts, queue
from worlds import of

ALONE: Final = ("unshare", "--map-root-user", "--net", "--mount")

FORBIDDEN: Final = [
    "http://169.254.169.254/latest/meta-data/",
    "HTTP://169.254.169.254",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0XA9FEA9FE/",
    "http://0xA9.0xfe.0XA9.0xFE/",
    "http://0251.0376.0251.0376/",
    "http://0251.254.0xa9.254/",
    "http://025177524776/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://169.254.169.254./",
    "http://2852039166./",
    "http://１６９.２５４.１６９.２５４/",
    "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/",
    "http://169。254．169｡254/",
    "http://user:password@169.254.169.254/",
    "http://example.kz@169.254.169.254/",
    "http://127.0.0.1@169.254.169.254:80/",
    "http://169.254.169.254?@example.kz/",
    "http://169.254.169.254#@example.kz/",
    "http://a@b@169.254.169.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::FFFF:A9FE:A9FE]/",
    "http://[0:0:0:0:0:ffff:a9fe:a9fe]/",
    "http://[::169.254.169.254]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[::ffff:0:a9fe:a9fe]/",
    "http://[2001:db8::5efe:a9fe:a9fe]/",
    "http://[2001:db8::200:5efe:169.254.169.254]/",
    "http://[fe80::1]/",
    "http://[FE80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::ffff:169.254.169.254%25lo]/",
    "http://[fd00:ec2::254]/",
    "http://[fd20:ce::254]/",
    "http://[ff02::1]/",
    "http://169.254.170.2/v2/credentials/",
    "http://100.100.100.200/latest/meta-data/",
    "http://192.0.0.192/opc/v2/instance/",
    "http://168.63.129.16/machine/",
    "http://255.255.255.255/",
    "http://224.0.0.1/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.Google.Internal./",
    "http://metadata。google。internal/",
    "http://ⓜetadata.google.internal/",
    "http://metadata.goog/",
    "http://metadata.azure.internal/",
    "http://metadata.tencentyun.com/latest/",
    "http://instance-data.ec2.internal/latest/",
]
NO_ADDRESSES: Final = [
    "http://example.kz\\@169.254.169.254/",
    "http://169.254.169.254\\@example.kz/",
    "http://[::1/",
    "http://example.kz:99999/",
    "http://example.kz:80:80/",
    f"http://{'a' * 64}.kz/",
    "http://example..kz/",
    "http://@/",
    "http://0/",
    "http://127.1/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://exa\u00admple.kz/",
]
OWN: Final = ["http://127.0.0.1:9/", "http://0x7f.1:9/", "http://[::1]:9/", "http://0x0:9/", "http://localhost:9/"]


def refusal(shop: Shop, url: str) -> str:
    """Return what is said of an address when it is given; nothing if it is taken."""
    answer = of(shop).ask("POST", "/payments", {"post_link": url})
    return "" if answer.is_success else str(answer.json()["message"])


@pytest.mark.parametrize("url", FORBIDDEN)
def test_what_is_refused_at_the_door_is_blocked_on_the_way(shop: Shop, url: str) -> None:
    said = refusal(shop, url)
    assert said.startswith("postLink is ")
    assert "not link-local, multicast, or where a cloud tells its secrets" in said
    queue(shop.sandbox, shop.merchant, url)
    assert attempts(shop)[0].result == "blocked"


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_at_the_door_is_none_on_the_way(shop: Shop, url: str) -> None:
    assert refusal(shop, url).startswith("postLink is ")
    queue(shop.sandbox, shop.merchant, url)
    assert attempts(shop)[0].result == "bad address"


@pytest.mark.parametrize("url", OWN)
def test_a_developers_own_machine_is_none_of_these(shop: Shop, url: str) -> None:
    assert refusal(shop, url) == ""
    queue(shop.sandbox, shop.merchant, url, "000000002")
    assert {attempt.result for attempt in attempts(shop)} <= {"refused", "disconnected"}


@pytest.mark.parametrize("name", ["postLink", "failurePostLink"])
def test_a_token_and_a_page_are_refused_for_it_too(shop: Shop, name: str) -> None:
    where: dict[str, Any] = {name: FORBIDDEN[0]}
    asked = shop.http.post("/oauth2/token", data=shop.request(**where))
    assert (asked.status_code, asked.json()["field"]) == (400, name)
    page = shop.open(**where)
    assert page.status_code == 400
    assert "where a cloud tells its secrets" in page.text


def test_a_notice_is_not_sent_there_once_more(shop: Shop) -> None:
    world = of(shop)
    world.pay(post_link=OWN[0])
    (notice,) = world.get("/postlinks")["postlinks"]
    said = world.refused("POST", f"/postlinks/{notice['id']}/resend", {"url": FORBIDDEN[0]})
    assert said[0] == 400
    assert said[1].startswith("url is ")


@pytest.mark.skipif(
    not (shutil.which("unshare") and shutil.which("ip"))
    or subprocess.run([*ALONE, "true"], check=False, capture_output=True).returncode != 0,
    reason="needs namespaces",
)
def test_a_name_an_answer_and_the_environment_lead_nowhere_else(tmp_path: Path) -> None:
    here = Path(__file__).parent
    command = [*ALONE, sys.executable, str(here / "outbound_alone.py"), str(tmp_path / "resolv.conf")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    turned = {name: set(told.pop(name)) for name in ("turns.example", "turns-back.example")}
    heard = told.pop("heard")
    assert told == {
        "here.example": ["delivered"],
        "secret.example": ["blocked"],
        "both.example": ["blocked"],
        "mapped.example": ["blocked"],
        "sixth.example": ["blocked"],
        "astray": ["redirected"],
    }
    assert all(results <= {"delivered", "blocked"} for results in turned.values())
    assert set.union(*turned.values()) == {"delivered", "blocked"}
    assert heard.pop("169.254.169.254") == 1, "only the question that shows that it would have been heard"
    assert heard["127.0.0.1"] > 2
