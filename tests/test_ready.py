"""`mock-epay ready`: whether payments are taken, asked cheaply."""

import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

import httpx
import pytest
from support import receiver
from test_server import ANY

from mock_epay import __main__, cli, ready
from mock_epay.server import Sandbox, running
from mock_epay.settings import Settings

NOBODY: Final = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOCK_EPAY_URL", "MOCK_EPAY_HOST", "MOCK_EPAY_PORT"):
        monkeypatch.delenv(name, raising=False)


def test_a_sandbox_that_takes_payments_is_ready_without_a_word(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ready", "--url", sandbox.url]) == 0
    assert ready.main(["--url", sandbox.url, "--wait", "--timeout", "1"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_it_is_found_by_its_own_settings(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Settings(host=host, port=0)) as here:
        monkeypatch.setenv("MOCK_EPAY_HOST", host)
        monkeypatch.setenv("MOCK_EPAY_PORT", here.url.rpartition(":")[2])
        assert ready.main([]) == 0


def test_an_address_of_ipv6_has_brackets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MOCK_EPAY_HOST", "::")
    monkeypatch.setenv("MOCK_EPAY_PORT", "9")
    assert ready.main([]) == 1
    assert "http://[::1]:9" in capsys.readouterr().err


def test_the_commands_variable_comes_before_the_settings(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCK_EPAY_URL", sandbox.url)
    monkeypatch.setenv("MOCK_EPAY_PORT", "9")
    assert ready.main([]) == 0


def test_where_nobody_is_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert ready.main(["--url", NOBODY]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"mock-epay: not ready: {NOBODY}: ")
    assert error.count("\n") == 1


def test_somebody_else_is_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    with receiver() as other:
        assert ready.main(["--url", other.url]) == 1
    assert "not ready" in capsys.readouterr().err


def test_an_answer_that_is_a_refusal_is_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with HTTPServer(("127.0.0.1", 0), Refusing) as other:
        threading.Thread(target=other.handle_request, daemon=True).start()
        assert ready.main(["--url", f"http://127.0.0.1:{other.server_port}"]) == 1
    assert "answers 503" in capsys.readouterr().err


def test_https_is_not_believed_without_its_authority(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("tls")
    with running(Settings(port=0, tls=True, tls_port=0, tls_dir=str(folder))) as secure:
        assert ready.main(["--url", secure.tls_url]) == 1
        assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().err
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
        assert ready.main(["--url", secure.tls_url]) == 0


@pytest.mark.parametrize("url", ["ftp://bank", "bank", "http://", "http://bank:port", "http://bank:70000"])
def test_what_is_no_address_is_a_wrong_call(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ready.main(["--url", url]) == 2
    assert capsys.readouterr().err.startswith("mock-epay: no address to ask: ")


def test_settings_that_mean_nothing_are_a_wrong_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOCK_EPAY_PORT", "many")
    assert ready.main([]) == 2
    assert 'MOCK_EPAY_PORT (--port) is "many"' in capsys.readouterr().err


def test_it_waits_no_longer_than_it_should(capsys: pytest.CaptureFixture[str]) -> None:
    before = time.monotonic()
    assert ready.main(["--url", NOBODY, "--wait", "--timeout", "0.2"]) == 1
    assert 0.2 <= time.monotonic() - before < 5
    assert "not ready" in capsys.readouterr().err


def test_it_waits_until_the_sandbox_is_there() -> None:
    with running(ANY) as first:
        port = int(first.url.rpartition(":")[2])
    codes: list[int] = []
    waiting = threading.Thread(
        target=lambda: codes.append(ready.main(["--url", f"http://127.0.0.1:{port}", "--wait", "--timeout", "20"]))
    )
    waiting.start()
    with running(Settings(port=port)) as late:
        waiting.join(20)
        assert httpx.get(f"{late.url}/_control/health").status_code == 200
    assert codes == [0]


def test_it_imports_nothing_heavy() -> None:
    script = "import sys; sys.argv[1:] = ['ready', '--url', 'http://127.0.0.1:9']; from mock_epay.__main__ import main;"
    script += "main(); print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.append('.'); {script}"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert set(done.stdout.split()) <= {"mock_epay", "__main__", "__mp_main__", "coverage", "a1_coverage"}


def test_the_program_goes_the_short_way(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mock-epay", "ready", "--url", sandbox.url])
    assert __main__.main() == 0
