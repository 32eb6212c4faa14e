"""Installs a wheel as its users do, into an empty environment, and pays once: `smoke_wheel.py dist/*.whl`."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

PATIENCE_S: Final = 30
TERMINAL: Final = "67e34d63-102f-4bd1-898e-370781d0074d"
INVOICE: Final = "000000001"
CREDENTIALS: Final = {
    "grant_type": "client_credentials",
    "scope": "webapi usermanagement email_send verification statement statistics payment",
    "client_id": "test",
    "client_secret": "yF587AV9Ms94qN2QShFzVR3vFnWkhjbAK3sG",
    "terminal": TERMINAL,
}
CARD: Final = {"pan": "4405639704015096", "expiry": "01/25", "cvc": "815"}
FILES: Final = ("/payform/payment-api.js", "/payform/static/pay.css", "/demo", "/schemas/postlink-success.json")

_OPENER: Final = build_opener(ProxyHandler({}))  # all that is asked stands on this machine


def smoke(wheel: Path) -> None:
    """Install the wheel, start what it brings, pay, and look whether it was paid."""
    wheel = wheel.resolve(strict=True)
    with tempfile.TemporaryDirectory(prefix="mock-epay-wheel-") as place:
        scripts = _install(wheel, Path(place))
        with _serving(scripts, Path(place)) as url:
            for path in FILES:
                assert _get(url + path), path
            _pay(url, scripts)


def _install(wheel: Path, place: Path) -> Path:
    """Make an environment that has the wheel and what it depends on; return where its programs are."""
    home = place / "venv"
    venv.create(home)
    pip = [sys.executable, "-m", "pip", "--python", str(home), "install", "-q", "--no-compile", str(wheel)]
    subprocess.run(pip, check=True, cwd=place, env=_environment())
    return home / ("Scripts" if sys.platform == "win32" else "bin")


def _environment() -> dict[str, str]:
    """Return this process's environment without what would lead back to the checkout, or to other settings."""
    ours = ("PYTHON", "COVERAGE", "COV_", "MOCK_EPAY_", "VIRTUAL_ENV")
    return {name: text for name, text in os.environ.items() if not name.startswith(ours)}


@contextmanager
def _serving(scripts: Path, place: Path) -> Iterator[str]:
    """Start the sandbox and read from its banner where it is."""
    command: list[str | Path] = [scripts / "mock-epay", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=place, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        late = threading.Timer(PATIENCE_S, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            found = (line.split()[-1] for line in process.stdout if line.rstrip().endswith("/demo"))
            url = next(found, "").removesuffix("/demo")
            assert url, "there is no address in the banner"
            late.cancel()
            yield url
        finally:
            late.cancel()
            process.send_signal(signal.SIGTERM)


def _pay(url: str, scripts: Path) -> None:
    class Shop(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notices.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    notices: list[dict[str, Any]] = []
    with HTTPServer(("127.0.0.1", 0), Shop) as shop:
        order = {
            "invoiceId": INVOICE,
            "amount": 100,
            "currency": "KZT",
            "terminal": TERMINAL,
            "language": "eng",
            "description": "Order in a shop",
            "backLink": "https://shop.example.kz/thanks",
            "postLink": f"http://127.0.0.1:{shop.server_port}/",
            "auth": _token(url, {"invoiceID": INVOICE, "amount": "100", "currency": "KZT"}),
        }
        made: list[str | Path] = [scripts / "mock-epay", "address", "--at", url]
        text = json.dumps(order)
        address = subprocess.run(made, input=text, capture_output=True, text=True, check=True, env=_environment())
        page = _post(address.stdout.strip(), CARD).decode()
        assert 'data-state="approved"' in page, page
        shop.timeout = PATIENCE_S
        shop.handle_request()
    assert [(notice["invoiceId"], notice["code"]) for notice in notices] == [(INVOICE, "ok")], notices
    bearer = {"Authorization": f"Bearer {_token(url, {})['access_token']}"}
    status = json.loads(_get(f"{url}/check-status/payment/transaction/{INVOICE}", bearer))
    assert status["transaction"]["statusName"] == "CHARGE", status


def _token(url: str, more: Mapping[str, str]) -> dict[str, Any]:
    token: dict[str, Any] = json.loads(_post(f"{url}/oauth2/token", {**CREDENTIALS, **more}))
    return token


def _get(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    return _read(Request(url, headers=dict(headers or {})))


def _post(url: str, fields: Mapping[str, str]) -> bytes:
    return _read(Request(url, urlencode(fields).encode()))


def _read(request: Request) -> bytes:
    try:
        with _OPENER.open(request, timeout=PATIENCE_S) as answer:
            body: bytes = answer.read()
    except HTTPError as refused:
        with refused:
            raise AssertionError(f"{request.full_url}: {refused.read().decode()}") from None
    return body


def main(arguments: list[str]) -> int:
    """Check each wheel that is named."""
    failed = 0
    for wheel in arguments:
        try:
            smoke(Path(wheel))
        except (AssertionError, OSError, ValueError, KeyError, subprocess.SubprocessError) as wrong:
            print(f"{wheel}: {wrong!r}", file=sys.stderr)  # noqa: T201
            failed += 1
    print(f"{len(arguments) - failed} passed, {failed} failed")  # noqa: T201
    return int(failed > 0 or not arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
