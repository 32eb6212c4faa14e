"""Beginnings that fail, and ends: what is said, what is finished, what is kept; each with a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from support import PATIENCE_S, eventually
from test_cli import MODULE, Serving, plain_environment, serving
from worlds import TROUBLE

__all__ = ["plain_environment"]  # a fixture for each test

STOPS_WITHIN_S: Final = 1.0
WORLD: Final = "/_control/merchants/test"
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
# Root may do everything; without these privileges it may do what anybody may.
UNPRIVILEGED: Final = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of things that a sandbox cannot begin with."""
    (tmp_path / "broken.toml").write_text("rules = [")
    (tmp_path / "odd.toml").write_text("[[rules]]\nmatsch = 1\n")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    (tmp_path / "secret.toml").touch(0)
    (tmp_path / "letter.db").write_text("Dear shop, " * 100)
    (tmp_path / "shut").mkdir(0o555)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "code", "line"),
    [
        ("--rules {0}/broken.toml", 2, 'MOCK_EPAY_RULES (--rules) is "{0}/broken.toml": TOML is needed: '),
        ("--rules {0}/odd.toml", 2, 'MOCK_EPAY_RULES (--rules) is "{0}/odd.toml": rules.0.'),
        pytest.param(
            "--rules {0}/latin.toml",
            2,
            'MOCK_EPAY_RULES (--rules) is "{0}/latin.toml": UTF-8 is needed',
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "--rules {0}/none.toml",
            2,
            'MOCK_EPAY_RULES (--rules) is "{0}/none.toml": No such file or directory',
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "--rules {0}/secret.toml",
            2,
            'MOCK_EPAY_RULES (--rules) is "{0}/secret.toml": Permission denied',
            marks=pytest.mark.slow,
        ),
        pytest.param("--rules {0}", 2, 'MOCK_EPAY_RULES (--rules) is "{0}": Is a directory', marks=pytest.mark.slow),
        pytest.param(
            "--merchants {0}/broken.toml",
            2,
            'MOCK_EPAY_MERCHANTS (--merchants) is "{0}/broken.toml": TOML is needed: ',
            marks=pytest.mark.slow,
        ),
        ("--merchants {0}/odd.toml", 2, 'MOCK_EPAY_MERCHANTS (--merchants) is "{0}/odd.toml": rules is '),
        ("--port 1", 1, "cannot listen on 127.0.0.1 port 1: Permission denied"),
        pytest.param(
            "--tls 1 --tls-port 1 --tls-dir {0}/tls",
            1,
            "cannot listen on 127.0.0.1 port 1: Permission denied",
            marks=pytest.mark.slow,
        ),
        ("--tls 1 --tls-port 0 --tls-dir {0}/shut/tls", 2, 'MOCK_EPAY_TLS_DIR (--tls-dir) is "{0}/shut/tls": {0}/shut'),
        ("--store sqlite:///{0}/shut/new.db", 1, "the store {0}/shut/new.db cannot be used: "),
        ("--store sqlite:///{0}/shut/new.db --workers 2", 1, "the store {0}/shut/new.db cannot be used: "),
        pytest.param(
            "--store sqlite:///{0}/letter.db",
            1,
            "the store {0}/letter.db cannot be used: file is not a database",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "--store postgresql://epay@127.0.0.1:9/epay",
            1,
            "the store at 127.0.0.1:9 cannot be used: ",
            marks=pytest.mark.slow,
        ),
        ("--workers 0", 2, "MOCK_EPAY_WORKERS (--workers) is 0: it takes 1 or more"),
        pytest.param(
            "--max-connections 0",
            2,
            "MOCK_EPAY_MAX_CONNECTIONS (--max-connections) is 0: it takes 1 or more",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_it_cannot_begin_with_is_one_clear_line(folder: Path, flags: str, code: int, line: str) -> None:
    if UNPRIVILEGED and not shutil.which(UNPRIVILEGED[0]):
        pytest.skip("root may do everything here")
    command = [*UNPRIVILEGED, *MODULE, "--port", "0", *flags.format(folder).split()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stderr.startswith(f"mock-epay: {line.format(folder)}")
    assert (ended.stderr.count("\n"), ended.stdout, ended.returncode) == (1, "", code)


@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["alone", "with another"])
def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*MODULE, "--port", str(port), "--store", f"sqlite:///{tmp_path}/new.db", *flags]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stderr == f"mock-epay: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    assert (ended.stdout, ended.returncode) == ("", 1)


def ask(url: str, path: str, body: object) -> Any:
    return httpx.post(f"{url}{WORLD}{path}", json=body).raise_for_status().json()


def pay(sandbox: Serving, number: int, post_link: str = TROUBLE) -> None:
    ask(sandbox.url, "/payments", {"invoice_id": f"{number:09}", "post_link": post_link})


def listens(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()
    except OSError:
        return False
    return True


def test_what_is_being_asked_is_answered_first() -> None:
    def seconds() -> float:
        with serving(*MODULE, "--port", "0") as sandbox, httpx.Client(base_url=sandbox.url) as client:
            ask(sandbox.url, "/faults", {"faults": [{"at": "token", "delay_s": 0.3}]})
            statuses: list[int] = []
            asking = threading.Thread(target=lambda: statuses.append(client.post("/oauth2/token").status_code))
            asking.start()
            begun = f"{WORLD}/events?kind=fault.struck"
            eventually(lambda: bool(httpx.get(f"{sandbox.url}{begun}").json()["events"]) or bool(statuses))
            took, code, said = sandbox.stop(signal.SIGTERM)
            asking.join(PATIENCE_S)
        assert (statuses, code, said) == ([400], -signal.SIGTERM, "")
        return took

    assert any(seconds() < STOPS_WITHIN_S for _ in range(3))  # a machine that is busy may be late once


@pytest.mark.parametrize("count", [2, 11])
def test_what_is_lost_with_the_memory_is_told(count: int) -> None:
    with serving(*MODULE, "--port", "0") as sandbox:
        for number in range(1, count + 1):
            pay(sandbox, number)
        took, code, said = sandbox.stop(signal.SIGTERM)
    line = f"lost with the memory, where --store would keep them: {count} postlinks, of 000000001, 000000002"
    assert said.splitlines()[-1].startswith(line)
    assert said.endswith("…\n") is (count > 10)
    assert (code, took < PATIENCE_S / 2) == (-signal.SIGTERM, True)


def test_a_shop_that_has_a_notice_before_it_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as shop, serving(*MODULE, "--port", "0") as sandbox:
        shop.settimeout(PATIENCE_S)
        pay(sandbox, 1, f"http://127.0.0.1:{shop.getsockname()[1]}/")
        with closing(shop.accept()[0]) as connection:
            assert connection.recv(4) == b"POST"
            sandbox.process.terminate()
            eventually(lambda: not listens(sandbox.url))
            connection.sendall(OK)
            assert "lost" not in sandbox.process.communicate(timeout=PATIENCE_S)[0]


def test_workers_end_together(tmp_path: Path) -> None:
    tls = ("--tls", "1", "--tls-port", "0", "--tls-dir", f"{tmp_path}/tls")
    store = ("--store", f"sqlite:///{tmp_path}/store.db", "--workers", "2")

    def seconds() -> float:
        with serving(*MODULE, "--port", "0", *store, *tls) as sandbox:
            for number in range(1, 5):
                pay(sandbox, number)
            took, code, said = sandbox.stop(signal.SIGTERM)
        assert code == 128 + signal.SIGTERM
        assert "lost" not in said
        return took

    assert any(seconds() < STOPS_WITHIN_S for _ in range(3))


def test_what_a_database_keeps_goes_out_when_it_is_back(tmp_path: Path) -> None:
    command = (*MODULE, "--port", "0", "--store", f"sqlite:///{tmp_path}/store.db")
    with socket.create_server(("127.0.0.1", 0)) as shop:
        shop.settimeout(PATIENCE_S)
        with serving(*command) as sandbox:
            pay(sandbox, 1, f"http://127.0.0.1:{shop.getsockname()[1]}/")
            with closing(shop.accept()[0]) as connection:
                assert connection.recv(4) == b"POST"
                took, code, said = sandbox.stop(signal.SIGTERM)
            assert code == -signal.SIGTERM
            assert "lost" not in said
            assert took < PATIENCE_S / 2
        with serving(*command) as sandbox:
            with closing(shop.accept()[0]) as connection:
                assert connection.recv(4) == b"POST"
                connection.sendall(OK)
            there = f"{sandbox.url}{WORLD}/postlinks?state=delivered"
            eventually(lambda: len(httpx.get(there).json()["postlinks"]) == 1)
