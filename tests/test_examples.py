"""The examples work, in each language, as their readers would run them."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from mock_epay.client import EpayServer
from mock_epay.server import Sandbox

EXAMPLES: Final = Path(__file__).parent / "examples"
PATIENCE_S: Final = 60
NOBODY: Final = "http://127.0.0.1:1"
PYTEST: Final = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "-o", "epay_url={url}", ".")


@dataclass(frozen=True)
class Example:
    """How an example is run in its folder, what it writes for a check that holds, and how many checks it has."""

    command: tuple[str, ...]
    held: str
    checks: int


LANGUAGES: Final = {
    "pytest": Example(PYTEST, r"^test_tea_shop\.py::test_\w+ PASSED", 6),
    "node": Example(("node", "--test", "--test-reporter=tap"), r"^ok \d+ - ", 4),
    "php": Example(("php", "shop_test.php"), r"^ok \d+ - ", 7),
    "curl": Example(("sh", "shop.sh"), r"^ok \d+ - ", 8),
}


def _run(name: str, url: str) -> tuple[int, int, str]:
    """Run an example; return its exit code, how many checks held, and all that it wrote."""
    example = LANGUAGES[name]
    done = subprocess.run(
        [part.format(url=url) for part in example.command],
        cwd=EXAMPLES / name,
        env=os.environ | {"EPAY_URL": url, "NO_PROXY": "*", "no_proxy": "*", "PYTEST_ADDOPTS": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, len(re.findall(example.held, done.stdout, re.MULTILINE)), done.stdout


@pytest.mark.parametrize("name", LANGUAGES)
def test_an_example_passes_with_all_its_checks_and_leaves_nothing_behind(name: str, sandbox: Sandbox) -> None:
    with EpayServer(sandbox.url) as server:
        before = {merchant.client_id for merchant in server.merchants()}
        code, held, said = _run(name, sandbox.url)

        assert (code, held) == (0, LANGUAGES[name].checks), said
        assert {merchant.client_id for merchant in server.merchants()} == before


@pytest.mark.parametrize("name", LANGUAGES)
def test_an_example_fails_where_there_is_no_sandbox(name: str) -> None:
    code, held, said = _run(name, NOBODY)

    assert code != 0, said
    assert held == 0


def test_each_folder_is_an_example() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(LANGUAGES)
