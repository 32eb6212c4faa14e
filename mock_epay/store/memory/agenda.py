"""What falls due in all worlds, by real time."""

import asyncio
import heapq
from datetime import datetime
from itertools import count
from math import inf
from typing import Final

from mock_epay.clock import Clock

_ROUNDED_S: Final = 1e-5  # more than a float of this century's seconds is off by
_UNTIDY: Final = 64  # outdated entries that are not worth looking for


class Agenda:
    """What falls due, by real time. Of each thing the latest entry counts; the others are passed over."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, str, str]] = []
        self._latest: dict[tuple[str, str], int] = {}
        self._serial = count()
        self._news = asyncio.Event()

    def enter(self, clock: Clock, moment: datetime, client_id: str, key: str) -> None:
        """Note that something falls due when `clock` shows `moment`; a frozen clock never will."""
        self.leave(client_id, key)
        seconds = clock.seconds_until(moment)
        if seconds < inf:
            serial = next(self._serial)
            self._latest[client_id, key] = serial
            at = _real_now() + seconds + (_ROUNDED_S if seconds else 0)  # or it might come up too early
            heapq.heappush(self._entries, (at, serial, client_id, key))
            if self._entries[0][1] == serial:  # whoever waits, waits for what was the first until now
                self._news.set()

    def leave(self, client_id: str, key: str) -> None:
        """Note that something does not fall due any more, and tidy up when most of the entries are such."""
        self._latest.pop((client_id, key), None)
        if len(self._entries) > _UNTIDY + 2 * len(self._latest):
            self._entries = [entry for entry in self._entries if self._counts(entry)]
            heapq.heapify(self._entries)

    def pop(self) -> tuple[str, str] | None:
        """Return the world and key of the first entry whose time has come."""
        while self._entries and self._entries[0][0] <= _real_now():
            entry = heapq.heappop(self._entries)
            if self._counts(entry):
                del self._latest[entry[2:]]
                return entry[2:]
        return None

    def _counts(self, entry: tuple[float, int, str, str]) -> bool:
        return self._latest.get(entry[2:]) == entry[1]

    async def wait(self) -> None:
        """Wait until the first entry's time comes, or for an earlier one."""
        self._news.clear()
        alarm = None
        if self._entries:
            left = self._entries[0][0] - _real_now()
            alarm = asyncio.get_running_loop().call_later(left, self._news.set)
        try:
            await self._news.wait()
        finally:
            if alarm is not None:
                alarm.cancel()


def _real_now() -> float:
    return Clock().now().timestamp()
