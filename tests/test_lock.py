"""What the image is made of is written down, to the last byte, and is what the project asks for."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from audit import verdict
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parent.parent
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _locked(name: str) -> dict[str, Requirement]:
    text = (ROOT / "docker" / name).read_text("utf-8").replace("\\\n", "")
    lines = [line.partition(" --hash")[0] for line in text.splitlines()]
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}


@pytest.mark.parametrize(
    ("lock", "asked"),
    [("requirements.lock", PROJECT["project"]["dependencies"]), ("build.lock", PROJECT["build-system"]["requires"])],
)
def test_a_lock_has_what_the_project_asks_for(lock: str, asked: list[str]) -> None:
    locked = _locked(lock)
    for one in map(Requirement, asked):
        (pin,) = locked[canonicalize_name(one.name)].specifier
        assert pin.operator == "=="
        assert one.specifier.contains(pin.version), f"{one} is locked at {pin}: make lock"


@pytest.mark.parametrize("lock", ["requirements.lock", "build.lock"])
def test_each_package_has_its_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "docker" / lock).read_text("utf-8")
    for block in text.replace("\\\n", "").splitlines():
        assert re.search(r" --hash=sha256:[0-9a-f]{64}", block), block
    assert "://" not in text
    assert "--index" not in text


def test_an_audit_tells_what_is_wrong_and_what_nobody_knows() -> None:
    sound = {"name": "a", "version": "1", "vulns": []}
    unknown = {"name": "b", "version": "2", "skip_reason": "Dependency not found"}
    bad = {
        "name": "c",
        "version": "3",
        "vulns": [{"id": "CVE-1", "fix_versions": ["4"]}, {"id": "X", "fix_versions": []}],
    }
    assert verdict([sound]) == (["1 of 1 packages were looked up, 0 of them are known to be vulnerable"], True)
    assert verdict([sound, unknown, bad]) == (
        [
            "c 3: CVE-1, mended in 4",
            "c 3: X, mended in no version yet",
            "2 of 3 packages were looked up, 1 of them are known to be vulnerable",
        ],
        False,
    )
    lines, good = verdict([unknown])
    assert (lines[-1].partition(":")[0], good) == ("the vulnerability service cannot be reached from here", True)
