"""The sandbox on a socket: in the foreground, or in a thread beside a test."""

import asyncio
import gc
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import uvicorn

from mock_epay import tls, workers
from mock_epay.bank import Bank, merchants
from mock_epay.connections import SWEEP_S, Connection, Limits
from mock_epay.journal import FORMS, Journal
from mock_epay.meanings import understood
from mock_epay.metrics import Metrics
from mock_epay.model import Event, Merchant
from mock_epay.settings import SettingError, Settings, rows
from mock_epay.store import StoreError
from mock_epay.store.homes import store_at
from mock_epay.web import create_app
from mock_epay.web.checks import CheckHandler
from mock_epay.web.meter import Meter
from mock_epay.workers import WorkerError

T = TypeVar("T")

_PATIENCE_S: Final = 10  # how long a thread may take to start or stop before something is wrong
_FILES: Final = 65_536
_ENDLESS: Final = 2**63
_BACKLOG: Final = 2048  # as uvicorn has it
_TICKS: Final = round(SWEEP_S / 0.1)  # of uvicorn's, each of which takes so long
# How long, at the end, what is being answered may go on, such as a stream of events; then what will be answered; then
# what is done for those whose connections have gone.
_DRAINS_S: Final = (0.1, 0.3)
_LAST_S: Final = 0.1
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
    found = understood(settings)
    _allow_many_files()
    with _doors(settings) as doors:

        def ready() -> None:
            gc.freeze()  # the program itself is never garbage, and takes the collector longer than all else
            announce(doors.url, doors.tls_url)

        if settings.workers > 1:
            try:
                workers.run(settings.workers, _worker, (settings, replace(doors, context=None), write), ready)
            except WorkerError as wrong:
                raise ServerError(str(wrong)) from None
        else:
            _Server(settings, found, doors, ready, write).serve_all()


def overruled(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return which settings count for nothing with merchants that the store has kept otherwise, by `client_id`.

    Raises:
        SettingError: a setting makes no sense.
        ServerError: the store cannot be used.

    """
    own = understood(settings).get("merchants", ())
    if not settings.store:
        return {}
    try:
        return merchants.overruled(asyncio.run(_stored(settings.store)), own, settings)
    except StoreError as wrong:
        raise ServerError(str(wrong)) from None


async def _stored(url: str) -> Sequence[Merchant]:
    store = store_at(url)
    await store.open()
    try:
        return await store.merchants()
    finally:
        await store.close()


@contextmanager
def running(settings: Settings | None = None) -> Iterator[Sandbox]:
    """Run a sandbox in a thread, by default on a free port of the loopback address.

    Raises:
        SettingError: a file that a setting names cannot be used.
        ServerError: the address cannot be listened on, or the sandbox fails to start.

    """
    settings = settings or Settings(port=0)
    found = understood(settings)
    loops: list[asyncio.AbstractEventLoop] = []
    failures: list[ServerError] = []
    started = threading.Event()

    def ready() -> None:
        loops.append(asyncio.get_running_loop())
        started.set()

    with _doors(settings) as doors:
        server = _Server(settings, found, doors, ready)

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
            yield Sandbox(doors.url, server.bank, loops[0], doors.tls_url)
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_S)


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

    def __init__(
        self,
        settings: Settings,
        found: Mapping[str, Any],
        doors: _Doors,
        ready: Callable[[], None],
        write: Callable[[str], object] | None = None,
    ) -> None:
        metrics = Metrics(str(os.getpid()) if settings.workers > 1 else "")
        journal = Journal(doors.url, FORMS[settings.log], write, settings.log_every)

        def hear(merchant: Merchant, events: Sequence[Event]) -> None:
            metrics.hear(merchant, events)
            journal.hear(merchant, events)

        self.bank = Bank(store_at(settings.store, hear), settings)
        app = create_app(
            self.bank,
            found.get("rules", ()),
            found.get("merchants", ()),
            authority=doors.authority,
            check_handler=_checker(doors.url, settings.control_token),
            metrics=metrics,
        )
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                http=partial(Connection, Limits.of(settings), Meter(app, metrics).count),  # type: ignore[arg-type]
                lifespan="on",
                ws="none",
                log_config=None,  # the process's own logging is not ours to set up
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # the connections look at what they need of them
                timeout_graceful_shutdown=1,
            )
        )
        self._doors = doors
        self._ready = ready
        self._lost = journal.mourn
        self._store = self.bank.store
        self._request_s = settings.request_s

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

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections now and then."""
        if counter % _TICKS == 0:
            for connection in list(self.server_state.connections):
                cast("Connection", connection).look_after()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending = asyncio.create_task(super().shutdown(sockets))
        for seconds, whatever in zip(_DRAINS_S, (False, True), strict=True):
            await asyncio.wait({ending}, timeout=seconds)
            for connection in list(self.server_state.connections):
                cast("Connection", connection).end(whatever=whatever)
        await asyncio.wait({ending}, timeout=_LAST_S)
        for task in self.server_state.tasks:
            task.cancel()
        await ending
        self._lost(await self._store.close())

    async def _open_tls(self, listener: socket.socket) -> asyncio.Server:
        """Open the second door, behind which is all that is behind the first."""
        make = self.config.http_protocol_class
        state = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        return await asyncio.get_running_loop().create_server(
            lambda: make(**state),
            sock=listener,
            ssl=self._doors.context,
            ssl_handshake_timeout=self._request_s,
            backlog=_BACKLOG,
        )


def _worker(settings: Settings, doors: _Doors, write: Callable[[str], object], ready: Callable[[], None]) -> None:
    """Serve as one of several processes; what TLS needs cannot be handed over, so each makes its own."""
    if doors.tls_listener is not None:
        doors = replace(doors, context=_vouched(settings)[1])
    _Server(settings, understood(settings), doors, ready, write).serve_all()


def _allow_many_files() -> None:
    """Let as many connections be open as clients may have: a usual shell allows a thousand files, and no more."""
    with suppress(ImportError, OSError, ValueError):  # there is no such thing everywhere
        import resource  # noqa: PLC0415

        soft, hard = (limit % _ENDLESS for limit in resource.getrlimit(resource.RLIMIT_NOFILE))  # -1 is without end
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(_FILES, hard)), hard))


def _checker(url: str, control_token: str) -> CheckHandler:
    """Return what checks a shop's handler of postlinks for a visitor: a client of this server's own control API."""

    def check(client_id: str, facts: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        from mock_epay import handler_check  # noqa: PLC0415  (with an HTTP client of its own)
        from mock_epay.client import EpayServer  # noqa: PLC0415

        with EpayServer(url, control_token=control_token) as server:
            yield from handler_check.told(server, client_id, facts)

    return check


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
