"""The sandbox on a socket: in the foreground, or in a thread beside a test."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mock_epay import issuer, script, tls, workers
from mock_epay.bank import Bank
from mock_epay.errors import Refusal
from mock_epay.journal import FORMS, Journal
from mock_epay.postlinks.roads import Roads
from mock_epay.settings import SettingError, Settings, rows
from mock_epay.store import Store, StoreError
from mock_epay.store.homes import store_at
from mock_epay.web import create_app, faults
from mock_epay.web.checks import CheckHandler
from mock_epay.wire import control
from mock_epay.workers import WorkerError

T = TypeVar("T")

_PATIENCE_S: Final = 10  # how long a thread may take to start or stop before something is wrong
_BACKLOG: Final = 2048  # as uvicorn has it
_DRAIN_S: Final = 0.2  # how long requests that are under way may go on at the end
_ANSWER: Final = b"HTTP/1.1 "
_LENGTH: Final = b"\r\ncontent-length: "
_HEAD_BYTES: Final = 8192  # of what is written; a length further behind is not looked for
_LAST_S: Final = 0.2  # and what they do when their connections have gone
_NOT_STARTED: Final = "the sandbox did not start; its log says why"


class ServerError(Exception):
    """The sandbox cannot start; the message is one line that says why."""


class Sandbox:
    """A sandbox that takes requests at `url`, and with TLS at `tls_url` as well."""

    def __init__(self, url: str, bank: Bank, loop: asyncio.AbstractEventLoop, tls_url: str = "") -> None:
        self.url = url
        self.tls_url = tls_url
        self.bank = bank
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the bank or its store in the sandbox's own loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)


def serve(settings: Settings, announce: Callable[[str, str], None], write: Callable[[str], object] = print) -> None:
    """Serve until a signal ends it, and `write` the log.

    `announce` is called with the address once it takes payments, and with that for HTTPS, empty without.

    Raises:
        SettingError: a file that a setting names cannot be used.
        ServerError: the address cannot be listened on, or the sandbox fails to start.
        KeyboardInterrupt: Ctrl-C.

    """
    found = _understood(settings)
    with _doors(settings) as doors:

        def ready() -> None:
            announce(doors.url, doors.tls_url)

        if settings.workers == 1:
            _Server(Bank(_store(settings, doors, write), settings), found, doors, ready).serve_all()
            return
        try:
            workers.run(settings.workers, _worker, (settings, replace(doors, context=None), write), ready)
        except WorkerError as wrong:
            raise ServerError(str(wrong)) from None


@contextmanager
def running(settings: Settings | None = None) -> Iterator[Sandbox]:
    """Run a sandbox in a thread, by default on a free port of the loopback address.

    Raises:
        SettingError: a file that a setting names cannot be used.
        ServerError: the address cannot be listened on, or the sandbox fails to start.

    """
    settings = settings or Settings(port=0)
    found = _understood(settings)
    loops: list[asyncio.AbstractEventLoop] = []
    failures: list[ServerError] = []
    started = threading.Event()

    def ready() -> None:
        loops.append(asyncio.get_running_loop())
        started.set()

    with _doors(settings) as doors:
        bank = Bank(store_at(settings.store), settings)
        server = _Server(bank, found, doors, ready)

        def run() -> None:
            try:
                server.serve_all()
            except ServerError as wrong:
                failures.append(wrong)
            started.set()  # or it never will be: do not wait for that

        thread = threading.Thread(target=run, name="mock-epay", daemon=True)
        thread.start()
        try:
            started.wait(_PATIENCE_S)
            if not loops:
                raise failures.pop() if failures else ServerError(_NOT_STARTED)
            yield Sandbox(doors.url, bank, loops[0], doors.tls_url)
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_S)


class _Protocol(HttpToolsProtocol):
    """HTTP, with a way for the application to drop a connection without an answer, and fewer writes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", _Joined(cast("asyncio.Transport", transport))))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {faults.DROP: self.transport.abort}  # type: ignore[dict-item]

    def on_response_complete(self) -> None:
        cast("_Joined", self.transport).write(b"")  # to HEAD there is no body that would bring the headers along
        super().on_response_complete()


class _Joined:
    """A transport that keeps an answer's headers until its body comes: a write is a system call, the dearest part.

    That is only done where a length is announced. In a stream the body may be long in coming.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._kept = b""

    def write(self, data: bytes) -> None:
        if not self._kept and _LENGTH in data[:_HEAD_BYTES] and data.startswith(_ANSWER):
            self._kept = data
            return
        data, self._kept = self._kept + data, b""
        if data:
            self._transport.write(data)

    def close(self) -> None:
        self.write(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doors:
    """Where it listens: for HTTP, and for HTTPS if that is wanted."""

    listener: socket.socket
    url: str
    tls_listener: socket.socket | None = None
    tls_url: str = ""
    context: ssl.SSLContext | None = None
    authority: bytes = b""


class _Server(uvicorn.Server):
    """A uvicorn server that says when it is ready, for there is nothing else to wait for; with TLS it has two doors."""

    def __init__(self, bank: Bank, found: Mapping[str, Any], doors: _Doors, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(
                    bank,
                    found.get("rules", ()),
                    found.get("merchants", ()),
                    authority=doors.authority,
                    check_handler=_checker(doors.url, bank.settings.control_token),
                ),
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
        self._doors = doors
        self._ready = ready
        self._store = bank.store

    def serve_all(self) -> None:
        """Serve at all doors until it is to end."""
        self.run(sockets=[self._doors.listener])

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
        if self._doors.tls_listener is not None:
            self.servers.append(await self._open_tls(self._doors.tls_listener))
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending = asyncio.create_task(super().shutdown(sockets))
        await asyncio.wait({ending}, timeout=_DRAIN_S)
        for connection in list(self.server_state.connections):  # such as a stream of events: it ends with its reader
            connection.transport.abort()
        await asyncio.wait({ending}, timeout=_LAST_S)
        for task in self.server_state.tasks:  # and what nobody waits for any more
            task.cancel()
        await ending
        await self._store.close()

    async def _open_tls(self, listener: socket.socket) -> asyncio.Server:
        """Open the second door, behind which is all that is behind the first."""
        make = self.config.http_protocol_class
        state = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        return await asyncio.get_running_loop().create_server(
            lambda: make(**state),
            sock=listener,
            ssl=self._doors.context,
            backlog=_BACKLOG,
        )


def _worker(settings: Settings, doors: _Doors, write: Callable[[str], object], ready: Callable[[], None]) -> None:
    """Serve as one of several processes; what TLS needs cannot be handed over, so each makes its own."""
    if doors.tls_listener is not None:
        doors = replace(doors, context=_vouched(settings)[1])
    _Server(Bank(_store(settings, doors, write), settings), _understood(settings), doors, ready).serve_all()


def _store(settings: Settings, doors: _Doors, write: Callable[[str], object]) -> Store:
    form = FORMS.get(settings.log)
    return store_at(settings.store, Journal(doors.url, form, write).hear if form else None)


def _checker(url: str, control_token: str) -> CheckHandler:
    """Return what checks a shop's handler of postlinks for a visitor: a client of this server's own control API."""

    def check(client_id: str, facts: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        from mock_epay import handler_check  # noqa: PLC0415  (with an HTTP client of its own)
        from mock_epay.client import EpayServer  # noqa: PLC0415

        with EpayServer(url, control_token=control_token) as server:
            yield from handler_check.told(server, client_id, facts)

    return check


def _understood(settings: Settings) -> Mapping[str, Any]:
    """Check what only the rest of the program understands of the settings; return what that is, such as rules.

    Raises:
        SettingError: one of them makes no sense.

    """
    if settings.cabinet_open and settings.control_token:
        raise SettingError(
            "MOCK_EPAY_CABINET_OPEN (--cabinet-open) and MOCK_EPAY_CONTROL_TOKEN (--control-token) contradict each "
            "other: one opens the cabinet to everybody, the other shuts strangers out; set one of them"
        )
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
    return found


def _test_card(pan: str) -> None:
    if issuer.card_of(pan) is None:
        raise ValueError("that is no test card; the README lists those")


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "store": store_at,
    "rules": lambda path: control.rules_of_file(Path(path).read_text("utf-8")),
    "merchants": lambda path: control.merchants_of_file(Path(path).read_text("utf-8")),
    "plan": script.read_plan,
    "foreign_key_card": _test_card,
    "postlink_hosts": lambda text: Roads(hosts=text),
    "postlink_allow": lambda text: Roads(allow=text),
}


@contextmanager
def _doors(settings: Settings) -> Iterator[_Doors]:
    """Listen before anything else is built, so that a taken port is one clear line."""
    with ExitStack() as stack:
        listener = stack.enter_context(_listening(settings.host, settings.port))
        if not settings.tls:
            yield _Doors(listener=listener, url=_url("http", listener))
            return
        authority, context = _vouched(settings)
        tls_listener = stack.enter_context(_listening(settings.host, settings.tls_port))
        yield _Doors(
            listener=listener,
            url=_url("http", listener),
            tls_listener=tls_listener,
            tls_url=_url("https", tls_listener),
            context=context,
            authority=authority,
        )


def _vouched(settings: Settings) -> tuple[bytes, ssl.SSLContext]:
    """Return the certificate of the sandbox's authority, and what that lets it serve by.

    Raises:
        SettingError: the authority, or a name, cannot be used.

    """
    variables = {row.name: f"{row.variable} ({row.flag})" for row in rows()}
    try:
        authority = tls.Authority.of(Path(settings.tls_dir).expanduser())
    except (tls.AuthorityError, RuntimeError) as wrong:  # RuntimeError: there is no home
        raise SettingError(f'{variables["tls_dir"]} is "{settings.tls_dir}": {wrong}') from None
    try:
        return authority.certificate, authority.context(tls.names(settings.extra_hosts))
    except ValueError as wrong:
        raise SettingError(f'{variables["extra_hosts"]} is "{settings.extra_hosts}": {wrong}') from None


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # Elsewhere than on POSIX this option lets two listen on one port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)  # only now is the port ours: until then another may have bound it too
        except (OSError, TypeError) as wrong:  # TypeError: a host that cannot be a name
            why = getattr(wrong, "strerror", None) or wrong
            raise ServerError(f"cannot listen on {host} port {port}: {why}") from None
        except OverflowError:
            raise ServerError(f"cannot listen on port {port}: ports end at 65535") from None
        yield listener


def _url(scheme: str, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{scheme}://{shown}:{port}"
