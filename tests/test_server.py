"""The sandbox on a socket, in a thread beside a test."""

import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import Final

import httpx
import pytest
from support import PATIENCE_S, eventually, new_merchant

from mock_epay import server
from mock_epay.model import Merchant
from mock_epay.server import Sandbox, ServerError, running
from mock_epay.settings import Settings
from mock_epay.store.memory import MemoryStore

ANY: Final = Settings(port=0)


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "mock-epay"}


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_several_run_at_once_each_with_worlds_of_its_own() -> None:
    with ExitStack() as stack:
        sandboxes = [stack.enter_context(running()) for _ in range(3)]
        assert len({sandbox.url for sandbox in sandboxes}) == 3
        sandboxes[0].do(sandboxes[0].bank.store.add_merchant(new_merchant("only here")))
        found = [sandbox.do(sandbox.bank.store.merchant("only here")) for sandbox in sandboxes]
        assert [merchant is not None for merchant in found] == [True, False, False]
        for sandbox in sandboxes:
            assert httpx.get(f"{sandbox.url}/schemas/error.json").status_code == 200


def test_settings_that_make_sense_are_taken() -> None:
    settings = Settings(port=0, foreign_key_card="4405639704015096", plan="never", postlink_hosts="shop=127.0.0.1")
    with running(settings) as sandbox:
        test = sandbox.do(sandbox.bank.store.merchant("test"))
        assert test is not None
        assert (test.foreign_key_card, test.plan) == ("4405639704015096", "never")


def test_by_default_only_this_machine_can_reach_it() -> None:
    with running() as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")


def test_thread_and_port_are_free_again_afterwards() -> None:
    before = _threads()
    with running() as sandbox:
        assert len(_threads() - before) == 1
    assert _threads() == before
    port = int(sandbox.url.rpartition(":")[2])
    with running(Settings(port=port)) as again:
        assert again.url == sandbox.url


def test_a_test_that_fails_ends_its_sandbox_too() -> None:
    before = _threads()
    with pytest.raises(ZeroDivisionError), running():
        raise ZeroDivisionError
    assert _threads() == before


def test_it_ends_although_a_connection_is_kept_open() -> None:
    with httpx.Client() as client:
        with running() as sandbox:
            assert client.get(f"{sandbox.url}/schemas/error.json").status_code == 200
            before = time.monotonic()
        assert time.monotonic() - before < PATIENCE_S / 2
        with pytest.raises(httpx.TransportError):
            client.get(f"{sandbox.url}/schemas/error.json")


def test_work_is_done_in_the_sandboxs_own_thread(sandbox: Sandbox) -> None:
    async def where() -> str:
        return threading.current_thread().name

    assert sandbox.do(where()) == "mock-epay"


def test_what_work_raises_is_raised_here(sandbox: Sandbox) -> None:
    async def fail() -> None:
        raise KeyError("this")

    with pytest.raises(KeyError, match="this"):
        sandbox.do(fail())


def test_a_taken_port_is_one_line() -> None:
    with running() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(ServerError, match=rf"^cannot listen on 127\.0\.0\.1 port {port}: Address already in use$"):
            running(Settings(port=port)).__enter__()


def test_of_two_that_have_bound_a_port_the_first_to_listen_gets_it() -> None:
    with socket.socket() as late:
        late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        late.bind(("127.0.0.1", 0))
        settings = Settings(port=late.getsockname()[1])
        with server._listening(settings.host, settings.port), pytest.raises(OSError, match="in use"):
            late.listen()
        late.listen()
        with pytest.raises(ServerError, match="in use"):
            running(settings).__enter__()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (Settings(host="nowhere.invalid"), r"cannot listen on nowhere\.invalid port 8080: \S"),
        (Settings(host="127.0.0.1.1"), r"cannot listen on 127\.0\.0\.1\.1 port 8080: \S"),
        (Settings(host="203.0.113.7", port=0), r"cannot listen on 203\.0\.113\.7 port 0: Cannot assign"),
        (Settings(host="é" * 70), r"cannot listen on é+ port 8080: encoding of hostname failed"),
        (Settings(host="::g"), r"cannot listen on ::g port 8080: \S"),
        (Settings(port=70000), r"cannot listen on port 70000: ports end at 65535"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_line(settings: Settings, why: str) -> None:
    before = _threads()
    with pytest.raises(ServerError, match=rf"^{why}[^\n]*$"):
        running(settings).__enter__()
    assert _threads() == before


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
def test_ipv6_has_brackets_in_its_address() -> None:
    with running(Settings(host="::1", port=0)) as sandbox:
        assert sandbox.url.startswith("http://[::1]:")
        assert httpx.get(f"{sandbox.url}/schemas/error.json").status_code == 200


@pytest.mark.parametrize(
    "host", ["0.0.0.0", pytest.param("::", marks=pytest.mark.skipif(not _has_ipv6(), reason="no IPv6"))]
)
def test_every_address_is_shown_as_one_that_can_be_opened(host: str) -> None:
    with running(Settings(host=host, port=0)) as sandbox:
        assert sandbox.url.startswith("http://localhost:")
        assert httpx.get(f"{sandbox.url}/schemas/error.json").status_code == 200


class _BrokenStore(MemoryStore):
    async def add_merchant(self, merchant: Merchant, *, unless_there: bool = False) -> bool:  # noqa: ARG002
        raise OSError(28, "no space left for", merchant.client_id)


def test_a_sandbox_that_fails_to_start_says_so_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before, began = _threads(), time.monotonic()
    monkeypatch.setattr(server, "store_at", lambda *_: _BrokenStore())
    with pytest.raises(ServerError, match=r"^the sandbox did not start; its log says why$"):
        running().__enter__()
    assert time.monotonic() - began < PATIENCE_S / 2
    assert _threads() == before
    assert "no space left for" in caplog.text


def test_in_the_foreground_a_failed_start_is_an_error_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "store_at", lambda *_: _BrokenStore())
    announced: list[tuple[str, str]] = []
    with pytest.raises(ServerError, match="did not start"):
        server.serve(ANY, lambda *urls: announced.append(urls))
    assert announced == []
    assert "no space left for" in caplog.text


def test_it_ends_although_somebody_waits_for_what_does_not_happen() -> None:
    with httpx.Client() as client, running() as sandbox:
        address = f"{sandbox.url}/_control/merchants/test/wait?until=card.saved&timeout_s=30"
        asked: list[int] = []

        def ask() -> None:
            with suppress(httpx.TransportError):
                asked.append(client.get(address).status_code)

        waiting = threading.Thread(target=ask)
        waiting.start()
        eventually(lambda: len(sandbox.bank.store.world("test")._watchers) > 0)  # type: ignore[attr-defined]
        before = time.monotonic()
    waiting.join(PATIENCE_S)
    assert time.monotonic() - before < PATIENCE_S / 2
    assert asked == []


def test_it_ends_although_somebody_reads_the_events() -> None:
    with httpx.Client() as client, ExitStack() as stack:
        with running() as sandbox:
            address = f"{sandbox.url}/_control/merchants/test/events"
            told = stack.enter_context(client.stream("GET", address, headers={"Accept": "text/event-stream"}))
            events = told.iter_lines()  # kept, or httpx would go away
            assert "here are the events" in next(events)
            before = time.monotonic()
        assert time.monotonic() - before < PATIENCE_S / 2
