"""The clock in a world's row, by which what falls due is reckoned."""

from collections.abc import Mapping

from mock_epay.clock import Clock
from mock_epay.store.sql.database import Transaction
from mock_epay.store.sql.rows import MICROSECOND, real_us, us_of


async def put_clock(transaction: Transaction, say: Mapping[str, str], client_id: str, clock: Clock) -> None:
    """Put a clock on a wall, and reckon anew what falls due by it."""
    shift_us, frozen_us = clock.shift // MICROSECOND, clock.frozen_at and us_of(clock.frozen_at)
    await transaction.rows(say["set_clock"], client_id, shift_us, frozen_us)
    if frozen_us is None:
        await transaction.rows(say["reckon_running"], client_id, shift_us)
    else:
        await transaction.rows(say["reckon_frozen"], client_id, frozen_us, real_us())


async def let_go(
    transaction: Transaction, say: Mapping[str, str], client_id: str, clock: Clock, *, frozen: bool
) -> None:
    """End the hold of a world that is locked."""
    await transaction.rows(say["let_go"], client_id)
    await put_clock(transaction, say, client_id, clock if frozen else clock.resume())
