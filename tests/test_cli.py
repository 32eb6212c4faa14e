"""The command line: in this process where that will do, as a process of its own where signals matter."""

import importlib
import io
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest
from support import PATIENCE_S, Shop, interruptible, new_merchant

from mock_epay import __version__, lz, server, settings
from mock_epay.cli import INTERRUPTED, banner, main
from mock_epay.resources import table

MODULE: Final = (sys.executable, "-m", "mock_epay")
SCRIPT: Final = (str(Path(sys.executable).with_name("mock-epay")),)
STOPS_WITHIN_S: Final = 1.0
EVENTS: Final = "/_control/merchants/test/events"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "1000")  # help in unbroken lines


@dataclass(frozen=True)
class Serving:
    """A sandbox in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    banner: str
    began_in_s: float
    worked_before_s: float

    def stop(self, number: signal.Signals) -> tuple[float, int, str]:
        """Send a signal; return the seconds that the end took, the exit code and what else was said.

        Those of a busy machine count for less. How busy it is, the beginning tells, which is nothing but work: it takes
        as much longer than the work as others get in its way.
        """
        before = time.monotonic()
        self.process.send_signal(number)
        out, error = self.process.communicate(timeout=PATIENCE_S)
        took, worked = time.monotonic() - before, _worked_s() - self.worked_before_s
        return took / max(1, self.began_in_s / worked), self.process.returncode, out + error


def _worked_s() -> float:
    """Return the seconds that processes have worked which this one began, and which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def serving(*command: str) -> Iterator[Serving]:
    """Start a sandbox and wait for its banner."""
    before, worked_s = time.monotonic(), _worked_s()
    with interruptible(), subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        late = threading.Timer(PATIENCE_S * 3, one.kill)
        late.start()
        try:
            assert one.stdout is not None
            said = ""
            while "Ctrl-C" not in said:
                line = one.stdout.readline()
                assert line, one.communicate()[1]
                said += line
            url = re.search(r"(http://\S+)/demo\n", said)
            assert url is not None
            yield Serving(one, url[1], said, time.monotonic() - before, worked_s)
        finally:
            late.cancel()
            one.kill()


def run(*arguments: str, command: tuple[str, ...] = MODULE) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30, check=False)


def exit_code(*arguments: str) -> int:
    """Run a command in this process, one that argparse ends."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_banner_says_where_postlinks_to_localhost_go_besides() -> None:
    line = "  Postlinks       to localhost, or if nobody is there to host.docker.internal, 172.17.0.1"
    assert line in banner("http://127.0.0.1:8080", ["host.docker.internal", "172.17.0.1"]).splitlines()
    assert "Postlinks" not in banner("http://127.0.0.1:8080")


def test_the_banner_has_all_that_a_newcomer_needs() -> None:
    text = banner("http://127.0.0.1:8080")
    merchant = table("merchants")["merchant"][0]
    assert "Token           http://127.0.0.1:8080/oauth2/token\n" in text
    assert "Control         http://127.0.0.1:8080/_control/health\n" in text
    for fact in (merchant["client_id"], merchant["client_secret"], merchant["terminals"][0]["id"], __version__):
        assert f"{fact}\n" in text or f" {fact}:" in text
    cards = table("cards")["card"]
    lines = re.findall(r"^    (\d{15,16}) +\d\d/\d\d  \d{3,4} +(approves|declines)$", text, re.MULTILINE)
    assert lines == [(card["pan"], "approves" if card["status"] == "unlock" else "declines") for card in cards]
    assert len(lines) > 3


def test_the_banner_tells_of_settings_that_are_not_the_usual() -> None:
    text = banner("http://127.0.0.1:8080", chosen={"port": "0", "control_token": "***"})
    assert "  Settings\n    port           0\n    control_token  ***\n\nCtrl-C stops it." in text
    assert "Settings" not in banner("http://127.0.0.1:8080")


def test_the_banner_says_what_the_profile_for_load_tests_means() -> None:
    profile = settings.Settings.from_texts({"load": "1", "keep_events": "50"})
    text = banner("http://127.0.0.1:8080", load=settings.load_line(profile))
    told = "one payment in 100 is told; of a merchant 2000 transactions, 50 events and no bodies of postlinks are kept"
    assert f"\n  For load tests  {told}\n" in text
    assert "For load tests" not in banner("http://127.0.0.1:8080")


def test_it_is_said_at_the_start_which_settings_the_stored_merchants_have_otherwise(tmp_path: Path) -> None:
    command = (*MODULE, "--port", "0", "--store", f"sqlite:///{tmp_path}/store.db")
    with serving(*command, "--three-ds", "none") as sandbox:
        assert "Stored" not in sandbox.banner
    with serving(*command, "--three-ds", "challenge", "--page-ttl-s", "60") as sandbox:
        whose = ", ".join(merchant["client_id"] for merchant in table("merchants")["merchant"])
        told = f"page_ttl_s, three_ds of {whose}, not as given; PATCH changes them"
        assert f"\n  Stored          {told}\n" in sandbox.banner


def test_the_banner_says_for_what_settings_which_merchants_differ() -> None:
    text = banner("http://127.0.0.1:8080", kept={"tea": ["log"], "milk": ["log"], "salt": ["port", "log"]})
    assert "\n  Stored          log of tea, milk, not as given; PATCH changes them\n" in text
    assert "\n  Stored          port, log of salt, not as given; PATCH changes them\n" in text


@pytest.mark.parametrize(
    ("log", "first"), [("text", f"mock-epay {__version__}: no bank"), ("json", '{"event": "started"')]
)
def test_what_is_said_at_the_start_is_for_who_reads_the_log(
    log: str, first: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As below: the processes show it, and coverage does not see all of them.
    monkeypatch.setattr(server, "serve", lambda _, announce, write: (announce("http://bank", ""), write("a payment")))
    assert main(["--log", log]) == 0
    said = capsys.readouterr().out
    assert said.startswith(first)
    assert said.endswith("\na payment\n")


def test_a_log_for_machines_begins_with_a_line_for_them() -> None:
    command = (*MODULE, "--port", "0", "--log", "json", "--control-token", "geheim")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        process.terminate()
    assert (started["event"], started["version"], started["tls_url"]) == ("started", __version__, "")
    assert started["url"].startswith("http://127.0.0.1:")
    assert started["settings"] == {"port": "0", "log": "json", "control_token": "***"}
    assert started["kept"] == {}


@pytest.mark.parametrize(
    "command",
    [
        (*MODULE, "--port", "0"),
        (*MODULE, "serve", "--port", "0"),
        (*SCRIPT, "serve", "--port=0", "--seed", "a seed"),
        ("env", "MOCK_EPAY_PORT=0", *SCRIPT),
        ("env", "MOCK_EPAY_PORT=wrong", *SCRIPT, "--port", "0"),
    ],
    ids=["module", "serve", "script", "environment", "flag over environment"],
)
def test_it_serves_where_its_banner_says(command: tuple[str, ...]) -> None:
    with serving(*command) as sandbox:
        assert not sandbox.url.endswith(":0")
        assert sandbox.banner.startswith(banner(sandbox.url).removesuffix("Ctrl-C stops it."))
        assert httpx.get(f"{sandbox.url}/schemas/error.json").status_code == 200
        assert sandbox.stop(signal.SIGINT)[1:] == (INTERRUPTED, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_stops_it_at_once_whatever_is_under_way(number: signal.Signals, code: int, shop: Shop) -> None:
    # A machine that is busy with something else may be late once.
    assert any(_seconds_to_stop(number, code, shop) < STOPS_WITHIN_S for _ in range(3))


def _seconds_to_stop(number: signal.Signals, code: int, shop: Shop) -> float:
    with serving(*MODULE, "--port", "0", "--log", "none") as sandbox, ExitStack() as stack:
        receiver = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        receiver.settimeout(PATIENCE_S)
        post_link = f"http://127.0.0.1:{receiver.getsockname()[1]}/"
        client = stack.enter_context(httpx.Client(base_url=sandbox.url, timeout=PATIENCE_S))
        secret = table("merchants")["merchant"][0]["client_secret"]
        paying = Shop(shop.sandbox, client, new_merchant("test", client_secret=secret), post_link)
        assert 'data-state="approved"' in paying.buy().text
        hanging = stack.enter_context(receiver.accept()[0])
        assert hanging.recv(4) == b"POST"
        assert 'data-state="open"' in paying.open(invoiceId="000000002").text  # and this connection stays open
        told = stack.enter_context(client.stream("GET", EVENTS, headers={"Accept": "text/event-stream"}))
        events = told.iter_lines()  # kept, or httpx would go away
        assert "here are the events" in next(events)
        silent = stack.enter_context(socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2]))))
        seconds, ended, said = sandbox.stop(number)
        with suppress(ConnectionResetError):  # what was never accepted is reset
            assert silent.recv(1) == b""
    assert (ended, said) == (code, "")
    return seconds


def test_a_request_that_never_ends_does_not_keep_it() -> None:
    head = "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    with serving(*MODULE, "--port", "0") as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
            client.sendall(head.encode())
            assert client.recv(12) == b"HTTP/1.1 100"
            seconds, code, _ = sandbox.stop(signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert seconds < PATIENCE_S / 2


def _is_interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("serve", "code"), [(_is_interrupted, INTERRUPTED), (lambda *_: None, 0)])
def test_how_serving_ends_is_the_exit_code(
    serve: Callable[..., None], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The processes above show this too, but coverage loses its place around a loop whose tasks are cancelled.
    monkeypatch.setattr(server, "serve", serve)
    assert main(["--port", "0"]) == code


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--port", str(port))
    assert ended.stderr == f"mock-epay: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    assert (ended.stdout, ended.returncode) == ("", 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--port", "70000"), "cannot listen on port 70000: ports end at 65535"),
        (("--host", "nowhere.invalid"), "cannot listen on nowhere.invalid port 8080: "),
    ],
)
def test_an_address_that_cannot_be_had_is_one_line(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert error.startswith(f"mock-epay: {says}")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--port", "many"), 'MOCK_EPAY_PORT (--port) is "many": it takes a whole number, 0 or more'),
        (("serve", "--panel", "maybe"), 'MOCK_EPAY_PANEL (--panel) is "maybe": it takes 1 or 0'),
    ],
)
def test_a_wrong_value_is_one_line(arguments: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", f"mock-epay: {line}\n")


def test_a_wrong_variable_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MOCK_EPAY_PORT", "many")
    assert main([]) == 2
    assert capsys.readouterr().err.startswith('mock-epay: MOCK_EPAY_PORT (--port) is "many": ')


def test_a_variable_that_means_nothing_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOCK_EPAY_PROT", "8081")
    monkeypatch.setenv("MOCK_EPAY_XYZ", "1")
    assert main(["--port", "70000"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "mock-epay: there is no setting MOCK_EPAY_PROT; did you mean MOCK_EPAY_PORT?",
        "mock-epay: there is no setting MOCK_EPAY_XYZ",
        "mock-epay: cannot listen on port 70000: ports end at 65535",
    ]


def test_each_setting_has_a_flag_and_a_help_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("serve", "--help") == 0
    out = " ".join(capsys.readouterr().out.split())
    rows = [
        f" {row.flag} VALUE {row.explanation}; {row.variable}; default {row.shown or 'empty'}"
        for row in settings.rows()
    ]
    assert [row for row in rows if row.rstrip() not in out] == []
    assert len(rows) == out.count(" VALUE ") > 10


def test_a_card_to_assume_that_is_no_test_card_is_told_at_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0", "--foreign-key-card", "4111111111111111"]) == 2
    err = capsys.readouterr().err
    assert "MOCK_EPAY_FOREIGN_KEY_CARD" in err
    assert "4111111111111111" not in err


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == exit_code("-h") == 0
    out = capsys.readouterr().out
    assert re.search(r"^    serve +run the sandbox", out, re.MULTILINE)
    assert re.search(r"^    address +make a pay page address", out, re.MULTILINE)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"mock-epay {__version__}\n"


def test_arguments_come_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mock-epay", "--port", "70000"])
    assert main() == 1
    assert "70000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("--prot 1", "mock-epay serve: error: unrecognized arguments: --prot 1; did you mean --port?"),
        ("pay --postlink=x", "mock-epay pay: error: unrecognized arguments: --postlink=x; did you mean --post-link?"),
        ("pay --zzz", "mock-epay pay: error: unrecognized arguments: --zzz"),
        ("pay 1 2", "mock-epay pay: error: unrecognized arguments: 2"),
        ("pay --amount 10,5", '--amount: "10,5" is not understood: it takes a number, such as 100 or 1500.50'),
        ("resend x --field a", '--field: "a" is not understood: it takes NAME=VALUE, such as amount=200'),
        ("check-handler --post-link x", '"x" is not understood: it takes an address that begins with http://'),
        ("check-handler --invoice 12:1", '"12:1" is not understood: it takes NUMBER:AMOUNT'),
        ("check-handler --invoice 000000001", '"000000001" is not understood: it takes NUMBER:AMOUNT'),
        ("check-handler --timeout 0", '--timeout: "0" is not understood: it takes seconds, more than 0 and at most 20'),
        ("check-handler --timeout x", '--timeout: "x" is not understood: it takes a number'),
    ],
)
def test_a_wrong_argument_is_told_with_its_rule(call: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*call.split()) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("nonsense",), ("--nonsense",), ("serve", "--port")])
def test_a_wrong_call_says_how_to_call(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*arguments) == 2
    assert capsys.readouterr().err.startswith("usage: mock-epay ")


@pytest.mark.parametrize("command", [MODULE, SCRIPT])
def test_module_and_script_are_the_same(command: tuple[str, ...]) -> None:
    ended = run("--version", command=command)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"mock-epay {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("serve", "--rules", "/nowhere"), "2 True True"), (("health", "--url", "http://127.0.0.1:1"), "1 True False")],
)
def test_the_garbage_collector_is_back_when_a_command_runs(arguments: tuple[str, ...], said: str) -> None:
    code = (
        "import gc; from mock_epay.__main__ import main; print(main(), gc.isenabled(), gc.get_freeze_count() > 10_000)"
    )
    done = run(*arguments, command=(sys.executable, "-c", code))
    assert done.stdout.splitlines()[-1] == said


def test_importing_the_module_runs_nothing() -> None:
    assert importlib.import_module("mock_epay.__main__").main is not main


@pytest.mark.parametrize(
    ("flags", "at"),
    [((), "http://127.0.0.1:8080"), (("--at", "http://pay.localhost/"), "http://pay.localhost")],
)
def test_an_address_is_made_of_a_payment_object(
    flags: tuple[str, ...], at: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"invoiceId": "000000001", "auth": {"scope": "payment"}}'))
    assert main(["address", *flags]) == 0
    before, _, params = capsys.readouterr().out.strip().partition("?params=")
    assert before == f"{at}/payform/"
    assert lz.parse(lz.decompress(params)) == {"invoiceId": "000000001", "auth": "scope=payment"}


@pytest.mark.parametrize(
    "text",
    [b"", b"invoiceId", b"[]", b'{"description": "\\ud800"}', b"\xff", b'{"a":' * 100_000],
    ids=["nothing", "no JSON", "no object", "half a pair", "no UTF-8", "too deep"],
)
def test_what_is_no_payment_object_is_one_line(
    text: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), "utf-8"))
    assert main(["address"]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert error.startswith("mock-epay: standard input must hold a payment object in JSON: ")
