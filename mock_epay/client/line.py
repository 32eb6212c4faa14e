"""The connections on which the client sends its requests."""

import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode
from weakref import WeakSet

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationValueError, NewConnectionError

from mock_epay import __version__, answers
from mock_epay.clock import stopwatch

_CONNECT_S: Final = 5
_PATIENCE_S: Final = 60  # real seconds for an answer, besides those that the sandbox was asked to wait
_KEPT_MS: Final = 1000  # the sandbox closes a connection on which nothing has come for five times as long
_HEADERS: Final = {"User-Agent": f"mock-epay-client/{__version__}"}

__tracebackhide__ = True  # of a call that fails, pytest shows the test's own line


class Line:
    """Sends requests. Each thread keeps its connection a moment, in which the other side does not close it either."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._pools: WeakSet[urllib3.PoolManager] = WeakSet()

    def ask(
        self,
        method: str,
        url: str,
        *,
        body: Any = None,
        form: Mapping[str, Any] | None = None,
        bearer: str = "",
        wait_s: float = 0,
    ) -> tuple[int, bytes]:
        """Send a request, with `body` as JSON or with a form; return status and body of its answer.

        `wait_s` are the seconds that the other side was asked to wait before it answers.

        Raises:
            ConnectionError: there is nobody at the address.
            OSError: what was sent was not answered.

        """
        sent, headers = b"", dict(_HEADERS)
        if body is not None:
            sent, headers["Content-Type"] = answers.text(body).encode(), "application/json"
        if form is not None:
            sent, headers["Content-Type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        timeout = urllib3.Timeout(connect=_CONNECT_S, read=_PATIENCE_S + wait_s)
        try:
            got = self._pool().request(method, url, body=sent, headers=headers, timeout=timeout, redirect=False)
        except (NewConnectionError, ConnectTimeoutError, LocationValueError) as wrong:
            raise ConnectionError(wrong) from None
        except HTTPError as wrong:
            raise OSError(wrong) from None
        self._own.idle = stopwatch()
        return got.status, got.data

    def close(self) -> None:
        """Let go of what is open."""
        for pool in list(self._pools):
            pool.clear()

    def _pool(self) -> urllib3.PoolManager:
        """Return what has this thread's connection, unless that is too old."""
        if not hasattr(self._own, "pool"):
            self._own.pool = urllib3.PoolManager(maxsize=1, retries=False)
            self._own.idle = stopwatch()
            self._pools.add(self._own.pool)
        pool: urllib3.PoolManager = self._own.pool
        if self._own.idle() > _KEPT_MS:
            pool.clear()
        return pool
