"""The bank's own names, inside containers and in Chromium, with nothing changed in who uses them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from browsing import PATIENCE_MS, pay, sees
from image import containers
from image.containers import IMAGE, SHOP_FILES, compose, engine, free_port, sandbox, trusting_home, volume
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect, sync_playwright
from support import APPROVES, CHROMIUM, CHROMIUM_FLAGS, eventually

from mock_epay import tls

# Chromium drops its connections when a network of the machine comes or goes, as those of containers do.
TRIES: Final = 3


@pytest.fixture(scope="module")
def shop() -> Iterator[dict[str, int]]:
    """Run both compose files, and return which ports lead to what."""
    ports = {name: free_port() for name in ("EPAY_PORT", "EPAY_TLS_PORT", "EPAY_HTTPS_PORT", "SHOP_PORT")}
    variables = {name: str(port) for name, port in ports.items()} | {"MOCK_EPAY_IMAGE": IMAGE}
    variables |= containers.host_gateway() | {"COMPOSE_PROJECT_NAME": f"epay{os.getpid()}"}
    compose(*SHOP_FILES, "up", "-d", **variables)
    try:
        eventually(lambda: _answers(f"http://127.0.0.1:{ports['SHOP_PORT']}/"), 60)
        yield ports
    finally:
        compose(*SHOP_FILES, "down", "-v", "-t", "2", **variables)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def home(shop: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    certificate = folder / "ca.pem"
    certificate.write_bytes(httpx.get(f"http://127.0.0.1:{shop['EPAY_PORT']}/ca.pem").content)
    return trusting_home(folder, certificate)


def _rules(port: int) -> str:
    return "--host-resolver-rules=" + ",".join(f"MAP {host} 127.0.0.1:{port}" for host in tls.bank_hosts())


def test_a_shop_with_the_bank_s_addresses_built_in_is_paid(shop: dict[str, int], home: Path) -> None:
    address = f"http://localhost:{shop['SHOP_PORT']}"
    invoice = _paid_after_some_tries(address, shop["EPAY_HTTPS_PORT"], home)
    # The shop asked for the status at the bank's own name when the notice had come.
    eventually(lambda: httpx.get(f"{address}/orders").json()[invoice] == "CHARGE")


def _paid_after_some_tries(address: str, https: int, home: Path) -> str:
    """Buy in a fresh browser, and again if it was disturbed: what is tried is the way there, not its weather."""
    disturbed: list[str] = []
    for _ in range(TRIES):
        try:
            return _paid(address, https, home, disturbed)
        except (PlaywrightError, AssertionError) as failure:
            disturbed.append(str(failure))
    raise AssertionError("\n".join(disturbed))


def _paid(address: str, https: int, home: Path, disturbed: list[str]) -> str:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*CHROMIUM_FLAGS, _rules(https)], env={**os.environ, "HOME": str(home)}
        )
        context = chromium.new_context()
        context.set_default_timeout(PATIENCE_MS)
        context.grant_permissions(["local-network-access"])
        context.on("requestfailed", lambda request: disturbed.append(f"{request.url}: {request.failure}"))
        context.on("weberror", lambda fault: disturbed.append(str(fault.error)))
        page = context.new_page()
        page.goto(f"{address}/")
        page.locator("#pay").click()
        page.wait_for_url("https://test-epay.homebank.kz/payform/**")
        invoice = page.get_by_test_id("invoice").inner_text()
        pay(page, APPROVES)
        sees(page, "approved", 0)
        page.get_by_test_id("back-to-shop").click()
        page.wait_for_url(f"{address}/thanks")
        expect(page.locator("body")).to_have_text("Thank you")
        chromium.close()
    return invoice.strip()


@pytest.mark.parametrize("host", ["test-epay.homebank.kz", "test-epay.epayment.kz", "epay.homebank.kz"])
def test_chromium_itself_is_led_by_its_rules(shop: dict[str, int], home: Path, host: str) -> None:
    assert any("halyk" in _dumped(shop["EPAY_HTTPS_PORT"], home, host) for _ in range(TRIES))


def _dumped(port: int, home: Path, host: str) -> str:
    return subprocess.run(
        [
            CHROMIUM,
            "--headless",
            *CHROMIUM_FLAGS,
            _rules(port),
            f"--user-data-dir={home}/{host}",
            "--dump-dom",
            f"https://{host}/payform/payment-api.js",
        ],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def test_nobody_is_believed_who_is_not_of_the_authority(shop: dict[str, int]) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://localhost:{shop['EPAY_HTTPS_PORT']}/payform/payment-api.js")


def test_two_containers_meet_by_the_bank_s_name_and_by_one_of_their_own() -> None:
    network = f"epay-{os.getpid()}"
    engine("network", "create", network)
    names = ("testepay.homebank.kz", "bank.shop.internal")
    aliases = [word for name in names for word in ("--network-alias", name)]
    low = ("--sysctl", "net.ipv4.ip_unprivileged_port_start=0")
    settings = ("-e", "MOCK_EPAY_TLS=1", "-e", "MOCK_EPAY_TLS_PORT=443", "-e", f"MOCK_EPAY_EXTRA_HOSTS={names[1]}")
    asks = "from urllib.request import urlopen; import sys; print([urlopen(url).status for url in sys.argv[1:]])"
    addresses = [f"https://{name}/api/public.rsa" for name in names]
    try:
        with volume() as data:
            mounted, trust = ("-v", f"{data}:/data"), ("-e", "SSL_CERT_FILE=/data/tls/ca.pem")
            with sandbox("--network", network, *aliases, *low, *settings, *mounted):
                other = ("run", "--rm", "--network", network, *mounted, *trust, "--entrypoint", "python3", IMAGE)
                assert engine(*other, "-c", asks, *addresses).strip().endswith("[200, 200]")
    finally:
        engine("network", "rm", "-f", network)
