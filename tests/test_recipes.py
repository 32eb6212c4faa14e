"""An invoice that has happened, written down as a test in four languages; each of them is run, as its reader would."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import CHROMIUM, CHROMIUM_FLAGS, Shop
from worlds import TROUBLE, World

from mock_epay import quoting
from mock_epay.server import Sandbox

PACKAGES: Final = Path(__file__).parent / "js" / "node_modules"
PATIENCE_S: Final = 90
NUMBER: Final = "000000042"
# Looks like the end of a text, a comment, a script or a command in one language or another.
HOSTILE: Final = 'a\'b"c\\d`e`$f${g}$(h)\n*/ */\t#{i} </script><!-- %> ?> {{ j }} {% k %} \'l\' """ чай 🍵'
CONFIG: Final = f"""
export default {{
  timeout: 30000,
  use: {{ launchOptions: {{ executablePath: {json.dumps(CHROMIUM)}, args: {json.dumps(CHROMIUM_FLAGS)} }} }},
}};
"""
LANGUAGES: Final = {
    "curl": ("invoice.sh", ("bash", "invoice.sh"), "ok - what the shop is told"),
    "pytest": (
        "test_invoice.py",
        (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "epay_url={url}", "test_invoice.py"),
        "1 passed",
    ),
    "playwright": (
        "invoice.spec.js",
        ("node", "node_modules/@playwright/test/cli.js", "test", "--reporter=line"),
        "1 passed",
    ),
    "phpunit": ("InvoiceTest.php", ("phpunit", "--do-not-cache-result", "InvoiceTest.php"), "OK (1 test"),
}


def _approved(world: World) -> None:
    world.pay(invoice_id=NUMBER, post_link=TROUBLE)


def _scripted_then_approved(world: World) -> None:
    decision = {"reason_code": 484, "plan": "duplicate(2, 0)", "invoice_id": NUMBER}
    world.do("POST", "/script", {"decisions": [decision]})
    world.pay(invoice_id=NUMBER, post_link=TROUBLE, amount=2500.5)
    world.pay(invoice_id=NUMBER, card="5522042705066736")


def _ruled(world: World) -> None:
    rule = {"name": "dear", "match": {"amount": {"gte": 1000}}, "then": {"reason_code": 488}}
    world.do("POST", "/script", {"rules": [rule]})
    world.pay(invoice_id=NUMBER, post_link=TROUBLE, amount=5000)


def _declined_by_cards(world: World) -> None:
    for card in ("4003032704547597", "4000000000009995", {"pan": "4405639704015096", "expiry": "01/25", "cvc": "111"}):
        world.pay(invoice_id=NUMBER, post_link=TROUBLE, card=card)
    world.pay(invoice_id=NUMBER, post_link=TROUBLE, card="4000009927400005")


def _challenged(world: World) -> None:
    for answer in ("fail", "cancel", "pass"):
        world.pay(invoice_id=NUMBER, post_link=TROUBLE, card="4000000000003220", challenge=answer)


def _challenged_by_script(world: World) -> None:
    world.do("POST", "/script", {"decisions": [{"challenge": "challenge", "reason_code": 462}]})
    world.pay(invoice_id=NUMBER, post_link=TROUBLE, challenge="pass")


def _never_answered(world: World) -> None:
    world.pay(invoice_id=NUMBER, post_link=TROUBLE, card="4000000000003220", challenge="leave")
    world.do("PUT", "/clock", {"advance_s": 1300})


def _still_asked(world: World) -> None:
    world.pay(invoice_id=NUMBER, card="4000000000003220", challenge="leave")


def _operated(world: World) -> None:
    world.do("PATCH", "", {"two_stage": True, "dialect": "observed"})
    paid = world.pay(invoice_id=NUMBER, post_link=TROUBLE, amount=1000)
    world.do("POST", f"/transactions/{paid['id']}/charge", {"amount": 500.5})
    world.do("POST", f"/transactions/{paid['id']}/refund", {"amount": 100})
    world.do("POST", "/postlinks/latest/resend")


def _cancelled(world: World) -> None:
    world.do("PATCH", "", {"two_stage": True})
    paid = world.pay(invoice_id=NUMBER, failure_post_link=TROUBLE)
    world.do("POST", f"/transactions/{paid['id']}/cancel")


def _hostile(world: World) -> None:
    description = HOSTILE.replace("\n", " ").replace("\t", " ")
    world.do("PATCH", "", {"checks": "lenient"})
    world.pay(invoice_id=NUMBER, post_link=TROUBLE, description=description, account_id=HOSTILE.strip())


def _abandoned(world: World) -> None:
    link = world.do("POST", "/links", {"invoice_id": NUMBER, "post_link": TROUBLE})
    assert world.http.get(link["url"], follow_redirects=True).status_code == 200
    world.do("PUT", "/clock", {"advance_s": 1300})


def _only_opened(world: World) -> None:
    link = world.do("POST", "/links", {"invoice_id": NUMBER})
    assert world.http.get(link["url"], follow_redirects=True).status_code == 200


def _only_a_token(world: World) -> None:
    assert world.token(invoiceID=NUMBER, amount=100, postLink=TROUBLE).status_code == 200


def _only_a_link(world: World) -> None:
    world.do("POST", "/links", {"invoice_id": NUMBER})


def _spoilt(world: World) -> None:
    world.pay(invoice_id=NUMBER, post_link=TROUBLE, plan="truncated")


def _verified(world: World) -> None:
    world.pay(
        invoice_id=NUMBER, amount=0, currency="USD", payment_type="cardVerification", account_id="me", post_link=TROUBLE
    )


HAPPENED: Final[tuple[Callable[[World], None], ...]] = (
    _approved,
    _scripted_then_approved,
    _ruled,
    _declined_by_cards,
    _challenged,
    _challenged_by_script,
    _never_answered,
    _still_asked,
    _operated,
    _cancelled,
    _hostile,
    _abandoned,
    _only_opened,
    _only_a_token,
    _only_a_link,
    _spoilt,
    _verified,
)


def _recipe(world: World, language: str) -> str:
    answer = world.ask("GET", f"/invoices/{NUMBER}/test", **{"as": language})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert LANGUAGES[language][0] in answer.headers["content-disposition"]
    return answer.text


def _run(language: str, text: str, folder: Path, url: str) -> tuple[int, str]:
    """Run a test in a folder of its own; return its exit code and all that it said."""
    name, command, _ = LANGUAGES[language]
    (folder / name).write_text(text, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    if language == "playwright":
        (folder / "playwright.config.mjs").write_text(CONFIG, "utf-8")
        (folder / "package.json").write_text('{"type": "module"}', "utf-8")
        (folder / "node_modules").symlink_to(PACKAGES)
    done = subprocess.run(
        [part.format(url=url) for part in command],
        cwd=folder,
        env=os.environ | {"EPAY_URL": url, "NO_PROXY": "*", "no_proxy": "*", "PYTEST_ADDOPTS": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("happened", HAPPENED, ids=lambda one: one.__name__.strip("_"))
@pytest.mark.parametrize(
    "language", ["curl", *(pytest.param(language, marks=pytest.mark.slow) for language in ("pytest", "phpunit"))]
)
def test_what_has_happened_happens_again(
    world: World, sandbox: Sandbox, tmp_path: Path, language: str, happened: Callable[[World], None]
) -> None:
    happened(world)
    text = _recipe(world, language)
    code, said = _run(language, text, tmp_path, sandbox.url)
    assert code == 0, f"{said}\n{text}"
    assert LANGUAGES[language][2].partition(" - ")[0] in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "happened",
    [
        _scripted_then_approved,
        _declined_by_cards,
        _challenged,
        _never_answered,
        _operated,
        _hostile,
        _abandoned,
        _verified,
    ],
    ids=lambda one: one.__name__.strip("_"),
)
def test_what_has_happened_happens_again_in_a_browser(
    world: World, sandbox: Sandbox, tmp_path: Path, happened: Callable[[World], None]
) -> None:
    happened(world)
    text = _recipe(world, "playwright")
    code, said = _run("playwright", text, tmp_path, sandbox.url)
    assert code == 0, f"{said}\n{text}"
    assert "1 passed" in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_test_that_was_written_down_can_fail(world: World, sandbox: Sandbox, tmp_path: Path, language: str) -> None:
    _declined_by_cards(world)
    text = _recipe(world, language).replace("2740", "484")
    code, said = _run(language, text, tmp_path, sandbox.url)
    assert code != 0, said


def test_a_payment_with_a_form_of_the_shops_own_is_written_down_too(shop: Shop, http: httpx.Client) -> None:
    world = World(http, {"client_id": shop.merchant.client_id})
    shop.buy(invoiceId=NUMBER)
    assert "4405639704015096" in _recipe(world, "pytest")


def test_an_unknown_language_and_an_unknown_invoice_are_refused(world: World) -> None:
    _approved(world)
    status, said = world.refused("GET", f"/invoices/{NUMBER}/test", **{"as": "cobol"})
    assert (status, "one of curl, pytest, playwright, phpunit" in said) == (400, True)
    assert world.refused("GET", f"/invoices/{NUMBER}/test")[0] == 400
    assert world.refused("GET", "/invoices/000000999/test", **{"as": "curl"})[0] == 404


# Quoting, proved by those who read it.

TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, min_size=1, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_python_reads_what_was_quoted(value: object) -> None:
    found: dict[str, Any] = {}
    exec(f"found = {quoting.python(value)}", {}, found)
    assert found["found"] == value


def _read(command: list[str], program: str) -> Any:
    done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def samples() -> list[Any]:
    """Give many values at once, since each interpreter that is started takes its time."""
    found: list[Any] = [HOSTILE, {HOSTILE: [HOSTILE, None, True, 1, 0.5]}, "\u2028\u2029\x7f\x1b\u202e\ufeff"]
    letters = [*map(chr, range(1, 0x250)), *"\u2028\u2029\u202e\ufeff🍵\U0010ffff"]
    found += letters
    found += [first + second for first in "\\'\"`$*/<\n" for second in "\\'\"`$*/<{!(nx0\n"]
    return found


def test_javascript_reads_what_was_quoted(samples: list[Any]) -> None:
    program = f"console.log(JSON.stringify([{', '.join(map(quoting.javascript, samples))}]))"
    assert _read(["node", "--input-type=module", "-"], program) == samples
    assert "</script" not in program
    assert "<!--" not in program


def test_php_reads_what_was_quoted(samples: list[Any]) -> None:
    program = f"<?php echo json_encode([{', '.join(map(quoting.php, samples))}]);"
    assert _read(["php"], program) == samples


def test_a_shell_reads_what_was_quoted(samples: list[Any]) -> None:
    texts = [one for one in samples if isinstance(one, str)]
    program = f"printf '%s\\0' {' '.join(map(quoting.shell, texts))}"
    done = subprocess.run(["bash"], input=program.encode(), capture_output=True, timeout=PATIENCE_S, check=True)
    assert done.stdout.decode().split("\0")[:-1] == texts
    assert json.loads(quoting.shell({"a": [1]})[1:-1]) == {"a": [1]}
