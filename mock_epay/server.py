"""The sandbox on a socket: in the foreground, or in a thread beside a test."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mock_epay import issuer, script, workers
from mock_epay.bank import Bank
from mock_epay.errors import Refusal
from mock_epay.postlinks.roads import Roads
from mock_epay.script import Rule
from mock_epay.settings import SettingError, Settings, rows
from mock_epay.store import StoreError
from mock_epay.store.homes import store_at
from mock_epay.web import create_app, faults
from mock_epay.wire import control
from mock_epay.workers import WorkerError

T = TypeVar("T")

_PATIENCE_S: Final = 10  # how long a thread may take to start or stop before something is wrong
_BACKLOG: Final = 2048  # as uvicorn has it
_NOT_STARTED: Final = "the sandbox did not start; its log says why"


class ServerError(Exception):
    """The sandbox cannot start; the message is one line that says why."""


class Sandbox:
    """A sandbox that takes requests at `url`."""

    def __init__(self, url: str, bank: Bank, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.bank = bank
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the bank or its store in the sandbox's own loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until a signal ends it; `announce` is called with the address once it takes payments.

    Raises:
        SettingError: the file of rules cannot be used.
        ServerError: the address cannot be listened on, or the sandbox fails to start.
        KeyboardInterrupt: Ctrl-C.

    """
    rules = _rules(settings)
    with _listening(settings) as (listener, url):
        if settings.workers > 1:
            try:
                workers.run(settings.workers, _worker, (settings, listener), lambda: announce(url))
            except WorkerError as wrong:
                raise ServerError(str(wrong)) from None
        else:
            _Server(Bank(store_at(settings.store), settings), rules, lambda: announce(url)).run(sockets=[listener])


@contextmanager
def running(settings: Settings | None = None) -> Iterator[Sandbox]:
    """Run a sandbox in a thread, by default on a free port of the loopback address.

    Raises:
        SettingError: the file of rules cannot be used.
        ServerError: the address cannot be listened on, or the sandbox fails to start.

    """
    settings = settings or Settings(port=0)
    rules = _rules(settings)
    loops: list[asyncio.AbstractEventLoop] = []
    failures: list[ServerError] = []
    started = threading.Event()

    def ready() -> None:
        loops.append(asyncio.get_running_loop())
        started.set()

    with _listening(settings) as (listener, url):
        bank = Bank(store_at(settings.store), settings)
        server = _Server(bank, rules, ready)

        def run() -> None:
            try:
                server.run(sockets=[listener])
            except ServerError as wrong:
                failures.append(wrong)
            started.set()  # or it never will be: do not wait for that

        thread = threading.Thread(target=run, name="mock-epay", daemon=True)
        thread.start()
        try:
            started.wait(_PATIENCE_S)
            if not loops:
                raise failures.pop() if failures else ServerError(_NOT_STARTED)
            yield Sandbox(url, bank, loops[0])
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_S)


class _Protocol(HttpToolsProtocol):
    """HTTP, with a way for the application to drop a connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {faults.DROP: self.transport.abort}  # type: ignore[dict-item]


class _Server(uvicorn.Server):
    """A uvicorn server that says when it is ready, for there is nothing else to wait for."""

    def __init__(self, bank: Bank, rules: Sequence[Rule], ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(bank, rules),
                http=_Protocol,
                lifespan="on",
                ws="none",
                log_config=None,  # the process's own logging is not ours to set up
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._ready = ready
        self._store = bank.store

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await self._store.open()
        except StoreError as wrong:
            raise ServerError(str(wrong)) from None
        with suppress(SystemExit):  # how newer versions of uvicorn say it; older ones just return
            await super().startup(sockets)
        if not self.started:
            await self._store.close()
            raise ServerError(_NOT_STARTED)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._store.close()


def _worker(settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve as one of several."""
    _Server(Bank(store_at(settings.store), settings), _rules(settings), ready).run(sockets=[listener])


def _rules(settings: Settings) -> Sequence[Rule]:
    """Check what only the rest of the program understands of the settings; return the rules of the file, if any.

    Raises:
        SettingError: one of them makes no sense.

    """
    found: dict[str, Any] = {}
    for row in rows():
        text = getattr(settings, row.name)
        if row.name not in _READERS or not text:
            continue
        try:
            found[row.name] = _READERS[row.name](text)
        except (OSError, ValueError, Refusal) as wrong:
            why = getattr(wrong, "strerror", None) or wrong
            shown = "" if row.name in {"foreign_key_card", "store"} else f' is "{text}"'
            raise SettingError(f"{row.variable} ({row.flag}){shown}: {why}") from None
    if settings.workers > 1 and not settings.store:
        raise SettingError(
            f"MOCK_EPAY_WORKERS (--workers) is {settings.workers}: processes cannot share a memory; "
            "name a database too, with MOCK_EPAY_STORE (--store)"
        )
    rules: Sequence[Rule] = found.get("rules", ())
    return rules


def _test_card(pan: str) -> None:
    if issuer.card_of(pan) is None:
        raise ValueError("that is no test card; the README lists those")


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "store": store_at,
    "rules": lambda path: control.rules_of_file(Path(path).read_text("utf-8")),
    "plan": script.read_plan,
    "foreign_key_card": _test_card,
    "postlink_hosts": lambda text: Roads(hosts=text),
    "postlink_allow": lambda text: Roads(allow=text),
}


@contextmanager
def _listening(settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """Listen before anything else is built, so that a taken port is one clear line."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # Elsewhere than on POSIX this option lets two listen on one port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(_BACKLOG)  # only now is the port ours: until then another may have bound it too
        except (OSError, TypeError) as wrong:  # TypeError: a host that cannot be a name
            why = getattr(wrong, "strerror", None) or wrong
            raise ServerError(f"cannot listen on {settings.host} port {settings.port}: {why}") from None
        except OverflowError:
            raise ServerError(f"cannot listen on port {settings.port}: ports end at 65535") from None
        yield listener, _url(listener)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
