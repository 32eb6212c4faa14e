"""The clock of one merchant's world, in the hands of a test."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from mock_epay import answers
from mock_epay.answers import Due, Fired, Hands

__tracebackhide__ = True  # of a call that fails, pytest shows the test's own line


class WorldClock:
    """The clock of one merchant's world. What falls due on the way has happened when a call returns."""

    def __init__(self, control: Callable[..., Any]) -> None:
        self._control = control

    @property
    def now(self) -> datetime:
        """Return what the clock shows."""
        return self._hands().now

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._hands().frozen

    def freeze(self) -> datetime:
        """Stop the clock and return what it shows."""
        return self._turn(freeze=True).now

    def resume(self) -> None:
        """Let the clock run on from where it stands."""
        self._turn(resume=True)

    def set(self, moment: datetime) -> list[Fired]:
        """Set the clock to a moment with a zone; return what that set off."""
        return list(self._turn(set=moment).fired)

    def advance(self, by: float | timedelta) -> list[Fired]:
        """Put the clock forward by so many seconds; return what that set off."""
        return list(self._turn(advance_s=by.total_seconds() if isinstance(by, timedelta) else by).fired)

    def due(self) -> list[Due]:
        """Return what lies ahead, soonest first."""
        return list(self._hands().due)

    def _hands(self) -> Hands:
        return answers.read(Hands, self._control("GET", "/clock"))

    def _turn(self, **how: Any) -> Hands:
        return answers.read(Hands, self._control("PUT", "/clock", how))
