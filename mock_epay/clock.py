"""Time, as a merchant's world sees it; nothing else in the package asks the machine what time it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that runs with the machine's, runs shifted, or stands still.

    A value, not a device: `freeze`, `set` and `advance` return another clock, and the store keeps the one that counts.
    """

    shift: timedelta = timedelta(0)
    frozen_at: datetime | None = None

    def now(self) -> datetime:
        """Return the moment this clock shows, with zone (UTC)."""
        return self.frozen_at or datetime.now(UTC) + self.shift

    def freeze(self) -> "Clock":
        """Return a clock that stands still at this moment."""
        return replace(self, frozen_at=self.now())

    def resume(self) -> "Clock":
        """Return a clock that runs on from where this one stands."""
        return self if self.frozen_at is None else Clock(shift=self.frozen_at - datetime.now(UTC))

    def set(self, moment: datetime) -> "Clock":
        """Return a clock that shows `moment` now; a frozen one stays frozen."""
        return Clock(frozen_at=moment) if self.frozen_at else Clock(shift=moment - datetime.now(UTC))

    def advance(self, seconds: float) -> "Clock":
        """Return a clock that is `seconds` ahead of this one."""
        return self.set(self.now() + timedelta(seconds=seconds))

    def seconds_until(self, moment: datetime) -> float:
        """Return the real seconds until this clock shows `moment`: 0 when it has, infinity when it never will."""
        left = (moment - self.now()).total_seconds()
        if left <= 0:
            return 0.0
        return inf if self.frozen_at else left


ticks: Final = time.perf_counter  # real seconds since some moment


def stopwatch() -> Callable[[], float]:
    """Return a function that tells the real milliseconds since this call."""
    start = ticks()
    return lambda: (ticks() - start) * 1000
