"""HTTPS under the bank's names, believed by whoever trusts the sandbox's authority and by nobody else."""

import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
from cryptography import x509

from mock_epay import __main__, cli, resources, tls
from mock_epay.server import Sandbox, ServerError, running
from mock_epay.settings import SettingError, Settings
from mock_epay.tls import Authority, AuthorityError

BANK: Final = "test-epay.homebank.kz"
PATH: Final = "/payform/payment-api.js"
EXTRA: Final = "bank.shop.example,10.1.2.3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority") / "tls"


@pytest.fixture(scope="module")
def secure(folder: Path) -> Iterator[Sandbox]:
    with running(Settings(port=0, tls=True, tls_port=0, tls_dir=str(folder), extra_hosts=EXTRA)) as started:
        yield started


def _port(sandbox: Sandbox) -> int:
    return int(sandbox.tls_url.rpartition(":")[2])


def _leaf(sandbox: Sandbox, folder: Path, host: str) -> x509.Certificate:
    """Return what a server shows to whoever trusts its authority and asks for a host."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    with (
        socket.create_connection(("127.0.0.1", _port(sandbox)), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        shown = wrapped.getpeercert(binary_form=True)
        assert shown
        return x509.load_der_x509_certificate(shown)


@pytest.mark.parametrize("host", [*tls.bank_hosts(), "localhost", "127.0.0.1", "::1", *EXTRA.split(",")])
def test_it_is_whoever_is_asked_for(secure: Sandbox, folder: Path, host: str) -> None:
    leaf = _leaf(secure, folder, host)
    left = leaf.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=390) < left < timedelta(days=398)  # longer ones are refused by some systems


def test_it_is_nobody_else(secure: Sandbox, folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _leaf(secure, folder, "halykbank.kz")


def test_without_the_authority_it_is_not_believed(secure: Sandbox) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(secure.tls_url + PATH)


def test_the_same_world_is_behind_both_doors(secure: Sandbox, folder: Path) -> None:
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    with httpx.Client(verify=trust) as client:
        made = client.post(f"{secure.tls_url}/_control/merchants", json={}).json()
        seen = client.get(f"{secure.url}/_control/merchants/{made['client_id']}").json()
    assert made["client_id"] == seen["client_id"]
    assert made["urls"]["token"].startswith(f"{secure.tls_url}/")  # links lead where it was met
    assert seen["urls"]["token"].startswith(f"{secure.url}/")


def test_the_certificate_is_to_be_had_without_trust(secure: Sandbox, folder: Path) -> None:
    answer = httpx.get(f"{secure.url}/ca.pem")
    assert answer.content == (folder / "ca.pem").read_bytes()
    assert answer.headers["content-type"].startswith("application/x-pem-file")


def test_without_tls_there_is_no_certificate(sandbox: Sandbox) -> None:
    answer = httpx.get(f"{sandbox.url}/ca.pem")
    assert answer.status_code == 404
    assert answer.json()["message"] == "there is no certificate: the setting tls is off"
    assert sandbox.tls_url == ""


def test_only_its_owner_can_read_the_key(secure: Sandbox, folder: Path) -> None:
    assert secure.tls_url
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder / "private", folder / "private/ca.key")]
    assert modes == [0o700, 0o600]
    assert stat.S_IMODE((folder / "ca.pem").stat().st_mode) == 0o644
    assert b"PRIVATE" not in (folder / "ca.pem").read_bytes()


def test_the_authority_stays_and_its_certificates_are_new(tmp_path: Path) -> None:
    certificates, serials = set(), set()
    for _ in range(2):
        with running(Settings(port=0, tls=True, tls_port=0, tls_dir=str(tmp_path))) as started:
            certificates.add(httpx.get(f"{started.url}/ca.pem").content)
            serials.add(_leaf(started, tmp_path, BANK).serial_number)
    assert (len(certificates), len(serials)) == (1, 2)


def test_a_certificate_that_was_lost_is_laid_out_again(tmp_path: Path) -> None:
    first = Authority.of(tmp_path).certificate
    (tmp_path / "ca.pem").unlink()
    assert Authority.of(tmp_path).certificate == (tmp_path / "ca.pem").read_bytes() == first


def test_of_many_that_begin_at_once_all_use_one_authority(tmp_path: Path) -> None:
    start, seen = threading.Barrier(8), []

    def begin() -> None:
        start.wait()
        seen.append(Authority.of(tmp_path / "tls").certificate)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["ca.pem", "private"]


def test_an_authority_that_another_has_made_meanwhile_is_kept(tmp_path: Path) -> None:
    first = Authority.of(tmp_path).certificate
    tls._make(tmp_path / "private")
    assert Authority.of(tmp_path).certificate == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "private"]


def test_a_folder_that_holds_something_else_is_one_line(tmp_path: Path) -> None:
    Authority.of(tmp_path)
    (tmp_path / "private/ca.key").write_text("no key")
    with pytest.raises(AuthorityError, match=r"private holds no authority; delete it to have a new one$"):
        Authority.of(tmp_path)


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null/tls"])
def test_a_folder_that_cannot_be_made_is_one_line(folder: str) -> None:
    with pytest.raises(SettingError, match=rf'^MOCK_EPAY_TLS_DIR \(--tls-dir\) is "{folder}": /[^\n]*: [A-Z][^\n]*$'):
        running(Settings(port=0, tls=True, tls_dir=folder)).__enter__()


def test_a_file_where_the_key_s_folder_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "private").touch()
    with pytest.raises(AuthorityError, match=r"\.new-\w+: Not a directory$"):
        Authority.of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["private"]


@pytest.mark.parametrize("hosts", ["a b", "x..y", "é" * 70, "under_score"])
def test_an_extra_host_that_is_none_is_one_line(hosts: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=rf'^MOCK_EPAY_EXTRA_HOSTS \(--extra-hosts\) is "{hosts}": [^\n]+$'):
        running(Settings(port=0, tls=True, tls_port=0, tls_dir=str(tmp_path), extra_hosts=hosts)).__enter__()


def test_a_taken_port_for_https_is_one_line(secure: Sandbox, tmp_path: Path) -> None:
    port = _port(secure)
    with pytest.raises(ServerError, match=rf"^cannot listen on 127\.0\.0\.1 port {port}: Address already in use$"):
        running(Settings(port=0, tls=True, tls_port=port, tls_dir=str(tmp_path))).__enter__()


def test_a_machine_whose_name_no_certificate_can_have_does_without() -> None:
    assert list(tls._named("build_7")) == []
    assert list(tls._named("größe")) == []
    assert list(tls._named("build-7.lan")) == ["build-7.lan"]


# What `mock-epay trust` says is true.


def _recipe(runtime: str, folder: Path) -> str:
    (how,) = [row["how"] for row in resources.table("trust")["recipe"] if row["for"] == runtime]
    return str(how).format(ca=folder / "ca.pem", url="", rules="")


def _variables(runtime: str, folder: Path) -> dict[str, str]:
    words = _recipe(runtime, folder).replace(",", " ").split()
    return dict(word.split("=", 1) for word in words if word.partition("=")[0].isupper())


def _runs(command: list[str], **variables: str) -> str:
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_curl_trusts_as_it_is_told(secure: Sandbox, folder: Path) -> None:
    led = ["--connect-to", f"{BANK}:443:127.0.0.1:{_port(secure)}"]
    assert "halyk" in _runs(["curl", "-sS", *led, f"https://{BANK}{PATH}"], **_variables("curl", folder))
    assert _recipe("curl", folder).startswith(f"curl --cacert {folder}/ca.pem")
    assert "halyk" in _runs(["curl", "-sS", "--cacert", f"{folder}/ca.pem", *led, f"https://{BANK}{PATH}"])


@pytest.mark.parametrize(
    "script",
    [
        "import sys, httpx; print(httpx.get(sys.argv[1]).text)",
        "import sys, requests; print(requests.get(sys.argv[1]).text)",
        "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())",
    ],
    ids=["httpx", "requests", "urllib"],
)
def test_python_trusts_as_it_is_told(secure: Sandbox, folder: Path, script: str) -> None:
    address = f"https://localhost:{_port(secure)}{PATH}"
    assert "halyk" in _runs([sys.executable, "-c", script, address], **_variables("Python", folder))


def test_node_trusts_as_it_is_told(secure: Sandbox, folder: Path) -> None:
    script = "fetch(process.argv[1]).then(a => a.text()).then(console.log)"
    address = f"https://localhost:{_port(secure)}{PATH}"
    assert "halyk" in _runs(["node", "-e", script, address], **_variables("Node", folder))


def test_php_trusts_as_it_is_told(secure: Sandbox, folder: Path) -> None:
    command = _recipe("PHP", folder).split()[:-1]
    script = "echo file_get_contents($argv[1]);"
    address = f"https://localhost:{_port(secure)}{PATH}"
    assert "halyk" in _runs([*command, "-r", script, address])


@pytest.mark.skipif(not (shutil.which("keytool") and shutil.which("java")), reason="this machine has no Java")
def test_java_trusts_as_it_is_told(secure: Sandbox, folder: Path, tmp_path: Path) -> None:
    imports, runs = (line.split() for line in _recipe("Java", folder).strip().splitlines())
    (tmp_path / "Ask.java").write_text(
        "public class Ask { public static void main(String[] a) throws Exception {"
        "System.out.write(new java.net.URL(a[0]).openStream().readAllBytes()); System.out.flush(); } }"
    )
    store = str(tmp_path / "epay.p12")
    _runs([word.replace("epay.p12", store) for word in imports])
    java = [word.replace("epay.p12", store) for word in runs[:-1]]
    assert "halyk" in _runs([*java, str(tmp_path / "Ask.java"), f"https://localhost:{_port(secure)}{PATH}"])


@pytest.mark.skipif(not shutil.which("go"), reason="this machine has no Go")
def test_go_trusts_as_it_is_told(secure: Sandbox, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ask.go").write_text(
        'package main\nimport ("io"; "net/http"; "os")\nfunc main() { answer, err := http.Get(os.Args[1]); '
        "if err != nil { panic(err) }; io.Copy(os.Stdout, answer.Body) }"
    )
    variables = _variables("Go", folder) | {"GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off"}
    address = f"https://localhost:{_port(secure)}{PATH}"
    assert "halyk" in _runs(["go", "run", str(tmp_path / "ask.go"), address], **variables)


def test_trust_names_the_certificate_of_this_machine(
    folder: Path, secure: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOCK_EPAY_TLS_DIR", str(folder))
    assert cli.main(["trust", "--url", f"{secure.url}/"]) == 0
    said = capsys.readouterr().out
    assert f"NODE_EXTRA_CA_CERTS={folder}/ca.pem" in said
    assert f"{secure.url}/ca.pem" in said
    assert all(f"MAP {host} 127.0.0.1:8443" in said for host in tls.bank_hosts())
    for runtime in ("curl", "Python", "Node", "PHP", "Java", "Go", ".NET", "Chromium", "Firefox"):
        assert f"\n{runtime}\n    " in said


def test_trust_names_a_certificate_that_is_still_to_be_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOCK_EPAY_TLS_DIR", str(tmp_path))
    assert cli.main(["trust"]) == 0
    assert "NODE_EXTRA_CA_CERTS=ca.pem\n" in capsys.readouterr().out
    assert cli.main(["trust", "--ca", "other.pem", "--at", "epay:443"]) == 0
    said = capsys.readouterr().out
    assert "NODE_EXTRA_CA_CERTS=other.pem\n" in said
    assert f"MAP {BANK} epay:443" in said


def test_the_banner_tells_of_https() -> None:
    said = cli.banner("http://127.0.0.1:8080", tls_url="https://127.0.0.1:8443")
    assert (
        "  HTTPS           https://127.0.0.1:8443, authority http://127.0.0.1:8080/ca.pem (mock-epay trust)\n" in said
    )
    assert "HTTPS" not in cli.banner("http://127.0.0.1:8080")


def test_the_program_passes_commands_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["mock-epay", "trust"])
    assert __main__.main() == 0
    assert "NODE_EXTRA_CA_CERTS" in capsys.readouterr().out
