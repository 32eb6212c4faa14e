"""Firefox believes the sandbox's authority once it is told to, as `mock-epay trust` says."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers.engines import firefox
from selenium.common.exceptions import WebDriverException

from mock_epay import resources
from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Sandbox]:
    with running(Settings(port=0, tls=True, tls_port=0, tls_dir=str(tmp_path / "tls"))) as started:
        yield started


def _profile(tmp_path: Path) -> Path:
    folder = tmp_path / "profile"
    folder.mkdir()
    return folder


def test_firefox_trusts_as_it_is_told(secure: Sandbox, tmp_path: Path) -> None:
    profile = _profile(tmp_path)
    (told,) = [row["how"] for row in resources.table("trust")["recipe"] if row["for"] == "Firefox"]
    command = told.format(ca=tmp_path / "tls/ca.pem").partition("\nor ")[2].replace("PROFILE", str(profile))
    assert shutil.which("certutil"), "libnss3-tools is needed: make test-browsers installs it"
    subprocess.run(["certutil", "-d", f"sql:{profile}", "-N", "--empty-password"], check=True, timeout=30)
    subprocess.run(shlex.split(command), check=True, timeout=30)
    with firefox(profile) as driver:
        driver.get(f"{secure.tls_url}/demo")
        assert driver.current_url == f"{secure.tls_url}/demo"
        assert driver.execute_script("return document.title")


def test_firefox_believes_nobody_else(secure: Sandbox, tmp_path: Path) -> None:
    with firefox(_profile(tmp_path)) as driver, pytest.raises(WebDriverException, match=r"InsecureCertificate"):
        driver.get(f"{secure.tls_url}/demo")
