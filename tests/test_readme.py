"""The README is true: its code runs, its tables are the program's own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import eventually

from mock_epay import cryptogram, issuer, settings
from mock_epay.cli import main
from mock_epay.commands.table import COMMANDS
from mock_epay.resources import OPENAPI
from mock_epay.script import PLANS
from mock_epay.server import Sandbox
from mock_epay.wire import control

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, language
    return found


def _block(language: str) -> str:
    return _blocks(language)[0]


def test_the_examples_for_pytest_pass(tmp_path: Path) -> None:
    blocks = _blocks("python")
    for number, block in enumerate(blocks):
        (tmp_path / f"test_{number}.py").write_text(block)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    tests = sum(block.count("def test_") for block in blocks)
    assert f"{tests} passed" in done.stdout, done.stdout
    assert tests >= len(blocks)


def test_the_curl_example_pays(sandbox: Sandbox) -> None:
    script = _block("sh").replace("http://127.0.0.1:8080", sandbox.url, 1)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'data-state="approved"' in done.stdout
    assert '"statusName":"CHARGE"' in done.stdout


def test_the_example_in_node_makes_a_cryptogram(sandbox: Sandbox) -> None:
    done = subprocess.run(
        ["node", "--input-type=module", "-e", _block("js")],
        env=os.environ | {"EPAY": sandbox.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert cryptogram.decrypt(done.stdout).card == issuer.card_of("4405639704015096")


def test_the_settings_table_is_the_programs_own() -> None:
    rows = [
        f"| `{row.flag}` | `{row.variable}` | {f'`{row.shown}`' if row.shown else 'empty'} | {row.explanation} |"
        for row in settings.rows()
    ]
    assert "\n".join(rows) in README


def test_the_card_table_is_the_programs_own() -> None:
    for card in issuer.test_cards().values():
        row = next(line for line in README.splitlines() if line.startswith(f"| {card.pan} |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        pairs = [text for pair in card.pairs for text in (pair.expiry, pair.cvc)]
        assert cells[1:5] == [*pairs, "", ""][:4]
        assert cells[5] == ("approved" if card.status == "unlock" else "declined, 465")


def test_the_table_of_own_cards_is_the_programs_own() -> None:
    for card in issuer.own_cards().values():
        assert f"| {card.pan} | {card.reason_code} |" in README


def test_the_rules_of_the_example_can_be_used() -> None:
    (rule,) = control.rules_of_file(*(block for block in _blocks("toml") if "[[rules]]" in block))
    assert (rule.name, rule.then.reason_code) == ("dear orders", 488)


def test_the_merchants_of_the_example_can_be_used() -> None:
    (facts,) = control.merchants_of_file(*(block for block in _blocks("toml") if "[[merchants]]" in block))
    assert (facts["client_id"], facts["two_stage"]) == ("tea", True)


def test_the_table_of_the_control_api_leaves_nothing_out() -> None:
    table = README.partition("## The control API")[2].partition("What means nothing")[0]
    for path in (path for path in json.loads(OPENAPI.read_text("utf-8"))["paths"] if path.startswith("/_control/")):
        last = next(part for part in reversed(path.split("/")) if "{" not in part)
        assert last in table, path


def test_the_table_of_plans_is_the_programs_own() -> None:
    rows = [f"| `{plan.spelt(name)}` | {plan.incident} |" for name, plan in PLANS.items()]
    assert "\n".join(rows) in README


def test_the_commands_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def test_the_links_lead_to_files() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_test_ids_are_on_the_pages() -> None:
    named = README.partition("`data-testid`")[2].partition("The pages work without")[0]
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "mock_epay/templates").glob("*.html"))
    for test_id in re.findall(r"`([a-z-]+)`", named):
        spellings = (
            f'data-testid="{test_id}"',
            f'described("{test_id}")',
            f'"{test_id}"',
            test_id.removeprefix("error-"),
        )
        assert any(spelling in pages for spelling in spellings), test_id


def test_make_run_starts_the_sandbox(tmp_path: Path) -> None:
    # A copy, so that its environment is made from nothing, as on a new machine.
    checkout = tmp_path / "checkout"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for name in names:
        target = checkout / name
        if (ROOT / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    output = tmp_path / "output"
    with output.open("w") as sink:
        running = subprocess.Popen(
            ["make", "run", f"PYTHON={sys.executable}"],
            cwd=checkout,
            env={name: text for name, text in os.environ.items() if not name.startswith("COV")}
            | {"MOCK_EPAY_PORT": "0"},
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            for _ in range(12):
                try:
                    eventually(lambda: "/demo" in output.read_text() or running.poll() is not None)
                    break
                except AssertionError:
                    continue
            assert re.search(r"Pay something +http://127\.0\.0\.1:\d+/demo", output.read_text()), output.read_text()
        finally:
            os.killpg(running.pid, 2)
            running.wait(10)


def test_the_commands_are_carried_out(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOCK_EPAY_URL", sandbox.url)
    commands = [line.removeprefix("$ mock-epay ").split() for line in _block("console").splitlines()]
    codes = [main(words) for words in commands]
    main(["reset"])  # or what is left of its script would meet another test
    assert set(codes) == {0}, capsys.readouterr().err


def test_the_table_of_commands_has_them_all() -> None:
    words = {row.words.partition(" ")[0] for row in COMMANDS}
    rows = [line for line in README.splitlines() if line.startswith("| `mock-epay ")]
    assert {name for row in rows for name in re.findall(r"`mock-epay ([a-z-]+)", row)} == words


def test_the_demo_shop_passes_the_checks(sandbox: Sandbox, tmp_path: Path) -> None:
    (script,) = [block for block in _blocks("sh") if "check-handler" in block]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("http://127.0.0.1:8080", sandbox.url, 1)],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("19 checks: 19 passed\n")
