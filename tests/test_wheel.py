"""The wheel that users install."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest
from smoke_wheel import main, smoke

CHECKOUT: Final = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(CHECKOUT)]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_with_its_files_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == set(_files())
    for part in ("py.typed", "schemas/error.json", "data/cards.toml", "templates/base.html", "static/demo/shop.css"):
        assert f"mock_epay/{part}" in found


def _files() -> Iterator[str]:
    for path in (CHECKOUT / "mock_epay").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(CHECKOUT).as_posix()
    for path in (CHECKOUT / "schemas").rglob("*.json"):
        yield f"mock_epay/{path.relative_to(CHECKOUT).as_posix()}"


def test_one_can_install_the_wheel_and_pay(wheel: Path) -> None:
    smoke(wheel)


def test_a_wheel_that_is_not_there_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "no.whl")]) == 1
    assert capsys.readouterr().out == "0 passed, 1 failed\n"


def test_no_wheel_at_all_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert capsys.readouterr().out == "0 passed, 0 failed\n"
