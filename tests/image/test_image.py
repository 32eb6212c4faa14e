"""The image, run by the engine that is there."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx
import pytest
from browsing import Customer, sees
from browsing import pay as pay_in_browser
from image import containers
from image.containers import ENGINE, IMAGE, ROOT, SHOP_FILES, Container, compose, engine, sandbox, volume
from playwright.sync_api import Browser
from support import APPROVES, eventually

from mock_epay import lz, tls
from mock_epay.client import EpayServer
from mock_epay.receiver import Receivers

UID: Final = 10001
STARTS_WITHIN_S: Final = 0.5
STOPS_WITHIN_S: Final = 1.0
TRIES: Final = 3  # a machine that is busy with something else may be late once
HEALTH: Final = "/_control/health"


@pytest.fixture(scope="module")
def one() -> Iterator[Container]:
    with sandbox() as started:
        yield started


@pytest.fixture(scope="module")
def epay(one: Container) -> Iterator[EpayServer]:
    with EpayServer(one.url, receiver_host="host.docker.internal") as server:
        yield server


def test_it_runs_as_nobody_in_particular(one: Container) -> None:
    ids = one.run("python3", "-c", "import os; print(os.getuid(), os.getgid())")
    assert ids.split() == [str(UID), "0"]
    assert one.facts()["HostConfig"]["ReadonlyRootfs"] is True


def test_it_needs_no_place_to_write_to() -> None:
    # Podman mounts a writable /tmp unless told otherwise; Docker does not.
    bare = ("--read-only-tmpfs=false",) if ENGINE == "podman" else ()
    with sandbox(*bare) as one, EpayServer(one.url) as server:
        assert server.new_merchant().pay("000000001").approved


@pytest.mark.parametrize("user", ["54321:0", "1234560000:0"])
def test_any_user_of_the_platform_s_choice_will_do(user: str) -> None:
    with volume() as data, sandbox("--user", user, "-v", f"{data}:/data", "-e", "MOCK_EPAY_TLS=1") as one:
        assert one.run("python3", "-c", "import os; print(os.getuid())").strip() == user.partition(":")[0]
        modes = one.run("python3", "-c", "import os; print(oct(os.stat('/data/tls/private/ca.key').st_mode))")
        assert modes.strip() == "0o100600"


def test_the_health_check_is_a_command_of_ours(one: Container) -> None:
    facts = json.loads(engine("inspect", "--type", "image", IMAGE))[0]
    assert (facts.get("Healthcheck") or facts["Config"]["Healthcheck"])["Test"] == ["CMD", "mock-epay", "ready"]
    assert one.run("mock-epay", "ready", "--wait", "--timeout", "5") == ""
    stranger = subprocess.run(
        [ENGINE, "exec", one.name, "mock-epay", "ready", "--url", "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert stranger.returncode == 1
    assert "not ready: http://127.0.0.1:9" in stranger.stderr


def test_the_engine_sees_that_it_is_healthy(one: Container) -> None:
    if ENGINE == "podman":  # which leaves the asking to systemd
        engine("healthcheck", "run", one.name)
    health = ("Health", "Healthcheck")
    eventually(lambda: any(one.facts()["State"].get(name, {}).get("Status") == "healthy" for name in health), 60)


def test_it_has_labels_and_no_port_but_its_own() -> None:
    config = json.loads(engine("inspect", "--type", "image", IMAGE))[0]["Config"]
    assert config["Labels"]["org.opencontainers.image.title"] == "mock-epay"
    assert set(config["ExposedPorts"]) == {"8080/tcp", "8443/tcp"}
    assert config["StopSignal"] in {"SIGTERM", "15"}


def test_it_takes_payments_half_a_second_after_its_start(one: Container) -> None:
    script = """
import os, subprocess, time, urllib.request
began = time.perf_counter()
process = subprocess.Popen(["mock-epay", "--port", "9000", "--log", "none"], stdout=subprocess.DEVNULL)
while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:9000/_control/health").close()
        break
    except OSError:
        time.sleep(0.002)
print(time.perf_counter() - began)
process.kill()
process.wait()
"""
    assert any(float(one.run("python3", "-c", script)) < STARTS_WITHIN_S for _ in range(TRIES))


def test_it_stops_within_a_second_whatever_is_under_way() -> None:
    assert any(_seconds_to_stop() < STOPS_WITHIN_S for _ in range(TRIES))


def _seconds_to_stop() -> float:
    with sandbox() as one, ExitStack() as stack:
        # A shop that takes a notice and never answers, and somebody who reads the events.
        silent = stack.enter_context(socket.create_server(("", 0)))
        silent.settimeout(30)
        server = stack.enter_context(EpayServer(one.url))
        server.new_merchant().pay("000000001", post_link=f"http://localhost:{silent.getsockname()[1]}/")
        stack.enter_context(silent.accept()[0])
        client = stack.enter_context(httpx.Client())
        address = f"{one.url}/_control/merchants/test/events"
        told = stack.enter_context(client.stream("GET", address, headers={"Accept": "text/event-stream"}))
        events = told.iter_lines()  # kept, or httpx would go away
        assert "here are the events" in next(events)
        # From inside, and by the engine's note of the end: what its own commands take is no concern of ours.
        script = "import os, time; print(time.time(), flush=True); os.kill(1, 15)"
        signalled = subprocess.Popen(
            [ENGINE, "exec", one.name, "python3", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ).communicate(timeout=30)[0]
        engine("wait", one.name)
        state = one.facts()["State"]
        assert state["ExitCode"] == 0
        return datetime.fromisoformat(state["FinishedAt"]).timestamp() - float(signalled)


def test_a_customer_pays_through_the_published_port(epay: EpayServer, browser: Browser) -> None:
    customer, merchant = Customer(browser, epay.url), epay.new_merchant()
    shop = merchant.receiver()
    # The shop says localhost and means the machine around the container.
    post_link = shop.url.replace("host.docker.internal", "localhost")
    order = {"invoiceId": "000000001", "amount": 100, "currency": "KZT", "terminal": merchant.terminal}
    links = {"backLink": "https://shop.example/paid", "postLink": post_link}
    texts = {"description": "Tea", "language": "eng", "auth": merchant.token("000000001", amount=100)}
    page = customer.page()
    page.goto(f"{epay.url}/payform/?params={lz.compress(lz.flatten(order | links | texts))}")
    pay_in_browser(page, APPROVES)
    sees(page, "approved", 0)
    (notice,) = shop.wait(1)
    assert (notice.body["invoiceId"], notice.body["code"]) == ("000000001", "ok")
    assert customer.leave() == []


def test_a_payment_is_a_line_of_the_log_and_a_request_is_none(one: Container, epay: EpayServer) -> None:
    merchant = epay.new_merchant()
    merchant.pay("000000077")
    address = f"/cabinet/{merchant.client_id}/invoices/000000077"

    def lines() -> list[str]:
        log = one.log().partition("Ctrl-C stops it.\n")[2]
        return [line for line in log.splitlines() if address in line]

    eventually(lambda: bool(lines()))
    assert [re.split(r"\s{2,}", line)[1:3] for line in lines()] == [["paid", "000000077"]]


def test_the_authority_outlives_a_container_that_is_killed() -> None:
    with volume() as data:
        seen = []
        for _ in range(2):
            with sandbox("-v", f"{data}:/data", "-e", "MOCK_EPAY_TLS=1") as one:
                seen.append(httpx.get(f"{one.url}/ca.pem").text)
                engine("kill", one.name)
    assert seen[0] == seen[1]
    assert seen[0].startswith("-----BEGIN CERTIFICATE-----")


def test_payments_and_notices_outlive_a_container_that_is_killed() -> None:
    with volume() as data, ExitStack() as stack:
        kept = ("-v", f"{data}:/data", "-e", "MOCK_EPAY_STORE=sqlite:////data/epay.db")
        receivers = Receivers("host.docker.internal")
        stack.callback(receivers.close)
        shop = receivers.receiver()
        shop.answer(500)
        with sandbox(*kept) as one, EpayServer(one.url) as server:
            merchant = server.new_merchant(client_id="tea", postlink_retry_s=[1])
            paid = merchant.pay("000000001", post_link=shop.url.replace("host.docker.internal", "localhost"))
            shop.wait(1)
            engine("kill", one.name)
        with sandbox(*kept) as one, EpayServer(one.url) as server:
            again = server.merchant("tea")
            assert [(found.id, found.status) for found in again.transactions()] == [(paid.id, "CHARGE")]
            # What is still owed to the shop comes from the next container.
            assert [notice.body["id"] for notice in shop.wait(2)] == [paid.id] * 2


def test_rules_and_merchants_come_from_mounted_files(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "rules.toml").write_text("[[rules]]\nmatch = { amount = 13 }\nthen = { reason_code = 484 }\n")
    (tmp_path / "merchants.toml").write_text('[[merchants]]\nclient_id = "tea"\nclient_secret = "leaves"\n')
    files = ("-e", "MOCK_EPAY_RULES=/etc/epay/rules.toml", "-e", "MOCK_EPAY_MERCHANTS=/etc/epay/merchants.toml")
    with sandbox("-v", f"{tmp_path}:/etc/epay:ro", *files, command=("--log", "json")) as one:
        with EpayServer(one.url) as server:
            paid = server.merchant("tea").pay("000000001", amount=13)
        log = [json.loads(line) for line in one.log().splitlines() if line.startswith("{")]
    assert paid.reason_code == 484
    assert [line["event"] for line in log] == ["started", "transaction.declined"]
    assert log[0]["settings"]["merchants"] == "/etc/epay/merchants.toml"
    assert (log[1]["merchant"], log[1]["reason_code"], log[1]["amount"]) == ("tea", 484, 13)


def test_the_compose_files_say_what_they_should() -> None:
    said = compose(*SHOP_FILES, "config", **containers.host_gateway())
    for host in tls.bank_hosts():
        assert f"- {host}\n" in said
    for words in ("read_only: true", "service_healthy", "mock-epay", "/data"):
        assert words in said


def test_the_dockerfile_is_clean() -> None:
    containers.call(str(ROOT / ".venv/bin/hadolint"), "docker/Dockerfile")
