"""A check of a shop's handler for a visitor: in a thread of its own, told line by line, ended when nobody listens."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Any, cast

from mock_epay.errors import Fault, Refusal

# Checks the handler of this merchant's shop as the facts say: each verdict, and all of them at the end.
CheckHandler = Callable[[str, Mapping[str, Any]], Iterator[Mapping[str, Any]]]

_Told = Mapping[str, Any] | Refusal | None


class Run:
    """One check. It blocks, for it is a client like any other, so it has a thread that nobody waits for."""

    def __init__(self, found: Iterator[Mapping[str, Any]]) -> None:
        self._found = found
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[_Told] = asyncio.Queue()
        self._unheard = threading.Event()

    async def begin(self) -> AsyncIterator[bytes]:
        """Begin, and return the lines once there is a first one.

        Raises:
            Refusal: the check cannot be made.

        """
        threading.Thread(target=self._run, name="the check of a handler", daemon=True).start()
        first = await self._told.get()
        if not isinstance(first, Mapping):
            raise first or Fault("the check has failed; the sandbox's log says where. Please report it.")
        return self._lines(first)

    async def _lines(self, told: _Told) -> AsyncIterator[bytes]:
        try:
            while isinstance(told, Mapping):
                yield json.dumps(told, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
                told = await self._told.get()
        finally:
            self._unheard.set()

    def _run(self) -> None:
        end: Refusal | None = None
        try:
            with closing(cast("Any", self._found)) as found:
                for told in found:
                    self._say(told)
                    if self._unheard.is_set():
                        break
        except Refusal as refusal:
            end = refusal
        finally:
            self._say(end)

    def _say(self, told: _Told) -> None:
        with suppress(RuntimeError):  # the server has stopped meanwhile
            self._loop.call_soon_threadsafe(self._told.put_nowait, told)
