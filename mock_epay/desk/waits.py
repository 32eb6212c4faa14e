"""Waiting, for so many real seconds at the longest, until something has happened in a world."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from mock_epay.desk import stories
from mock_epay.errors import CONTROL_API, BadField, NotInTime
from mock_epay.model import EVENTS, Event
from mock_epay.store import Store

R = TypeVar("R")


async def event(
    store: Store, client_id: str, until: str, *, invoice_id: str = "", after: int = 0, seconds: float
) -> Event:
    """Return the first event of a kind, of an invoice if one is named, behind the one with the number `after`.

    Raises:
        BadField: there is no such kind of event.
        NotInTime: it did not happen; the message says how near it came.

    """
    if until not in EVENTS:
        raise BadField("until", until, f"one of {', '.join(EVENTS)}", CONTROL_API)

    async def there() -> Event | None:
        nonlocal after
        happened = await store.events(client_id, after=after)
        after = happened[-1].number if happened else after
        return next((one for one in happened if one.is_of(until, invoice_id)), None)

    found = await look_again(store, client_id, seconds, there)
    if found is not None:
        return found
    async with store.work(client_id) as work:
        why = await stories.nearest_miss(work, until, invoice_id)
    of = f" for {invoice_id}" if invoice_id else ""
    raise NotInTime(f"no {until}{of} within {seconds:g} s: {why}", field="until", value=until)


async def look_again(
    store: Store, client_id: str, seconds: float, look: Callable[[], Coroutine[Any, Any, R | None]]
) -> R | None:
    """Look, and again whenever something has happened, until something is found or the time is over."""
    over = asyncio.create_task(asyncio.sleep(seconds))
    heard = 0
    try:
        while (found := await look()) is None and not over.done():
            heard = await _heard(store, client_id, heard, over)
    finally:
        over.cancel()
    return found


async def _heard(store: Store, client_id: str, heard: int, over: "asyncio.Task[None]") -> int:
    """Wait for news, or until it is over; return the number of the latest event that was heard of."""
    news = asyncio.create_task(store.news(client_id, after=heard))
    await asyncio.wait({news, over}, return_when=asyncio.FIRST_COMPLETED)
    if news.done():
        return news.result()[-1].number
    news.cancel()
    return heard
