"""What `make bench-stores` makes of its figures."""

import pytest
from bench_stores import CALLED, LEAST_MS, MOST_TIMES, grown

USUAL = dict.fromkeys(CALLED, 1.0)


@pytest.mark.parametrize("late", [0, 1, 2])
def test_a_store_that_grows_is_found_however_fast_the_machine_is_just_then(late: int) -> None:
    speeds = [1, 7, 2, 20, 3]
    rounds = [
        {1000: {what: speed * taken for what, taken in USUAL.items()}, 100_000: dict.fromkeys(CALLED, speed * 1.6)}
        for speed in speeds
    ]
    for one in rounds[:late]:  # which happened to be slow with the small one
        one[1000] = {what: 2 * taken for what, taken in one[100_000].items()}
    found = grown(rounds)
    assert len(found) == len(CALLED)
    assert found[0].startswith("token takes 1.60 times as long with 100,000 as with 1,000 (")


def test_a_slow_round_is_no_growth() -> None:
    rounds = [{1000: USUAL, 100_000: USUAL} for _ in range(3)]
    assert grown([*rounds, *({1000: USUAL, 100_000: USUAL | {"list": 100 * MOST_TIMES}} for _ in range(2))]) == []


def test_what_takes_next_to_nothing_may_take_twice_that() -> None:
    little = dict.fromkeys(CALLED, 0.9 * LEAST_MS)
    assert grown([{1000: little, 10**6: {what: 2 * taken for what, taken in little.items()}}]) == []
