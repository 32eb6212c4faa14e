"""Whether the sandbox takes payments, asked in the cheapest way there is: container engines ask all the time."""

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from mock_epay.clock import stopwatch
from mock_epay.settings import CLIENT_URL, SettingError, Settings

USUAL_TIMEOUT_S: Final = 30.0

_PATH: Final = "/_control/health"
_PATIENCE_S: Final = 2.0  # for one answer
_PAUSE_S: Final = 0.05
_OK: Final = 200
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def declare(add: Callable[..., argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command to a command line; `add` is argparse's `add_parser`, or what makes a parser of its own."""
    parser = add("ready", help="say whether payments are taken, for health checks of containers")
    parser.add_argument("--wait", action="store_true", help="wait until they are")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=USUAL_TIMEOUT_S, help="how long to wait; 30 when absent"
    )
    parser.add_argument(
        "--url", metavar="URL", help=f"where the sandbox is; {CLIENT_URL}, or else here, by the settings host and port"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command as a program of its own."""
    parser = declare(lambda name, **how: argparse.ArgumentParser(f"mock-epay {name}", description=how["help"]))
    return carry_out(**vars(parser.parse_args(arguments)))


def carry_out(*, wait: bool, timeout: float, url: str | None) -> int:
    """Return 0 when the sandbox takes payments, 1 when it does not, or not in time, 2 when the address is none."""
    try:
        where = url or os.environ.get(CLIENT_URL) or _here()
        parts = urlsplit(where)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise ValueError(where)
    except (SettingError, ValueError) as wrong:
        return _say(f"no address to ask: {wrong}", 2)
    elapsed = stopwatch()
    while (why := _trouble(where)) and wait and elapsed() < timeout * 1000:
        threading.Event().wait(_PAUSE_S)
    return _say(f"not ready: {why}", 1) if why else 0


def _here() -> str:
    settings = Settings.from_environment(os.environ)
    host = _EVERYWHERE.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _trouble(where: str) -> str:
    """Return why no payments are taken; nothing if they are."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection  # noqa: PLC0415  (--help needs none)

    parts = urlsplit(where)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", _PATH)
        answer = connection.getresponse()
        health = json.loads(answer.read())
    except (OSError, HTTPException, ValueError) as wrong:
        return f"{where}: {str(wrong) or type(wrong).__name__}"
    finally:
        connection.close()
    return "" if answer.status == _OK and "status" in health else f"{where} answers {answer.status}"


def _say(line: str, code: int) -> int:
    print(f"mock-epay: {line}", file=sys.stderr)  # noqa: T201
    return code
