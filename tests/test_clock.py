import math
import time
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from support import PATIENCE_S, eventually

from mock_epay.clock import Clock, stopwatch

PATIENCE = timedelta(seconds=PATIENCE_S)

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
shifts = st.timedeltas(timedelta(days=-5000), timedelta(days=5000))
frozen = moments.map(lambda moment: Clock(frozen_at=moment))
running = shifts.map(Clock)
clocks = frozen | running
seconds = st.integers(-(10**7), 10**7)


def shows(clock: Clock, moment: datetime) -> bool:
    """Tell whether a clock shows a moment, or has run a little further since."""
    return timedelta(0) <= clock.now() - moment < PATIENCE


def test_a_new_clock_shows_the_machines_time_with_its_zone() -> None:
    before = datetime.now(UTC)

    shown = Clock().now()

    assert before <= shown <= datetime.now(UTC)
    assert shown.tzinfo is UTC


@settings(deadline=None)
@given(shifts)
def test_a_shifted_clock_is_that_much_ahead_of_the_machines(shift: timedelta) -> None:
    assert shows(Clock(shift), datetime.now(UTC) + shift)


def test_a_running_clock_runs() -> None:
    clock = Clock(timedelta(days=-1))
    first = clock.now()

    eventually(lambda: clock.now() > first)


@settings(deadline=None)
@given(clocks)
def test_freezing_stops_a_clock_where_it_stands(clock: Clock) -> None:
    before = clock.now()

    stopped = clock.freeze()

    assert before <= stopped.now() <= clock.now()
    assert stopped.now() == stopped.now() == stopped.frozen_at


@settings(deadline=None)
@given(frozen)
def test_freezing_twice_is_freezing_once(clock: Clock) -> None:
    assert clock.freeze().now() == clock.now()


@settings(deadline=None)
@given(frozen)
def test_a_resumed_clock_runs_on_from_where_it_stood(clock: Clock) -> None:
    resumed = clock.resume()

    assert resumed.frozen_at is None
    assert shows(resumed, clock.now())
    first = resumed.now()
    eventually(lambda: resumed.now() > first)


@settings(deadline=None)
@given(running)
def test_a_running_clock_has_nothing_to_resume(clock: Clock) -> None:
    assert clock.resume() is clock


@settings(deadline=None)
@given(clocks, moments)
def test_a_clock_shows_the_moment_it_is_set_to_and_stays_frozen_or_running(clock: Clock, moment: datetime) -> None:
    turned = clock.set(moment)

    assert shows(turned, moment)
    assert bool(turned.frozen_at) is bool(clock.frozen_at)


@settings(deadline=None)
@given(frozen, moments)
def test_a_frozen_clock_that_is_set_shows_exactly_that(clock: Clock, moment: datetime) -> None:
    assert clock.set(moment).now() == moment


@settings(deadline=None)
@given(clocks, seconds)
def test_an_advanced_clock_is_that_much_ahead_and_stays_frozen_or_running(clock: Clock, ahead: int) -> None:
    before = clock.now()

    advanced = clock.advance(ahead)

    assert shows(advanced, before + timedelta(seconds=ahead))
    assert bool(advanced.frozen_at) is bool(clock.frozen_at)


@settings(deadline=None)
@given(frozen, seconds, seconds)
def test_advances_of_a_frozen_clock_add_up_in_any_order(clock: Clock, one: int, other: int) -> None:
    assert clock.advance(one).advance(other) == clock.advance(other).advance(one) == clock.advance(one + other)


def test_a_clock_can_be_advanced_by_part_of_a_second() -> None:
    stopped = Clock().freeze()

    assert stopped.advance(0.25).now() - stopped.now() == timedelta(milliseconds=250)


@settings(deadline=None)
@given(clocks, moments)
def test_turning_a_clock_makes_another_one(clock: Clock, moment: datetime) -> None:
    kept = (clock.shift, clock.frozen_at)

    made = (clock.set(moment), clock.advance(1), clock.freeze(), clock.resume())

    assert (clock.shift, clock.frozen_at) == kept
    assert all(isinstance(one, Clock) for one in made)


@settings(deadline=None)
@given(clocks, st.integers(0, 10**7))
def test_what_has_passed_is_no_seconds_away(clock: Clock, ago: int) -> None:
    assert clock.seconds_until(clock.now() - timedelta(seconds=ago)) == 0


@settings(deadline=None)
@given(frozen, st.integers(1, 10**7))
def test_a_frozen_clock_never_shows_what_lies_ahead(clock: Clock, ahead: int) -> None:
    assert clock.seconds_until(clock.now() + timedelta(seconds=ahead)) == math.inf


@settings(deadline=None)
@given(running, st.integers(PATIENCE_S, 10**7))
def test_a_running_clock_takes_the_real_seconds_between(clock: Clock, ahead: int) -> None:
    left = clock.seconds_until(clock.now() + timedelta(seconds=ahead))

    assert ahead - PATIENCE_S < left <= ahead


def test_a_stopwatch_tells_real_milliseconds() -> None:
    before = time.perf_counter()
    elapsed = stopwatch()

    eventually(lambda: elapsed() >= 2)

    assert 2 <= elapsed() <= (time.perf_counter() - before) * 1000
